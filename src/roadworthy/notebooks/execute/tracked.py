"""Run a notebook as a run of the registry: parameters in; the executed notebook, times and what it logged out.

In: the store, a notebook, options, and who watches. Out: the `Run` and the `Execution`. The kernel starts first and the
run is recorded while it does. What cells log with `rw.log_metric` and its kin goes to this run. Called by
`rw notebook run`.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.notebooks.execute import cells, document, kernels, parameters
from roadworthy.notebooks.execute.cells import CellDone, CellEvent, Execution, Limits, Watch
from roadworthy.notebooks.execute.kernel import Kernel
from roadworthy.notebooks.notebook import Notebook
from roadworthy.nouns.run import Run, RunStatus
from roadworthy.nouns.step import StepRun
from roadworthy.registry import artifacts, runs, surroundings, tracked
from roadworthy.registry.tracking import STEP_OUT
from roadworthy.store.store import Store

# How often what happened is written down while cells run; a run that is killed has lost no more than this.
SETTLE_S = 2.0
TAG = "notebook"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a notebook is run.

    Args:
        settings: `NAME=VALUE`.
        limits: of time.
        kernel: name of an installed kernel; the notebook's own choice if empty.
        name: what people call the run; the notebook's name if empty.
        command: how it was started.
        project: name of the project around; empty without one.
        root: the project's folder, or the one in which the command was given.
        cwd: the folder the kernel works in; the notebook's if None.
    """

    settings: Sequence[str] = ()
    limits: Limits = Limits()
    kernel: str = ""
    name: str = ""
    command: str = ""
    project: str = ""
    root: Path
    cwd: Path | None = None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Args:
        run: as it ended.
        execution: what was done about each cell.
        content: the executed notebook.
    """

    run: Run
    execution: Execution
    content: bytes


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Where cells are run, for whoever runs them in a way of their own.

    Args:
        kernel: running.
        notebook: with cells as they are executed.
        limits: of time.
        store, run_id, project: what they belong to.
        name: the notebook's, from the project's folder.
        root: the folder the kernel works in.
        logged: the folder in which what cells log arrives.
        watch: to be told as cells begin and end.
    """

    kernel: Kernel
    notebook: Notebook
    limits: Limits
    store: Store
    run_id: str
    project: str
    name: str
    root: Path
    logged: Path
    watch: Watch


# How cells are run in a kernel that is there.
Way = Callable[[Scene], Execution]


def run_all(scene: Scene) -> Execution:
    """Run every cell, in order."""
    return cells.in_kernel(scene.kernel, scene.notebook, limits=scene.limits, watch=scene.watch, after={})


def run(store: Store, notebook: Notebook, *, options: Options, watch: Watch | None = None, way: Way = run_all) -> Made:
    """Run a notebook and record it; a cell that fails makes a failed run, not a Fault.

    Args:
        way: how the cells are run.

    Raises:
        Fault: invalid for parameters that are not there, unavailable when the kernel does not start.
    """
    prepared = parameters.prepare(notebook, options.settings)
    argv = kernels.command(notebook, options.kernel)
    logged = Path(tempfile.mkdtemp(prefix="rw-notebook-"))
    # What cells log goes to this folder, as a step's does; a kernel without roadworthy logs nothing.
    environment = {STEP_OUT: str(logged)}
    cwd = options.cwd or notebook.path.resolve().parent
    try:
        with Kernel(cwd=cwd, argv=argv, environment=environment) as kernel:
            begun = runs.start(store, _described(store, notebook, prepared, options))
            recorder = _Recorder(store, begun, logged, watch)
            scene = Scene(
                kernel=kernel,
                notebook=prepared.notebook,
                limits=options.limits,
                store=store,
                run_id=begun.id,
                project=options.project,
                name=begun.tags[TAG],
                root=cwd.resolve(),
                logged=logged,
                watch=recorder.hear,
            )
            return recorder.follow(scene, prepared, way)
    finally:
        shutil.rmtree(logged, ignore_errors=True)


def _described(store: Store, notebook: Notebook, prepared: parameters.Prepared, options: Options) -> Run:
    path = notebook.path.resolve()
    inside = path.is_relative_to(options.root)
    return Run(
        id="",
        project=options.project,
        name=options.name or path.stem,
        params=prepared.values,
        tags={TAG: path.relative_to(options.root).as_posix() if inside else path.name},
        command=options.command,
        code=surroundings.code(store.blobs, options.root, path if inside else None),
        environment=surroundings.environment(),
    )


