"""Findings on the cell just run: what `rw notebook check` would say of it, given the cells run so far.

In: cells as the shell has run them. Out: a few lines below the cell, when there is something new to say. Registered by
`extension.py`. It must never disturb the user's work: whatever goes wrong here is kept to itself.
"""

from pathlib import Path
from typing import Any

import msgspec

from roadworthy.notebooks import check
from roadworthy.notebooks.jupyter import shown
from roadworthy.notebooks.languages import cell_language
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.project import Place
from roadworthy.store import project_file

# What only a whole notebook can be asked: whether something is used below, run at all, tested, in order.
NOT_YET = ("RWN100", "RWN102", "RWN103", "RWN105", "RWN107", "RWN111", "RWN112", "RWN202", "RWN203", "RWN206", "RWN602")
CELLS_MAX = 1_000
STEP = "%%rw step"


class Live:
    """The cells run so far, newest text of each, in the order in which they were first run.

    Args:
        shell: IPython's.
    """

    def __init__(self, shell: Any) -> None:
        self.on = True
        self.problem: Exception | None = None
        self._shell = shell
        self._cells: dict[str, str] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._checker: Any = None

    def look(self, result: Any) -> None:
        """Look at the cell that was just run."""
        info = getattr(result, "info", None)
        text = getattr(info, "raw_cell", None)
        if not isinstance(text, str) or not text.strip():
            return
        if not getattr(info, "store_history", True):  # a step's body, which has its own cell
            return
        identity = str(getattr(info, "cell_id", None) or f"cell {len(self._cells)}")
        if not self.on or not getattr(result, "success", False):
            self._cells.setdefault(identity, "")  # it has its place, so that the others have theirs
            return
        try:
            found = self._findings(identity, text)
            if found:
                shown.display(self._shell, shown.findings_text(found), shown.findings_html(found))
        except Exception as problem:
            self.problem = problem

    def _findings(self, identity: str, text: str) -> list[Any]:
        if text.startswith(("%rw", "%load_ext")):
            self._cells.setdefault(identity, "")
            return []
        if text.startswith(STEP):  # the line stays, so that line numbers do
            text = "#" + text
        self._cells[identity] = text
        if len(self._cells) > CELLS_MAX:
            self._cells.pop(next(iter(self._cells)))
        if self._checker is None:
            self._checker = self._prepared()
        rules, around = self._checker
        cells = tuple(
            Cell(
                index=n, kind="code", source=source, id=name, count=n + 1, language=cell_language(source, {}, "python")
            )
            for n, (name, source) in enumerate(self._cells.items())
        )
        notebook = Notebook(path=Path("this notebook"), form="ipynb", cells=cells, nbformat=(4, 5))
        found = []
        for finding in check.check(notebook, rules, around):
            mark = (finding.id, finding.code, finding.text or finding.message)
            if finding.id == identity and mark not in self._told:
                self._told.add(mark)
                found.append(finding)
        return found

    def _prepared(self) -> tuple[Any, Any]:
        """The rules and the surroundings, as `rw notebook check` has them here."""
        place: Place | None = None
        path = project_file.find(Path.cwd())
        if path is not None:
            try:
                place = project_file.read(path)
            except Fault:
                place = None
        rules = tuple(rule for rule in check.rules_of(place) if rule.code not in NOT_YET)
        return rules, msgspec.structs.replace(check.surroundings(Path.cwd(), place))
