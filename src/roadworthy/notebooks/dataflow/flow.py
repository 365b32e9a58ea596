"""Join the cells of a notebook: which cell makes what another one reads, and which names come from nowhere.

In: a `Notebook`. Out: a `Flow`. Called by rules, graph, convert, run with `--cached` and the Jupyter extension.
Notebooks and scripts are read from top to bottom; in a marimo notebook a name has one cell that makes it, anywhere.
"""

import ast
import functools
import warnings
from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from roadworthy.notebooks.dataflow.cell_flow import CellFlow, Function, Import, Mutation
from roadworthy.notebooks.dataflow.names import GIVEN
from roadworthy.notebooks.dataflow.python import translate
from roadworthy.notebooks.dataflow.walk import walk
from roadworthy.notebooks.notebook import Notebook

EdgeKind = Literal["defines", "mutates"]


class Edge(NamedTuple):
    """A value that goes from one cell to another: by which name, made there or changed there."""

    source: int
    target: int
    name: str
    kind: EdgeKind


class Unresolved(NamedTuple):
    """A name that no cell above makes.

    Args:
        cell: the one whose code names it.
        name: as written.
        node: where.
        later: the first cell below that makes it, if one does.
        deleted: the cell above that deleted it, if one did.
        function: the function whose body names it; empty at the level of the notebook.
        called: the cell that calls that function too early.
    """

    cell: int
    name: str
    node: ast.AST
    later: int | None
    deleted: int | None
    function: str = ""
    called: int | None = None


class Shared(NamedTuple):
    """An object changed by one of its two names, and read by the other below."""

    cell: int
    name: str
    other: str
    node: ast.AST


