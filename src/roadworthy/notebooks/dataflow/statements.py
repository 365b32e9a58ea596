"""Statements of a cell: assignments, and branches as they join at run time. Called by `walk.py` through the handlers.

Loops are taken to run at least once.
"""

import ast

from roadworthy.notebooks.dataflow.cell_flow import Mutation
from roadworthy.notebooks.dataflow.definitions import recorded
from roadworthy.notebooks.dataflow.expressions import changed_part, dotted
from roadworthy.notebooks.dataflow.names import Names, Record, handles

_ENDS_BY_CALL = frozenset({"exit", "quit", "sys.exit", "os._exit"})
_LEAVES = (ast.Raise, ast.Return, ast.Continue, ast.Break)
_SIGNS = {
    ast.Add: "+=", ast.Sub: "-=", ast.Mult: "*=", ast.Div: "/=", ast.FloorDiv: "//=", ast.Mod: "%=", ast.Pow: "**=",
    ast.BitOr: "|=", ast.BitAnd: "&=", ast.BitXor: "^=", ast.LShift: "<<=", ast.RShift: ">>=", ast.MatMult: "@=",
}  # fmt: skip


@handles(ast.Assign)
def _assign_node(names: Names, node: ast.Assign) -> None:
    if not names.scopes and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        _named(names, node, node.targets[0], node.value)
        return
    names.taken = node.value
    names.visit(node.value)
    for target in node.targets:
        names.visit(target)
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) and not names.scopes:
            for one, value in zip(target.elts, node.value.elts, strict=False):
                _same_object(names, one, value)
        elif not names.scopes:
            _same_object(names, target, node.value)


def _named(names: Names, node: ast.stmt, target: ast.Name, value: ast.expr) -> None:
    """`x = value` at the notebook's level: a lambda, an alias, or x made from itself."""
    name = target.id
    if isinstance(value, ast.Lambda):
        recorded(names, Record(name, value), lambda: names.visit(value))
        made = names.functions.get(name)
        names.bind(name, target)
        if made is not None:
            names.functions[name] = made
        return
    names.taken = value
    names.visit(value)
    if (name in names.uses or name in names.kept) and any(
        isinstance(part, ast.Name) and part.id == name for part in ast.walk(value)
    ):
        names.rebinds.setdefault(name, node)
    names.bind(name, target)
    _same_object(names, target, value)


def _same_object(names: Names, target: ast.expr, value: ast.expr) -> None:
    if isinstance(target, ast.Name) and isinstance(value, ast.Name) and target.id != value.id:
        root = names.alias_of.get(value.id, value.id)
        names.aliases[target.id] = value.id
        if root not in names.bound or root in names.kept:
            names.alias_of[target.id] = root


@handles(ast.AnnAssign)
def _ann_assign_node(names: Names, node: ast.AnnAssign) -> None:
    if not isinstance(node.annotation, ast.Constant):
        names.visit(node.annotation)
    if node.value is None:
        if not isinstance(node.target, ast.Name):
            names.visit(node.target)
        elif names.scopes:
            names.scopes[-1].bound.add(node.target.id)
    elif not names.scopes and isinstance(node.target, ast.Name):
        _named(names, node, node.target, node.value)
    else:
        names.visit(node.value)
        names.visit(node.target)


@handles(ast.AugAssign)
def _aug_assign_node(names: Names, node: ast.AugAssign) -> None:
    names.visit(node.value)
    target = node.target
    if not isinstance(target, ast.Name):
        changed_part(names, target, "augmented", _SIGNS.get(type(node.op), "?="), node)
        names.visit(target)
        return
    names.read(target.id, target)
    outer = not names.scopes and (target.id not in names.bound or target.id in names.kept)
    names.mutate(target.id, Mutation("augmented", _SIGNS.get(type(node.op), "?="), node))
    names.bind(target.id, target)
    if outer:
        names.kept.add(target.id)


@handles(ast.Delete)
def _delete_node(names: Names, node: ast.Delete) -> None:
    for target in node.targets:
        names.visit(target)


@handles(ast.Global)
def _global_node(names: Names, node: ast.Global) -> None:
    if names.scopes:
        names.scopes[-1].globals.update(node.names)


