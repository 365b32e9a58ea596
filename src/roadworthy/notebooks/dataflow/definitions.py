"""Functions, classes and imports of a cell. Called by `walk.py` through the handlers, and by `statements.py`."""

import ast
from collections.abc import Callable, Sequence
from typing import Any

from roadworthy.notebooks.dataflow.cell_flow import Import
from roadworthy.notebooks.dataflow.names import CLASS, FUNCTION, Names, Record, Scope, handles


@handles(ast.FunctionDef, ast.AsyncFunctionDef)
def _function_def_node(names: Names, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    for decorator in node.decorator_list:
        names.visit(decorator)
    outer = _type_parameters(names, node)
    _header(names, node.args)
    if node.returns is not None and not isinstance(node.returns, ast.Constant):
        names.visit(node.returns)
    names.bind(node.name, node)
    if names.record is None and not names.scopes:
        record = Record(node.name, node)
        recorded(names, record, lambda: _function(names, node.args, node.body))
    else:
        _function(names, node.args, node.body)
    names.generic = outer


def _type_parameters(names: Names, node: ast.AST) -> frozenset[str]:
    """Let the type parameters of `def f[T]`, `class C[T]` or `type A[T]` be known; those known before."""
    outer = names.generic
    parameters = getattr(node, "type_params", None)
    if parameters:
        names.generic = outer | {parameter.name for parameter in parameters}
        for parameter in parameters:
            names.visit(parameter)
    return outer


def _type_alias_node(names: Names, node: Any) -> None:
    names.bind(node.name.id, node.name)
    outer = _type_parameters(names, node)
    names.visit(node.value)
    names.generic = outer


if hasattr(ast, "TypeAlias"):  # Python 3.12
    handles(ast.TypeAlias)(_type_alias_node)


@handles(ast.Lambda)
def _lambda_node(names: Names, node: ast.Lambda) -> None:
    _header(names, node.args)
    _function(names, node.args, [node.body])


def recorded(names: Names, record: Record, visit: Callable[[], None], *, is_class: bool = False) -> None:
    names.record = record
    visit()
    names.record = None
    (names.classes if is_class else names.functions)[record.name] = record.made()


def _header(names: Names, spec: ast.arguments) -> None:
    for default in (*spec.defaults, *spec.kw_defaults):
        if default is not None:
            names.visit(default)
    for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg):
        annotation = argument.annotation if argument is not None else None
        if annotation is not None and not isinstance(annotation, ast.Constant):
            names.visit(annotation)


def _function(names: Names, spec: ast.arguments, body: Sequence[ast.AST]) -> None:
    scope = Scope(FUNCTION)
    ordered = (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)
    scope.parameters = tuple(a.arg for a in ordered)
    scope.bound.update(scope.parameters)
    scope.bound.update(a.arg for a in (spec.vararg, spec.kwarg) if a is not None)
    if names.record is not None and not names.scopes:
        names.record.parameters = scope.parameters
    names.scopes.append(scope)
    for part in _without_docstring(body):
        names.visit(part)
    names.leave_function()


@handles(ast.ClassDef)
def _class_def_node(names: Names, node: ast.ClassDef) -> None:
    for decorator in node.decorator_list:
        names.visit(decorator)
    outer = _type_parameters(names, node)
    for base in node.bases:
        names.visit(base)
    for keyword in node.keywords:
        names.visit(keyword.value)
    if names.record is None and not names.scopes:
        recorded(names, Record(node.name, node), lambda: _class_body(names, node), is_class=True)
        made = names.classes[node.name]
        names.bind(node.name, node)
        names.classes[node.name] = made
    else:
        _class_body(names, node)
        names.bind(node.name, node)
    names.generic = outer


def _class_body(names: Names, node: ast.ClassDef) -> None:
    names.scopes.append(Scope(CLASS))
    for part in _without_docstring(node.body):
        names.visit(part)
    names.scopes.pop()


@handles(ast.Import)
def _import_node(names: Names, node: ast.Import) -> None:
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        module = alias.name if alias.asname else name
        _imported(names, name, Import(name, module, "", 0, alias, _owner(names), names.guard > 0), alias)
        if not alias.asname and "." in alias.name:  # `import a.b`: the name is a, what is needed is a.b
            names.imports[-1] = names.imports[-1]._replace(module=alias.name)


@handles(ast.ImportFrom)
def _import_from_node(names: Names, node: ast.ImportFrom) -> None:
    module = node.module or ""
    for alias in node.names:
        if alias.name == "*":
            names.stars.append("." * node.level + module)
            names.imports.append(Import("*", module, "*", node.level, alias, _owner(names), names.guard > 0))
            continue
        name = alias.asname or alias.name
        _imported(
            names, name, Import(name, module, alias.name, node.level, alias, _owner(names), names.guard > 0), alias
        )


def _imported(names: Names, name: str, made: Import, node: ast.AST) -> None:
    names.imports.append(made)
    names.bind(name, node)


def _owner(names: Names) -> str:
    return names.record.name if names.record else ""


def _without_docstring(body: Sequence[ast.AST]) -> Sequence[ast.AST]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body
