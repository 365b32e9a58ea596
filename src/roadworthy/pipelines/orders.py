"""What the runner asks of its worker, and what comes back: the records that cross between the two processes."""

import datetime as dt
from typing import Any

import msgspec

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.nouns.step import Value
from roadworthy.pipelines.graph import Arrives

RESULT = "result.json"
LOG = "log.txt"
ORDER = "order.json"
# What of a step's print-out is kept, MiB; what comes after is counted, not kept.
LOG_MIB_MAX = 16
_DATES: dict[str, Any] = {"datetime": dt.datetime, "date": dt.date, "time": dt.time}


class Workplace(msgspec.Struct, frozen=True, kw_only=True):
    """What all orders of a run share.

    Args:
        root, home, url: the project's folder, its store's folder and database.
        entry: the module with the pipeline.
        sources: file with the text of every source file, as read at the start of the run.
        preload: modules of libraries, imported once before the first order.
        numpy: whether NumPy's generator must be seeded.
        now: the project's clock, seconds since the epoch.
        actor: who is said to have made changes to the store.
    """

    root: str
    home: str
    url: str
    entry: str
    sources: str
    preload: tuple[str, ...] = ()
    numpy: bool = False
    now: float = 0.0
    actor: str = ""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One argument: a stored value, a snapshot, or a parameter."""

    name: str
    value: Value | None = None
    snapshot: Snapshot | None = None
    arrives: Arrives = "pandas"
    param: Any = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do in a process of its own.

    Args:
        folder: where it may write: result, log, what it tracks.
        module, function: what to call; for a data source, `data` names it instead.
        arguments: what to call it with.
        format, trusted: how to store what it returns.
        seed: of the random generators.
        known: source files that its key covers already.
        params: all parameters, for a data source.
    """

    folder: str
    module: str = ""
    function: str = ""
    data: str = ""
    arguments: tuple[Given, ...] = ()
    format: str | None = None
    trusted: tuple[str, ...] = ()
    seed: int = 0
    known: tuple[str, ...] = ()
    params: dict[str, Any] = msgspec.field(default_factory=dict)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order failed: the message, the traceback as the user should see it, and the fault if it was one."""

    message: str
    trace: str = ""
    code: str = ""
    where: str = ""
    fix: str = ""
    detail: dict[str, Any] = msgspec.field(default_factory=dict)

    def fault(self) -> Fault:
        code = Code(self.code) if self.code else Code.INVALID
        return Fault(code, self.message, where=self.where, fix=self.fix, detail=self.detail)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an order.

    Args:
        output: of a step; `snapshot`: of a data source.
        read, written: files opened for reading and for writing, relative to the project where inside it.
        loaded: source files of modules that were imported beyond the known ones.
    """

    output: Value | None = None
    snapshot: Snapshot | None = None
    failure: Failure | None = None
    read: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """To the worker: carry out the order in `folder`, within `timeout_s`."""

    id: str
    folder: str
    timeout_s: float | None = None


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag="kill"):
    """To the worker: end an order."""

    id: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """From the worker: an order's process has ended.

    Args:
        code: exit code, negative for a signal.
        timed_out: whether it was ended for taking too long.
        wall_s, cpu_s, memory_peak_mb: what it took, children it waited for included.
    """

    id: str
    code: int
    timed_out: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_peak_mb: float = 0.0


def wrap(value: Any) -> Any:
    """A parameter so that JSON brings it back as it was: dates and times are marked."""
    if isinstance(value, dict):
        return {key: wrap(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [wrap(inner) for inner in value]
    for name, kind in _DATES.items():
        if isinstance(value, kind):
            return {"$toml": name, "text": value.isoformat()}
    return value


def unwrap(value: Any) -> Any:
    """What `wrap` wrapped."""
    if isinstance(value, dict):
        if set(value) == {"$toml", "text"}:
            return _DATES[value["$toml"]].fromisoformat(value["text"])
        return {key: unwrap(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unwrap(inner) for inner in value]
    return value
