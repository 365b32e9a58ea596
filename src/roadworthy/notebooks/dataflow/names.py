"""Bindings, reads and changes of names while a cell is read, by scope; and the table of who reads which syntax node.

In: what `expressions.py` and `statements.py` see. Out: a `CellFlow`. At the level of the notebook the order counts: a
name read before it is bound comes from another cell. Inside functions it does not: what they read is looked up when
they are called.
"""

import ast
import builtins
from collections.abc import Callable, Iterable
from typing import Any

from roadworthy.notebooks.dataflow.cell_flow import Call, CellFlow, Function, Import, Mutation, Text
from roadworthy.notebooks.dataflow.python import Translated

# Names that IPython, Databricks and module execution put there.
GIVEN = frozenset(dir(builtins)) | {
    "__file__", "__name__", "__doc__", "__builtins__", "__package__", "__spec__", "__annotations__", "__loader__",
    "get_ipython", "display", "In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh", "exit", "quit",
    "_exit_code", "dbutils", "spark", "sc", "sqlContext", "displayHTML", "table", "reveal_type", "WindowsError",
}  # fmt: skip
FUNCTION, CLASS, COMPREHENSION = range(3)

Handler = Callable[["Names", Any], None]
HANDLERS: dict[type[ast.AST], Handler] = {}


def handles(*kinds: type[ast.AST]) -> Callable[[Handler], Handler]:
    """Make a function the reader of some kinds of syntax nodes."""

    def register(handler: Handler) -> Handler:
        for kind in kinds:
            HANDLERS[kind] = handler
        return handler

    return register


@handles(ast.Load, ast.Store, ast.Del, ast.Pass, ast.Break, ast.Continue)
def _nothing(_names: "Names", _node: ast.AST) -> None:
    pass


class Scope:
    __slots__ = ("bound", "elsewhere", "globals", "kind", "mutations", "parameters", "reads")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.bound: set[str] = set()
        self.reads: dict[str, ast.AST] = {}
        self.mutations: list[tuple[str, Mutation]] = []
        self.globals: set[str] = set()
        self.elsewhere: set[str] = set()  # nonlocal
        self.parameters: tuple[str, ...] = ()


class Record:
    """A function of the notebook's level, as it is read."""

    def __init__(self, name: str, node: ast.AST) -> None:
        self.name, self.node = name, node
        self.parameters: tuple[str, ...] = ()
        self.reads: dict[str, ast.AST] = {}
        self.mutates: dict[str, Mutation] = {}
        self.defines: dict[str, ast.AST] = {}
        self.changes: set[str] = set()

    def made(self) -> Function:
        return Function(
            name=self.name,
            node=self.node,
            parameters=self.parameters,
            reads=self.reads,
            mutates=self.mutates,
            defines=self.defines,
            changes_parameters=frozenset(self.changes),
        )


