"""Signature: what a model must be sent, learnt from its training rows, and held against every request.

In: a table (registration), or the columns of a request as plain Python values (serving/protocols.py). Out: a
`Signature`, or a table with the columns and types the model was trained on, or a `Fault` naming row and field.
Called by pipelines/registration.py, serving/app.py, serving/model.py and gates/measures.
"""

import functools
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.model import Field, FieldType, Signature
from roadworthy.serving.fields import Source, missing_column, read

if TYPE_CHECKING:
    import pandas as pd


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
    return convert_columns(columns, signature)


def convert_columns(
    columns: Mapping[str, Sequence[Any]], signature: Signature, *, count: int | None = None, source: Source = "json"
) -> "pd.DataFrame":
    """A table for the model out of a request's columns; columns that the model does not take are left out.

    Args:
        columns: name to values, one per row: JSON's values, or text as CSV has it.
        signature: the model's.
        count: number of rows; that of the columns when None.
        source: `text` when numbers and truth values come spelled out.

    Raises:
        Fault: invalid, naming row and field, what was sent and what is allowed.
    """
    for name, values in columns.items() if count is not None else ():
        if len(values) != count:
            raise invalid(f"the column {name!r} has {len(values)} values", fix=f"send {count}, one per row")
    return assemble(check_columns(columns, signature, source=source), signature)


def check_columns(
    columns: Mapping[str, Sequence[Any]], signature: Signature, *, source: Source = "json"
) -> list[Sequence[Any]]:
    """The values of a request's columns, in the model's order, once all of them are allowed.

    Raises:
        Fault: invalid, as of `convert_columns`.
    """
    checked = []
    for field in signature.inputs:
        values = columns.get(field.name)
        if values is None:
            raise missing_column(field)
        checked.append(read(field, values, source))
    return checked


def assemble(checked: Sequence[Sequence[Any]], signature: Signature) -> "pd.DataFrame":
    """A table for the model out of checked values, one sequence per field of the signature."""
    import pandas as pd

    series = {f.name: _array(f, values) for f, values in zip(signature.inputs, checked, strict=True)}
    count = len(checked[0]) if checked else 0
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


def column_names(signature: Signature, *more: str | None) -> list[str]:
    """The columns a request may carry: inputs, then those given (entity, key, time), each once."""
    return list(dict.fromkeys(chain((field.name for field in signature.inputs), (name for name in more if name))))


def as_frame(table: Any) -> "pd.DataFrame":
    """A `pandas.DataFrame` of a table in any form we keep tables in."""
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    for method in ("to_pandas", "df"):  # pyarrow, DuckDB
        if hasattr(table, method):
            return getattr(table, method)()
    raise invalid(f"a table is needed, not {type(table).__name__}", fix="give a pandas.DataFrame or a pyarrow.Table")


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


# Columns for the model.


def _array(field: Field, values: Sequence[Any]) -> Any:
    """Checked values as the array the model was trained on."""
    import numpy as np
    import pandas as pd

    dtype = field.dtype or {"integer": "int64", "number": "float64", "boolean": "bool"}.get(field.type, "str")
    if field.type == "datetime":
        return _moments(values, dtype)
    if dtype == "category":
        return pd.Categorical(values)
    if field.nullable and None in values:
        if dtype.startswith("float"):
            return np.array([np.nan if value is None else value for value in values], dtype=dtype)
        if _holds_no_nulls(dtype):
            return pd.Series(values, dtype="float64" if field.type == "integer" else object)
    if dtype == "object":
        return pd.Series(values, dtype=object)  # a bare array would be made text again
    if dtype.startswith(("int", "uint", "float")) or dtype == "bool":
        return np.array(values, dtype=dtype)
    return pd.array(values, dtype=_dtype(dtype))


@functools.cache
def _dtype(name: str) -> Any:
    """The type that pandas knows by a name; to look it up takes as long as to make an array of one value."""
    import pandas as pd

    return pd.api.types.pandas_dtype(name)


def _moments(values: Sequence[Any], dtype: str) -> Any:
    """Datetimes; those without an offset are taken as UTC, and the offset is dropped if training had none."""
    import pandas as pd

    moments = pd.to_datetime(pd.Series(list(values), dtype=object), utc=True)
    if "," not in dtype:
        moments = moments.dt.tz_localize(None)
    return moments.astype(dtype) if dtype.startswith("datetime64") else moments


def _holds_no_nulls(dtype: str) -> bool:
    return dtype.startswith(("int", "uint")) or dtype == "bool"
