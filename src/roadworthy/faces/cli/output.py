"""How commands speak: results to stdout (text or JSON), progress and problems to stderr, quiet when piped."""

import datetime as dt
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

from roadworthy.nouns.errors import EXIT_CODES, EXIT_INTERNAL, Code, Fault

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")

# What a terminal would obey rather than show; a run's name may come from anyone.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table, drawn with rich on a terminal and as aligned columns when piped."""
    cells = [[cell(value) for value in row] for row in rows]
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
    lines = [list(headers), *cells]
    widths = [max(text_width(line[i]) for line in lines) for i in range(len(headers))]
    for line in lines:
        padded = (text + " " * (width - text_width(text)) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def pairs(rows: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one pair a line, the values aligned; pairs without a value are left out."""
    shown = [(name, cell(value)) for name, value in rows if value not in (None, "", {}, ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}  {value}")


def heading(text: str) -> None:
    """The title of a part, after an empty line."""
    click.echo(f"\n{styled(text, bold=True)}")


def say(message: str) -> None:
    """A line of progress, to stderr."""
    click.echo(message, err=True)


def styled(text: str, **style: Any) -> str:
    """Text in a style, unless the variable NO_COLOR is set; click leaves styles out when it is not on a terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


def when(at: float | None) -> str:
    """A moment as people read it, in UTC."""
    if at is None:
        return "-"
    try:
        return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return str(at)


def duration(seconds: float | None) -> str:
    """A length of time as people read it."""
    if seconds is None:
        return "-"
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d" + (f" {hours % 24} h" if hours % 24 else "")
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(count: int) -> str:
    """Bytes as people read them."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.4g} TB"


def failure(problem: Exception, *, debug: bool) -> int:
    """Show why a command failed; its exit code."""
    as_json = "--json" in sys.argv
    if isinstance(problem, click.ClickException):
        if as_json:
            _print_error(Code.INVALID, problem.format_message(), "", "")
        problem.show()
        return EXIT_CODES[Code.INVALID]
    if not isinstance(problem, Fault):
        if debug:
            import traceback  # for defects alone

            traceback.print_exception(problem)
        what = f"{type(problem).__name__}: {problem}"
        if as_json:
            _print_error("internal", what, "", "")
        say(f"internal error: {clean(what)}")
        say("  This is a defect of Roadworthy, not of yours. Run again with `rw --debug …` for the report.")
        return EXIT_INTERNAL
    if as_json:
        _print_error(problem.code, problem.what, problem.where, problem.fix, **problem.detail)
    mark = styled(f"{problem.code.replace('_', ' ')}:", fg="red", bold=True)
    place = f" {clean(problem.where)}:" if problem.where else ""
    say(f"{mark}{place} {clean(problem.what)}")
    if problem.fix:
        say(f"  {clean(problem.fix)}")
    return EXIT_CODES[problem.code]


def clean(text: str) -> str:
    """Text of unknown origin, control characters shown rather than obeyed; line breaks and tabs stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def cell(value: Any) -> str:
    """A value on one line."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple | dict):
        value = msgspec.json.encode(value, enc_hook=str).decode()
    return clean(str(value)).replace("\n", "⏎").replace("\t", " ")


def _print_error(code: str, what: str, where: str, fix: str, **detail: Any) -> None:
    print_json({"error": {"code": code, "what": what, "where": where, "fix": fix, **detail}})


def text_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)
