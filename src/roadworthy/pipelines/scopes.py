"""Which names of a piece of code mean something global, by Python's scoping rules.

In: syntax trees. Out: the global names used with the attributes asked of them (`features.clean`), the modules imported
inside functions, and what hides from such reading: dynamic access, files and environment variables named in texts.
Called by `analysis.py`.
"""

import ast
import builtins
import re
from collections.abc import Iterable, Iterator

import msgspec

# What makes static reading unsure: code found by a name made at run time.
DYNAMIC_NAMES = frozenset({"eval", "exec", "compile", "globals", "vars", "__import__", "__builtins__"})
ATTRIBUTE_BY_NAME = frozenset({"getattr", "setattr", "delattr"})
DYNAMIC_ATTRIBUTES = frozenset(
    {"__dict__", "__globals__", "__code__", "__doc__", "__subclasses__", "__mro__", "__bases__", "__wrapped__"}
)
LITERAL_LENGTH_MAX = 1000

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_DOTTED = re.compile(r"[A-Za-z_][\w-]{0,60}(\.\w+){0,5}")
_AT_NAME = re.compile(r"@([A-Za-z_]\w*)")
_LOOKS_LIKE_SQL = re.compile(r"(?i)\b(select|from|join|update|insert|with)\b")
_QUOTED = re.compile(r"['\"]([^'\"\n]+)['\"]")
_PATH_LIKE = re.compile(r"[\w ./\\~*?\[\]@+-]*[./*][\w ./\\*?\[\]@+-]*")

_FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Uses(msgspec.Struct, frozen=True, array_like=True):
    """What a piece of code refers to.

    Args:
        chains: global names with the attributes asked of them, such as `features.clean`.
        absolute: the same of modules imported inside functions: (module, level, chain after it).
        dynamic: why static reading is unsure, each with its line.
        paths: texts that may name files.
        words: names inside texts that may be looked up (`@name` in a pandas query, tables in SQL).
        names: texts that read as dotted names, which may name a package whose files are read.
        variables: environment variables read by a name that is written out.
        writes_global: whether it changes a global name, or something reached by one.
    """

    chains: tuple[str, ...]
    absolute: tuple[tuple[str, int, str], ...]
    dynamic: tuple[str, ...]
    paths: tuple[str, ...]
    words: tuple[str, ...]
    names: tuple[str, ...]
    variables: tuple[str, ...]
    writes_global: bool


class _Scope:
    """Names local to a function, class or comprehension, and which of them are modules imported there."""

    def __init__(self, kind: str, local: set[str], modules: dict[str, tuple[str, int, str]]) -> None:
        self.kind = kind
        self.local = local
        self.modules = modules


