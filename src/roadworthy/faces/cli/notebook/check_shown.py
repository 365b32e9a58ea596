"""How findings are shown: as diagnostics with the line and a caret, as JSON, SARIF or GitHub's annotations."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.notebooks import reports
from roadworthy.notebooks.check import Checked
from roadworthy.notebooks.lessons import lesson
from roadworthy.notebooks.rules.finding import Finding
from roadworthy.notebooks.rules.rule import NotebookRule

WIDTH_MAX = 110
_COLOURS = {"error": "red", "warn": "yellow", "note": "cyan"}
_WORDS = {"error": "error", "warn": "warning", "note": "note"}


def show(
    checked: Sequence[Checked], rules: Sequence[NotebookRule], form: str, *, took_s: float, fixed: int = 0
) -> None:
    """Show what was found, in a form."""
    if form == "json":
        output.print_json(as_data(checked, rules))
    elif form == "sarif":
        output.print_json(reports.sarif(checked, rules))
    elif form == "github":
        for line in reports.github(checked):
            click.echo(output.clean(line))
    else:
        _text(checked, rules)
    output.say(_summary(checked, took_s, fixed))


def as_data(checked: Sequence[Checked], rules: Sequence[NotebookRule]) -> dict[str, Any]:
    """Findings as JSON has them; cells count from 1."""
    why = {rule.code: lesson(rule).why for rule in rules}
    counts = Counter(finding.severity for each in checked for finding in each.findings)
    return {
        "notebooks": [
            {
                "path": str(each.path),
                "form": each.notebook.form if each.notebook is not None else None,
                "error": each.problem.what if each.problem is not None else None,
                "findings": [_finding(finding, why.get(finding.code, "")) for finding in each.findings],
            }
            for each in checked
        ],
        "summary": {"notebooks": len(checked), **{word: counts[word] for word in ("error", "warn", "note")}},
    }


def rules(on: Sequence[NotebookRule], *, as_json: bool) -> None:
    """List rules."""
    if as_json:
        taught = [(rule, lesson(rule)) for rule in on]
        output.print_json(
            {
                "rules": [
                    {"code": r.code, "name": r.name, "severity": r.severity, **told._asdict()} for r, told in taught
                ]
            }
        )
        return
    output.table(["code", "name", "severity", "says"], [[r.code, r.name, r.severity, lesson(r).title] for r in on])


def _finding(finding: Finding, why: str) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "message": finding.message,
        "why": why,
        "fix": finding.fix,
        "fixable": finding.edit is not None,
        "cell": finding.cell + 1,
        "id": finding.id,
        "part": finding.part,
        "line": finding.line,
        "column": finding.column,
        "end_line": finding.end_line,
        "end_column": finding.end_column,
        "text": finding.text,
    }


def _text(checked: Sequence[Checked], rules: Sequence[NotebookRule]) -> None:
    why = {rule.code: lesson(rule).why.partition("\n\n")[0] for rule in rules}
    for each in checked:
        if each.problem is not None:
            mark = output.styled("unreadable:", fg="red", bold=True)
            click.echo(f"{mark} {output.clean(str(each.path))}: {output.clean(each.problem.what)}")
            if each.problem.fix:
                click.echo(f"  {output.clean(each.problem.fix)}")
            click.echo()
        for finding in each.findings:
            for line in _diagnostic(each, finding, why.pop(finding.code, "")):
                click.echo(line)
            click.echo()


def _diagnostic(checked: Checked, finding: Finding, why: str) -> Iterator[str]:
    """One finding: what, where, the line with a caret, why (the first time) and what to do."""
    colour = _COLOURS[finding.severity]
    head = output.styled(f"{_WORDS[finding.severity]}[{finding.code}]", fg=colour, bold=True)
    yield f"{head} {output.styled(finding.name, bold=True)}: {output.clean(finding.message)}"
    arrow = output.styled("-->", fg="blue", bold=True)
    yield f"  {arrow} {_where(checked, finding)}"
    number = str(_line(checked, finding))
    gutter = " " * len(number)
    bar = output.styled("|", fg="blue", bold=True)
    if finding.text.strip() and finding.part == "source":
        text, column, length = _window(finding)
        yield f" {gutter} {bar}"
        yield f" {output.styled(number, fg='blue', bold=True)} {bar} {output.clean(text)}"
        yield f" {gutter} {bar} {' ' * column}{output.styled('^' * length, fg=colour, bold=True)}"
    equals = output.styled("=", fg="blue", bold=True)
    if why:
        yield from _wrapped(f" {gutter} {equals} why: ", why, len(gutter) + 9)
    hint = "  [--fix does]" if finding.edit is not None else ""
    yield from _wrapped(f" {gutter} {equals} fix: ", output.clean(finding.fix) + hint, len(gutter) + 9)


def _where(checked: Checked, finding: Finding) -> str:
    path = output.clean(str(checked.path))
    if finding.part == "output":
        return f"{path}:cell {finding.cell + 1}, output"
    if checked.notebook is not None and checked.notebook.form != "ipynb":
        return f"{path}:{_line(checked, finding)}:{finding.column} (cell {finding.cell + 1})"
    return f"{path}:cell {finding.cell + 1}:{finding.line}:{finding.column}"


def _line(checked: Checked, finding: Finding) -> int:
    if checked.notebook is not None and checked.notebook.form != "ipynb":
        return checked.notebook.cells[finding.cell].line - 1 + finding.line
    return finding.line


def _window(finding: Finding) -> tuple[str, int, int]:
    """The line, cut to a width around what is meant; the columns before the caret, and its length."""
    text = finding.text.replace("\t", " ")
    start = finding.column - 1
    end = finding.end_column - 1 if finding.end_line == finding.line else len(text.rstrip())
    if len(text) > WIDTH_MAX:
        first = max(0, min(start - 20, len(text) - WIDTH_MAX))
        text = ("…" if first else "") + text[first : first + WIDTH_MAX] + ("…" if first + WIDTH_MAX < len(text) else "")
        start, end = start - first + bool(first), end - first + bool(first)
    length = max(1, min(end, len(text.rstrip())) - start)
    return text.rstrip(), output.text_width(text[:start]), length


def _wrapped(prefix: str, text: str, indent: int) -> Iterator[str]:
    """Text after a prefix, over as many lines as it needs."""
    lines = textwrap.wrap(text, WIDTH_MAX - indent) or [""]
    yield prefix + lines[0]
    for line in lines[1:]:
        yield " " * indent + line


def _summary(checked: Sequence[Checked], took_s: float, fixed: int) -> str:
    counts = Counter[str](finding.severity for each in checked for finding in each.findings)
    unreadable = sum(each.problem is not None for each in checked)
    fixable = sum(finding.edit is not None for each in checked for finding in each.findings)
    parts = [_counted(counts[key], word) for key, word in _WORDS.items() if counts[key]]
    told = ", ".join(parts) or "nothing found"
    said = f"{_counted(len(checked), 'notebook')} in {output.duration(took_s)}: {told}"
    if unreadable:
        said += f"; {unreadable} could not be read"
    if fixed:
        said += f"; {fixed} fixed"
    elif fixable:
        said += f"; --fix fixes {fixable}"
    return said


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
