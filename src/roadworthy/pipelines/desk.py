"""Where orders are written for the worker and its answers are read: one folder per order, one worker per run.

In: a planner's decisions. Out: results with what they cost. The worker is started when the first order comes, so that
a run in which nothing has to be done starts no process. Called by the runner and its session.
"""

import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from roadworthy.nouns.errors import Fault
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.pipelines import data_sets, orders
from roadworthy.pipelines.executors.local import LocalExecutor
from roadworthy.pipelines.happening import Happening, Watch
from roadworthy.pipelines.orders import Ended, Failure, Order, Result, Start, Workplace
from roadworthy.pipelines.planner import Planner
from roadworthy.store.sql import Dialect

WAIT_S = 0.5
# What reading a data set needs, by how it is handed over.
_READERS = {"pandas": ("pandas", "pyarrow.parquet"), "arrow": ("pyarrow.parquet",), "duckdb": ("duckdb",), "path": ()}


class Desk:
    """The worker of one run, and the folders of its orders.

    Args:
        planner: whose steps they are.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.folder = planner.store.home / "steps" / f"{os.getpid()}"
        self._executor: LocalExecutor | None = None
        self._orders = 0

    @property
    def executor(self) -> LocalExecutor:
        """The worker; started when first asked for."""
        if self._executor is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sources = self.folder / "sources"
            sources.write_bytes(msgspec.msgpack.encode(self.planner.sources.texts()))
            self._executor = LocalExecutor(self.folder, self._workplace(sources), seed=self.planner.seed)
        return self._executor

    def start(self, order_id: str, order: Order, timeout_s: float | None) -> None:
        """Write an order and have it begun."""
        Path(order.folder, orders.ORDER).write_bytes(msgspec.json.encode(order, enc_hook=str))
        self.executor.start(Start(id=order_id, folder=order.folder, timeout_s=timeout_s))

    def new_folder(self) -> Path:
        """A folder for the next order."""
        self._orders += 1
        folder = self.folder / f"{self._orders}"
        folder.mkdir(mode=0o700, parents=True)
        return folder

    def result(self, folder: Path, ended: Ended, timeout_s: float | None) -> Result:
        """What came of an order, whatever way its process ended."""
        if ended.timed_out:
            return Result(failure=Failure(message=f"it took longer than its time limit of {timeout_s:g} s"))
        try:
            return msgspec.json.decode((folder / orders.RESULT).read_bytes(), type=Result)
        except (OSError, msgspec.DecodeError):
            return Result(failure=Failure(message=_death(ended.code)))

    def snapshots(self, tell: Watch) -> dict[str, Snapshot]:
        """What the data sets of the run are now; source functions are asked in the worker, side by side.

        Raises:
            Fault: whatever is wrong with a source.
        """
        known = {name: data_sets.look(self.planner, name) for name in self.planner.data()}
        waiting: dict[str, tuple[str, Path, int]] = {}
        for name, each in known.items():
            if each.snapshot is None and each.ask:
                folder = self.new_folder()
                params = orders.wrap(self.planner.params)
                order = Order(folder=str(folder), data=name, params=params, seed=self.planner.seed)
                waiting[f"data:{name}"] = (name, folder, time.time_ns())
                self.start(f"data:{name}", order, None)
                tell(Happening(kind="asking", step=name, text=f"data {name}: asking its source"))
        found: dict[str, Snapshot] = {}
        for name, each in known.items():
            if each.snapshot is not None:
                found[name] = each.snapshot
                text = f"data {name}: {_size(each.snapshot)}, unchanged ({each.why})"
                tell(Happening(kind="data", step=name, text=text))
            elif not each.ask:
                found[name] = data_sets.read(self.planner, each)
                tell(Happening(kind="data", step=name, text=f"data {name}: {_size(found[name])}"))
        while waiting:
            for ended in self.executor.ended(WAIT_S):
                name, folder, since_ns = waiting.pop(ended.id)
                result = self.result(folder, ended, None)
                if result.failure is not None:
                    raise _with_log(result.failure.fault(), folder, result.failure.trace)
                found[name] = data_sets.asked(self.planner, known[name], result, since_ns)
                tell(Happening(kind="data", step=name, text=f"data {name}: {_size(found[name])}"))
        return {name: found[name] for name in known}

    def close(self) -> None:
        if self._executor is not None:
            self._executor.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _workplace(self, sources: Path) -> Workplace:
        planner = self.planner
        store = planner.store
        tops = {w.module.partition(".")[0] for m in planner.reach.modules for w in planner.reach.facts(m).imports}
        return Workplace(
            root=str(planner.place.root),
            home=str(store.home),
            url=_url(store.sql.dialect, store.sql.url),
            entry=planner.graph.entry,
            sources=str(sources),
            preload=tuple(self._preload()),
            numpy="numpy" in planner.libraries.versions(tops),
            now=store.clock.now(),
            actor=store.actor,
        )

    def _preload(self) -> list[str]:
        """The libraries' modules that the project's modules import at their top, and what reads data sets."""
        reach = self.planner.reach
        found: dict[str, None] = {}
        for module in reach.modules:
            for statement in reach.facts(module).statements:
                for written in statement.imports:
                    base = reach.absolute(module, written)
                    if base and not reach.owner(base)[0] and statement.kind == "import":
                        found[base] = None
        if any(d.python is None for d in self.planner.place.project.data.values()) or self.planner.data():
            for name in self.planner.order():
                for argument in self.planner.graph.nodes[name].arguments:
                    if argument.kind == "data":
                        found |= dict.fromkeys(_READERS[argument.arrives])
        return list(found)


def _url(dialect: Dialect, url: str) -> str:
    return url if dialect == "postgresql" else "sqlite"


def _death(code: int) -> str:
    if code == -9:
        return "its process was killed (SIGKILL): the machine may be short of memory"
    if code < 0:
        return f"its process was ended by signal {-code}"
    return f"its process ended ({code}) without a result"


def _size(snapshot: Snapshot) -> str:
    rows = f"{snapshot.rows:,} rows" if snapshot.rows is not None else f"{snapshot.files:,} files"
    return f"{rows} ({snapshot.id[:12]})"


def _with_log(fault: Fault, folder: Path, trace: str) -> Fault:
    try:
        said = (folder / orders.LOG).read_text("utf-8", "replace")[-4000:]
    except OSError:
        said = ""
    detail = {**fault.detail, "log": said, "traceback": trace or fault.detail.get("traceback", "")}
    return Fault(fault.code, fault.what, where=fault.where, fix=fault.fix, detail=detail)
