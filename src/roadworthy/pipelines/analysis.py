"""What one source file says, found by reading its syntax tree; nothing is imported or run.

In: the text of a Python file. Out: `Facts`: its statements, each with a digest that comments, layout and docstrings do
not change, the names it binds and those it refers to. `reach.py` joins the facts of all files into what a step
depends on. Called once per content of a file: facts are kept by the digest of the text.
"""

import ast
import re
from collections.abc import Iterator

import msgspec
from blake3 import blake3

from roadworthy.nouns.errors import invalid
from roadworthy.pipelines import scopes
from roadworthy.pipelines.scopes import Uses

# Raised when facts of the same text come out differently, so that kept ones are made anew.
VERSION = 1

_EFFECTS = (ast.AugAssign, ast.Delete, ast.Raise, ast.Assert, ast.Global)
_SUITES = ("body", "orelse", "finalbody")


class Import(msgspec.Struct, frozen=True, array_like=True):
    """One imported name: `from module import name as bound`, with `level` dots; `name` is empty for `import module`."""

    module: str
    name: str
    bound: str
    level: int
    line: int


class Function(msgspec.Struct, frozen=True, array_like=True):
    """A top-level function as its signature reads.

    Args:
        arguments: names in order.
        annotations: argument name to the annotation's text.
        defaults: argument name to the default's text.
        variadic: the first of `*args`, `**kwargs` and positional-only arguments, empty when there is none.
        decorators: each with the text of its keyword arguments.
    """

    name: str
    line: int
    arguments: tuple[str, ...]
    annotations: dict[str, str]
    defaults: dict[str, str]
    variadic: str
    decorators: tuple["Decorator", ...]


class Decorator(msgspec.Struct, frozen=True, array_like=True):
    """A decorator: its dotted name, and the text of its arguments (positional ones under `*`)."""

    name: str
    line: int
    arguments: dict[str, str]
    digest: str


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """A top-level statement.

    Args:
        kind: `function`, `class`, `constant`, `import` or `code` (what is run for its effect).
        binds: names it gives a meaning to.
        digest: of its tree, steps' own decorators left out.
        uses: the names and files it refers to, nested code included.
        calls: what is called while the module is imported, `?` for what cannot be told.
        effect: whether importing the module may change more than the names bound (before `calls` are looked at).
        frozen: whether it binds a value that nothing can change (numbers, texts, tuples of them).
    """

    kind: str
    line: int
    binds: tuple[str, ...]
    digest: str
    uses: Uses
    calls: tuple[str, ...]
    effect: bool
    frozen: bool
    imports: tuple[Import, ...]


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """Everything known of one file; `imports` has those of nested code too."""

    statements: tuple[Statement, ...]
    imports: tuple[Import, ...]
    functions: tuple[Function, ...]


def read(text: bytes, path: str) -> Facts:
    """The facts of a file.

    Raises:
        Fault: invalid, naming line and column, when it is not Python.
    """
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError) as problem:
        line = getattr(problem, "lineno", None)
        where = f"{path}:{line}" if line else path
        raise invalid(f"not valid Python: {getattr(problem, 'msg', problem)}", where=where) from None
    statements: list[Statement] = []
    functions: list[Function] = []
    for node in tree.body:
        if _is_idle(node):
            continue
        functions += [_function(f) for f in _functions(node)]
        statements.append(_statement(node))
    imports = tuple(i for node in ast.walk(tree) for i in _imports(node))
    return Facts(tuple(statements), imports, tuple(functions))


def _statement(node: ast.stmt) -> Statement:
    binds = scopes.bound_at_module(node)
    effect = any(_is_effect(part) for part in _run_at_import(node))
    kind = "code"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        kind = "function"
    elif isinstance(node, ast.ClassDef):
        kind = "class"
    elif isinstance(node, ast.Import | ast.ImportFrom):
        kind = "import"
    elif isinstance(node, ast.Assign | ast.AnnAssign) and not effect:
        kind = "constant"
    uses = scopes.uses(node)
    calls = tuple(sorted({_callee(part) for part in _run_at_import(node) if isinstance(part, ast.Call)}))
    decorated = tuple(sorted({f"@{_dotted(d)}" for part in _definitions(node) for d in part.decorator_list}))
    return Statement(
        kind=kind,
        line=node.lineno,
        binds=binds,
        digest=digest(node),
        uses=uses,
        calls=(*calls, *decorated, *_bases(node), *_hooks(node)),
        effect=effect,
        frozen=isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_frozen(node.value),
        imports=tuple(i for part in ast.walk(node) for i in _imports(part)) if kind != "function" else (),
    )


