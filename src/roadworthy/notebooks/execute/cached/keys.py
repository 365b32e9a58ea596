"""What a cell's result rests on, as far as its code tells: what it says, its libraries, and how it must be treated.

In: a notebook and its dataflow. Out: for each cell a `Code`: the parts of its key, the names it reads and makes, and
whether it sets things up or must run every time. Called by `plan.py`.
"""

import ast
import os
import re
import sys

import msgspec
from blake3 import blake3

from roadworthy.notebooks.dataflow.cell_flow import CellFlow
from roadworthy.notebooks.dataflow.flow import Flow
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.pipelines.libraries import Libraries

# Raised when keys are made in another way, so that old results are not taken for new ones.
VERSION = "1"
ALWAYS = "rw:always"
_VARIABLE = re.compile(r"(?:environ(?:\.get\(|\[)|getenv\()\s*['\"](\w+)['\"]")
# Magics that leave nothing behind for the cells below.
_PASSING = frozenset(
    {"time", "timeit", "prun", "who", "whos", "pwd", "ls", "history", "capture", "memit", "lprun", "pinfo", "psearch"}
)
# Functions of plotting modules that change how later plots look; all others draw, and a cell's figures end with it.
_LASTING = (
    "style",
    "rc",
    "use",
    "switch_backend",
    "set_theme",
    "set_style",
    "set_palette",
    "set_context",
    "set",
    "ion",
)
# How functions begin that are called for a value, which the cell then shows.
_GIVING = ("read_", "load_", "fetch_", "get_", "to_", "concat", "merge", "crosstab", "pivot", "unique", "describe")
_DRAWING = frozenset({"matplotlib", "seaborn", "pylab"})
# Modules whose calls leave nothing in the process; files they write are looked after.
_HARMLESS = frozenset({"roadworthy", "time", "gc", "joblib", "json", "pickle", "IPython", "pprint"})
_LOOKS_BACK = frozenset({"_", "__", "___", "Out", "In", "_oh", "_ih"})


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """What the code of a cell says of it.

    Args:
        index: its place among all cells.
        step: how its results are found again, to say what changed.
        parts: of its key, without inputs.
        needs: names it reads, those of the functions it calls included.
        makes: names it makes, changes or deletes.
        changes: those of them whose objects it changes in place.
        touches: names whose values it may change; None for all.
        texts: that may name files.
        always: why it must run every time; empty when it need not.
        sets_up: whether it changes how libraries behave for the cells below.
        seeds: whether it seeds generators of random numbers itself, so that what they were before is nothing to it.
        stands: by name it makes, a text that stands for the value whatever else the cell does: an import, a function.
        statements: by the same names, the statement that makes it, which can be run alone.
    """

    index: int
    step: str
    parts: dict[str, str]
    needs: frozenset[str]
    makes: frozenset[str]
    changes: frozenset[str]
    touches: frozenset[str] | None
    texts: tuple[str, ...]
    always: str = ""
    sets_up: bool = False
    seeds: bool = False
    stands: dict[str, str] = {}
    statements: dict[str, str] = {}


def of(notebook: Notebook, flow: Flow, libraries: Libraries, *, name: str) -> list[Code]:
    """What the code of each Python cell says, in order.

    Args:
        name: the notebook's, for `step`.
    """
    by_index = {cell.index: cell for cell in notebook.cells}
    return [_of_cell(by_index[each.index], each, flow, libraries, name) for each in flow.cells if _says(each)]


def key(parts: dict[str, str]) -> str:
    """BLAKE3 over the parts of a key."""
    lines = "\n".join(f"{name}={value}" for name, value in sorted(parts.items()))
    return blake3(f"notebook cell\n{lines}".encode("utf-8", "surrogatepass")).hexdigest()


def differences(before: dict[str, str], now: dict[str, str]) -> str:
    """What changed from one set of parts to another, in words; the most telling first."""
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    said = [_said(name, before.get(name), now.get(name)) for name in changed]
    return ", ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")


def _said(name: str, before: str | None, now: str | None) -> str:
    kind, _, rest = name.partition(" ")
    if kind == "code":
        return "its code changed"
    if kind == "input":
        return f"`{rest}` changed" if before and now else f"`{rest}` is {'new' if now else 'gone'}"
    if kind == "library":
        return f"{rest} {before or 'none'} -> {now or 'none'}"
    if kind == "variable":
        return f"environment variable {rest} changed"
    return f"{name} {before or 'none'} -> {now or 'none'}"


def _says(cell: CellFlow) -> bool:
    return bool(cell.python.strip()) or bool(cell.magics)


