"""Expressions of a cell: names, parts of objects, calls, comprehensions, patterns.

Called by `walk.py` through the table of handlers.
"""

import ast

from roadworthy.notebooks.dataflow.cell_flow import Call, Mutation, Text
from roadworthy.notebooks.dataflow.mutations import FUNCTIONS, GIVES_NOTHING, How, of_method
from roadworthy.notebooks.dataflow.names import COMPREHENSION, Names, Scope, handles

_OPAQUE_CALLS = frozenset({"exec", "globals", "locals", "vars"})


def dotted(node: ast.expr) -> str:
    """A name with attributes as written; what comes before them is `?` when it is no name."""
    parts: list[str] = []
    while node.__class__ is ast.Attribute:
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if node.__class__ is ast.Name else "?")
    return ".".join(reversed(parts)) if len(parts) > 1 else parts[0]


@handles(ast.Name)
def _name_node(names: Names, node: ast.Name) -> None:
    if node.ctx.__class__ is ast.Load:
        names.read(node.id, node)
    elif node.ctx.__class__ is ast.Store:
        names.bind(node.id, node)
    else:
        names.unbind(node.id, node)


@handles(ast.Constant)
def _constant_node(names: Names, node: ast.Constant) -> None:
    if node.value.__class__ is str:
        names.texts.append(Text(node, names.record.name if names.record else ""))


@handles(ast.Attribute)
def _attribute_node(names: Names, node: ast.Attribute) -> None:
    if node.ctx.__class__ is not ast.Load:
        changed_part(names, node, "attribute", node.attr)
    names.taken = node.value
    names.visit(node.value)


@handles(ast.Subscript)
def _subscript_node(names: Names, node: ast.Subscript) -> None:
    if node.ctx.__class__ is not ast.Load:
        key = node.slice.value if isinstance(node.slice, ast.Constant) else ""
        changed_part(names, node, "item", str(key))
    names.visit(node.value)
    names.visit(node.slice)


def changed_part(names: Names, node: ast.expr, how: How, what: str, at: ast.AST | None = None) -> None:
    """What changes `x.a[0].b` changes x."""
    root: ast.expr = node
    while isinstance(root, ast.Attribute | ast.Subscript):
        root = root.value
    if isinstance(root, ast.Name):
        names.mutate(root.id, Mutation(how, what, at or node))


@handles(ast.Call)
def _call_node(names: Names, node: ast.Call) -> None:
    function = node.func
    name = dotted(function)
    names.calls.append(Call(name, node, names.record.name if names.record else ""))
    if function.__class__ is ast.Attribute:
        _method(names, node, function)
    elif name in _OPAQUE_CALLS and not names.scopes and not node.args[2:]:
        names.opaque.append(name)
    changed = FUNCTIONS.get(".".join(name.split(".")[-2:]))
    if changed and len(node.args) > changed[0]:
        target = node.args[changed[0]]
        if isinstance(target, ast.Name):
            names.mutate(target.id, Mutation(changed[1], name, node))
    names.visit(function)
    for argument in node.args:
        names.visit(argument)
    for keyword in node.keywords:
        names.visit(keyword.value)


def _method(names: Names, node: ast.Call, function: ast.Attribute) -> None:
    how = of_method(function.attr)
    if node is names.taken and function.attr in GIVES_NOTHING:
        how = None  # `later = results.append(data)`: a list's append gives nothing to take
    for keyword in node.keywords:
        if keyword.arg == "inplace" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True:
            how = "inplace"
    if how is not None:
        changed_part(names, function, how, function.attr, node)


@handles(ast.NamedExpr)
def _named_expr_node(names: Names, node: ast.NamedExpr) -> None:
    names.visit(node.value)
    names.bind(node.target.id, node.target, walrus=True)


@handles(ast.ListComp, ast.SetComp, ast.GeneratorExp)
def _list_comp_node(names: Names, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
    _comprehension(names, node.generators, (node.elt,))


@handles(ast.DictComp)
def _dict_comp_node(names: Names, node: ast.DictComp) -> None:
    _comprehension(names, node.generators, (node.key, node.value))


def _comprehension(names: Names, generators: list[ast.comprehension], results: tuple[ast.expr, ...]) -> None:
    names.visit(generators[0].iter)  # evaluated outside
    names.scopes.append(Scope(COMPREHENSION))
    for place, generator in enumerate(generators):
        if place:
            names.visit(generator.iter)
        names.visit(generator.target)
        for condition in generator.ifs:
            names.visit(condition)
    for result in results:
        names.visit(result)
    names.scopes.pop()


@handles(ast.MatchAs)
def _match_as_node(names: Names, node: ast.MatchAs) -> None:
    if node.pattern is not None:
        names.visit(node.pattern)
    if node.name:
        names.bind(node.name, node)


@handles(ast.MatchStar)
def _match_star_node(names: Names, node: ast.MatchStar) -> None:
    if node.name:
        names.bind(node.name, node)


@handles(ast.MatchMapping)
def _match_mapping_node(names: Names, node: ast.MatchMapping) -> None:
    for part in (*node.keys, *node.patterns):
        names.visit(part)
    if node.rest:
        names.bind(node.rest, node)
