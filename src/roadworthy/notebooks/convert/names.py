"""Which names of a statement mean something at the notebook's top level, with the very nodes that say so.

In: a top-level statement's tree. Out: its reads, its bindings and its changes of objects, by Python's scopes; and where
each name stands, so that it can be written otherwise. Called by `program.py` and `wording.py`.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from roadworthy.notebooks.dataflow import mutations
from roadworthy.pipelines.scopes import bound_at_module

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
TEXT_CHARS_MAX = 2000
_CALLED = re.compile(r"([A-Za-z_]\w*)(?=\s*[.(])")
_WORD = re.compile(r"[A-Za-z_]\w*")
_AT = re.compile(r"@([A-Za-z_]\w*)")
_CONDITIONAL = (ast.If, ast.Try, ast.While)


class Occurrence(NamedTuple):
    """A name that stands for something of the top level; `deferred`: inside a function, so read when that is called."""

    node: ast.Name
    deferred: bool

    @property
    def reads(self) -> bool:
        return isinstance(self.node.ctx, ast.Load)


def occurrences(tree: ast.AST) -> list[Occurrence]:
    """Every name of a statement that is not local to a function, class or comprehension in it."""
    return list(_walk(tree, (), deferred=False))


def reads(tree: ast.stmt) -> set[str]:
    """The names whose values it needs, those needed only when a function in it is called included."""
    own = _bound_first(tree)
    found = {
        o.node.id for o in occurrences(tree) if (o.reads and o.node.id not in own) or isinstance(o.node.ctx, ast.Del)
    }  # fmt: skip
    if isinstance(tree, ast.AugAssign) and isinstance(tree.target, ast.Name):
        found.add(tree.target.id)
    return found


def _bound_first(tree: ast.stmt) -> set[str]:
    """Names that a loop or block binds before it reads them: what they were before does not matter."""
    if not isinstance(tree, ast.For | ast.With):
        return set()
    first: dict[str, bool] = {}
    for each in occurrences(tree):
        if not each.deferred:
            first.setdefault(each.node.id, each.reads)
    targets = [tree.target] if isinstance(tree, ast.For) else [i.optional_vars for i in tree.items if i.optional_vars]
    named = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return {name for name in named if not first.get(name, True)}


def binds(tree: ast.stmt) -> set[str]:
    """The names it gives a meaning to."""
    caught = {h.name for h in ast.walk(tree) if isinstance(h, ast.ExceptHandler) and h.name}
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    # What `except … as e` binds is gone when its block ends.
    return set(bound_at_module(tree)) - (caught - stored)


def weakly_bound(tree: ast.stmt) -> set[str]:
    """Names it may leave as they were: bound under a condition, or read before they are bound."""
    bound = binds(tree)
    if isinstance(tree, ast.AugAssign):
        return bound
    if isinstance(tree, ast.If) and tree.orelse:
        both = set.intersection(*(set().union(*map(binds, suite)) for suite in (tree.body, tree.orelse)))
        return bound - both
    if isinstance(tree, _CONDITIONAL):
        return bound
    first: dict[str, bool] = {}
    for each in occurrences(tree):
        if not each.deferred:
            first.setdefault(each.node.id, each.reads)
    return {name for name in bound if isinstance(tree, ast.For | ast.With) and first.get(name, False)}


def changes(tree: ast.AST, functions: Mapping[str, frozenset[int]]) -> set[str]:
    """The top-level names whose objects it changes in place.

    Args:
        tree: a statement.
        functions: of the notebook's own functions, which of their arguments they change, by place.
    """
    top = {id(o.node) for o in occurrences(tree)}
    return {root.id for root in _changed(tree, functions) if id(root) in top}


def changed_arguments(
    function: ast.FunctionDef | ast.AsyncFunctionDef, known: Mapping[str, frozenset[int]]
) -> set[int]:
    """Which of a function's arguments it changes in place, by place."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    rebound = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    changed = {root.id for statement in function.body for root in _changed(statement, known)}
    return {place for place, name in enumerate(names) if name in changed and name not in rebound}


