"""Signature: what a model must be sent, learnt from its training rows, and held against every request.

In: a table (registration), or the columns of a request as plain Python values (serving/protocols.py). Out: a
`Signature`, or a table with the columns and types the model was trained on, or a `Fault` naming row and field.
Called by pipelines/registration.py, serving/app.py, serving/model.py and gates/measures.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.model import Field, FieldType, Signature

if TYPE_CHECKING:
    import pandas as pd

Source = Literal["json", "text"]

SHOWN_CHARACTERS_MAX = 60
_INT64 = (-(2**63), 2**63 - 1)
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


def infer(table: Any, features: Sequence[str] = ()) -> Signature:
    """The signature of a table's columns.

    Args:
        table: a `pandas.DataFrame` or `pyarrow.Table` of rows such as the model was trained on.
        features: columns in the order the model takes them; all of the table when empty.

    Raises:
        Fault: invalid, when a column is not there or holds values that no request can carry.
    """
    frame = as_frame(table)
    names = list(features) or [str(name) for name in frame.columns]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise invalid(
            f"the table has no column {missing[0]!r}",
            where="features",
            fix=f"its columns are {', '.join(map(str, frame.columns))}",
        )
    return Signature(inputs=tuple(_field(name, frame[name]) for name in names))


def convert(rows: Sequence[Mapping[str, Any]], signature: Signature) -> "pd.DataFrame":
    """A table for the model out of records, each a mapping from column to plain value.

    Raises:
        Fault: invalid, naming row and field, what was sent and what is allowed.
    """
    columns: dict[str, list[Any]] = {}
    for field in signature.inputs:
        for place, row in enumerate(rows):
            if field.name not in row:
                raise missing_column(field, row=place)
        columns[field.name] = [row[field.name] for row in rows]
    return convert_columns(columns, signature, count=len(rows))


def convert_columns(
    columns: Mapping[str, Sequence[Any]], signature: Signature, *, count: int, source: Source = "json"
) -> "pd.DataFrame":
    """A table for the model out of a request's columns; columns that the model does not take are left out.

    Args:
        columns: name to values, one per row: JSON's values, or text as CSV has it.
        signature: the model's.
        count: number of rows.
        source: `text` when numbers and truth values come spelled out.

    Raises:
        Fault: invalid, naming row and field, what was sent and what is allowed.
    """
    import pandas as pd

    series: dict[str, Any] = {}
    for field in signature.inputs:
        values = columns.get(field.name)
        if values is None:
            raise missing_column(field)
        checked = _READERS[source][field.type](field, values)
        series[field.name] = _array(field, checked)
    return pd.DataFrame(series, index=pd.RangeIndex(count), copy=False)


def align(table: Any, signature: Signature) -> "pd.DataFrame":
    """The columns of a table that the model takes, in its order and with the types it was trained on.

    Raises:
        Fault: invalid, when a column is missing or cannot become what the model takes.
    """
    frame = as_frame(table)
    names = [field.name for field in signature.inputs]
    missing = [field for field in signature.inputs if field.name not in frame.columns]
    if missing:
        raise missing_column(missing[0])
    chosen = frame if list(frame.columns) == names else frame[names]
    wrong = {f.name: f.dtype for f in signature.inputs if f.dtype and str(chosen[f.name].dtype) != f.dtype}
    for name, dtype in list(wrong.items()):
        if chosen[name].isna().any() and _holds_no_nulls(dtype):
            wrong[name] = "float64" if dtype != "bool" else "object"
    try:
        return chosen.astype(wrong) if wrong else chosen
    except (ValueError, TypeError) as problem:
        raise invalid(f"a column is not of the type the model was trained on: {problem}", where=str(wrong)) from None


def as_frame(table: Any) -> "pd.DataFrame":
    """A `pandas.DataFrame` of a table in any form we keep tables in."""
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    for method in ("to_pandas", "df"):  # pyarrow, DuckDB
        if hasattr(table, method):
            return getattr(table, method)()
    raise invalid(f"a table is needed, not {type(table).__name__}", fix="give a pandas.DataFrame or a pyarrow.Table")


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
        f"{field.name!r} must be {_allowed(field)}, not {sent}",
        where=f"row {row}, field {field.name!r}",
        fix=f"send {_allowed(field)}",
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


# Learning a field from a column.


def _field(name: str, column: Any) -> Field:
    kind = _type(name, column)
    dtype = str(column.dtype)
    return Field(name=name, type=kind, nullable=bool(column.isna().any()), dtype=dtype)


def _type(name: str, column: Any) -> FieldType:
    from pandas.api import types

    dtype = column.dtype
    if str(dtype) == "category":
        return _type(name, column.cat.categories.to_series())
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_integer_dtype(dtype):
        return "integer"
    if types.is_float_dtype(dtype):
        return "number"
    if types.is_datetime64_any_dtype(dtype):
        return "datetime"
    if types.is_object_dtype(dtype) or types.is_string_dtype(dtype):
        return _type_of_objects(name, column)
    raise _no_such_type(name, str(dtype))


def _type_of_objects(name: str, column: Any) -> FieldType:
    from pandas.api import types

    kinds: dict[str, FieldType] = {
        "string": "string",
        "empty": "string",
        "boolean": "boolean",
        "integer": "integer",
        "floating": "number",
        "mixed-integer-float": "number",
        "decimal": "number",
        "datetime": "datetime",
        "datetime64": "datetime",
        "date": "datetime",
    }
    found = str(types.infer_dtype(column, skipna=True))
    if found not in kinds:
        raise _no_such_type(name, found)
    return kinds[found]


def _no_such_type(name: str, found: str) -> Fault:
    return invalid(
        f"a column of {found} values cannot be an input of a served model",
        where=f"column {name!r}",
        fix="give the model numbers, strings, booleans or datetimes; convert the column in a step before it",
    )


# Reading a request's column. Each reader gives values that `_array` takes as they are, and fails on the first bad one.


def _integers(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    if set(map(type, values)) == {int} and min(values) >= _INT64[0] and max(values) <= _INT64[1]:
        return values
    return [_integer(field, row, value) for row, value in enumerate(values)]


def _integer(field: Field, row: int, value: Any) -> int | None:
    if value is None and field.nullable:
        return None
    whole = type(value) is int or (type(value) is float and value.is_integer())
    if not whole or not _INT64[0] <= value <= _INT64[1]:
        raise wrong_value(field, row, value)
    return int(value)


def _numbers(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    if set(map(type, values)) == {float} and all(map(math.isfinite, values)):
        return values
    return [_number(field, row, value) for row, value in enumerate(values)]


def _number(field: Field, row: int, value: Any) -> float | None:
    if value is None and field.nullable:
        return None
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            pass
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


def _spelled(read: Callable[[str], Any]) -> Callable[[Field, Sequence[Any]], Sequence[Any]]:
    """A reader of values that come as text."""

    def reader(field: Field, values: Sequence[Any]) -> Sequence[Any]:
        return [_spelled_value(field, row, value, read) for row, value in enumerate(values)]

    return reader


def _spelled_value(field: Field, row: int, value: Any, read: Callable[[str], Any]) -> Any:
    if value is None or value in _NULL_TEXTS:
        if field.nullable:
            return None
        if field.type != "string" or value is None:
            raise wrong_value(field, row, value)
    try:
        return read(value)
    except (ValueError, OverflowError):
        raise wrong_value(field, row, value) from None


def _read_integer(text: str) -> int:
    value = int(text) if not any(mark in text for mark in ".eE") else _whole(float(text))
    if not _INT64[0] <= value <= _INT64[1]:
        raise ValueError
    return value


def _whole(value: float) -> int:
    if not value.is_integer():
        raise ValueError
    return int(value)


def _read_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


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
        "integer": _spelled(_read_integer),
        "number": _spelled(_read_number),
        "string": _spelled(str),
        "boolean": _spelled(_read_boolean),
        "datetime": _spelled(datetime.fromisoformat),
    },
}


# Columns for the model.


def _array(field: Field, values: Sequence[Any]) -> Any:
    """Checked values as the array the model was trained on."""
    import numpy as np
    import pandas as pd

    dtype = field.dtype or {"integer": "int64", "number": "float64", "boolean": "bool"}.get(field.type, "")
    if field.type == "datetime":
        return _moments(values, dtype)
    if dtype == "category":
        return pd.Categorical(values)
    if field.nullable and _holds_no_nulls(dtype) and None in values:
        dtype = "float64" if field.type == "integer" else "object"
    if dtype.startswith("float") and None in values:
        return _fit(field, [np.nan if v is None else v for v in values], dtype)
    if dtype.startswith(("int", "uint", "float", "bool")) and dtype != "boolean":
        return _fit(field, values, dtype)
    return pd.array(values, dtype=dtype or "str") if dtype != "object" else np.array(values, dtype=object)


def _fit(field: Field, values: Sequence[Any], dtype: str) -> Any:
    """Numbers and truth values in the width of training; what a narrow one cannot hold is a wrong value."""
    import numpy as np

    if dtype in ("int64", "float64", "bool"):
        return np.array(values, dtype=dtype)
    limits = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
    for row, value in enumerate(values):
        if value < limits.min or value > limits.max:  # a missing value is neither
            raise wrong_value(field, row, value)
    return np.array(values, dtype=dtype)


def _moments(values: Sequence[Any], dtype: str) -> Any:
    """Datetimes; those without an offset are taken as UTC, and the offset is dropped if training had none."""
    import pandas as pd

    moments = pd.to_datetime(pd.Series(list(values), dtype=object), utc=True)
    if "," not in dtype:
        moments = moments.dt.tz_localize(None)
    return moments.astype(dtype) if dtype.startswith("datetime64") else moments


def _holds_no_nulls(dtype: str) -> bool:
    return dtype.startswith(("int", "uint")) or dtype == "bool"


def names(signature: Signature, *more: str | None) -> list[str]:
    """The columns a request may carry: inputs, then those given (entity, key, time), each once."""
    return list(dict.fromkeys(chain((field.name for field in signature.inputs), (name for name in more if name))))
