"""Which findings a notebook itself declines: `# rw: ignore[CODE]`.

On the line of a finding it declines that line's; on a line of its own at the top of a cell, the whole cell's, its
outputs' included; `# rw: ignore-file[CODE]` in any cell, the whole notebook's. Without a code it declines all rules.
Called by `check.py`.
"""

import re
from collections.abc import Iterable

from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.notebooks.rules.finding import Finding

_MARK = re.compile(r"#\s*rw:\s*ignore(?P<file>-file)?(?:\s*\[(?P<codes>[\w\s,-]*)\])?", re.IGNORECASE)
_ALL = "*"


def kept(notebook: Notebook, findings: Iterable[Finding]) -> list[Finding]:
    """The findings that the notebook does not decline."""
    if not any("rw:" in cell.source for cell in notebook.cells):
        return list(findings)
    marks = {cell.index: _marks(cell) for cell in notebook.cells if "rw:" in cell.source}
    whole = frozenset[str]().union(*(codes for cell in marks.values() for codes in cell.get(-1, ())))
    return [f for f in findings if not _declined(f, whole) and not _declined_in_cell(f, marks.get(f.cell, {}))]


def _declined_in_cell(finding: Finding, marks: dict[int, list[frozenset[str]]]) -> bool:
    if any(_declined(finding, codes) for codes in marks.get(0, ())):
        return True
    if finding.part != "source":
        return False
    lines = range(finding.line, finding.end_line + 1)
    return any(_declined(finding, codes) for line in lines for codes in marks.get(line, ()))


def _marks(cell: Cell) -> dict[int, list[frozenset[str]]]:
    """Codes by line; those of the whole cell under 0, of the whole notebook under -1."""
    found: dict[int, list[frozenset[str]]] = {}
    top = True
    for number, line in enumerate(cell.source.split("\n"), 1):
        alone = line.lstrip().startswith("#")
        for mark in _MARK.finditer(line):
            listed = re.split(r"[\s,]+", (mark["codes"] or "").strip())
            codes = frozenset(code.upper() for code in listed if code) or frozenset({_ALL})
            found.setdefault(-1 if mark["file"] else 0 if alone and top else number, []).append(codes)
        top = top and (alone or not line.strip())
    return found


def _declined(finding: Finding, codes: frozenset[str]) -> bool:
    return _ALL in codes or finding.code in codes or finding.name.upper() in codes