class _Reader(ast.NodeVisitor):
    def __init__(self) -> None:
        self.scopes: list[_Scope] = []
        self.chains: set[str] = set()
        self.absolute: set[tuple[str, int, str]] = set()
        self.dynamic: set[str] = set()
        self.texts: set[str] = set()
        self.variables: set[str] = set()
        self.writes_global = False

    def visit_Name(self, node: ast.Name) -> None:
        self._chain(node, [])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            parts.append(base.attr)
            base = base.value
        hidden = DYNAMIC_ATTRIBUTES.intersection(parts)
        if hidden:
            self._unsure(f".{min(hidden)}", node)
        if not isinstance(base, ast.Name):
            self.visit(base)
            return
        is_global = self._chain(base, parts[::-1])
        if is_global and not isinstance(node.ctx, ast.Load):
            self.writes_global = True

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            root: ast.expr = node
            while isinstance(root, ast.Subscript | ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and self._find(root.id) is None:
                self.writes_global = True
        if _dotted(node.value).endswith("environ"):
            self._variable(node.slice)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _dotted(node.func)
        if name in ATTRIBUTE_BY_NAME and self._find(name) is None:
            self._attribute_by_name(node)
        if name.endswith(("getenv", "environ.get")) and node.args:
            self._variable(node.args[0])
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and len(node.value) > 0:
            self.texts.add(node.value)

    def visit_Global(self, node: ast.Global) -> None:
        self.writes_global = True
        self.chains.update(node.names)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._arguments(node.args)
        with _pushed(self.scopes, _function_scope(node)):
            self.visit(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        # Names of a class body are looked up there and then globally, so here they count as both.
        with _pushed(self.scopes, _Scope("class", set(), {})):
            for child in _without_docstring(node.body):
                self.visit(child)

    def _sequence(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
        self._comprehension(node.generators, [node.elt])

    visit_ListComp = visit_SetComp = visit_GeneratorExp = _sequence  # noqa: N815 - ast's names

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node.generators, [node.key, node.value])

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in node.decorator_list:
            self.visit(part)
        self._arguments(node.args)
        if node.returns is not None:
            self._annotation(node.returns)
        with _pushed(self.scopes, _function_scope(node)):
            for child in _without_docstring(node.body):
                self.visit(child)

    visit_FunctionDef = visit_AsyncFunctionDef = _definition  # noqa: N815 - ast's names

    def _arguments(self, spec: ast.arguments) -> None:
        for default in (*spec.defaults, *spec.kw_defaults):
            if default is not None:
                self.visit(default)
        for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg):
            if argument is not None and argument.annotation is not None:
                self._annotation(argument.annotation)

    def _annotation(self, node: ast.expr) -> None:
        """Annotations may be texts; what they name is then meant as a name."""
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                try:
                    self.visit(ast.parse(part.value.strip(), mode="eval"))
                except SyntaxError:
                    continue
        self.visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._annotation(node.annotation)
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def _comprehension(self, generators: list[ast.comprehension], results: list[ast.expr]) -> None:
        self.visit(generators[0].iter)  # evaluated outside
        local = {n.id for g in generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        with _pushed(self.scopes, _Scope("comprehension", local, {})):
            for place, generator in enumerate(generators):
                if place:
                    self.visit(generator.iter)
                self.visit(generator.target)
                for condition in generator.ifs:
                    self.visit(condition)
            for result in results:
                self.visit(result)

    def _find(self, name: str) -> _Scope | None:
        """The innermost scope in which a name is local; class bodies are seen only from themselves."""
        for scope in reversed(self.scopes):
            if name in scope.local:
                return scope
        return None

    def _chain(self, base: ast.Name, attributes: list[str]) -> bool:
        scope = self._find(base.id)
        if scope is None:
            self.chains.add(".".join([base.id, *attributes]))
            if base.id in DYNAMIC_NAMES:
                self._unsure(base.id, base)
            return True
        if base.id in scope.modules:
            module, level, rest = scope.modules[base.id]
            self.absolute.add((module, level, ".".join(filter(None, [rest, *attributes]))))
        return False

    def _attribute_by_name(self, node: ast.Call) -> None:
        name = node.args[1] if len(node.args) > 1 else None
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            self._unsure(_dotted(node.func), node)
            return
        written = ast.Attribute(node.args[0], name.value, ast.Load())
        self.visit(ast.copy_location(written, node))
        if _dotted(node.func) != "getattr":
            base = _dotted(node.args[0]).partition(".")[0]
            self.writes_global = self.writes_global or (base != "?" and self._find(base) is None)

    def _variable(self, node: ast.expr) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.variables.add(node.value)

    def _unsure(self, what: str, node: ast.expr) -> None:
        self.dynamic.add(f"{what} (line {getattr(node, 'lineno', '?')})")


def uses(node: ast.AST) -> Uses:
    """What a top-level statement refers to, nested code included."""
    reader = _Reader()
    reader.visit(node)
    paths: set[str] = set()
    words: set[str] = set()
    for text in reader.texts:
        words.update(_AT_NAME.findall(text))
        if " " in text and _LOOKS_LIKE_SQL.search(text):
            words.update(_IDENTIFIER.findall(text))
        if len(text) <= LITERAL_LENGTH_MAX:
            paths.update(t for t in (text, *_QUOTED.findall(text)) if _PATH_LIKE.fullmatch(t))
    return Uses(
        chains=tuple(sorted(reader.chains)),
        absolute=tuple(sorted(reader.absolute)),
        dynamic=tuple(sorted(reader.dynamic)),
        paths=tuple(sorted(paths)),
        words=tuple(sorted(words)),
        names=tuple(sorted(text for text in reader.texts if _DOTTED.fullmatch(text))),
        variables=tuple(sorted(reader.variables)),
        writes_global=reader.writes_global,
    )


def bound_at_module(node: ast.stmt) -> tuple[str, ...]:
    """The names that a top-level statement binds at module level."""
    found = set(_bound([node]))
    # A function that declares a name global binds it too, when it is called.
    found.update(name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names)
    return tuple(sorted(found))


def is_builtin(name: str) -> bool:
    return hasattr(builtins, name)


class _pushed:  # noqa: N801 - used as a block
    def __init__(self, stack: list[_Scope], scope: _Scope) -> None:
        self._stack, self._scope = stack, scope

    def __enter__(self) -> None:
        self._stack.append(self._scope)

    def __exit__(self, *_: object) -> None:
        self._stack.pop()


def _function_scope(node: _FunctionNode) -> _Scope:
    spec = node.args
    arguments = (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg)
    local = {a.arg for a in arguments if a is not None}
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    elsewhere = {name for part in _own(body) if isinstance(part, ast.Global | ast.Nonlocal) for name in part.names}
    local.update(name for name in _bound(body) if name not in elsewhere)
    modules: dict[str, tuple[str, int, str]] = {}
    for part in _own(body):
        if isinstance(part, ast.Import):
            for alias in part.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                modules[alias.asname or whole] = (whole, 0, "")
        elif isinstance(part, ast.ImportFrom):
            for alias in part.names:
                modules[alias.asname or alias.name] = (part.module or "", part.level, alias.name)
    return _Scope("function", local, modules)


def _bound(body: Iterable[ast.AST]) -> Iterator[str]:
    """Names bound by code in its own scope."""
    for part in _own(body):
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            yield part.id
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.Import):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in part.names if alias.name != "*")
        elif isinstance(part, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and part.name:
            yield part.name
        elif isinstance(part, ast.MatchMapping) and part.rest:
            yield part.rest


def _own(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Nodes of a scope without those of the scopes inside it (whose headers, though, belong to it)."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]
            waiting += getattr(node, "decorator_list", [])
        elif isinstance(node, ast.ClassDef):
            waiting += [*node.bases, *node.keywords, *node.decorator_list]
        elif isinstance(node, _COMPREHENSIONS):
            # Only `:=` and what is evaluated outside bind beyond a comprehension.
            waiting += [part for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
            waiting.append(node.generators[0].iter)
        else:
            waiting += ast.iter_child_nodes(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else "?"
