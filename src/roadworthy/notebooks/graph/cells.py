"""What the graph of a notebook shows: its code cells with titles, and what goes from one to another.

In: a notebook and its flow. Out: a `Graph`. Called by the command. Imports are left out: they go everywhere.
"""

import ast
import re
from typing import NamedTuple

import msgspec

from roadworthy.notebooks.dataflow.cell_flow import CellFlow
from roadworthy.notebooks.dataflow.flow import Flow
from roadworthy.notebooks.notebook import Cell, Notebook

TITLE_MAX = 34
_HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.+?)\s*#*\s*$", re.MULTILINE)
_MARKUP = re.compile(r"[*`]|!?\[([^\]]*)\]\([^)]*\)|<[^>]+>")


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A code cell as it is drawn.

    Args:
        cell: its place among all cells, from 0.
        title: its comment, heading, or what it does.
        section: the heading it stands under.
        makes: names that others read; when there are none, all that it makes.
        changes: names of others that it changes.
        used: whether another cell reads what it makes.
        wrong: whether it is no Python, or reads names from nowhere.
    """

    cell: int
    title: str
    section: str
    makes: tuple[str, ...]
    changes: tuple[str, ...]
    used: bool
    wrong: bool


class Arrow(NamedTuple):
    """Values that go from one cell to another; `changed` when the source only changed them."""

    source: int
    target: int
    names: tuple[str, ...]
    changed: bool


class Graph(msgspec.Struct, frozen=True):
    """Nodes in the order of the notebook, and arrows."""

    name: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


def graph(notebook: Notebook, flow: Flow) -> Graph:
    """What is drawn of a notebook."""
    arrows = _arrows(flow)
    used = {arrow.source for arrow in arrows}
    wrong = {each.cell for each in flow.unresolved}
    titles = _titles(notebook)
    nodes: list[Node] = []
    for cell in flow.cells:
        crossing = tuple(dict.fromkeys(n for a in arrows if a.source == cell.index and not a.changed for n in a.names))
        own = tuple(name for name in cell.defines if name not in flow.imports)
        imports_only = bool(cell.imports) and not own and not cell.mutates and cell.index not in used
        if not cell.python.strip() or (imports_only and not any(a.target == cell.index for a in arrows)):
            continue
        title, section = titles[cell.index]
        nodes.append(
            Node(
                cell=cell.index,
                title=title or _deed(notebook.cells[cell.index], cell),
                section=section,
                makes=crossing or own,
                changes=tuple(name for name in flow.changes.get(cell.index, ())),
                used=cell.index in used,
                wrong=cell.index in wrong or cell.error is not None,
            )
        )
    return Graph(notebook.path.name, tuple(nodes), arrows)


def _arrows(flow: Flow) -> tuple[Arrow, ...]:
    """Edges with the same ends as one; what was made and only passes through a change is told once."""
    names: dict[tuple[int, int, bool], list[str]] = {}
    for edge in flow.edges:
        if edge.name not in flow.imports:
            names.setdefault((edge.source, edge.target, edge.kind == "mutates"), []).append(edge.name)
    arrows: list[Arrow] = []
    for (source, target, changed), together in names.items():
        kept = [n for n in dict.fromkeys(together) if not changed or n not in names.get((source, target, False), ())]
        if kept:
            arrows.append(Arrow(source, target, tuple(kept), changed))
    # `df` made in 1 and changed in 2 reaches 3 from 2: the arrow from 1 to 3 would say it twice.
    through: dict[tuple[int, str], list[int]] = {}
    for arrow in arrows:
        if arrow.changed:
            for name in arrow.names:
                through.setdefault((arrow.target, name), []).append(arrow.source)
    direct: list[Arrow] = []
    for arrow in arrows:
        if arrow.changed:
            rest = tuple(n for n in arrow.names if arrow.source == max(through[arrow.target, n]))
        else:
            rest = tuple(n for n in arrow.names if (arrow.target, n) not in through)
        if rest:
            direct.append(arrow._replace(names=rest))
    return tuple(sorted(direct))


def _titles(notebook: Notebook) -> dict[int, tuple[str, str]]:
    """For each code cell: the heading right above it, and the one of its section."""
    found: dict[int, tuple[str, str]] = {}
    section, fresh = "", ""
    for cell in notebook.cells:
        if cell.kind == "markdown":
            headings = _HEADING.findall(cell.source)
            if headings:
                fresh = _short(_MARKUP.sub(lambda found: found[1] or "", headings[-1][1]))
                section = fresh if len(headings[-1][0]) <= 3 or not section else section
        else:
            found[cell.index] = (fresh, section)
            fresh = ""
    return found


def _deed(cell: Cell, flow: CellFlow) -> str:
    """What a cell does, by its first comment, else by its last statement."""
    first = next((line.strip() for line in cell.source.split("\n") if line.strip()), "")
    if first.startswith("#") and not first.startswith(("#!", "# %", "# In")):
        told = first.lstrip("# ").strip()
        if len(told) > 3:
            return _short(told)
    if flow.tree is None or not flow.tree.body:
        return _short(first)
    functions = [s.name for s in flow.tree.body if isinstance(s, ast.FunctionDef | ast.ClassDef)]
    if functions:
        return _short("define " + ", ".join(functions))
    return _short(ast.unparse(flow.tree.body[-1]).split("\n")[0])


def _short(text: str) -> str:
    plain = re.sub(r"\s+", " ", text).strip()
    return plain if len(plain) <= TITLE_MAX else plain[: TITLE_MAX - 1].rstrip() + "…"
