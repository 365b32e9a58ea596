"""What came of an import or an export, as both commands show it.

In: a report, and its counts in words. Out: JSON, or lines; exit code 1 if there were problems. Called by import_.py and
export.py.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from roadworthy.faces.cli import output

SHOWN_MAX = 20


class Report(Protocol):
    """What both reports have."""

    problems: list[str]


def show(report: Report, counts: Iterable[tuple[str, Any]], notes: Sequence[str] = (), *, as_json: bool) -> None:
    """Print a report.

    Args:
        counts: what was moved, and how much of it.
        notes: what is worth to know.

    Raises:
        SystemExit: with 1, if there were problems.
    """
    if as_json:
        output.print_json(report)
    else:
        output.pairs(counts)
        _say("note", notes)
        _say("warning", report.problems)
    if report.problems:
        raise SystemExit(1)


def present(count: int, where: str) -> str:
    """How many runs were there before."""
    return f" ({count:,} were {where})" if count else ""


def _say(kind: str, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN_MAX]:
        output.say(f"{kind}: {line}")
    if len(lines) > SHOWN_MAX:
        output.say(f"{kind}: and {len(lines) - SHOWN_MAX:,} more; --json has them all")
