"""Fields: one column of a request read as its field allows, or the fault that names row and field.

In: a field of the signature and the values as JSON or text gave them. Out: values that arrays are made of. Called by
serving/signature.py; a reader looks at every value, since each may come from a stranger.
"""

import functools
import math
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.model import Field, FieldType

Source = Literal["json", "text"]

SHOWN_CHARACTERS_MAX = 60
DIGITS_MAX = 400  # of a number in text: longer ones only cost time
_FLOAT32_MAX = 3.4028234663852886e38
_NULL_TEXTS = frozenset(("", "NA", "NaN", "nan", "null", "NULL", "None", "<NA>"))
_TRUE_TEXTS = frozenset(("true", "True", "TRUE", "1"))
_FALSE_TEXTS = frozenset(("false", "False", "FALSE", "0"))
_ALLOWED: dict[FieldType, str] = {
    "integer": "a whole number",
    "number": "a finite number",
    "string": "a string",
    "boolean": "true or false",
    "datetime": 'a date and time as ISO 8601 text, such as "2013-01-31T17:05:00Z"',
}


def read(field: Field, values: Sequence[Any], source: Source) -> Sequence[Any]:
    """The values of one column, once all of them are allowed.

    Args:
        field: what they are held against.
        values: one per row.
        source: `text` when numbers and truth values come spelled out.

    Raises:
        Fault: invalid, for the first value that is not allowed.
    """
    return _READERS[source][field.type](field, values)


def missing_column(field: Field, *, row: int | None = None) -> Fault:
    """The fault of a request without a column that the model takes."""
    place = f"row {row}, " if row is not None else ""
    return invalid(
        f"the column {field.name!r} is missing",
        where=f"{place}field {field.name!r}",
        fix=f"send {_allowed(field)}",
        detail={"field": field.name, "row": row, "allowed": _allowed(field)},
    )


def wrong_value(field: Field, row: int, value: Any) -> Fault:
    """The fault of one value that its field does not allow."""
    sent = "null" if value is None else f"{_kind(value)} {show(value)}"
    return invalid(
        f"must be {_allowed(field)}, not {sent}",
        where=f"row {row}, field {field.name!r}",
        detail={"field": field.name, "row": row, "allowed": _allowed(field), "sent": show(value)},
    )


def show(value: Any) -> str:
    """A value as a message may show it: short, on one line."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"


def _allowed(field: Field) -> str:
    return _ALLOWED[field.type] + (" or null" if field.nullable else "")


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}
    return kinds.get(type(value), type(value).__name__)


def _integers(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    low, high = _whole_limits(field.dtype)
    if set(map(type, values)) == {int} and low <= min(values) and max(values) <= high:
        return values
    return [_integer(field, row, value, (low, high)) for row, value in enumerate(values)]


def _integer(field: Field, row: int, value: Any, limits: tuple[int, int]) -> int | None:
    if value is None and field.nullable:
        return None
    whole = type(value) is int or (type(value) is float and value.is_integer())
    if not whole or not limits[0] <= value <= limits[1]:
        raise wrong_value(field, row, value)
    return int(value)


@functools.cache
def _whole_limits(dtype: str) -> tuple[int, int]:
    """What the integer type of training holds; 64 bits where it does not say."""
    found = re.fullmatch(r"(u?)int(8|16|32|64)", dtype.lower())
    unsigned, bits = (bool(found[1]), int(found[2])) if found else (False, 64)
    return (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _numbers(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    limit = _FLOAT32_MAX if field.dtype.lower() == "float32" else sys.float_info.max
    if set(map(type, values)) == {float} and -limit <= min(values) and max(values) <= limit and not _any_nan(values):
        return values
    return [_number(field, row, value, limit) for row, value in enumerate(values)]


def _any_nan(values: Sequence[float]) -> bool:
    return any(map(math.isnan, values))  # the least of values with one may be any of them


def _number(field: Field, row: int, value: Any, limit: float) -> float | None:
    if value is None and field.nullable:
        return None
    if type(value) in (float, int) and -limit <= value <= limit:
        return float(value)
    raise wrong_value(field, row, value)


def _strings(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    if set(map(type, values)) != {str}:
        for row, value in enumerate(values):
            if type(value) is not str and not (value is None and field.nullable):
                raise wrong_value(field, row, value)
    return values


def _booleans(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    for row, value in enumerate(values):
        if type(value) is not bool and not (value is None and field.nullable):
            raise wrong_value(field, row, value)
    return values


def _datetimes(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    return [_datetime(field, row, value) for row, value in enumerate(values)]


def _datetime(field: Field, row: int, value: Any) -> datetime | None:
    if value is None and field.nullable:
        return None
    if type(value) is str:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise wrong_value(field, row, value)


def _spelled(
    read: Callable[[str], Any], check: Callable[[Field, Sequence[Any]], Sequence[Any]]
) -> Callable[[Field, Sequence[Any]], Sequence[Any]]:
    """A reader of values that come as text: what they spell is then checked as if it had come as JSON."""

    def reader(field: Field, values: Sequence[Any]) -> Sequence[Any]:
        return check(field, [_spelled_value(field, row, value, read) for row, value in enumerate(values)])

    return reader


def _spelled_value(field: Field, row: int, value: Any, read: Callable[[str], Any]) -> Any:
    if type(value) is str and field.type != "string" and value.strip() in _NULL_TEXTS:
        return None
    if value == "" and field.nullable:
        return None
    try:
        return read(value)
    except (ValueError, TypeError):
        raise wrong_value(field, row, value) from None


def _read_number(text: str) -> int | float:
    if len(text) > DIGITS_MAX:
        raise ValueError
    try:
        return int(text)
    except ValueError:
        return float(text)


def _read_boolean(text: str) -> bool:
    if text in _TRUE_TEXTS:
        return True
    if text in _FALSE_TEXTS:
        return False
    raise ValueError


_READERS: dict[Source, dict[FieldType, Callable[[Field, Sequence[Any]], Sequence[Any]]]] = {
    "json": {
        "integer": _integers,
        "number": _numbers,
        "string": _strings,
        "boolean": _booleans,
        "datetime": _datetimes,
    },
    "text": {
        "integer": _spelled(_read_number, _integers),
        "number": _spelled(_read_number, _numbers),
        "string": _spelled(str, _strings),
        "boolean": _spelled(_read_boolean, _booleans),
        "datetime": _spelled(str, _datetimes),
    },
}