class _Recorder:
    """Writes down what happens to a run while its cells run."""

    def __init__(self, store: Store, begun: Run, logged: Path, watch: Watch | None) -> None:
        self._store = store
        self._run = begun
        self._logged = logged
        self._watch = watch
        self._lines = 0
        self._settled: list[tuple[int, StepRun]] = []
        self._place = 0
        self._written_at = time.monotonic()

    def follow(self, scene: Scene, prepared: parameters.Prepared, way: Way) -> Made:
        """Run the cells, and end the run whatever happens."""
        try:
            execution = way(scene)
            scene.kernel.leave()
            content = document.text(_document(prepared, execution, self._run.id))
            scene.kernel.close()  # what it logs as it ends counts
        except BaseException as problem:
            self._end("killed" if isinstance(problem, KeyboardInterrupt) else "failed", str(problem), None)
            raise
        failed = execution.failed
        status: RunStatus = "killed" if execution.stopped else "failed" if failed else "finished"
        error = "interrupted" if execution.stopped else failure(prepared.notebook, failed) if failed else None
        ended = self._end(status, error, content)
        return Made(run=ended, execution=execution, content=content)

    def hear(self, event: CellEvent) -> None:
        """Write down what is done, and tell whoever watches."""
        if self._watch is not None:
            self._watch(event)
        if event.done is not None:
            self._take(event.done)

    def _take(self, done: CellDone) -> None:
        ran = done.ran
        told = f"{ran.error.name}: {ran.error.value}" if done.status == "failed" and ran.error else None
        step = StepRun(
            step=f"cell {done.index + 1}",
            status=done.status,
            why=done.why,
            started_at=self._store.clock.now() - ran.wall_s,
            wall_s=ran.wall_s,
            cpu_s=ran.cpu_s,
            memory_peak_mb=ran.memory_peak_mb,
            attempts=1 if done.status != "reused" else 0,
            error=told,
        )
        self._settled.append((self._place, step))
        self._place += 1
        if time.monotonic() - self._written_at > SETTLE_S:
            self._write()

    def _write(self) -> None:
        settled, self._settled = self._settled, []
        if settled:
            runs.settle_steps(self._store, self._run.id, settled)
        lines = tracked.read(self._logged)
        fresh, self._lines = lines[self._lines :], len(lines)
        if fresh:
            tracked.write(self._store, self._run.id, fresh, lambda line: tracked.contained(self._logged, line.file))
        self._written_at = time.monotonic()

    def _end(self, status: RunStatus, error: str | None, content: bytes | None) -> Run:
        self._write()
        if content is not None:
            name = f"{Path(self._run.tags[TAG]).stem}.ipynb"
            artifacts.keep(self._store, self._run.id, name, content)
        return runs.finish(self._store, self._run.id, status, error=error)


def _document(prepared: parameters.Prepared, execution: Execution, run_id: str) -> dict[str, Any]:
    """The executed notebook: with outputs, times, and a cell with the parameters that were set, as papermill has it."""
    about = {"run": run_id, "parameters": prepared.values}
    done = {one.index: one for one in execution.done}
    made = document.filled(document.of(prepared.original), done, sources=prepared.replaced, about=about)
    parts = made["cells"]
    if prepared.injected:
        own = document.code_cell(prepared.injected, [parameters.INJECTED], f"parameters-{run_id[:8]}")
        if (made["nbformat"], made["nbformat_minor"]) < (4, 5):
            del own["id"]
        parts.insert(prepared.after + 1, own)
    kept = [c for i, c in enumerate(parts) if c.get("source") or i == 0 or parameters.INJECTED not in _tags(c)]
    made["cells"] = kept
    return made


def _tags(cell: dict[str, Any]) -> list[Any]:
    tags = cell.get("metadata", {}).get("tags")
    return tags if isinstance(tags, list) else []


def failure(notebook: Notebook, failed: CellDone) -> str:
    """What a failed cell has to say: where it is, and its traceback without colours."""
    error = failed.ran.error
    assert error is not None
    cell = notebook.cells[failed.index]
    head = f"{cell.name} of {notebook.path.name}"
    said = f"{error.name}: {error.value}" if error.value else error.name
    return f"{head}: {said}" + (f"\n{plain(error.traceback)}" if error.traceback else "")


def plain(text: str) -> str:
    """Text without the codes of colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