class Names:
    """Bindings, reads and mutations, by scope."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.record: Record | None = None
        self.bound: set[str] = set()  # at the notebook's level, on every path so far
        self.perhaps: set[str] = set()
        self.kept: set[str] = set()  # bound, to an object from before: `x += …`
        self.alias_of: dict[str, str] = {}
        self.taken: ast.AST | None = None  # a call whose value is assigned, or asked for more
        self.guard = 0
        self.guarded_reads: set[str] = set()
        self.generic: frozenset[str] = frozenset()  # type parameters in sight, of Python 3.12 and later
        self.defines: dict[str, ast.AST] = {}
        self.uses: dict[str, ast.AST] = {}
        self.perhaps_uses: dict[str, ast.AST] = {}
        self.builtins: dict[str, ast.AST] = {}
        self.touched: set[str] = set()
        self.mutates: dict[str, Mutation] = {}
        self.deletes: dict[str, ast.AST] = {}
        self.rebinds: dict[str, ast.stmt] = {}
        self.aliases: dict[str, str] = {}
        self.imports: list[Import] = []
        self.functions: dict[str, Function] = {}
        self.classes: dict[str, Function] = {}
        self.calls: list[Call] = []
        self.texts: list[Text] = []
        self.stars: list[str] = []
        self.opaque: list[str] = []

    def visit(self, node: ast.AST) -> None:
        handler = HANDLERS.get(node.__class__)
        if handler is not None:
            handler(self, node)
            return
        for field in node._fields:
            value = getattr(node, field, None)
            if value.__class__ is list:
                for part in value:
                    if isinstance(part, ast.AST):
                        self.visit(part)
            elif isinstance(value, ast.AST):
                self.visit(value)

    def statements(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.visit(statement)

    def made(self, index: int, tree: ast.Module, translated: Translated) -> CellFlow:
        magics = translated.magics
        if any(m.local for m in magics):  # `%%timeit`: what it binds stays inside
            self.defines, self.functions, self.classes = {}, {}, {}
        return CellFlow(
            index=index,
            python=translated.python,
            tree=tree,
            magics=magics,
            defines=self.defines,
            perhaps=frozenset(self.defines.keys() - self.bound),
            uses=self.uses,
            perhaps_uses=self.perhaps_uses,
            builtins=self.builtins,
            touched=frozenset(self.touched),
            mutates=self.mutates,
            deletes=self.deletes,
            rebinds=self.rebinds,
            aliases=tuple(self.aliases.items()),
            imports=tuple(self.imports),
            functions=self.functions,
            classes=self.classes,
            calls=tuple(self.calls),
            texts=tuple(self.texts),
            stars=tuple(self.stars),
            opaque=(*self.opaque, *(f"%{m.name}" for m in magics if m.opaque)),
        )

    def read(self, name: str, node: ast.AST) -> None:
        if self.generic and name in self.generic:
            return
        for scope in reversed(self.scopes):
            if scope.kind == FUNCTION:
                scope.reads.setdefault(name, node)
                return
            if name in scope.bound:
                return
        self.touched.add(name)
        if name in self.bound:
            return
        if name in self.perhaps:
            self.perhaps_uses.setdefault(name, node)
        elif name in GIVEN:
            self.builtins.setdefault(name, node)
        else:
            self.uses.setdefault(name, node)
            if self.guard:
                self.guarded_reads.add(name)

    def bind(self, name: str, node: ast.AST, *, walrus: bool = False) -> None:
        for scope in reversed(self.scopes):
            if scope.kind == COMPREHENSION and walrus:
                continue
            if name in scope.globals:
                if self.record is not None:
                    self.record.defines.setdefault(name, node)
            elif name not in scope.elsewhere:
                scope.bound.add(name)
            return
        self.bound.add(name)
        self.defines.setdefault(name, node)
        self.deletes.pop(name, None)
        self.kept.discard(name)
        self.alias_of.pop(name, None)
        self.aliases.pop(name, None)
        self.functions.pop(name, None)
        self.classes.pop(name, None)

    def unbind(self, name: str, node: ast.AST) -> None:
        if self.scopes:
            return
        if name not in self.bound and name not in self.perhaps:
            self.read(name, node)
        self.bound.discard(name)
        self.perhaps.discard(name)
        self.defines.pop(name, None)
        self.deletes[name] = node

    def mutate(self, name: str, change: Mutation) -> None:
        for scope in reversed(self.scopes):
            if scope.kind == FUNCTION:
                scope.mutations.append((name, change))
                return
            if name in scope.bound:
                return
        if name in self.alias_of:
            self.mutates.setdefault(self.alias_of[name], change._replace(via=name))
        if name not in self.bound or name in self.kept:
            self.mutates.setdefault(name, change)

    def leave_function(self) -> None:
        """What a function reads and changes and does not bind is looked up outside of it."""
        scope = self.scopes.pop()
        own = scope.bound - scope.globals
        for name, node in scope.reads.items():
            if name not in own:
                self._from_function(name, node)
        for name, change in scope.mutations:
            if name not in own:
                self._mutation_from_function(name, change)
            elif name in scope.parameters and self.record is not None and not self.scopes:
                self.record.changes.add(name)

    def _from_function(self, name: str, node: ast.AST) -> None:
        for scope in reversed(self.scopes):
            if scope.kind == FUNCTION:
                scope.reads.setdefault(name, node)
                return
            if scope.kind == COMPREHENSION and name in scope.bound:
                return
        if self.record is None:  # a lambda that is handed over, and most likely called at once
            self.read(name, node)
        elif name not in GIVEN and name != self.record.name:
            self.record.reads.setdefault(name, node)

    def _mutation_from_function(self, name: str, change: Mutation) -> None:
        for scope in reversed(self.scopes):
            if scope.kind == FUNCTION:
                scope.mutations.append((name, change))
                return
            if scope.kind == COMPREHENSION and name in scope.bound:
                return
        if self.record is None:
            self.mutate(name, change)
        elif name != self.record.name:
            self.record.mutates.setdefault(name, change)
