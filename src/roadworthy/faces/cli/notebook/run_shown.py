"""A notebook's run as it is shown: live on a terminal, line by line when piped; at its end a line, or the traceback."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.notebooks.execute.cells import CellDone, CellEvent, Watch
from roadworthy.notebooks.execute.tracked import Made, plain
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.registry import metrics
from roadworthy.store.store import Store

EXIT_CELL_FAILED = 1
TITLE_MAX = 56
TITLE_MIN = 20
TIMES_WIDTH = 40  # of a terminal's columns
METRICS_SHOWN = 8


@contextmanager
def progress() -> Iterator[Watch]:
    """Who is told what happens."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    console = Console(stderr=True)
    spinner = Spinner("dots")
    now: list[tuple[str, float]] = [("the kernel starts", time.monotonic())]
    width = max(TITLE_MIN, min(TITLE_MAX, console.width - TIMES_WIDTH))

    class Now:
        """What is under way, drawn anew each time: the clock goes on though nothing is heard."""

        def __rich__(self) -> Any:
            text, since = now[-1]
            spinner.update(text=Text(f"{text}  {time.monotonic() - since:.0f} s"))
            return spinner

    with Live(Now(), console=console, transient=True, refresh_per_second=8):

        def watch(event: CellEvent) -> None:
            if event.done is None:
                now.append((f"{_place(event)}  {title(event.cell, width)}", time.monotonic()))
                return
            if event.done.status != "failed":
                told = f"{_place(event)}  {_told(event, width)}"
                console.print(told, markup=False, highlight=False, soft_wrap=True)
            if event.place == event.total or event.done.status == "failed":
                now.append(("the kernel ends", time.monotonic()))

        yield watch


def ending(store: Store, notebook: Notebook, made: Made, out: Path | None, *, as_json: bool) -> int:
    """Show how a run ended; the exit code."""
    failed = made.execution.failed
    if as_json:
        _json(made, out)
    elif failed is not None:
        _traceback(notebook, failed)
    if made.execution.stopped:
        raise KeyboardInterrupt
    if failed is not None:
        return EXIT_CELL_FAILED
    if not as_json:
        _summary(store, made, out)
    return 0


def title(cell: Cell, width: int = TITLE_MAX) -> str:
    """A cell in a few words: the first line that says something."""
    lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
    said = next((line for line in lines if not line.startswith(("%", "#"))), lines[0] if lines else "")
    comment = lines[0].lstrip("# ") if lines and lines[0].startswith("#") and not lines[0].startswith("#!") else ""
    text = output.clean(comment or said)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def cell_times(done: CellDone) -> str:
    """What a cell took."""
    ran = done.ran
    if done.status == "reused":
        return f"reused: {done.why}" if done.why else "reused"
    return f"{output.duration(ran.wall_s)}, {output.duration(ran.cpu_s)} cpu, {ran.memory_peak_mb:.0f} MiB"


def _line(event: CellEvent) -> None:
    if event.done is not None and event.done.status != "failed":
        output.say(f"{_place(event)}  {_told(event)}")


def _place(event: CellEvent) -> str:
    width = len(str(event.total))
    return f"{event.place:>{width}}/{event.total}"


def _told(event: CellEvent, width: int = TITLE_MAX) -> str:
    assert event.done is not None
    return f"{title(event.cell, width).ljust(width)}  {cell_times(event.done)}"


def _traceback(notebook: Notebook, failed: CellDone) -> None:
    error = failed.ran.error
    assert error is not None
    cell = notebook.cells[failed.index]
    coloured = sys.stderr.isatty()
    head = output.styled(f"{notebook.path.name}, {cell.name}", bold=True)
    said = f"{error.name}: {error.value}" if error.value else error.name
    if not error.traceback or error.name in {"Timeout", "KernelDied"}:
        output.say(f"{head}: {output.clean(said)}")
    else:
        output.say(head)
    if error.traceback:
        output.say(error.traceback if coloured else output.clean(plain(error.traceback)))


def _summary(store: Store, made: Made, out: Path | None) -> None:
    run, done = made.run, made.execution.done
    measured = metrics.latest(store, run.id)
    if measured:
        shown = [f"{name} {value:.4g}" for name, value in list(measured.items())[:METRICS_SHOWN]]
        click.echo(f"metrics: {', '.join(shown)}{', …' if len(measured) > METRICS_SHOWN else ''}")
    if out is not None:
        click.echo(f"executed notebook: {out}")
    reused = sum(one.status == "reused" for one in done)
    count = f"{len(done) - reused} cells ran" + (f", {reused} reused" if reused else "")
    took = (run.ended_at or run.started_at) - run.started_at
    click.echo(f"run {run.id[:12]} {run.status} in {took:.1f} s: {count} (rw runs show {run.id[:12]})")


def _json(made: Made, out: Path | None) -> None:
    failed = made.execution.failed
    cells = [
        {
            "cell": one.index + 1,
            "status": one.status,
            "why": one.why,
            "wall_s": one.ran.wall_s,
            "cpu_s": one.ran.cpu_s,
            "memory_peak_mb": one.ran.memory_peak_mb,
        }
        for one in made.execution.done
    ]
    error = failed.ran.error if failed else None
    said = None
    if failed is not None and error is not None:
        said = {
            "cell": failed.index + 1,
            "name": error.name,
            "value": error.value,
            "traceback": plain(error.traceback),
        }
    output.print_json({"run": made.run, "cells": cells, "error": said, "executed": str(out) if out else None})
