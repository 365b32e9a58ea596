"""Tracking from code: `rw.log_metric(...)` in a script, a notebook or a step, with a project or without.

Inside a step the runner names a folder (ROADWORTHY_STEP_OUT) and what is tracked goes there (registry/tracked.py).
Anywhere else it goes to the active run of this process: the innermost `start_run`, or one begun implicitly in the
store of the project around, or of `./.roadworthy`, which is finished when the process ends.

Metric points are gathered and written at most half a second later, so that logging in a loop costs microseconds: that
half second is what a `kill -9` can lose. Everything else is on the disk when its call returns.
"""

import atexit
import io
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.run import MetricPoint, Run, RunStatus
from roadworthy.registry import artifacts, forward, metrics, runs, surroundings, tracked
from roadworthy.store import project_file
from roadworthy.store.clock import SystemClock
from roadworthy.store.store import HOME, Store, open_store

STEP_OUT = "ROADWORTHY_STEP_OUT"
FLUSH_S = 0.5
BUFFER_POINTS_MAX = 2_000
ARTIFACT_FILES_MAX = 10_000

_clock = SystemClock()
_stack: list["ActiveRun"] = []
_begin = threading.RLock()


class ActiveRun:
    """A run that this process is doing; a context manager that finishes it, as failed if its block raises.

    Args:
        store: where it is kept; closed when the run ends.
        run: as started.
        root: the project's folder, or the one in which it began.
        tracking: where the project's runs are logged as well, empty for nowhere.
    """

    def __init__(self, store: Store, run: Run, root: Path, tracking: str = "") -> None:
        self.id = run.id
        self.tracking = tracking
        self.root = root
        self.ended = False
        self.forked = False
        self._store = store
        self._script = surroundings.script()
        self._owner = self._pid = os.getpid()
        self._lock = threading.RLock()
        self._points: list[MetricPoint] = []
        self._timer: threading.Timer | None = None
        self._problem: Exception | None = None

    @property
    def store(self) -> Store:
        """The store, opened anew in a forked process: a connection must not be shared with the parent."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = threading.RLock()
            self._points, self._timer = [], None
            self._store = open_store(self._store.home, url=_url(self._store), actor=self._store.actor)
            self.forked = True
        return self._store

    def add(self, points: list[MetricPoint]) -> None:
        """Take points; they are written within `FLUSH_S`."""
        store = self.store
        with self._lock:
            if self._problem is not None:
                problem, self._problem = self._problem, None
                raise problem
            stamped = [msgspec.structs.replace(p, at=p.at or store.clock.now()) for p in points]
            self._points += stamped
            # A forked worker often ends without running exit hooks.
            if self.forked or len(self._points) >= BUFFER_POINTS_MAX:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(FLUSH_S, self._flush_later)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write what was gathered."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            points, self._points = self._points, []
            try:
                if points:
                    metrics.log(self.store, self.id, points)
            except BaseException:
                self._points = points + self._points
                raise

    def finish(self, status: RunStatus = "finished", error: str | None = None) -> Run:
        """End the run: its points are written, and the code that was loaded by now is kept."""
        with self._lock:
            store = self.store
            self.flush()
            run = runs.get(store, self.id)
            if self._owner != os.getpid():
                return run  # a forked child must not end its parent's run
            code = surroundings.code(store.blobs, self.root, self._script)
            if code != run.code:
                runs.update(store, msgspec.structs.replace(run, code=code))
            run = runs.finish(store, self.id, status, error=error)
            self.ended = True
            for problem in forward.send_all(store, self.tracking, run.project):
                sys.stderr.write(f"rw: {problem}\n")
            store.close()
        if self in _stack:
            _stack.remove(self)
        return run

    def _flush_later(self) -> None:
        try:
            self.flush()
        except Exception as problem:
            # Nobody is there to hear it: the next call tells.
            self._problem = problem

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.ended:
            self.finish(*_end(value))


class StepRun:
    """What `start_run` gives inside a step: the step's own run goes on, and is ended by the runner."""

    id = ""

    def finish(self, status: RunStatus = "finished", error: str | None = None) -> None:
        """Nothing: the runner ends the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def start_run(
    name: str = "", *, group: str = "", params: Mapping[str, Any] | None = None, tags: Mapping[str, str] | None = None
) -> ActiveRun | StepRun:
    """Begin a run; what is logged until it ends belongs to it.

    Args:
        name: what people call it.
        group: gathers runs, as an experiment would.
        params, tags: logged at once.

    Example:
        >>> with rw.start_run(group="late-flights") as run:  # doctest: +SKIP
        ...     rw.log_metric("auc", 0.71)
    """
    if _step_folder() is not None:
        log_params(params or {})
        for key, value in {"name": name, "group": group, **(tags or {})}.items():
            if value:
                set_tag(key, value)
        return StepRun()
    given = {metrics.check_name(k): _plain(v) for k, v in (params or {}).items()}
    tagged = {metrics.check_name(k): str(v) for k, v in (tags or {}).items()}
    with _begin:
        store, root, about = open_around()
        run = Run(
            id="",
            project=about.name,
            name=name,
            group=group,
            params=given,
            tags=tagged,
            command="notebook" if _is_interactive() else " ".join(sys.argv)[:1000],
            code=surroundings.code(store.blobs, root, surroundings.script()),
            environment=surroundings.environment(),
        )
        active = ActiveRun(store, runs.start(store, run), root, about.tracking)
        if not _stack:
            atexit.unregister(_finish_all)
            atexit.register(_finish_all)
        _stack.append(active)
    return active


def log_metric(key: str, value: float, step: int | None = None) -> None:
    """Log one value of a metric.

    Args:
        value: anything `float()` takes, NaN and infinities included.
        step: the iteration it belongs to, 0 if none is named.
    """
    log_metrics({key: value}, step)


def log_metrics(values: Mapping[str, float], step: int | None = None) -> None:
    """Log several metrics of one step at once."""
    points = [
        MetricPoint(key=metrics.check_name(k), value=_number(k, v), step=_step(k, step)) for k, v in values.items()
    ]
    folder = _step_folder()
    if folder is None:
        active_run().add(points)
        return
    at = _clock.now()
    tracked.append(folder, [tracked.Line(kind="metric", key=p.key, value=p.value, step=p.step, at=at) for p in points])


def log_param(key: str, value: Any) -> None:
    """Log a parameter; what JSON cannot say is kept as text. A second value of one name replaces the first."""
    log_params({key: value})


def log_params(values: Mapping[str, Any]) -> None:
    """Log several parameters at once."""
    params = {metrics.check_name(k): _plain(v) for k, v in values.items()}
    folder = _step_folder()
    if folder is not None:
        tracked.append(folder, [tracked.Line(kind="param", key=k, value=v) for k, v in params.items()])
    elif params:
        active = active_run()
        runs.amend(active.store, active.id, params=params)


def set_tag(key: str, value: str) -> None:
    """Tag the run with a word of text."""
    metrics.check_name(key)
    folder = _step_folder()
    if folder is not None:
        tracked.append(folder, [tracked.Line(kind="tag", key=key, value=str(value))])
        return
    active = active_run()
    runs.amend(active.store, active.id, tags={key: str(value)})


def log_artifact(content: str | os.PathLike[str] | bytes, name: str | None = None) -> None:
    """Keep a file, a folder's files, or bytes.

    Args:
        content: a path, or the bytes themselves (which need a name).
        name: what it is called in the run, such as `plots/roc.png`; the file's name if none is given.
    """
    if isinstance(content, bytes):
        if name is None:
            raise invalid("bytes need a name", fix='log_artifact(content, name="notes.txt")')
        _keep(name, content)
        return
    path = Path(content)
    if path.is_dir():
        for relative, file in _files(path):
            _keep(f"{name or path.resolve().name}/{relative}", file)
        return
    if not path.is_file():
        raise invalid("there is no such file", where=str(path))
    _keep(name or path.name, path)


def log_figure(figure: Any, name: str) -> None:
    """Keep a figure of matplotlib, Plotly or Pillow.

    Args:
        figure: what has `savefig`, `write_html` or `save`.
        name: with the ending that says the format, such as `roc.png`; `.png` (`.html` for Plotly) if it has none.
    """
    buffer = io.BytesIO()
    if hasattr(figure, "savefig"):
        name = name if Path(name).suffix else f"{name}.png"
        figure.savefig(buffer, format=Path(name).suffix[1:], bbox_inches="tight")
    elif hasattr(figure, "to_html"):
        name = name if Path(name).suffix == ".html" else f"{name}.html"
        buffer.write(figure.to_html().encode())
    elif hasattr(figure, "save"):
        name = name if Path(name).suffix else f"{name}.png"
        figure.save(buffer, format={"jpg": "jpeg"}.get(Path(name).suffix[1:].lower(), Path(name).suffix[1:]))
    else:
        raise invalid(
            f"no figure: {type(figure).__name__}", fix="give one of matplotlib, Plotly or Pillow, or use log_artifact"
        )
    _keep(name, buffer.getvalue())


def _keep(name: str, content: bytes | Path) -> None:
    name = artifacts.check_path(name)
    folder = _step_folder()
    if folder is not None:
        tracked.append_artifact(folder, name, content)
        return
    active = active_run()
    artifacts.keep(active.store, active.id, name, content)


def _step_folder() -> Path | None:
    folder = os.environ.get(STEP_OUT)
    return Path(folder) if folder else None


def active_run() -> ActiveRun:
    """The run that what is logged now belongs to; one is begun if there is none."""
    with _begin:
        if not _stack:
            begun = start_run()
            assert isinstance(begun, ActiveRun)
            where = begun.store.home
            # In a notebook standard error is red, and this is no error.
            stream = sys.stdout if _is_interactive() else sys.stderr
            stream.write(f"rw: tracking run {begun.id[:12]} in {where} (rw runs show {begun.id[:12]})\n")
        return _stack[-1]


class Around(NamedTuple):
    """The project around: its name, and where its runs are logged as well; both empty outside one."""

    name: str = ""
    tracking: str = ""


def open_around() -> tuple[Store, Path, Around]:
    """The store of the project around, or of `./.roadworthy`; the folder; what the project says."""
    here = Path.cwd()
    path = project_file.find(here)
    if path is None:
        return open_store(here / HOME), here, Around()
    place = project_file.read(path)
    about = Around(place.project.name, place.project.project.tracking)
    return open_store(place.home, url=place.project.project.store), place.root, about


def _url(store: Store) -> str:
    return store.sql.url if store.sql.dialect == "postgresql" else "sqlite"


def _finish_all() -> None:
    """When the process ends: what is still running has finished, or failed if an error ended the process."""
    error = None if _is_interactive() else getattr(sys, "last_value", None)
    for active in reversed(list(_stack)):
        try:
            active.finish(*_end(error))
        except Fault as problem:
            sys.stderr.write(f"rw: run {active.id[:12]} could not be finished: {problem}\n")


def _is_interactive() -> bool:
    """Whether an error ends a cell rather than the process."""
    return hasattr(sys, "ps1") or hasattr(sys.modules.get("__main__"), "get_ipython")


def _end(problem: BaseException | None) -> tuple[RunStatus, str | None]:
    if problem is None or (isinstance(problem, SystemExit) and not problem.code):
        return "finished", None
    if isinstance(problem, KeyboardInterrupt):
        return "killed", "interrupted"
    return "failed", "".join(traceback.format_exception(problem))


def _number(key: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise invalid(f"a metric is a number, not {type(value).__name__} {value!r:.60}", where=key) from None


def _step(key: str, step: int | None) -> int:
    try:
        return 0 if step is None else int(step)
    except (TypeError, ValueError):
        raise invalid(f"a step is a whole number, not {step!r:.60}", where=key) from None


def _plain(value: Any) -> Any:
    """The value as JSON knows it; NumPy's scalars and arrays become Python's."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        value = value.tolist()
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """The files of a folder, links out of it left alone."""
    inside = folder.resolve()
    found = [
        (path.relative_to(folder).as_posix(), path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.resolve().is_relative_to(inside)
    ]
    if len(found) > ARTIFACT_FILES_MAX:
        raise invalid(
            f"over {ARTIFACT_FILES_MAX} files", where=str(folder), fix="pack them, or take a snapshot: rw data add"
        )
    return found
