"""Subject: one notebook as rules see it, with its dataflow, its calls by full name and what lies around it.

Made by `check.py`, once for each notebook; what several rules need is worked out once, when the first one asks.
"""

import ast
import functools
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from roadworthy.notebooks.dataflow.cell_flow import CellFlow
from roadworthy.notebooks.dataflow.flow import Edge, Flow
from roadworthy.notebooks.notebook import Cell, Notebook, output_texts
from roadworthy.notebooks.rules.finding import Edit, Finding, Part, Severity

SHOWN_MAX = 200_000
_SHOWN = frozenset({"text/plain", "text/html", "text/markdown"})


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What lies around notebooks: the project, its data sets, its locked libraries.

    Args:
        root: the project's folder; None outside a project.
        data: paths and globs of the project's data sets, as its file names them.
        locked: normal names of the distributions of the locked environment; None when nothing locks one.
        lock: the file that says so.
        output_max_kb: from where on an output is large.
    """

    root: Path | None = None
    data: tuple[str, ...] = ()
    locked: frozenset[str] | None = None
    lock: str = ""
    output_max_kb: int = 1000


class Named(NamedTuple):
    """A call with its name in full: `pd.read_csv(…)` is pandas.read_csv."""

    cell: CellFlow
    name: str
    node: ast.Call
    owner: str

    @property
    def method(self) -> str:
        return self.name.rpartition(".")[2]


class About(Protocol):
    """What a finding takes from its rule."""

    code: str
    name: str
    severity: Severity


class Subject:
    """One notebook, its dataflow and its surroundings."""

    def __init__(self, notebook: Notebook, flow: Flow, around: Surroundings) -> None:
        self.notebook = notebook
        self.flow = flow
        self.around = around
        self._shown: dict[int, list[tuple[str, str]]] = {}
        self.memo: dict[str, object] = {}  # what rules of one family share

    @functools.cached_property
    def calls(self) -> list[Named]:
        """Every call, in the order of the notebook."""
        canonical = self.flow.canonical
        known: dict[str, str] = {}
        found: list[Named] = []
        for cell in self.flow.cells:
            for call in cell.calls:
                name = known.get(call.name)
                if name is None:
                    name = known[call.name] = canonical(call.name)
                found.append(Named(cell, name, call.node, call.owner))
        return found

    @functools.cached_property
    def names_read(self) -> frozenset[str]:
        """Every name that any cell or function reads."""
        names: set[str] = set()
        for cell in self.flow.cells:
            names |= cell.touched
            names.update(cell.uses, cell.mutates)
            for function in (*cell.functions.values(), *cell.classes.values()):
                names.update(function.reads, function.mutates)
        return frozenset(names)

    def shown(self, index: int) -> list[tuple[str, str]]:
        """What the outputs of a cell show: (media type, text), cut to a length; what programs draw is left out."""
        found = self._shown.get(index)
        if found is None:
            found = self._shown[index] = [
                (media, text[:SHOWN_MAX])
                for output in self.notebook.cells[index].outputs
                for media, text in output_texts(output)
                if media in _SHOWN and "<script" not in text[:4000]
            ]
        return found

    def read_elsewhere(self, index: int) -> frozenset[str]:
        """Names that other cells, or functions of any cell, read."""
        names: set[str] = set()
        for cell in self.flow.cells:
            if cell.index != index:
                names |= cell.touched
            for function in (*cell.functions.values(), *cell.classes.values()):
                names.update(function.reads)
        return frozenset(names)

    @functools.cached_property
    def _edges_by_target(self) -> dict[int, list[Edge]]:
        found: dict[int, list[Edge]] = {}
        for edge in self.flow.edges:
            found.setdefault(edge.target, []).append(edge)
        return found

    def edges_to(self, index: int) -> list[Edge]:
        """What a cell takes from others."""
        return self._edges_by_target.get(index, [])

    @functools.cached_property
    def ran(self) -> bool:
        """Whether any cell has an execution count."""
        return any(cell.count is not None for cell in self.notebook.cells)

    def cell(self, index: int) -> Cell:
        return self.notebook.cells[index]

    def finding(
        self, rule: About, index: int, node: ast.AST | int | None, message: str, *, fix: str, edit: Edit | None = None
    ) -> Finding:
        """A finding about a syntax node, a line, or (None) a cell as a whole."""
        cell = self.notebook.cells[index]
        line, column, end_line, end_column, text = place(cell, node)
        return Finding(
            code=rule.code,
            name=rule.name,
            severity=rule.severity,
            message=message,
            fix=fix,
            cell=index,
            id=cell.id,
            line=line,
            column=column,
            end_line=end_line,
            end_column=end_column,
            text=text,
            edit=edit,
        )

    def of_output(self, rule: About, index: int, message: str, *, fix: str, part: Part = "output") -> Finding:
        """A finding about what a cell put out."""
        cell = self.notebook.cells[index]
        return Finding(
            code=rule.code,
            name=rule.name,
            severity=rule.severity,
            message=message,
            fix=fix,
            cell=index,
            id=cell.id,
            part=part,
        )


def place(cell: Cell, node: ast.AST | int | None) -> tuple[int, int, int, int, str]:
    """(line, column, end line, end column, text of the line) of a node, in characters from 1."""
    lines = cell.source.split("\n")
    if node is None:
        node = next((n for n, text in enumerate(lines, 1) if text.strip()), 1)
    if isinstance(node, int):
        line = min(max(node, 1), len(lines))
        text = lines[line - 1]
        start = len(text) - len(text.lstrip())
        return line, start + 1, line, max(len(text.rstrip()), start) + 1, text
    line = min(getattr(node, "lineno", 1), len(lines))
    end_line = min(getattr(node, "end_lineno", None) or line, len(lines))
    text = lines[line - 1]
    column = _characters(text, getattr(node, "col_offset", 0))
    end_column = _characters(lines[end_line - 1], getattr(node, "end_col_offset", None) or 0)
    return line, column + 1, end_line, max(end_column, 0) + 1, text


def _characters(text: str, offset_bytes: int) -> int:
    if text.isascii():
        return min(offset_bytes, len(text))
    return len(text.encode("utf-8", "surrogatepass")[:offset_bytes].decode("utf-8", "ignore"))


def cells_named(indices: list[int], shown_max: int = 4) -> str:
    """`cell 3`, `cells 3, 5 and 9`, `cells 1, 2, 3 and 7 more`: people count from 1."""
    numbers = [str(i + 1) for i in indices]
    if len(numbers) == 1:
        return f"cell {numbers[0]}"
    if len(numbers) > shown_max + 1:
        return f"cells {', '.join(numbers[:shown_max])} and {len(numbers) - shown_max} more"
    return f"cells {', '.join(numbers[:-1])} and {numbers[-1]}"


def literal(node: ast.expr | None) -> str | None:
    """The text of a text constant."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def argument(call: ast.Call, place: int, name: str = "") -> ast.expr | None:
    """An argument of a call, by place or by keyword."""
    if name:
        for keyword in call.keywords:
            if keyword.arg == name:
                return keyword.value
    if 0 <= place < len(call.args) and not any(isinstance(a, ast.Starred) for a in call.args[: place + 1]):
        return call.args[place]
    return None


def has_keyword(call: ast.Call, *names: str) -> bool:
    """Whether a call passes one of some keywords, or `**` which may hold it."""
    return any(k.arg is None or k.arg in names for k in call.keywords)
