"""JSON for plain values, and for containers of anything: a tuple of two tables, a dict of a model and its metrics.

What JSON has no word for is tagged (`{"$tuple": […]}`), so that it comes back as what it was. A part that is no JSON
value (a table, an array, a model) is stored by its own format, and its place says which (`{"$part": 0}`).
"""

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from roadworthy.data.formats.format import Context, Stored, Written, type_names
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.step import Value

NAME = "json"
AUTOMATIC = True
DEPTH_MAX = 200
_PLAIN = {type(None), bool, int, str}
_CONTAINERS = {list, tuple, dict, set, frozenset}
# type -> (tag, to JSON, from JSON)
_TAGGED: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    bytes: ("$bytes", lambda v: base64.b64encode(v).decode(), base64.b64decode),
    dt.datetime: ("$datetime", dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: ("$date", dt.date.isoformat, dt.date.fromisoformat),
    dt.time: ("$time", dt.time.isoformat, dt.time.fromisoformat),
    dt.timedelta: (
        "$timedelta",
        lambda v: [v.days, v.seconds, v.microseconds],
        lambda v: dt.timedelta(*v),
    ),
    decimal.Decimal: ("$decimal", str, decimal.Decimal),
    uuid.UUID: ("$uuid", str, uuid.UUID),
    complex: ("$complex", lambda v: [repr(v.real), repr(v.imag)], lambda v: complex(float(v[0]), float(v[1]))),
}
_FROM_TAG = {tag: back for tag, _, back in _TAGGED.values()}