def mentioned(tree: ast.AST) -> set[str]:
    """Names in texts that libraries look up where they are used: in formulas (`y ~ np.log(x)`), after @ in queries."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= TEXT_CHARS_MAX:
            if "~" in node.value:
                found.update(_CALLED.findall(node.value))
                if not any(
                    k.arg == "data" for call in ast.walk(tree) if isinstance(call, ast.Call) for k in call.keywords
                ):
                    found.update(_WORD.findall(node.value))
            found.update(_AT.findall(node.value))
    return found


def root_of(node: ast.AST) -> ast.Name | None:
    """The name at the root of `a.b[c].d`, through calls of accessors such as `.iloc`, not through other calls."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node if isinstance(node, ast.Name) else None


def dotted(node: ast.AST) -> str:
    """`a.b.c` as text; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _changed(tree: ast.AST, functions: Mapping[str, frozenset[int]]) -> Iterator[ast.Name]:
    for node in ast.walk(tree):
        root: ast.Name | None = None
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            root = root_of(node)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            root = node.target
        elif isinstance(node, ast.Call):
            yield from _changed_by_call(node, functions)
            continue
        if root is not None:
            yield root


def _changed_by_call(node: ast.Call, functions: Mapping[str, frozenset[int]]) -> Iterator[ast.Name]:
    if isinstance(node.func, ast.Attribute):
        root = root_of(node.func.value)
        inplace = any(
            k.arg == "inplace" and isinstance(k.value, ast.Constant) and k.value.value is True for k in node.keywords
        )
        if root is not None and (inplace or mutations.of_method(node.func.attr) is not None):
            yield root
    name = dotted(node.func)
    places: Iterable[int] = functions.get(name, ())
    if name in mutations.FUNCTIONS:
        places = (mutations.FUNCTIONS[name][0],)
    for place in places:
        if place < len(node.args) and (root := root_of(node.args[place])) is not None:
            yield root


def _walk(node: ast.AST, local: tuple[set[str], ...], *, deferred: bool) -> Iterator[Occurrence]:
    if isinstance(node, ast.Name):
        if not any(node.id in names for names in local):
            yield Occurrence(node, deferred)
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        yield from _walk_function(node, local, deferred=deferred)
        return
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        yield from _walk_comprehension(node, local, deferred=deferred)
        return
    if isinstance(node, ast.ClassDef):
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            yield from _walk(part, local, deferred=deferred)
        own = set().union(*map(binds, node.body))
        for child in node.body:
            # Methods do not see what the class's body binds.
            inner = local if isinstance(child, _FUNCTIONS) else (*local, own)
            yield from _walk(child, inner, deferred=deferred)
        return
    if isinstance(node, ast.ExceptHandler) and node.name:
        if node.type is not None:
            yield from _walk(node.type, local, deferred=deferred)
        for statement in node.body:
            # What `as` binds is gone when the block ends.
            yield from _walk(statement, (*local, {node.name}), deferred=deferred)
        return
    # Of an assignment the value is read first.
    first = [getattr(node, name) for name in ("value", "iter") if isinstance(getattr(node, name, None), ast.AST)]
    for child in (*first, *(c for c in ast.iter_child_nodes(node) if c not in first)):
        yield from _walk(child, local, deferred=deferred)


def _walk_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, local: tuple[set[str], ...], *, deferred: bool
) -> Iterator[Occurrence]:
    spec = node.args
    arguments = [a for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg) if a is not None]
    outside = [*spec.defaults, *(d for d in spec.kw_defaults if d is not None), *(a.annotation for a in arguments)]
    outside += [*getattr(node, "decorator_list", []), getattr(node, "returns", None)]
    for above in outside:
        if above is not None:
            yield from _walk(above, local, deferred=deferred)
    body: list[ast.stmt | ast.expr] = [*node.body] if isinstance(node.body, list) else [node.body]
    own = {a.arg for a in arguments}
    elsewhere: set[str] = set()
    for part in body:
        elsewhere |= {n for g in ast.walk(part) if isinstance(g, ast.Global | ast.Nonlocal) for n in g.names}
        if isinstance(part, ast.stmt):
            own |= binds(part)
    for part in body:
        yield from _walk(part, (*local, own - elsewhere), deferred=True)


def _walk_comprehension(
    node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, local: tuple[set[str], ...], *, deferred: bool
) -> Iterator[Occurrence]:
    own = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
    yield from _walk(node.generators[0].iter, local, deferred=deferred)
    for place, generator in enumerate(node.generators):
        parts = [*([generator.iter] if place else []), *generator.ifs]
        for part in parts:
            yield from _walk(part, (*local, own), deferred=deferred)
    results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    for part in results:
        yield from _walk(part, (*local, own), deferred=deferred)
