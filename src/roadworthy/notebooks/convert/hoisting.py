"""What of a notebook belongs to the module rather than to a step: functions, classes, constants, and parameters.

In: a program. Out: `Hoisted`: functions that can stand at module level (with the values they must be given), those that
must stand inside a step, constants, and scalars that become parameters of the project. Called by `conversion.py`.
"""

import ast
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from roadworthy.notebooks.convert import names
from roadworthy.notebooks.convert.program import Program, Statement
from roadworthy.pipelines.scopes import is_builtin

PARAMETER_TAGS = ("parameters", "rw:param")
_PURE = frozenset({"list", "tuple", "dict", "set", "range", "sorted", "len", "float", "int", "str", "frozenset", "sum"})
_WORDS = re.compile(r"[^0-9a-zA-Z]+|(?<=[a-z0-9])(?=[A-Z])")


class Definition(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A function or class of the notebook.

    Args:
        statement: that defines it.
        inside: whether it must stand inside each step that uses it.
        extras: values that it took from the notebook's top level, and must be given by name.
        uses: all names that it, and what it calls, needs.
    """

    name: str
    statement: Statement
    inside: bool
    extras: tuple[str, ...]
    uses: frozenset[str]


class Hoisted(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What goes to the module: `definitions`, `constants` (name to statement) and `params` (name to value)."""

    definitions: dict[str, Definition]
    constants: dict[str, Statement]
    params: dict[str, Any]
    param_statements: dict[str, Statement]

    def expanded(self, reads: Iterable[str]) -> frozenset[str]:
        """Names of values that are needed where these names are: those that functions must be given included."""
        found: set[str] = set()
        for name in reads:
            definition = self.definitions.get(name)
            if definition is None:
                found.add(name)
            elif definition.inside:
                found |= {name, *definition.extras}
            else:
                found |= {name, *definition.extras}
        return frozenset(found)


def hoist(program: Program) -> Hoisted:
    """Decide what belongs to the module."""
    bound: dict[str, list[Statement]] = {}
    changed: set[str] = set()
    deferred: set[str] = set()
    for statement in program.statements:
        for name in statement.binds:
            bound.setdefault(name, []).append(statement)
        changed |= statement.changes
        deferred |= {o.node.id for o in names.occurrences(statement.node) if o.deferred and o.reads}
    changed |= program.entangled
    once = {name for name, there in bound.items() if len(there) == 1} - changed
    read = {name for statement in program.statements for name in statement.reads}
    constants = {
        # What is put together from others and read by nothing is what the notebook is for, not a setting of it.
        name: s for name, s in _constants(program, once).items() if name in read or not s.reads
    }  # fmt: skip
    params, stated = _params(program, constants, deferred)
    for name in params:
        constants.pop(name, None)
    definitions = _definitions(program, bound, constants)
    return Hoisted(definitions=definitions, constants=constants, params=params, param_statements=stated)


def upper(name: str) -> str:
    """`maxDepth` as `MAX_DEPTH`."""
    return "_".join(part for part in _WORDS.split(name) if part).upper() or name


def lower(name: str) -> str:
    """`maxDepth` and `MAX_DEPTH` as `max_depth`."""
    return "_".join(part for part in _WORDS.split(name) if part).lower() or name


def _constants(program: Program, once: set[str]) -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    for statement in program.statements:
        node = statement.node
        if statement.kind != "prepare" or not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        if program.step_tag(statement.cell):
            continue
        target = node.targets[0]
        parts = target.elts if isinstance(target, ast.Tuple) else [target]
        if not all(isinstance(part, ast.Name) and part.id in once for part in parts):
            continue
        if isinstance(target, ast.Tuple) and not (
            isinstance(node.value, ast.Tuple) and len(node.value.elts) == len(target.elts)
        ):
            continue
        if _is_constant(node.value, found):
            for part in parts:
                assert isinstance(part, ast.Name)
                found[part.id] = statement
    return found


def _is_constant(node: ast.AST, known: dict[str, Statement]) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        return node.id in known
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return all(_is_constant(part, known) for part in node.elts)
    if isinstance(node, ast.Dict):
        return all(k is not None and _is_constant(k, known) for k in node.keys) and all(
            _is_constant(v, known) for v in node.values
        )
    if isinstance(node, ast.UnaryOp):
        return _is_constant(node.operand, known)
    if isinstance(node, ast.BinOp):
        return _is_constant(node.left, known) and _is_constant(node.right, known)
    if isinstance(node, ast.Starred):
        return _is_constant(node.value, known)
    if isinstance(node, ast.Call):
        pure = isinstance(node.func, ast.Name) and node.func.id in _PURE and not node.keywords
        return pure and all(_is_constant(part, known) for part in node.args)
    return False


def _params(
    program: Program, constants: dict[str, Statement], deferred: set[str]
) -> tuple[dict[str, Any], dict[str, Statement]]:
    """Scalars that steps use as they are, and whatever is tagged as parameters."""
    in_constants = {
        o.node.id for s in constants.values() for o in names.occurrences(s.node) if o.reads and o.node.id in constants
    }
    found: dict[str, Any] = {}
    stated: dict[str, Statement] = {}
    for name, statement in constants.items():
        value = _literal(statement, name)
        if value is None:
            continue
        tagged = program.has_tag(statement.cell, *PARAMETER_TAGS)
        scalar = isinstance(value, bool | int | float) and name not in deferred
        if (tagged or scalar) and name not in in_constants:
            found[name] = value
            stated[name] = statement
    return found, stated


def _literal(statement: Statement, name: str) -> Any:
    """The value assigned to a name where it is one that a TOML file can hold; None otherwise."""
    target, node = statement.node.targets[0], statement.node.value
    if isinstance(target, ast.Tuple):
        place = next(i for i, part in enumerate(target.elts) if isinstance(part, ast.Name) and part.id == name)
        node = node.elts[place]
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if _fits_toml(value) else None


def _fits_toml(value: Any) -> bool:
    if isinstance(value, list):
        return all(_fits_toml(part) for part in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _fits_toml(v) for k, v in value.items())
    if isinstance(value, int) and not isinstance(value, bool):
        return -(2**63) <= value < 2**63
    return isinstance(value, bool | float | str)


def _definitions(
    program: Program, bound: dict[str, list[Statement]], constants: dict[str, Statement]
) -> dict[str, Definition]:
    made = [s for s in program.statements if s.kind == "define"]
    plain: dict[str, Statement] = {}
    several: set[str] = set()
    for statement in made:
        (name, *_) = statement.binds - _globals(statement.node) or statement.binds
        texts = {ast.dump(other.node) for other in bound[name]}
        if len(texts) > 1:
            several.add(name)
        plain.setdefault(name, statement)
    own = {name: _needs(s, name, program) for name, s in plain.items()}
    inside = {
        name
        for name, s in plain.items()
        if name in several
        or _globals(s.node)
        or (_values(own[name], plain, constants) and not _can_be_given(program, name, s))
    }
    # What calls a function that must stand inside a step must stand there too.
    for _ in plain:
        inside |= {name for name in plain if own[name] & inside}
    return {
        name: Definition(
            name=name,
            statement=statement,
            inside=name in inside,
            extras=tuple(sorted(_values(_reach(name, own), plain, constants))),
            uses=frozenset(_reach(name, own)),
        )
        for name, statement in plain.items()
        if name not in several
    }


def _needs(statement: Statement, name: str, program: Program) -> set[str]:
    return {n for n in statement.reads if n not in program.imports and not is_builtin(n)} - {name}


def _values(needs: set[str], functions: dict[str, Statement], constants: dict[str, Statement]) -> set[str]:
    return {name for name in needs if name not in functions and name not in constants}


def _reach(name: str, own: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    seen: set[str] = set()
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        found |= own[each]
        waiting += [n for n in own[each] if n in own]
    return found - {name}


def _can_be_given(program: Program, name: str, statement: Statement) -> bool:
    """Whether a function can be handed more arguments: it is a plain one, and only ever called."""
    if not isinstance(statement.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    if statement.node.decorator_list:
        return False
    immediate = {o.node.id for o in names.occurrences(statement.node) if not o.deferred}
    if immediate - program.imports.keys() - {name} and any(
        not is_builtin(n) for n in immediate - program.imports.keys()
    ):
        return False  # a default that is computed from the notebook's values
    for each in program.statements:
        called = {id(call.func) for call in ast.walk(each.node) if isinstance(call, ast.Call)}
        for occurrence in names.occurrences(each.node):
            if occurrence.node.id == name and occurrence.reads and id(occurrence.node) not in called:
                return False
    return True


def _globals(node: ast.AST) -> set[str]:
    return {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