@handles(ast.Nonlocal)
def _nonlocal_node(names: Names, node: ast.Nonlocal) -> None:
    if names.scopes:
        names.scopes[-1].elsewhere.update(node.names)


@handles(ast.If)
def _if_node(names: Names, node: ast.If) -> None:
    names.visit(node.test)
    if names.scopes:
        names.statements(node.body)
        names.statements(node.orelse)
        return
    if _is_main_guard(node.test):
        names.statements(node.body)
        return
    _branches(names, [node.body, node.orelse])


def _branches(names: Names, bodies: list[list[ast.stmt]]) -> None:
    """Each body from the same start; afterwards only what all of them bind is bound for sure."""
    before = set(names.bound)
    ends: list[set[str]] = []
    everything = set(before)
    names.guard += 1
    for body in bodies:
        names.bound = set(before)
        names.statements(body)
        everything |= names.bound
        if not _leaves(body):
            ends.append(names.bound)
    names.guard -= 1
    names.bound = set.intersection(*ends) if ends else everything
    names.perhaps |= everything - names.bound


@handles(ast.Try, ast.TryStar)
def _try_node(names: Names, node: ast.Try | ast.TryStar) -> None:
    if names.scopes:
        names.statements(node.body)
        for handler in node.handlers:
            names.visit(handler)
        names.statements(node.orelse)
        names.statements(node.finalbody)
        return
    before = set(names.bound)
    names.guard += 1
    names.statements(node.body)
    names.statements(node.orelse)
    ends = [] if _leaves(node.body) else [names.bound]
    everything = set(names.bound)
    for handler in node.handlers:
        names.bound = set(before)
        names.perhaps |= everything - before
        names.visit(handler)
        everything |= names.bound
        if not _leaves(handler.body):
            ends.append(names.bound)
    names.guard -= 1
    names.bound = set.intersection(*ends) if ends else everything
    names.perhaps |= everything - names.bound
    names.statements(node.finalbody)


@handles(ast.ExceptHandler)
def _except_handler_node(names: Names, node: ast.ExceptHandler) -> None:
    if node.type is not None:
        names.visit(node.type)
    if node.name and not names.scopes:
        known = node.name in names.defines
        names.bind(node.name, node)
        names.statements(node.body)
        names.bound.discard(node.name)
        if not known:
            names.defines.pop(node.name, None)
        return
    if node.name:
        names.bind(node.name, node)
    names.statements(node.body)


@handles(ast.For, ast.AsyncFor)
def _for_node(names: Names, node: ast.For | ast.AsyncFor) -> None:
    names.visit(node.iter)
    names.visit(node.target)
    _loop(names, node.body, node.orelse)


@handles(ast.While)
def _while_node(names: Names, node: ast.While) -> None:
    names.visit(node.test)
    _loop(names, node.body, node.orelse)


def _loop(names: Names, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
    """The body of a loop; what a branch reads and a later line makes may come from the round before."""
    known = set(names.guarded_reads)
    names.statements(body)
    for name in names.guarded_reads - known:
        if name in names.bound and name in names.uses:
            names.perhaps_uses.setdefault(name, names.uses.pop(name))
    names.statements(orelse)


@handles(ast.Match)
def _match_node(names: Names, node: ast.Match) -> None:
    names.visit(node.subject)
    if names.scopes:
        for case in node.cases:
            _case(names, case)
        return
    before = set(names.bound)
    ends: list[set[str]] = []
    everything = set(before)
    certain = False
    for case in node.cases:
        names.bound = set(before)
        _case(names, case)
        everything |= names.bound
        if not _leaves(case.body):
            ends.append(names.bound)
        certain = certain or (isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None)
    if not certain:
        ends.append(before)
    names.bound = set.intersection(*ends) if ends else everything
    names.perhaps |= everything - names.bound


def _case(names: Names, case: ast.match_case) -> None:
    names.visit(case.pattern)
    if case.guard is not None:
        names.visit(case.guard)
    names.statements(case.body)


def _leaves(body: list[ast.stmt]) -> bool:
    """Whether a branch ends without coming to what follows."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, _LEAVES):
        return True
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and dotted(last.value.func) in _ENDS_BY_CALL


def _is_main_guard(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return bool(test.value)
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"
