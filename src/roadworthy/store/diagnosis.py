"""What is wrong with a decoded file, all of it, by the types it should have.

msgspec decodes in microseconds but stops at the first mistake and does not say under which key of a mapping; this walks
the same types once more, slowly, only after msgspec has refused.
"""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

Path = tuple[str | int, ...]
NEAR = 0.6
SHOWN_MAX = 60


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake.

    Args:
        path: keys and indices from the file's root.
        what: what is wrong.
        fix: what is allowed, or what would pass.
        on_key: whether it is the key that is wrong, not its value.
    """

    path: Path
    what: str
    fix: str = ""
    on_key: bool = False


def problems(value: Any, kind: type) -> list[Problem]:
    """Every mistake in `value`, which should be a `kind`; none when msgspec would take it."""
    root = inspect.type_info(kind)
    homes = _homes(root)
    return list(_check(value, root, (), {}, homes))


def show_path(path: Path) -> str:
    """A path as TOML would write it: `gate.rules[2].level`."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else msgspec.json.encode(part).decode()
            shown += f".{name}" if shown else name
    return shown


def nearest(word: str, allowed: list[str]) -> str | None:
    """The allowed word that was most probably meant."""
    import difflib  # for mistakes alone

    folded = {name.lower().replace("-", "_"): name for name in allowed}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=NEAR)
    return folded[close[0]] if close else None


def _check(
    value: Any, kind: inspect.Type, path: Path, notes: dict[str, Any], homes: dict[str, list[str]]
) -> Iterator[Problem]:
    while isinstance(kind, inspect.Metadata):
        notes = {**notes, **(kind.extra_json_schema or {})}
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        yield from _check_union(value, kind, path, notes, homes)
    elif isinstance(kind, inspect.StructType):
        if isinstance(value, dict):
            yield from _check_table(value, kind, path, homes)
        else:
            yield _wrong_type(value, kind, path, notes)
    elif isinstance(kind, inspect.DictType):
        if isinstance(value, dict):
            for key, item in value.items():
                for problem in _check(key, kind.key_type, (*path, key), {}, homes):
                    yield msgspec.structs.replace(problem, on_key=True)
                yield from _check(item, kind.value_type, (*path, key), {}, homes)
        else:
            yield _wrong_type(value, kind, path, notes)
    elif isinstance(kind, inspect.VarTupleType | inspect.ListType):
        if isinstance(value, list):
            for place, item in enumerate(value):
                yield from _check(item, kind.item_type, (*path, place), {}, homes)
        else:
            yield _wrong_type(value, kind, path, notes)
    else:
        yield from _check_scalar(value, kind, path, notes)


def _check_table(
    value: dict[str, Any], kind: inspect.StructType, path: Path, homes: dict[str, list[str]]
) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in kind.fields}
    allowed = [*([kind.tag_field] if kind.tag_field else []), *fields]
    meant: set[str | None] = set()
    for key, item in value.items():
        if key in fields:
            yield from _check(item, fields[key].type, (*path, key), {}, homes)
        elif key == kind.tag_field:
            if item != kind.tag:
                yield Problem(path=(*path, key), what=f"{_show(item)} is not allowed", fix=f'allowed: "{kind.tag}"')
        elif kind.forbid_unknown_fields:
            near = nearest(key, allowed)
            meant.add(near)
            yield _unknown(key, near, allowed, path, homes)
    for name, field in fields.items():
        if field.required and name not in value and name not in meant:
            about = _notes(field.type).get("description", "")
            yield Problem(path=path, what=f"the key `{name}` is missing", fix=f"{name}: {about}" if about else "")


def _unknown(key: str, near: str | None, allowed: list[str], path: Path, homes: dict[str, list[str]]) -> Problem:
    hint = f"did you mean `{near}`? " if near else ""
    if not near and key in homes:
        hint = f"it belongs in {' or '.join(homes[key][:3])}. "
    return Problem(
        path=(*path, key), what="unknown key", fix=f"{hint}allowed here: {', '.join(sorted(allowed))}", on_key=True
    )


def _check_union(
    value: Any, kind: inspect.UnionType, path: Path, notes: dict[str, Any], homes: dict[str, list[str]]
) -> Iterator[Problem]:
    members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
    fitting = [member for member in members if _is_of(value, member)]
    if not fitting:
        yield _wrong_type(value, inspect.UnionType(tuple(members)), path, notes)
        return
    tried = [list(_check(value, member, path, notes, homes)) for member in fitting]
    yield from min(tried, key=len)


