"""How things look in a notebook: a text for terminals, and compact HTML that fits light and dark themes.

In: findings, a judgement. Out: text and HTML. No style sheet, no script: the notebook stays clean when it is shared.
"""

import html
import os
import sys
from collections.abc import Sequence
from typing import Any

from roadworthy.notebooks.rules.finding import Finding

_MARKS = {"error": ("✖", "#d1242f"), "warn": ("▲", "#bf8700"), "note": ("●", "#59636e")}
_BOX = "border-left:3px solid {colour};padding:2px 10px;margin:2px 0;font-size:13px;line-height:1.45"
_QUIET = "opacity:.75"
_CODE = "font-family:var(--jp-code-font-family,monospace);font-size:12px"


def display(shell: Any, text: str, markup: str) -> None:
    """Show below the cell: HTML where there is a notebook, text elsewhere."""
    if shell.__class__.__name__ == "TerminalInteractiveShell" or os.environ.get("ROADWORTHY_PLAIN"):
        print(text)  # noqa: T201 - this is the display of a terminal
        return
    from IPython.display import display as show

    show({"text/plain": text, "text/html": markup}, raw=True)


class Progress:
    """What is being done, as one line that changes in place; gone when it is done."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._is_notebook = "ipykernel" in sys.modules

    def __call__(self, line: str) -> None:
        if not self._is_notebook:
            sys.stderr.write(f"{line}\n")
            return
        from IPython.display import HTML
        from IPython.display import display as show

        drawn = HTML(f'<span style="{_QUIET};font-size:13px">{html.escape(line)} …</span>')
        if self._handle is None:
            self._handle = show(drawn, display_id=True)
        else:
            self._handle.update(drawn)

    def end(self) -> None:
        """Take the line away."""
        if self._handle is not None:
            self._handle.update({"text/plain": "", "text/html": ""}, raw=True)


def findings_text(found: Sequence[Finding]) -> str:
    """A line for each, and one for what to do."""
    lines = []
    for one in found:
        lines.append(f"{_MARKS[one.severity][0]} {one.code} line {one.line}: {one.message}")
        lines.append(f"    {one.fix}")
    return "\n".join(lines)


def findings_html(found: Sequence[Finding]) -> str:
    """The same, with the line of code."""
    return "".join(_finding(one) for one in found)


def _finding(one: Finding) -> str:
    mark, colour = _MARKS[one.severity]
    code = f'<code style="{_CODE}">{html.escape(one.text.strip()[:120])}</code> ' if one.text.strip() else ""
    return (
        f'<div style="{_BOX.format(colour=colour)}">'
        f'<span style="color:{colour};font-weight:600">{mark} {html.escape(one.code)}</span> '
        f"{html.escape(one.message)}"
        f'<div style="{_QUIET}">line {one.line}: {code}{html.escape(one.fix)}</div></div>'
    )


def released_text(rows: Sequence[tuple[str, str, str, str]], head: str, tail: str) -> str:
    """Outcomes as aligned columns."""
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([head, *table, tail])


def released_html(rows: Sequence[tuple[str, str, str, str]], head: str, tail: str, *, passed: bool) -> str:
    """Outcomes as a table."""
    colour = "#1a7f37" if passed else "#d1242f"
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left;padding:1px 12px 1px 0">{html.escape(c)}</td>' for c in row)
        + "</tr>"
        for row in rows
    )
    table = f'<table style="margin:4px 0;border:0;{_CODE}">{body}</table>' if rows else ""
    return (
        f'<div style="{_BOX.format(colour=colour)}"><span style="color:{colour};font-weight:600">{html.escape(head)}'
        f'</span>{table}<div style="{_QUIET}">{html.escape(tail)}</div></div>'
    )


def step_html(text: str, *, reused: bool) -> str:
    """What became of a step."""
    colour = "#1a7f37" if reused else "#0969da"
    return f'<div style="{_BOX.format(colour=colour)}"><span style="{_QUIET}">{html.escape(text)}</span></div>'