def takes(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return False  # text is stored as text
    return (
        kind in _PLAIN
        or kind is float
        or kind in _CONTAINERS
        or (kind in _TAGGED and kind is not bytes)
        or _is_record(value)
        or isinstance(value, enum.Enum)
        or "numpy.generic" in type_names(value)
    )


def write(value: Any, path: Path, context: Context) -> Written:
    parts: list[Value] = []
    tree = _down(value, context, parts, "value", 0)
    path.write_bytes(_dump(tree))
    meta = {"parts": [msgspec.to_builtins(part) for part in parts]} if parts else {}
    return Written(type=type_names(value)[0].removeprefix("builtins."), content=_content(tree, parts), meta=meta)


def read(stored: Stored, context: Context) -> Any:
    parts = [msgspec.convert(part, Value) for part in stored.value.meta.get("parts", ())]
    return _up(json.loads(stored.content()), context, parts)


def _dump(tree: Any) -> bytes:
    return json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()


def _content(tree: Any, parts: list[Value]) -> str:
    said = json.dumps([tree, [part.content for part in parts]], separators=(",", ":"), sort_keys=True)
    return blake3(said.encode()).hexdigest()


def _down(value: Any, context: Context, parts: list[Value], where: str, depth: int) -> Any:
    """A JSON value that says what `value` is."""
    if depth > DEPTH_MAX:
        raise invalid(f"values are nested deeper than {DEPTH_MAX}, or contain themselves", where=where[:80])
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if kind in _TAGGED:
        tag, to_json, _ = _TAGGED[kind]
        return {tag: to_json(value)}

    def inner(child: Any, name: Any) -> Any:
        return _down(child, context, parts, f"{where}[{name!r}]", depth + 1)

    if kind is list:
        return [inner(child, i) for i, child in enumerate(value)]
    if kind is dict:
        return _mapping(value, inner)
    if kind is tuple:
        return {"$tuple": [inner(child, i) for i, child in enumerate(value)]}
    if kind in {set, frozenset}:
        tag = "$set" if kind is set else "$frozenset"
        return {tag: sorted((inner(child, child) for child in value), key=_dump)}
    if isinstance(value, enum.Enum):
        return {"$enum": [_path_of(kind), value.name]}
    if _is_record(value):
        return {"$record": [_path_of(kind), {name: inner(child, name) for name, child in _fields(value)}]}
    if "numpy.generic" in type_names(value):
        return {"$numpy": [value.dtype.str, base64.b64encode(value.tobytes()).decode()]}
    parts.append(_part(value, context, where))
    return {"$part": len(parts) - 1}


def _mapping(value: dict[Any, Any], inner: Callable[[Any, Any], Any]) -> Any:
    plain = all(type(key) is str for key in value)
    if plain and not (len(value) == 1 and next(iter(value)).startswith("$")):
        return {key: inner(child, key) for key, child in value.items()}
    return {"$dict": [[inner(key, key), inner(child, key)] for key, child in value.items()]}


def _part(value: Any, context: Context, where: str) -> Value:
    if takes(value):  # a subclass that neither we nor another format would bring back as it was
        raise invalid(f"no format stores a {type(value).__qualname__} as it is", where=where)
    try:
        return context.keep(value)
    except Exception as problem:
        if hasattr(problem, "where") and not problem.where:
            problem.where = where
        raise


def _up(tree: Any, context: Context, parts: list[Value]) -> Any:
    if isinstance(tree, list):
        return [_up(child, context, parts) for child in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) != 1:
        return {key: _up(child, context, parts) for key, child in tree.items()}
    [(tag, content)] = tree.items()
    if not tag.startswith("$"):
        return {tag: _up(content, context, parts)}
    if tag in _FROM_TAG:
        return _FROM_TAG[tag](content)
    return _untag(tag, content, context, parts)


def _untag(tag: str, content: Any, context: Context, parts: list[Value]) -> Any:
    def up(child: Any) -> Any:
        return _up(child, context, parts)

    match tag:
        case "$float":
            return float(content)
        case "$tuple":
            return tuple(up(child) for child in content)
        case "$set":
            return {up(child) for child in content}
        case "$frozenset":
            return frozenset(up(child) for child in content)
        case "$dict":
            return {up(key): up(child) for key, child in content}
        case "$numpy":
            import numpy as np

            return np.frombuffer(base64.b64decode(content[1]), np.dtype(content[0]))[0]
        case "$enum":
            return _class_at(content[0], enum.Enum)[content[1]]
        case "$record":
            return _rebuild(content[0], {name: up(child) for name, child in content[1].items()})
        case "$part":
            return context.fetch(parts[content])
    raise invalid(f"a stored JSON value has a tag that is not known: {tag[:40]}", fix="upgrade roadworthy")


def _is_record(value: Any) -> bool:
    """A dataclass, a named tuple or a msgspec record: its fields say all of it."""
    if isinstance(value, type):
        return False
    return dataclasses.is_dataclass(value) or isinstance(value, msgspec.Struct) or _is_named_tuple(value)


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _fields(value: Any) -> list[tuple[str, Any]]:
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    names = value._fields if _is_named_tuple(value) else value.__struct_fields__
    return [(name, getattr(value, name)) for name in names]


def _path_of(kind: type) -> str:
    if "<locals>" in kind.__qualname__:
        raise invalid(f"a value of the local class {kind.__qualname__} could not be found again", fix="move it out")
    return f"{kind.__module__}:{kind.__qualname__}"


def _class_at(path: str, base: type | None) -> Any:
    """A class that is loaded already: a stored name never makes us import anything."""
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or (base is not None and not issubclass(found, base)):
        raise invalid(f"the value is a {name}, which {module} no longer has", where=path, fix=f"import {module} first")
    return found


def _rebuild(path: str, fields: dict[str, Any]) -> Any:
    kind = _class_at(path, None)
    if issubclass(kind, msgspec.Struct) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return kind(**fields)
    if not dataclasses.is_dataclass(kind):
        raise invalid("the value was a record, and its class no longer is", where=path)
    # Not by __init__, which may compute or refuse: the fields as they were.
    value: Any = object.__new__(kind)  # type: ignore[arg-type]
    for name, child in fields.items():
        object.__setattr__(value, name, child)
    return value