def _check_scalar(value: Any, kind: inspect.Type, path: Path, notes: dict[str, Any]) -> Iterator[Problem]:
    if isinstance(kind, inspect.AnyType):
        return
    if not _is_of(value, kind):
        yield _wrong_type(value, kind, path, notes)
    elif isinstance(kind, inspect.LiteralType):
        if value not in kind.values:
            near = nearest(value, [str(v) for v in kind.values]) if isinstance(value, str) else None
            hint = f'did you mean "{near}"? ' if near else ""
            yield Problem(path=path, what=f"{_show(value)} is not allowed", fix=f"{hint}allowed: {_expected(kind, {})}")
    elif isinstance(kind, inspect.StrType):
        if kind.pattern is not None and not re.search(kind.pattern, value):
            yield Problem(path=path, what=f"{_show(value)} is not allowed", fix=f"allowed: {_expected(kind, notes)}")
    elif isinstance(kind, inspect.IntType | inspect.FloatType) and not _within(value, kind):
        yield Problem(path=path, what=f"{value} is out of range", fix=f"allowed: {_expected(kind, notes)}")


def _wrong_type(value: Any, kind: inspect.Type, path: Path, notes: dict[str, Any]) -> Problem:
    return Problem(path=path, what=f"{_type_name(value)} cannot stand here", fix=f"allowed: {_expected(kind, notes)}")


def _is_of(value: Any, kind: inspect.Type) -> bool:
    """Whether a value is of a type, its limits left aside."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    match kind:
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, dict)
        case inspect.VarTupleType() | inspect.ListType():
            return isinstance(value, list)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.LiteralType():
            return any(type(value) is type(allowed) for allowed in kind.values)
        case _:
            return isinstance(kind, inspect.AnyType)


def _within(value: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


def _expected(kind: inspect.Type, notes: dict[str, Any]) -> str:
    """What a value may be, in words."""
    while isinstance(kind, inspect.Metadata):
        notes = {**notes, **(kind.extra_json_schema or {})}
        kind = kind.type
    match kind:
        case inspect.UnionType():
            return " or ".join(_expected(m, notes) for m in kind.types if not isinstance(m, inspect.NoneType))
        case inspect.StructType():
            return f"a table with the keys {', '.join(sorted(f.encode_name for f in kind.fields))}"
        case inspect.DictType():
            return "a table"
        case inspect.VarTupleType() | inspect.ListType():
            return f"a list, each item {_expected(kind.item_type, {})}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            return _expected_number(kind)
        case inspect.LiteralType():
            return ", ".join(_show(value) for value in kind.values)
        case _:
            such = ", ".join(_show(example) for example in notes.get("examples", ()))
            form = f"a string: {notes['title']}" if "title" in notes else "a string"
            return f"{form}, such as {such}" if such else form


def _expected_number(kind: inspect.IntType | inspect.FloatType) -> str:
    noun = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    low = f"from {kind.ge}" if kind.ge is not None else f"over {kind.gt}" if kind.gt is not None else ""
    high = f"to {kind.le}" if kind.le is not None else f"under {kind.lt}" if kind.lt is not None else ""
    return " ".join(part for part in (noun, low, "and" if kind.lt is not None and low else "", high) if part)


def _type_name(value: Any) -> str:
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case str():
            return f"the string {_show(value)}"
        case int() | float():
            return f"the number {value}"
        case dict():
            return "a table"
        case list():
            return "a list"
        case dt.datetime() | dt.date() | dt.time():
            return f"the date or time {value} (write it as a string)"
        case _:
            return type(value).__name__


def _show(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def _notes(kind: inspect.Type) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata):
        notes = {**(kind.extra_json_schema or {}), **notes}
        kind = kind.type
    return notes


def _homes(root: inspect.Type) -> dict[str, list[str]]:
    """Key to the tables that have it, for a key that stands in the wrong one."""
    found: dict[str, list[str]] = {}

    def walk(kind: inspect.Type, table: str) -> None:
        while isinstance(kind, inspect.Metadata):
            kind = kind.type
        if isinstance(kind, inspect.StructType):
            for field in kind.fields:
                if table:
                    found.setdefault(field.encode_name, []).append(f"[{table}]")
                walk(field.type, f"{table}.{field.encode_name}" if table else field.encode_name)
        elif isinstance(kind, inspect.DictType):
            walk(kind.value_type, f"{table}.NAME")
        elif isinstance(kind, inspect.UnionType):
            for member in kind.types:
                walk(member, table)

    walk(root, "")
    return found
