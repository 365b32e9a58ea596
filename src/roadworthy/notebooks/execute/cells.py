r"""Run the cells of a notebook in a clean kernel, in order, until one fails; if asked, more code after any of them.

In: a `Notebook`, limits, and who watches. Out: an `Execution`: what each cell did. The file is never written. Called by
`tracked.py` (`rw notebook run`) and by whoever must look into the values of a notebook (`prove`).

Example:
    >>> found = execute(read(path), after={3: "print(len(df))"})  # doctest: +SKIP
    >>> found.evaluated[3].text  # doctest: +SKIP
    '150\n'
"""

import ast
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from roadworthy.notebooks.execute import kernels
from roadworthy.notebooks.execute.kernel import Kernel
from roadworthy.notebooks.execute.ran import CellError, Ran
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.nouns.errors import invalid

NO_INPUT = "StdinNotImplementedError"
ASKED = "it asks for input, and nobody is there to give it"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds for one cell, and for all of them; None for none."""

    cell_s: float | None = None
    total_s: float | None = None


class CellDone(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about one code cell.

    Args:
        index: its place among all cells.
        status: `reused` when what it did before still holds.
        why: one sentence, where there is something to say.
    """

    index: int
    status: Literal["ran", "failed", "reused"]
    ran: Ran
    why: str = ""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What running a notebook did.

    Args:
        done: the code cells that were dealt with, in order; after one that failed there are none.
        evaluated: what the code after a cell did, by the cell's index.
        stopped: whether Ctrl-C ended it.
    """

    done: tuple[CellDone, ...]
    evaluated: dict[int, Ran] = msgspec.field(default_factory=dict)
    stopped: bool = False

    @property
    def failed(self) -> CellDone | None:
        """The cell that failed."""
        return self.done[-1] if self.done and self.done[-1].status == "failed" else None


class CellEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A cell begins, or is done with: `place` of `total` code cells."""

    cell: Cell
    place: int
    total: int
    done: CellDone | None = None


Watch = Callable[[CellEvent], None]


def execute(
    notebook: Notebook,
    *,
    cwd: Path | None = None,
    kernel: str = "",
    environment: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    watch: Watch | None = None,
    after: Mapping[int, str] | None = None,
) -> Execution:
    """Run a notebook from top to bottom in a kernel of its own.

    Args:
        cwd: the folder it runs in; the notebook's unless given.
        kernel: name of an installed kernel; the notebook's unless given.
        environment: variables beside those of this process.
        limits: of time.
        watch: told as cells begin and end.
        after: code by the index of the cell after which it is run, silently; the kernel goes on whatever it does.

    Raises:
        Fault: unavailable when the kernel does not start.
    """
    argv = kernels.command(notebook, kernel)
    with Kernel(cwd=cwd or notebook.path.resolve().parent, argv=argv, environment=environment) as running:
        return in_kernel(running, notebook, limits=limits or Limits(), watch=watch, after=after or {})


def in_kernel(
    kernel: Kernel, notebook: Notebook, *, limits: Limits, watch: Watch | None = None, after: Mapping[int, str]
) -> Execution:
    """The same in a kernel that is there already."""
    cells = code_cells(notebook)
    done: list[CellDone] = []
    evaluated: dict[int, Ran] = {}
    clock = TimeLeft(limits)
    try:
        for place, cell in enumerate(cells, start=1):
            if watch is not None:
                watch(CellEvent(cell=cell, place=place, total=len(cells)))
            one = run_cell(kernel, cell, clock)
            done.append(one)
            if watch is not None:
                watch(CellEvent(cell=cell, place=place, total=len(cells), done=one))
            if one.status == "failed":
                break
            if cell.index in after:
                evaluated[cell.index] = kernel.execute(after[cell.index], limit_s=clock.for_cell(), silent=True)
                if evaluated[cell.index].end == "died":
                    break
    except KeyboardInterrupt:
        kernel.interrupt()
        return Execution(done=tuple(done), evaluated=evaluated, stopped=True)
    return Execution(done=tuple(done), evaluated=evaluated)


def run_cell(kernel: Kernel, cell: Cell, clock: "TimeLeft") -> CellDone:
    """Run one cell within what time is left."""
    ran = kernel.execute(cell.source, limit_s=clock.for_cell(), cell=cell.id)
    if ran.end == "error" and ran.error is not None:
        if ran.error.name == NO_INPUT:
            ran = msgspec.structs.replace(ran, error=CellError(name="InputAsked", value=ASKED))
        elif "raises-exception" in cell.tags:
            return CellDone(index=cell.index, status="ran", ran=ran)
    if ran.end == "timeout" and ran.error is not None and clock.is_over():
        over = f"the notebook took longer than {clock.total_s:g} s"
        ran = msgspec.structs.replace(ran, error=msgspec.structs.replace(ran.error, value=over))
    return CellDone(index=cell.index, status="ran" if ran.end == "ok" else "failed", ran=ran)


def code_cells(notebook: Notebook) -> tuple[Cell, ...]:
    """The cells a kernel executes: code that says something; those of another language begin with their magic."""
    return tuple(cell for cell in notebook.cells if cell.kind == "code" and cell.source.strip())


def check_syntax(notebook: Notebook) -> None:
    """Refuse a notebook with a cell that is no Python before an hour of work has gone into those above it.

    Cells with magics or shell lines are left to IPython, which alone knows them.

    Raises:
        Fault: invalid, with the cell, the line, and what Python says.
    """
    for cell in notebook.code:
        if any(mark in cell.source for mark in "%!?") or "raises-exception" in cell.tags:
            continue
        try:
            ast.parse(cell.source)
        except SyntaxError as problem:
            line = (problem.text or "").strip()
            raise invalid(
                f"{problem.msg}: {line[:100]}" if line else problem.msg,
                where=f"{notebook.path}: {cell.name}, line {problem.lineno}",
                fix="nothing was run; `rw notebook check` shows all that is wrong",
            ) from None
        except ValueError as problem:  # a null byte
            raise invalid(str(problem), where=f"{notebook.path}: {cell.name}", fix="nothing was run") from None


class TimeLeft:
    """How long a cell may take, of a limit for each and one for all."""

    def __init__(self, limits: Limits) -> None:
        self.total_s = limits.total_s
        self._cell_s = limits.cell_s
        self._until = None if limits.total_s is None else time.monotonic() + limits.total_s

    def for_cell(self) -> float | None:
        """Seconds for the next cell."""
        if self._until is None:
            return self._cell_s
        left = max(0.001, self._until - time.monotonic())
        return left if self._cell_s is None else min(left, self._cell_s)

    def is_over(self) -> bool:
        """Whether the time for all of them is over."""
        return self._until is not None and time.monotonic() >= self._until