class Flow(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The dataflow of a notebook.

    Args:
        cells: one for each code cell in Python, in order.
        edges: what goes from where to where, by name.
        unresolved: names from nowhere.
        shared: changes that reach another name of the same object.
        needs: by cell, the outer names it reads, those that functions it uses read included.
        changes: by cell, the outer names whose objects it changes, through functions included.
        imports: by name, the import that made it first.
        opaque: whether names may come from where nobody can see: `%run`, `exec`, `from m import *`.
    """

    cells: tuple[CellFlow, ...]
    edges: tuple[Edge, ...]
    unresolved: tuple[Unresolved, ...]
    shared: tuple[Shared, ...]
    needs: dict[int, dict[str, ast.AST]]
    changes: dict[int, dict[str, Mutation]]
    imports: dict[str, Import]
    opaque: bool

    @functools.cached_property
    def _by_index(self) -> dict[int, CellFlow]:
        return {cell.index: cell for cell in self.cells}

    def cell(self, index: int) -> CellFlow:
        """The flow of a code cell, by its place among all cells."""
        return self._by_index[index]

    def upstream(self, index: int) -> frozenset[int]:
        """The cells that a cell depends on, directly or through others."""
        return _reached(index, {}, self.edges, lambda edge: (edge.target, edge.source))

    def downstream(self, index: int) -> frozenset[int]:
        """The cells that depend on a cell, directly or through others."""
        return _reached(index, {}, self.edges, lambda edge: (edge.source, edge.target))

    def canonical(self, name: str) -> str:
        """A dotted name in full, imports followed: `pd.read_csv` is `pandas.read_csv`."""
        head, _, rest = name.partition(".")
        found = self.imports.get(head)
        if found is None:
            return name
        target = head if not found.attribute and found.name == found.module.partition(".")[0] else found.target
        return f"{target}.{rest}" if rest else target


def analyse(notebook: Notebook) -> Flow:
    """The dataflow of a notebook."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of `"\\d"` and the like: the parser's, about the notebook
        cells = [walk(cell.index, translate(cell.source)) for cell in notebook.code]
        if notebook.language == "python" and len(cells) < len(notebook.cells):
            cells += _of_other_languages(notebook)
            cells.sort(key=lambda cell: cell.index)
    return join(tuple(cells), reactive=notebook.form == "marimo")


def _of_other_languages(notebook: Notebook) -> list[CellFlow]:
    """Cells of another language that make or take Python's names, as `%%R -i df -o fit` does."""
    found: list[CellFlow] = []
    for cell in notebook.cells:
        if cell.kind == "code" and cell.language != "python" and "%%" in cell.source:
            made = walk(cell.index, translate(cell.source))
            if made.defines or made.uses or made.opaque:
                found.append(made)
    return found


def join(cells: tuple[CellFlow, ...], *, reactive: bool = False) -> Flow:
    """The dataflow of cells that are read already; `reactive` as marimo runs them."""
    imports: dict[str, Import] = {}
    for cell in cells:
        for made in cell.imports:
            if not made.owner and made.name != "*":
                imports.setdefault(made.name, made)
    joined = _Reactive(cells, imports) if reactive else _TopDown(cells, imports)
    joined.join()
    return Flow(
        cells=cells,
        edges=tuple(dict.fromkeys(joined.edges)),
        unresolved=tuple(joined.unresolved),
        shared=tuple(joined.shared),
        needs=joined.needs,
        changes=joined.changes,
        imports=imports,
        opaque=any(cell.stars or cell.opaque for cell in cells),
    )


class _Join:
    """What both ways of joining share: functions seen through, names gathered."""

    def __init__(self, cells: tuple[CellFlow, ...], imports: dict[str, Import]) -> None:
        self.cells = cells
        self.imports = imports
        self.edges: list[Edge] = []
        self.unresolved: list[Unresolved] = []
        self.shared: list[Shared] = []
        self.needs: dict[int, dict[str, ast.AST]] = {}
        self.changes: dict[int, dict[str, Mutation]] = {}
        self.made_in: dict[str, list[int]] = {}  # name -> cells that define it, in order
        for cell in cells:
            for name in cell.defines:
                self.made_in.setdefault(name, []).append(cell.index)
            for function in cell.functions.values():
                for name in function.defines:
                    self.made_in.setdefault(name, []).append(cell.index)

    def own_needs(self, cell: CellFlow) -> dict[str, ast.AST]:
        """Outer names that a cell reads at its own level."""
        needs = {**cell.uses, **cell.perhaps_uses}
        for name, node in cell.builtins.items():
            if name in self.made_in:
                needs.setdefault(name, node)
        return needs

    def seen_through(self, cell: CellFlow, functions: dict[str, tuple[int, Function]]) -> list[tuple[int, Function]]:
        """The functions that a cell uses, and those that they use: (cell they are in, function)."""
        found: dict[str, tuple[int, Function]] = {}
        own = cell.functions | cell.classes
        waiting = [name for name in cell.touched if name in functions or name in own]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            if name in own:
                found[name] = (cell.index, own[name])
            elif name in functions:
                found[name] = functions[name]
            else:
                continue
            waiting += found[name][1].reads
        return list(found.values())

    def effective_changes(self, cell: CellFlow, used: list[tuple[int, Function]]) -> dict[str, Mutation]:
        changes = {name: how for name, how in cell.mutates.items() if name not in self.imports}
        by_name = {function.name: function for _, function in used}
        for _, function in used:
            for name, how in function.mutates.items():
                if name not in self.imports and (name not in cell.defines or name in cell.uses):
                    changes.setdefault(name, how)
        for call in cell.calls:
            called = by_name.get(call.name)
            if called is None or not called.changes_parameters or call.owner:
                continue
            given = [*zip(called.parameters, call.node.args, strict=False)]
            given += [(k.arg, k.value) for k in call.node.keywords if k.arg]
            for parameter, value in given:
                if parameter not in called.changes_parameters or not isinstance(value, ast.Name):
                    continue
                if value.id not in cell.defines or value.id in cell.uses:
                    changes.setdefault(value.id, Mutation("call", called.name, call.node))
        return changes


class _TopDown(_Join):
    """Notebooks and scripts: what a name is, is what the cells above made of it."""

    def join(self) -> None:
        self.makers: dict[str, list[int]] = {}  # name -> cells whose definition may be the current one
        self.changers: dict[str, list[int]] = {}  # name -> cells that changed it since
        self.deleted: dict[str, int] = {}
        self.functions: dict[str, tuple[int, Function]] = {}
        self.object_of: dict[str, str] = {}  # name -> the name by which its object was first known
        self.told: set[tuple[int, str]] = set()
        self.hidden = False  # whether a cell above may have made any name
        called: set[str] = set()
        for cell in self.cells:
            used = self.seen_through(cell, self.functions)
            called.update(function.name for _, function in used)
            self._needs_of(cell, used)
            self._changes_of(cell, used)
            self._makes(cell, used)
        self._never_called(called)

    def _needs_of(self, cell: CellFlow, used: list[tuple[int, Function]]) -> None:
        needs = self.own_needs(cell)
        here = bool(cell.stars or cell.opaque)
        by_shell = {name for magic in cell.magics for name in magic.reads}  # IPython leaves them when there are none
        for name, node in cell.uses.items():
            if name not in self.makers and not self.hidden and not here and name not in by_shell:
                self._from_nowhere(cell.index, name, node, "", None)
        for place, function in used:
            for name, node in function.reads.items():
                if name in cell.defines and name not in cell.uses:
                    continue
                if name in self.makers:
                    needs.setdefault(name, node)
                elif name not in GIVEN and not self.hidden and not here:
                    self._from_nowhere(place, name, node, function.name, cell.index)
        self.needs[cell.index] = needs
        for name in needs:
            self._edges_to(cell.index, name)

    def _edges_to(self, target: int, name: str) -> None:
        for source in self.makers.get(name, ()):
            if source != target:
                self.edges.append(Edge(source, target, name, "defines"))
        for source in self.changers.get(name, ()):
            if source != target:
                self.edges.append(Edge(source, target, name, "mutates"))

    def _changes_of(self, cell: CellFlow, used: list[tuple[int, Function]]) -> None:
        changes = self.effective_changes(cell, used)
        self.changes[cell.index] = changes
        for name, how in changes.items():
            same = self.object_of.get(name, name)
            self.changers.setdefault(name, []).append(cell.index)
            for other, root in self.object_of.items():
                if other != name and root == same:
                    self.changers.setdefault(other, []).append(cell.index)
                    self.shared.append(Shared(cell.index, name, other, how.node))

    def _makes(self, cell: CellFlow, used: list[tuple[int, Function]]) -> None:
        for name in cell.deletes:
            self.makers.pop(name, None)
            self.changers.pop(name, None)
            self.deleted[name] = cell.index
        for name in cell.defines:
            if name in cell.perhaps:
                self.makers.setdefault(name, []).append(cell.index)
            else:
                self.makers[name] = [cell.index]
                self.changers.pop(name, None)
                self.deleted.pop(name, None)
            self.object_of.pop(name, None)
            self.functions.pop(name, None)
        for _, function in used:
            for name in function.defines:
                self.makers.setdefault(name, []).append(cell.index)
        for name, function in (*cell.functions.items(), *cell.classes.items()):
            self.functions[name] = (cell.index, function)
        for new, old in cell.aliases:
            root = self.object_of.setdefault(old, old)
            self.object_of[new] = root
        self.hidden = self.hidden or bool(cell.stars or cell.opaque) or cell.error is not None

    def _never_called(self, called: set[str]) -> None:
        """Functions that no cell calls: what they read may be made anywhere, but somewhere it must be."""
        if self.hidden:
            return
        for cell in self.cells:
            for function in (*cell.functions.values(), *cell.classes.values()):
                if function.name in called:
                    continue
                for name, node in function.reads.items():
                    if name not in self.made_in and name not in GIVEN:
                        self._from_nowhere(cell.index, name, node, function.name, None)

    def _from_nowhere(self, cell: int, name: str, node: ast.AST, function: str, called: int | None) -> None:
        if (cell, name) in self.told:
            return
        self.told.add((cell, name))
        after = called if called is not None else cell
        later = next((place for place in self.made_in.get(name, ()) if place > after), None)
        self.unresolved.append(Unresolved(cell, name, node, later, self.deleted.get(name), function, called))


class _Reactive(_Join):
    """Marimo: cells run in the order of their dependencies; a name with one underscore in front stays in its cell."""

    def join(self) -> None:
        makers = {name: cells for name, cells in self.made_in.items() if not name.startswith("_")}
        functions = {
            name: (cell.index, function)
            for cell in self.cells
            for name, function in (*cell.functions.items(), *cell.classes.items())
        }
        hidden = any(cell.stars or cell.opaque or cell.error for cell in self.cells)
        for cell in self.cells:
            used = self.seen_through(cell, functions)
            needs = self.own_needs(cell)
            for _, function in used:
                for name, node in function.reads.items():
                    if name not in cell.defines:
                        needs.setdefault(name, node)
            self.needs[cell.index] = needs
            self.changes[cell.index] = self.effective_changes(cell, used)
            for name, node in needs.items():
                sources = [place for place in makers.get(name, ()) if place != cell.index]
                self.edges += [Edge(place, cell.index, name, "defines") for place in sources]
                if name not in makers and name not in GIVEN and not hidden:
                    self.unresolved.append(Unresolved(cell.index, name, node, None, None))


def _reached(
    start: int, known: dict[int, list[int]], edges: tuple[Edge, ...], ends: Callable[[Edge], tuple[int, int]]
) -> frozenset[int]:
    for edge in edges:
        here, there = ends(edge)
        known.setdefault(here, []).append(there)
    found: set[int] = set()
    waiting = [start]
    while waiting:
        for there in known.get(waiting.pop(), ()):
            if there not in found:
                found.add(there)
                waiting.append(there)
    return frozenset(found - {start})
