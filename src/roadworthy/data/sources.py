"""What `[data.NAME]` points to, as a snapshot: files by a path or glob, or what a function of the project returns.

In: a project and a data set's name. Out: a snapshot, newly taken when the content is new. Called by pipelines/ and
`rw data add`. The function is the project's own code and runs here.
"""

import datetime as dt
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roadworthy.data import snapshots
from roadworthy.data.gather import Progress, quiet
from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.project import Contract, Data, Place
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.store.store import Store

# A contract's word for a type -> the DuckDB type a CSV column is read as, where guessing could read it as another.
_CSV_TYPES = {"string": "VARCHAR"}


def resolve(
    store: Store, place: Place, name: str, *, params: dict[str, Any], copy: bool = False, progress: Progress = quiet
) -> Snapshot:
    """Take a snapshot of what a data set of the project points to now.

    Args:
        store: where to.
        place: the project.
        name: the data set's name in the project file.
        params: parameters; a source function gets those that it names, and `now`: the store's time (UTC).
        copy: copy large files rather than link them.
        progress: told what is done.

    Raises:
        Fault: not found when the project has no such data set or nothing is there; invalid when the source is wrong or
            its function fails, with the line it failed at.
    """
    data = place.project.data.get(name)
    if data is None:
        there = ", ".join(sorted(place.project.data)) or "none"
        raise not_found("the project has no such data set", where=f"[data.{name}]", fix=f"there are: {there}")
    project = place.project.name
    if data.python is not None:
        value = call(store, place.root, data.python, params=params)
        if isinstance(value, Path):
            path = value if value.is_absolute() else place.root / value
            return snapshots.take(
                store, name, path, project=project, source=data.python, copy=copy, progress=progress
            )  # fmt: skip
        return snapshots.take_table(store, name, value, project=project, source=data.python)
    return snapshots.take(
        store,
        name,
        _paths(place.root, name, data),
        project=project,
        source=data.path or "",
        copy=copy,
        types=_types(data.contract),
        progress=progress,
    )


def matching(pattern: str, root: Path) -> list[Path]:
    """The paths that a file's name, a folder's, or a glob stands for, relative to `root`.

    Raises:
        Fault: not found when there are none.
    """
    whole = Path(pattern) if Path(pattern).is_absolute() else root / pattern
    if whole.exists():
        return [whole]
    import glob

    if glob.has_magic(pattern):
        found = sorted(Path(match) for match in glob.glob(str(whole), recursive=True))  # noqa: PTH207 - absolute too
        files = [path for path in found if path.is_file()]
        if files:
            return files
        raise not_found("no file fits the pattern", where=str(whole))
    raise not_found("there is no such file or folder", where=str(whole))


def call(store: Store, root: Path, function: str, *, params: dict[str, Any]) -> Any:
    """Call a project's function, such as `source:departed`, with `now` and the parameters that it names.

    Raises:
        Fault: not found when it is not there; invalid when it wants what there is not, or fails.
    """
    module_name, _, attribute = function.partition(":")
    with _importable(root):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as problem:
            if problem.name and module_name.split(".")[0] == problem.name.split(".")[0]:
                raise not_found("there is no such module in the project", where=function) from None
            raise _failed(function, root, problem) from problem
        except Exception as problem:
            raise _failed(function, root, problem) from problem
        found = getattr(module, attribute, None)
        if not callable(found):
            raise not_found(f"{module_name} has no function {attribute}", where=function)
        arguments = _arguments(store, found, function, params)
        try:
            return found(**arguments)
        except Fault:
            raise
        except Exception as problem:
            raise _failed(function, root, problem) from problem


def _paths(root: Path, name: str, data: Data) -> list[Path]:
    if data.path is None:
        raise invalid("a data set needs `path` or `python`", where=f"[data.{name}]")
    return matching(data.path, root)


def _types(contract: Contract | None) -> dict[str, str]:
    if contract is None:
        return {}
    return {
        column: _CSV_TYPES[rule.type]
        for column, rule in contract.columns.items()
        if rule.type and rule.type in _CSV_TYPES
    }


def _arguments(store: Store, function: Any, named: str, params: dict[str, Any]) -> dict[str, Any]:
    offered = {**params, "now": dt.datetime.fromtimestamp(store.clock.now(), dt.UTC)}
    import inspect

    arguments = {}
    for name, wanted in inspect.signature(function).parameters.items():
        if wanted.kind is inspect.Parameter.VAR_KEYWORD:
            return offered
        if name in offered:
            arguments[name] = offered[name]
        elif wanted.default is inspect.Parameter.empty and wanted.kind is not inspect.Parameter.VAR_POSITIONAL:
            raise invalid(
                f"the function wants {name!r}, which is no parameter",
                where=named,
                fix=f"it may ask for: {', '.join(sorted(offered))}; or give {name!r} a default",
            )
    return arguments


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """The project's modules can be imported, as they are now, and are forgotten afterwards: a loop that runs for weeks
    sees edits, and two projects may both have a `source.py`.
    """
    before = {name: module for name, module in sys.modules.items() if _of(module, root)}
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in [name for name, module in sys.modules.items() if _of(module, root)]:
            del sys.modules[name]
        sys.modules.update(before)


def _of(module: Any, root: Path) -> bool:
    """Whether a module is the project's own; not what is installed in an environment inside its folder."""
    file = getattr(module, "__file__", None) or ""
    return file.startswith(f"{root}/") and "site-packages" not in file and getattr(module, "__name__", "") != "__main__"


def _failed(function: str, root: Path, problem: BaseException) -> Fault:
    import traceback

    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(str(root))]
    where = f"{Path(own[-1].filename).relative_to(root)}:{own[-1].lineno}" if own else function
    report = "".join(traceback.format_exception(problem))
    return invalid(
        f"{function} failed: {type(problem).__name__}: {problem}", where=where, detail={"traceback": report[-8000:]}
    )
