"""Parameters of a notebook: the constants of its cell tagged `parameters`, or any constant given once at top level.

In: a notebook, and texts such as `lr=0.05`. Out: the notebook that is run instead (papermill's way: a cell after the
tagged one; without a tagged one, the constant itself is replaced), and the effective values. Values are read as the
type that is there, and unknown names are refused with the nearest. Called by `tracked.py`.
"""

import ast
from collections.abc import Iterable
from typing import Any

import msgspec

from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.nouns.errors import invalid
from roadworthy.pipelines import parameters as typed
from roadworthy.pipelines.graph import Graph

TAG = "parameters"
INJECTED = "injected-parameters"


class Constant(msgspec.Struct, frozen=True, kw_only=True):
    """A name given a literal: in which cell, its value, and where the literal stands (byte columns, as `ast` says)."""

    name: str
    cell: int
    value: Any
    span: tuple[int, int, int, int]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook as it is run.

    Args:
        original: as it was read.
        notebook: with cells as they are executed.
        values: effective parameters, for the run's record.
        replaced: new texts of cells, by index.
        injected: the text of a cell to be added after `after`; empty when there is none.
    """

    original: Notebook
    notebook: Notebook
    values: dict[str, Any]
    replaced: dict[int, str] = msgspec.field(default_factory=dict)
    injected: str = ""
    after: int = -1


def prepare(notebook: Notebook, settings: Iterable[str]) -> Prepared:
    """The notebook with parameters set.

    Args:
        settings: `NAME=VALUE`.

    Raises:
        Fault: invalid for an unknown name, a value of another type, or a language other than Python.
    """
    settings = list(settings)
    tagged = _tagged(notebook)
    known = constants(tagged) if tagged is not None else _only_once(notebook)
    if settings and notebook.language != "python":
        raise invalid(
            f"parameters are set in Python notebooks; this one is in {notebook.language}", where=str(notebook.path)
        )
    before = {name: constant.value for name, constant in known.items()}
    values = typed.effective(before, settings, Graph(entry="", nodes={}))
    given = {name: values[name] for name in _names(settings)}
    if not given:
        return Prepared(original=notebook, notebook=notebook, values=values if tagged is not None else {})
    if tagged is not None:
        return _inject(notebook, tagged.index, values, given)
    return _replace(notebook, {name: known[name] for name in given}, given)


def constants(cell: Cell) -> dict[str, Constant]:
    """Names that a cell gives a literal at its top level; of one given several times, the last."""
    try:
        tree = ast.parse(cell.source)
    except (SyntaxError, ValueError):
        return {}
    found: dict[str, Constant] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if isinstance(node, ast.AnnAssign):
            target = node.target
        if not isinstance(target, ast.Name) or not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        try:
            value = ast.literal_eval(node.value)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            found.pop(target.id, None)
            continue
        at = node.value
        span = (at.lineno, at.col_offset, at.end_lineno or at.lineno, at.end_col_offset or 0)
        found[target.id] = Constant(name=target.id, cell=cell.index, value=value, span=span)
    return found


def _tagged(notebook: Notebook) -> Cell | None:
    return next((cell for cell in notebook.code if TAG in cell.tags), None)


def _only_once(notebook: Notebook) -> dict[str, Constant]:
    """Constants that only one statement of the notebook gives a value."""
    found: dict[str, Constant] = {}
    times: dict[str, int] = {}
    for cell in notebook.code:
        found |= constants(cell)
        for name in _stored(cell.source):
            times[name] = times.get(name, 0) + 1
    return {name: constant for name, constant in found.items() if times.get(name) == 1}


def _stored(source: str) -> list[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    return [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)]


def _names(settings: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text.partition("=")[0].strip().partition(".")[0] for text in settings))


def _inject(notebook: Notebook, after: int, values: dict[str, Any], given: dict[str, Any]) -> Prepared:
    """A cell after the tagged one; one that papermill put there before goes."""
    text = "# Parameters\n" + "\n".join(f"{name} = {value!r}" for name, value in given.items())
    cells = [_empty(c) if INJECTED in c.tags else c for c in notebook.cells]
    # It shares the tagged cell's place, so that all others keep theirs.
    own = cells[after]
    cells[after] = msgspec.structs.replace(own, source=f"{own.source.rstrip()}\n\n{text}")
    replaced = {c.index: "" for c in notebook.cells if INJECTED in c.tags}
    changed = msgspec.structs.replace(notebook, cells=tuple(cells))
    return Prepared(original=notebook, notebook=changed, values=values, replaced=replaced, injected=text, after=after)


def _empty(cell: Cell) -> Cell:
    return msgspec.structs.replace(cell, source="")


def _replace(notebook: Notebook, known: dict[str, Constant], given: dict[str, Any]) -> Prepared:
    """The literals themselves, from the last to the first, so that places stay right."""
    texts = {cell.index: cell.source for cell in notebook.cells}
    touched: dict[int, str] = {}
    for name, at in sorted(known.items(), key=lambda pair: pair[1].span, reverse=True):
        lines = texts[at.cell].encode().split(b"\n")
        first, start, last, end = at.span
        begun, ended = lines[first - 1][:start], lines[last - 1][end:]
        lines[first - 1 : last] = [begun + repr(given[name]).encode() + ended]
        texts[at.cell] = touched[at.cell] = b"\n".join(lines).decode()
    cells = tuple(msgspec.structs.replace(c, source=texts[c.index]) for c in notebook.cells)
    changed = msgspec.structs.replace(notebook, cells=cells)
    return Prepared(original=notebook, notebook=changed, values=dict(given), replaced=touched)
