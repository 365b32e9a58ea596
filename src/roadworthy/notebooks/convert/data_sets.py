"""What a notebook learns from: the files it reads and the tables it fetches become data sets of the project.

In: the statements kept, and what was seen. Out: for expressions that name a file, and statements that fetch a table,
the data set that takes their place. Called by `planning.py`.
"""

import ast
import os
import re
from pathlib import Path
from typing import Any

from roadworthy.notebooks.convert import names
from roadworthy.notebooks.convert.hoisting import Hoisted, lower
from roadworthy.notebooks.convert.naming import usable
from roadworthy.notebooks.convert.plan import DataSet
from roadworthy.notebooks.convert.program import Program, Statement
from roadworthy.notebooks.convert.seen import Seen, key_of
from roadworthy.notebooks.convert.slicing import Effect
from roadworthy.pipelines.scopes import is_builtin

Key = tuple[int, int]
_READERS = re.compile(r"^(read_\w+|load\w*|loadtxt|genfromtxt|fromfile|imread|scan_\w+|open|parse|glob|iglob|listdir)$")
_FETCHES = re.compile(r"(^|\.)(load_\w+|fetch_\w+|get_\w+|read_\w+|load|load_pandas|load_dataset|\w*data\w*|departed)$")
ROWS_FACT = "table"


class Found:
    """Data sets by where they are in the notebook.

    Args:
        tables: statement that makes a table to its data set.
        paths: id of an expression that names a file to its data set.
        texts: the same expressions, with what is written in their place.
    """

    def __init__(self) -> None:
        self.tables: dict[Key, DataSet] = {}
        self.paths: dict[int, DataSet] = {}
        self.all: dict[str, DataSet] = {}


def find(program: Program, hoisted: Hoisted, kept: tuple[Effect, ...], seen: Seen | None) -> Found:
    """The data sets of a notebook."""
    found = Found()
    folder = program.notebook.path.parent
    by_path: dict[str, DataSet] = {}
    taken = {*program.imports, *hoisted.definitions, *(n for s in program.statements for n in s.binds)}
    for effect in kept:
        statement = effect.statement
        table = _table(program, hoisted, effect, seen)
        if table is not None and table.name not in found.all:
            found.tables[statement.key] = found.all[table.name] = table
            continue
        for node, path in _files(statement, hoisted, folder):
            if path not in by_path:
                name = _name(path, {*taken, *found.all})
                by_path[path] = found.all[name] = DataSet(
                    name=name, path=path, cell=statement.cell, description=f"{Path(path).name}, as it lies there"
                )
            found.paths[id(node)] = by_path[path]
    return found


def local_modules(program: Program) -> list[Path]:
    """The modules and packages beside the notebook that it imports, and what these import of their neighbours."""
    folder = program.notebook.path.parent
    found: dict[str, Path] = {}
    waiting = [module.partition(".")[0] for module in program.modules.values()]
    while waiting:
        name = waiting.pop()
        path = next((p for p in (folder / f"{name}.py", folder / name) if p.exists()), None)
        if name in found or path is None or (path.is_dir() and not (path / "__init__.py").exists()):
            continue
        found[name] = path
        for file in [path] if path.is_file() else path.rglob("*.py"):
            waiting += _imported(file)
    return [found[name] for name in sorted(found)]


def _imported(file: Path) -> list[str]:
    try:
        tree = ast.parse(file.read_text("utf-8"))
    except (SyntaxError, ValueError, OSError):
        return []
    found = [a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    return found + [
        n.module.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and not n.level
    ]


def _table(program: Program, hoisted: Hoisted, effect: Effect, seen: Seen | None) -> DataSet | None:
    """The data set that a statement fetches whole: `flights = source.departed(…)`."""
    node = effect.statement.node
    if seen is None or not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return None
    if len(node.targets) > 1 or effect.changes or effect.statement.kind != "prepare":
        return None
    own = {n for n in effect.reads if n not in program.imports and not is_builtin(n)}
    if own - hoisted.constants.keys() - hoisted.definitions.keys() or own & hoisted.params.keys():
        return None
    if any(hoisted.definitions[n].extras or hoisted.definitions[n].inside for n in own & hoisted.definitions.keys()):
        return None
    if own & hoisted.definitions.keys() or program.step_tag(effect.statement.cell):
        return None
    name = node.targets[0].id
    key = key_of(effect.statement.key, name)
    value = seen.values.get(key)
    if value is None or value.facts.get(ROWS_FACT) != "yes" or not value.shape or not _fetches(node.value):
        return None
    called = lower(name)
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,62}", called) or not usable(
        called, {*program.imports, *hoisted.definitions}
    ):
        return None
    if called in {"df", "data"}:
        return None
    return DataSet(name=called, function=name, cell=effect.statement.cell, seen=key, rows=value.shape[0])


