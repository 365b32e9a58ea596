"""What one cell does to names: CellFlow, with the functions, imports and calls in it.

Made by `walk.py`; joined by `flow.py`; read by rules, by convert and by run. A mapping of names goes from the name to
the syntax node where it first happens, whose line and column (in bytes) count in the cell as Python.
"""

import ast
from typing import NamedTuple

import msgspec

from roadworthy.notebooks.dataflow.mutations import How
from roadworthy.notebooks.dataflow.python import Magic


class Import(NamedTuple):
    """A name made by an import: `import a.b as c`, `from a import b`.

    `attribute` is empty for a module; `owner` is the function it stands in; `guarded` is inside `try` or `if`.
    """

    name: str
    module: str
    attribute: str
    level: int
    node: ast.AST
    owner: str
    guarded: bool

    @property
    def target(self) -> str:
        """What the name stands for, in full, such as sklearn.model_selection.train_test_split."""
        module = "." * self.level + self.module
        return f"{module}.{self.attribute}" if self.attribute else module


class Mutation(NamedTuple):
    """A change of an object made before: how, by which name of a method or key, where, and through which alias."""

    how: How
    what: str
    node: ast.AST
    via: str = ""


class Call(NamedTuple):
    """A call: its dotted name as written (`?` for what is no name), and the function it stands in."""

    name: str
    node: ast.Call
    owner: str


class Text(NamedTuple):
    """A text constant, and the function it stands in."""

    node: ast.Constant
    owner: str

    @property
    def value(self) -> str:
        return str(self.node.value)


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function, class or named lambda of a cell, and what happens to outer names when it is called."""

    name: str
    node: ast.AST
    parameters: tuple[str, ...] = ()
    reads: dict[str, ast.AST] = {}
    mutates: dict[str, Mutation] = {}
    defines: dict[str, ast.AST] = {}
    changes_parameters: frozenset[str] = frozenset()


class CellError(NamedTuple):
    """Why a cell is no Python: line from 1, column from 1."""

    message: str
    line: int
    column: int


class CellFlow(msgspec.Struct, frozen=True, kw_only=True):
    """What a code cell does to names at the level of the notebook.

    Args:
        index: the cell's place among all cells.
        python: its source as Python, magics translated.
        tree: None when it is no Python.
        error: why it is none.
        magics: that stood in it.
        defines: names bound when the cell ends.
        perhaps: those of `defines` that are bound on some paths only.
        uses: names read before they are bound here, builtins left out.
        perhaps_uses: names read that are bound here on some paths only.
        builtins: names of builtins that are read.
        touched: every name read at this level, bound here or not.
        mutates: outer names whose objects it changes, directly.
        deletes: names that are gone when it ends.
        rebinds: names made anew from themselves (`df = df.dropna()`): the statement.
        aliases: new names for objects that have one: (new name, old name).
        imports: in order.
        functions: functions and named lambdas by name.
        classes: classes by name, with what their methods do.
        calls: every call, in order.
        texts: every text, in order; docstrings left out.
        stars: modules of `from m import *`.
        opaque: what makes names that cannot be known, such as `exec` or `%run`.
    """

    index: int
    python: str
    tree: ast.Module | None = None
    error: CellError | None = None
    magics: tuple[Magic, ...] = ()
    defines: dict[str, ast.AST] = {}
    perhaps: frozenset[str] = frozenset()
    uses: dict[str, ast.AST] = {}
    perhaps_uses: dict[str, ast.AST] = {}
    builtins: dict[str, ast.AST] = {}
    touched: frozenset[str] = frozenset()
    mutates: dict[str, Mutation] = {}
    deletes: dict[str, ast.AST] = {}
    rebinds: dict[str, ast.stmt] = {}
    aliases: tuple[tuple[str, str], ...] = ()
    imports: tuple[Import, ...] = ()
    functions: dict[str, Function] = {}
    classes: dict[str, Function] = {}
    calls: tuple[Call, ...] = ()
    texts: tuple[Text, ...] = ()
    stars: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()

    @property
    def reads_in_functions(self) -> dict[str, ast.AST]:
        """Outer names that are read when a function or class of this cell is called."""
        found: dict[str, ast.AST] = {}
        for function in (*self.functions.values(), *self.classes.values()):
            for name, node in function.reads.items():
                found.setdefault(name, node)
        return found
