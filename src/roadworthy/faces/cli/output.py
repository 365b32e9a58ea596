"""How commands speak: results to stdout (text or JSON), progress and problems to stderr, quiet when piped."""

import datetime
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from roadworthy.nouns.errors import EXIT_CODES, EXIT_INTERNAL, Fault

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table, drawn with rich on a terminal and as aligned columns when piped."""
    cells = [[_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        drawn = Table(box=None, pad_edge=False, header_style="bold")
        for header in headers:
            drawn.add_column(header)
        for row in cells:
            drawn.add_row(*row)
        Console().print(drawn, markup=False)
        return
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    for row in [list(headers), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def say(message: str) -> None:
    """A line of progress, to stderr."""
    click.echo(message, err=True)


def when(at: float | None) -> str:
    """A moment as people read it, in UTC."""
    if at is None:
        return "-"
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def failure(problem: Exception, *, debug: bool) -> int:
    """Show why a command failed; its exit code."""
    if not isinstance(problem, Fault):
        if debug:
            traceback.print_exception(problem)
        say(f"internal error: {type(problem).__name__}: {problem}")
        say("  This is a defect of Roadworthy, not of yours. Run again with `rw --debug …` for the report.")
        return EXIT_INTERNAL
    if "--json" in sys.argv:
        print_json(
            {
                "error": {
                    "code": problem.code,
                    "what": problem.what,
                    "where": problem.where,
                    "fix": problem.fix,
                    **problem.detail,
                }
            }
        )
    mark = click.style(f"{problem.code.replace('_', ' ')}:", fg="red", bold=True)
    place = f" {problem.where}:" if problem.where else ""
    say(f"{mark}{place} {problem.what}")
    if problem.fix:
        say(f"  {problem.fix}")
    return EXIT_CODES[problem.code]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
