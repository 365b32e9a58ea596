"""Effective parameters: those of the project file, with what was set on the command line, typed by what is there.

In: `[params]` and texts such as `lr=0.05` or `trees.depth=3`. Out: the parameters of a run. Called by the runner.
"""

import ast
import copy
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.pipelines.graph import Graph, nearest

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def effective(params: Mapping[str, Any], settings: Iterable[str], graph: Graph) -> dict[str, Any]:
    """The parameters of a run.

    Args:
        params: of the project file.
        settings: `NAME=VALUE` or `TABLE.NAME=VALUE`; VALUE is read as the type that the parameter has already.
        graph: for parameters that are only defaults of steps.

    Raises:
        Fault: invalid for an unknown parameter (naming the nearest), or a value of another type.
    """
    found: dict[str, Any] = copy.deepcopy(dict(params))
    defaults = {a.name: node.step.defaults[a.name] for node in graph.nodes.values() for a in node.arguments
                if a.kind == "default"}  # fmt: skip
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals:
            raise invalid(
                "a parameter is set as NAME=VALUE", where=setting[:80], fix="such as --set learning_rate=0.05"
            )
        *path, last = name.split(".")
        table: Any = found
        for part in path:
            if not isinstance(table.get(part), dict):
                raise _unknown(name, found, defaults)
            table = table[part]
        if last in table:
            table[last] = _typed(name, text, table[last])
        elif not path and last in defaults:
            found[last] = _typed(name, text, _literal(defaults[last]))
        else:
            raise _unknown(name, found, defaults)
    return found


def _typed(name: str, text: str, before: Any) -> Any:
    """A text as a value of the type of the value before."""
    try:
        value = _read(text.strip(), before)
    except (ValueError, tomllib.TOMLDecodeError):
        value = None
    if value is None:
        kind = type(before).__name__
        raise invalid(
            f"the parameter {name} is of type {kind}, such as {before!r}; {text!r} is not", where=f"--set {name}={text}"
        )
    return value


def _read(text: str, before: Any) -> Any:
    """The value that a text stands for, None when it is none of the type."""
    if isinstance(before, bool):
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else None
    if isinstance(before, int):
        return int(text)
    if isinstance(before, float):
        return float(text)
    if isinstance(before, str):
        return text
    value = tomllib.loads(f"value = {text}")["value"]
    return value if before is None or type(value) is type(before) else None


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None


def _unknown(name: str, params: Mapping[str, Any], defaults: Mapping[str, Any]) -> Fault:
    known = {*_names(params), *defaults}
    return invalid(f"there is no parameter called {name}", where=f"--set {name}", fix=nearest(name, known))


def _names(params: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in params.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