def _of_cell(cell: Cell, own: CellFlow, flow: Flow, libraries: Libraries, name: str) -> Code:
    needs = frozenset(flow.needs.get(own.index, {}))
    changes = frozenset(flow.changes.get(own.index, {}))
    opaque = bool(own.opaque or own.stars or own.tree is None)
    parts = {
        "code": _code(cell, own),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "rules": VERSION,
    }
    imported = [flow.imports[n] for n in {*needs, *own.touched} if n in flow.imports]
    tops = {made.module.partition(".")[0] for made in (*own.imports, *imported) if made.module and not made.level}
    parts |= {f"library {n}": version for n, version in libraries.versions(tops).items()}
    for found in _VARIABLE.findall(own.python):
        value = os.environ.get(found)
        parts[f"variable {found}"] = "unset" if value is None else blake3(value.encode()).hexdigest()[:32]
    made_up = cell.id == f"cell-{cell.index}"
    plain = _plain(own)
    return Code(
        index=own.index,
        step=f"notebook:{name}#{cell.index if made_up else cell.id}",
        parts=parts,
        needs=needs,
        makes=frozenset({*own.defines, *own.deletes, *changes}),
        changes=changes,
        touches=None if opaque else frozenset({*needs, *own.touched, *own.mutates}),
        texts=tuple(dict.fromkeys(t.value for t, _ in own.texts if isinstance(t.value, str) and len(t.value) < 500)),
        always=_always(cell, own, needs, opaque=opaque),
        sets_up=_sets_up(own, flow),
        stands={name: stands for name, (stands, _) in plain.items()},
        statements={name: text for name, (_, text) in plain.items()},
        seeds=any(call.name.endswith(("random.seed", "set_state")) and not call.owner for call in own.calls),
    )


def _code(cell: Cell, own: CellFlow) -> str:
    """A digest of what a cell says: comments and layout say nothing."""
    said = cell.source if own.magics or own.tree is None else ast.dump(own.tree)
    return blake3(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _plain(own: CellFlow) -> dict[str, tuple[str, str]]:
    """Imports and plain functions: what stands for each, and the statement that makes it.

    An import is known by what it names (its library's version is a part of whoever reads it), a function by its code;
    what that reads of the notebook counts as read by whoever calls it.
    """
    if own.tree is None or own.opaque or own.magics:
        return {}
    found: dict[str, tuple[str, str]] = {}
    for node in own.tree.body:
        text = ast.unparse(node) if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef) else ""
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            for made in own.imports:
                if made.name in names and not made.level:
                    found[made.name] = (f"import {made.target}", text)
        elif isinstance(node, ast.FunctionDef) and not node.decorator_list:
            given = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
            if all(isinstance(each, ast.Constant) for each in given):
                said = ast.dump(node).encode("utf-8", "surrogatepass")
                found[node.name] = (f"function {blake3(said).hexdigest()[:32]}", text)
    bound = [n.id for n in ast.walk(own.tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)]
    twice = [n.name for n in own.tree.body if isinstance(n, ast.FunctionDef)]
    return {name: each for name, each in found.items() if name not in bound and twice.count(name) < 2}


def _always(cell: Cell, own: CellFlow, needs: frozenset[str], *, opaque: bool) -> str:
    if ALWAYS in cell.tags:
        return f"it is tagged {ALWAYS}"
    if any(magic.kind == "shell" for magic in own.magics):
        return "it runs a shell line, and what that does is not known"
    if own.opaque:
        return f"it uses {own.opaque[0]}, and what that does is not known"
    if own.stars:
        return f"it imports all names of {own.stars[0]}"
    if opaque:
        return "its code cannot be read"
    if _LOOKS_BACK & {*needs, *own.touched}:
        return "it uses the output of the cell that ran before it"
    return ""


def _sets_up(own: CellFlow, flow: Flow) -> bool:
    """Whether a cell changes how libraries behave: `pd.set_option(…)`, `os.environ[…] = …`, `%matplotlib inline`."""
    if any(magic.kind in {"line", "cell"} and magic.name not in _PASSING for magic in own.magics):
        return True
    if own.tree is None:
        return False
    modules = {name: made for name, made in flow.imports.items() if not made.attribute or made.attribute.islower()}
    for node in ast.walk(own.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            dotted = "" if _gives_value(node.value.func) else _dotted(node.value.func)
        elif isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            dotted = next((_dotted(t) for t in targets if isinstance(t, ast.Attribute | ast.Subscript)), "")
        else:
            continue
        head, _, rest = dotted.partition(".")
        if head not in modules or (not rest and isinstance(node, ast.Expr) and modules[head].attribute == ""):
            continue
        top = modules[head].module.partition(".")[0]
        if (top not in _DRAWING and top not in _HARMLESS) or (top in _DRAWING and rest.startswith(_LASTING)):
            return True
    return False


def _gives_value(function: ast.expr) -> bool:
    """Whether a call is made for what it gives (`pd.DataFrame(…)`, `pd.read_csv(…).head()`), not for what it does."""
    inner = ast.walk(function)
    if any(isinstance(node, ast.Call) for node in inner):
        return True
    last = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    return last[:1].isupper() or last.startswith(_GIVING)


def _dotted(node: ast.AST) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
        node = node.func if isinstance(node, ast.Call) else node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""
