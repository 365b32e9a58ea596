"""What happens in a step's own process: bring the inputs, call the function, keep what it returns.

In: an order in a folder. Out: `result.json` in the same folder. Runs in a fork of the worker, which has imported the
libraries already; the project's modules are imported here, so that steps share nothing but their inputs.
"""

import importlib
import inspect
import os
import random
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.data import snapshots, sources
from roadworthy.data.formats import registry as formats
from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.step import Value
from roadworthy.pipelines import orders
from roadworthy.pipelines.orders import Failure, Given, Order, Result, Workplace
from roadworthy.pipelines.seen import Seen
from roadworthy.pipelines.steps import MARK
from roadworthy.registry.tracking import STEP_OUT
from roadworthy.store import project_file
from roadworthy.store.blobs import Blobs
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.keys import Keys
from roadworthy.store.store import open_store

FRAMES_SHOWN = 30


def main(workplace: Workplace, folder: Path) -> int:
    """Carry out the order in `folder`; the exit code."""
    order = msgspec.json.decode((folder / orders.ORDER).read_bytes(), type=Order)
    _redirect(folder / orders.LOG)
    os.chdir(workplace.root)
    os.environ[STEP_OUT] = order.folder
    os.environ.setdefault("MPLBACKEND", "Agg")  # no step has a screen
    seen = Seen(Path(workplace.root), (workplace.home, order.folder))
    seen.begin()
    try:
        result = _source(workplace, order) if order.data else _step(workplace, order)
    except BaseException as problem:
        result = Result(failure=_failure(problem, workplace.root))
    seen.end()
    result = msgspec.structs.replace(
        result, read=seen.read(), written=seen.written(), loaded=seen.loaded(frozenset(order.known))
    )
    temporary = folder / f"{orders.RESULT}.part"
    temporary.write_bytes(msgspec.json.encode(result, enc_hook=str))
    temporary.replace(folder / orders.RESULT)
    return 1 if result.failure else 0


def _step(workplace: Workplace, order: Order) -> Result:
    # Before the project is imported, so that what its modules draw is repeatable too; and once more for the step.
    _seed(order.seed, numpy=workplace.numpy)
    importlib.import_module(workplace.entry)
    function = getattr(importlib.import_module(order.module), order.function, None)
    if not hasattr(function, MARK) and not callable(getattr(function, "__wrapped__", None)):
        raise invalid(
            f"`{order.function}` is no step when its module is imported: something replaced it",
            where=order.module, fix="let @rw.step be the outermost decorator, and bind the name once",
        )  # fmt: skip
    blobs, keys = Blobs(Path(workplace.home) / "blobs"), Keys(Path(workplace.home) / "keys")
    arguments = {given.name: _bring(workplace, blobs, keys, given) for given in order.arguments}
    _seed(order.seed, numpy=workplace.numpy)
    assert function is not None
    returned = function(**arguments)
    if inspect.iscoroutine(returned):
        import asyncio

        returned = asyncio.run(returned)
    if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        raise invalid(f"the step `{order.function}` yields", where=order.module, fix="return a value: a list, a table")
    return Result(output=_save(blobs, keys, order, returned))


def _source(workplace: Workplace, order: Order) -> Result:
    """Ask a data source of the project, and take a snapshot of what it gives."""
    place = project_file.read(Path(workplace.root) / project_file.FILE)
    clock = SimulatedClock(workplace.now)
    with open_store(Path(workplace.home), url=workplace.url, clock=clock, actor=workplace.actor) as store:
        return Result(snapshot=sources.resolve(store, place, order.data, params=orders.unwrap(order.params)))


def _bring(workplace: Workplace, blobs: Blobs, keys: Keys, given: Given) -> Any:
    if given.value is not None:
        return formats.load(blobs, given.value, keys=keys)
    if given.snapshot is None:
        return orders.unwrap(given.param)
    with open_store(Path(workplace.home), url=workplace.url) as store:
        if given.arrives == "path":
            return snapshots.read(store, given.snapshot, Path)
        if given.arrives == "pandas":
            import pandas as pd

            return snapshots.read(store, given.snapshot, pd.DataFrame)
        import pyarrow as pa

        table = snapshots.read(store, given.snapshot, pa.Table)
    if given.arrives == "duckdb":
        import duckdb

        return duckdb.from_arrow(table)
    return table


def _save(blobs: Blobs, keys: Keys, order: Order, returned: Any) -> Value:
    try:
        return formats.save(blobs, returned, format=order.format, trusted=order.trusted, keys=keys)
    except Fault as fault:
        raise Fault(
            fault.code,
            f"what the step `{order.function}` returned cannot be kept: {fault.what}",
            where=fault.where, fix=fault.fix, detail=fault.detail,
        ) from fault  # fmt: skip


def _seed(seed: int, *, numpy: bool) -> None:
    random.seed(seed)
    if numpy or "numpy" in sys.modules:
        import numpy as np

        np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator is what users' code and scikit-learn draw from
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _redirect(log: Path) -> None:
    """Send what the step prints, and what its libraries and children do, to its log."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    os.close(nothing)
    for name, number in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, os.fdopen(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace"))


def _failure(problem: BaseException, root: str) -> Failure:
    if isinstance(problem, Fault):
        trace = problem.detail.get("traceback", "")
        return Failure(
            message=problem.what, code=problem.code.value, where=problem.where, fix=problem.fix,
            trace=trace or (_trace(problem, root) if _is_from(problem, root) else ""),
        )  # fmt: skip
    name = type(problem).__name__
    said = str(problem)
    return Failure(message=f"{name}: {said}" if said else name, trace=_trace(problem, root))


def _is_from(problem: BaseException, root: str) -> bool:
    return any(_own(frame.filename, root) for frame in traceback.extract_tb(problem.__traceback__))


def _trace(problem: BaseException, root: str) -> str:
    """The traceback from the user's first line on; runs of lines in libraries are counted, the last one shown."""
    shown = traceback.TracebackException.from_exception(problem, limit=None, compact=True)
    waiting: list[traceback.TracebackException | None] = [shown]
    while waiting:
        each = waiting.pop()
        if each is not None:
            each.stack = traceback.StackSummary.from_list(_trimmed(each.stack, root))
            waiting += [each.__cause__, each.__context__]
    return "".join(shown.format())


def _trimmed(frames: traceback.StackSummary, root: str) -> list[traceback.FrameSummary]:
    own = [n for n, frame in enumerate(frames) if _own(frame.filename, root)]
    if not own:
        # A module that is not Python, say: the message has its own place; the way there is ours.
        ways = ("<frozen importlib", str(Path(__file__).parent))
        return [frame for frame in frames if not frame.filename.startswith(ways)][-FRAMES_SHOWN:]
    kept = [frames[n] for n in own]
    if own[-1] != len(frames) - 1:
        kept.append(frames[-1])  # where in a library it came to an end
    return kept[-FRAMES_SHOWN:]


def _own(filename: str, root: str) -> bool:
    return filename.startswith(f"{root}/") and "site-packages" not in filename
