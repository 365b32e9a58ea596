"""Apply the edits of findings to a notebook's file: only the lines that they name change, and all at once.

In: a notebook and its findings. Out: the file's new text, written in one step in its place. Called by
`rw notebook check --fix`. A marimo notebook is left alone: its cells say below what they make.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from roadworthy.notebooks import raw
from roadworthy.notebooks.notebook import Notebook
from roadworthy.notebooks.read import read
from roadworthy.notebooks.rules.finding import Edit, Finding
from roadworthy.nouns.errors import Fault, conflict, invalid

ROUNDS_MAX = 10


class Fixed(msgspec.Struct, frozen=True):
    """What fixing did: how many findings are gone, and what is left."""

    fixed: int
    notebook: Notebook
    findings: tuple[Finding, ...]


def fix(notebook: Notebook, check: Callable[[Notebook], tuple[Finding, ...]]) -> Fixed:
    """Fix what can be fixed safely, check again, and so on until nothing is left to fix.

    Args:
        notebook: as read; its file is written anew when something is fixed.
        check: gives a notebook's findings.

    Raises:
        Fault: invalid when the file cannot be written; conflict when it changed meanwhile.
    """
    path = notebook.path
    text = before = _text(path)
    findings = check(notebook)
    count = 0
    for _ in range(ROUNDS_MAX):
        edits = _together(findings)
        if not edits or notebook.form == "marimo":
            break
        text = edited(notebook, text, edits)
        notebook = _read_again(path, text)
        count += sum(len(each) for each in edits.values())
        findings = check(notebook)
    if text != before:
        if _text(path) != before:
            raise conflict("the file changed while it was being fixed", where=str(path), fix="run it again")
        _write(path, text)
    return Fixed(count, notebook, findings)


def edited(notebook: Notebook, text: str, edits: dict[int, list[Edit]]) -> str:
    """The text of a notebook's file with edits applied to its cells.

    Args:
        notebook: as read from the text.
        text: the whole file.
        edits: by place of the cell; those of a cell do not overlap.
    """
    if notebook.form != "ipynb":
        return _edited_script(notebook, text, edits)
    spans = raw.cell_spans(text)
    for index in sorted(edits, reverse=True):
        cell, span = notebook.cells[index], spans[index]
        source = _applied(cell.source, edits[index])
        if not source.strip() and not cell.outputs and len(spans) > 1:
            start, end = _whole(text, span)
            text = text[:start] + text[end:]
        else:
            text = text[: span.source_start] + raw.encoded(source, text, span) + text[span.source_end :]
    return text


def _edited_script(notebook: Notebook, text: str, edits: dict[int, list[Edit]]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(newline)
    for index in sorted(edits, reverse=True):
        cell = notebook.cells[index]
        for edit in sorted(edits[index], key=lambda e: e.first, reverse=True):
            lines[cell.line - 1 + edit.first - 1 : cell.line - 1 + edit.last] = edit.lines
    return newline.join(lines)


def _together(findings: Iterable[Finding]) -> dict[int, list[Edit]]:
    """Edits that can be applied at once: those that overlap wait for the next round."""
    chosen: dict[int, list[Edit]] = {}
    for finding in findings:
        edit = finding.edit
        if edit is not None:
            others = chosen.setdefault(finding.cell, [])
            if not any(edit.first <= o.last and o.first <= edit.last for o in others):
                others.append(edit)
    return chosen


def _applied(source: str, edits: Sequence[Edit]) -> str:
    lines = source.split("\n")
    for edit in sorted(edits, key=lambda e: e.first, reverse=True):
        lines[edit.first - 1 : edit.last] = edit.lines
    while lines and not lines[0].strip():  # what stood above the first statement left
        del lines[0]
    return "\n".join(lines).rstrip("\n")


def _whole(text: str, span: raw.CellSpan) -> tuple[int, int]:
    """The span of a cell with the comma and the space that part it from its neighbour."""
    start, end = span.start, span.end
    after = end
    while after < len(text) and text[after] in " \t\r\n":
        after += 1
    if text[after : after + 1] == ",":
        after += 1
        while after < len(text) and text[after] in " \t\r\n":
            after += 1
        return start, after
    while start > 0 and text[start - 1] in " \t\r\n":
        start -= 1
    return (start - 1, end) if text[start - 1] == "," else (span.start, end)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise invalid(f"it cannot be read: {problem}", where=str(path)) from None


def _read_again(path: Path, text: str) -> Notebook:
    """The notebook in a new text; a fix must never leave what cannot be read."""
    made = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}{path.suffix}")
    try:
        made.write_bytes(text.encode("utf-8"))
        found = read(made)
    except OSError as problem:
        raise _unwritable(path, problem) from None
    finally:
        made.unlink(missing_ok=True)
    return msgspec.structs.replace(found, path=path)


def _write(path: Path, text: str) -> None:
    target = path.resolve()
    made = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with made.open("xb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, made)
        made.replace(target)
    except OSError as problem:
        raise _unwritable(path, problem) from None
    finally:
        made.unlink(missing_ok=True)


def _unwritable(path: Path, problem: OSError) -> Fault:
    return invalid(f"it cannot be written: {problem.strerror}", where=str(path), fix="see who may write there")