def digest(node: ast.AST) -> str:
    """Digest of a tree without docstrings and positions."""
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            _drop_docstring(part)
    kept: list[ast.expr] | None = None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        # How often a step is retried is not part of what it computes; reach.py adds what of a decorator is.
        kept, node.decorator_list = node.decorator_list, []
    try:
        return blake3(ast.dump(node, annotate_fields=False).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    finally:
        if kept is not None:
            assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            node.decorator_list = kept


def _drop_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:]


def _is_idle(node: ast.stmt) -> bool:
    """Docstrings, `pass`, and what only runs when the file is the program itself."""
    if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return True
    return isinstance(node, ast.If) and not node.orelse and re.fullmatch(
        r"__name__ == '__main__'|'__main__' == __name__", ast.unparse(node.test)
    ) is not None  # fmt: skip


def _is_effect(node: ast.AST) -> bool:
    """Whether running this, at import, may change what another name means."""
    if isinstance(node, _EFFECTS):
        return True
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        return True
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.ClassDef):
        return bool(node.keywords)  # a metaclass, or arguments for __init_subclass__
    return isinstance(node, ast.With | ast.AsyncWith | ast.For | ast.While | ast.Await | ast.Yield)


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that run when the module is imported: not the bodies of functions."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        arguments = node.args
        for default in (*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)):
            yield from _run_at_import(default)
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.ClassDef) and child in node.decorator_list:
            continue
        yield from _run_at_import(child)


def _definitions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    return (
        part for part in _run_at_import(node) if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )


def _bases(node: ast.AST) -> Iterator[str]:
    for part in _definitions(node):
        if isinstance(part, ast.ClassDef):
            yield from (f"<{_dotted(base)}" for base in part.bases)


def _hooks(node: ast.AST) -> Iterator[str]:
    """`!`: a class that runs code of its own when another is derived from it or made of it."""
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef) and part.name in {"__init_subclass__", "__set_name__", "__prepare__"}:
            yield "!"


def _is_frozen(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Tuple):
        return all(_is_frozen(item) for item in node.elts)
    if isinstance(node, ast.UnaryOp):
        return _is_frozen(node.operand)
    return isinstance(node, ast.BinOp) and _is_frozen(node.left) and _is_frozen(node.right)


def _callee(node: ast.Call) -> str:
    return _dotted(node.func)


def _dotted(node: ast.expr) -> str:
    """`a.b.c` as text; `a.b(…)` as `a.b`, `a(…).b` as `a().b`, texts as `str`, `?` for anything else."""
    if isinstance(node, ast.Call):
        return _dotted(node.func)
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        base = node.id
    elif isinstance(node, ast.Call):
        base = f"{_dotted(node)}()"
    elif isinstance(node, ast.Subscript) and not parts:
        return _dotted(node.value)  # Generic[T]
    else:
        base = "str" if isinstance(node, ast.Constant) and isinstance(node.value, str) else "?"
    return ".".join([base, *reversed(parts)])


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            # `import a.b` binds a; `import a.b as c` binds a.b: the empty name says which module is bound.
            yield Import(alias.name, "" if alias.asname else ".", bound, 0, node.lineno)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield Import(node.module or "", alias.name, alias.asname or alias.name, node.level, node.lineno)


def _functions(node: ast.stmt) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions at module level, those inside `if` and `try` included."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node
    elif isinstance(node, ast.If | ast.Try | ast.With):
        for suite in _SUITES:
            for child in getattr(node, suite, []):
                yield from _functions(child)
        for handler in getattr(node, "handlers", []):
            for child in handler.body:
                yield from _functions(child)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    spec = node.args
    named = [*spec.args, *spec.kwonlyargs]
    defaults = dict(zip([a.arg for a in spec.args][::-1], spec.defaults[::-1], strict=False))
    defaults |= {a.arg: d for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is not None}
    variadic = ""
    if spec.vararg or spec.kwarg or spec.posonlyargs:
        first = spec.vararg or spec.kwarg or spec.posonlyargs[0]
        variadic = f"*{first.arg}" if spec.vararg else f"**{first.arg}" if spec.kwarg else f"{first.arg}, /"
    return Function(
        name=node.name,
        line=node.lineno,
        arguments=tuple(a.arg for a in named),
        annotations={a.arg: ast.unparse(a.annotation) for a in named if a.annotation is not None},
        defaults={name: ast.unparse(value) for name, value in defaults.items()},
        variadic=variadic,
        decorators=tuple(_decorator(d) for d in node.decorator_list),
    )


def _decorator(node: ast.expr) -> Decorator:
    arguments: dict[str, str] = {}
    if isinstance(node, ast.Call):
        arguments = {k.arg or "**": ast.unparse(k.value) for k in node.keywords}
        if node.args:
            arguments["*"] = ", ".join(ast.unparse(a) for a in node.args)
    return Decorator(_dotted(node), node.lineno, arguments, digest(node))