def _fetches(value: ast.expr) -> bool:
    """Whether an expression gets a table from somewhere, rather than making one up or reading a file."""
    calls = [names.dotted(c.func) for c in ast.walk(value) if isinstance(c, ast.Call)]
    if any(re.search(r"(^|\.)read_\w+$", c) for c in calls):
        return False
    return any(_FETCHES.search(c) for c in calls)


def _files(statement: Statement, hoisted: Hoisted, folder: Path) -> list[tuple[ast.expr, str]]:
    """The expressions of a statement that name a file or folder which is there, and is read."""
    found: list[tuple[ast.expr, str]] = []
    top = {id(o.node) for o in names.occurrences(statement.node)}
    for call in ast.walk(statement.node):
        if not isinstance(call, ast.Call) or _writes(call):
            continue
        dotted = names.dotted(call.func)
        if not _READERS.match(dotted.rpartition(".")[2]) and dotted not in hoisted.definitions:
            continue
        for argument in (*call.args[:2], *(k.value for k in call.keywords)):
            text = _evaluated(argument, hoisted, top)
            if text and not text.startswith(("http:", "https:", "s3:", "gs:")) and _there(folder, text):
                found.append((argument, os.path.normpath(text)))
    return found


def _there(folder: Path, text: str) -> bool:
    try:
        return text not in {".", "/", ".."} and (folder / text).exists()
    except (OSError, ValueError):
        return False


def _writes(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    return names.dotted(call.func) == "open" and any(
        isinstance(m, ast.Constant) and isinstance(m.value, str) and set(m.value) & set("wax+") for m in modes
    )


def _evaluated(node: ast.expr, hoisted: Hoisted, top: set[int]) -> str | None:
    """The text that an expression of constants comes to; None when it is not one."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name) and id(node) in top | {0} and node.id in hoisted.constants:
        return _constant(node.id, hoisted)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Div):
        left, right = _evaluated(node.left, hoisted, top), _evaluated(node.right, hoisted, top)
        if left is None or right is None:
            return None
        return left + right if isinstance(node.op, ast.Add) else str(Path(left, right))
    if isinstance(node, ast.JoinedStr):
        parts = [_evaluated(p.value if isinstance(p, ast.FormattedValue) else p, hoisted, top) for p in node.values]
        return None if any(p is None for p in parts) else "".join(p for p in parts if p is not None)
    if isinstance(node, ast.Call) and not node.keywords:
        called = names.dotted(node.func)
        if called in {"os.path.join", "path.join", "Path", "pathlib.Path", "str", "osp.join", "os.fspath"}:
            parts = [_evaluated(a, hoisted, top) for a in node.args]
            if parts and all(p is not None for p in parts):
                return str(Path(*(p for p in parts if p is not None)))
    return None


def _constant(name: str, hoisted: Hoisted) -> str | None:
    node: Any = hoisted.constants[name].node
    if isinstance(node.targets[0], ast.Name):
        return _evaluated(node.value, hoisted, {id(n) for n in ast.walk(node.value)})
    return None


def _name(path: str, taken: set[str]) -> str:
    """A data set's name from a file's: `Ames Housing.csv` as `ames_housing`."""
    stem = Path(path).name.partition(".")[0]
    base = re.sub(r"\W+", "_", lower(stem)).strip("_") or "data"
    base = base if base[0].isalpha() else f"data_{base}"
    name, number = base[:50], 2
    if not usable(name, taken):
        name = f"{base}_file"
    while not usable(name, taken):
        name, number = f"{base}_{number}", number + 1
    return name
