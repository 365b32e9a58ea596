"""Columns of any table as drift is measured on them: floats or categories.

In: a pandas DataFrame, an Arrow table, or a mapping of column to values, whatever their types. Out: finite floats in
one unit, or counts by value. Called by gates/measures/drift.py.
"""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Type = Literal["number", "datetime", "duration", "boolean", "string"]
# Larger numbers are clipped, so that their squares and sums stay finite.
LIMIT = 1e120


def names(table: Any) -> list[str]:
    """The columns a table has."""
    names = table.column_names if hasattr(table, "column_names") else table
    return [str(name) for name in names]


def row_count(table: Any) -> int:
    """How many rows a table has."""
    if hasattr(table, "num_rows"):
        return int(table.num_rows)
    if hasattr(table, "shape"):
        return int(table.shape[0])
    return len(next(iter(table.values()), ()))


def series_of(table: Any, name: str) -> "pd.Series":
    """One column of a table."""
    column = table[name] if not hasattr(table, "column_names") else table.column(name).to_pandas()
    return as_series(column)


def as_series(values: Any) -> "pd.Series":
    """Values as a series with a plain index; categorical ones as what they stand for."""
    import pandas as pd

    series = values if isinstance(values, pd.Series) else pd.Series(values)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    return series.reset_index(drop=True)


def type_of(series: "pd.Series") -> Type:
    """What the values are, whatever type holds them; a column without values counts as numbers."""
    import pandas as pd

    if series.dtype == object and not series.notna().any():
        return "number"
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    if inferred in ("integer", "floating", "decimal", "mixed-integer-float"):
        return "number"
    if inferred.startswith(("datetime", "date")):
        return "datetime"
    if inferred.startswith("timedelta"):
        return "duration"
    return "boolean" if inferred == "boolean" else "string"


def numbers(series: "pd.Series", kind: Type) -> "np.ndarray[Any, Any]":
    """The finite values as floats, in the unit the profile keeps."""
    import numpy as np

    values = _converted(series, kind)
    # Clipped, so that squares and sums stay finite whatever is sent.
    finite: Any = np.clip(values[np.isfinite(values)], -LIMIT, LIMIT)
    return finite  # type: ignore[no-any-return]


def readable(series: "pd.Series", kind: Type) -> int:
    """How many values are of the kind, infinite ones included."""
    import numpy as np

    return int((~np.isnan(_converted(series, kind))).sum())


def _converted(series: "pd.Series", kind: Type) -> "np.ndarray[Any, Any]":
    """As floats, NaN for null and for what is no such value."""
    import numpy as np
    import pandas as pd

    floats: np.ndarray[Any, Any]
    if kind == "datetime":
        moments = pd.to_datetime(series, errors="coerce", utc=True)
        floats = (moments - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64, na_value=np.nan)
    elif kind == "duration":
        floats = pd.to_timedelta(series, errors="coerce").dt.total_seconds().to_numpy(np.float64, na_value=np.nan)
    elif pd.api.types.is_datetime64_any_dtype(series.dtype) or pd.api.types.is_timedelta64_dtype(series.dtype):
        # pandas would read moments as their integers; a profile of plain numbers has no such values.
        floats = np.full(len(series), np.nan)
    else:
        floats = pd.to_numeric(series, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return floats


def category_counts(series: "pd.Series") -> dict[str, int]:
    """How often each value occurs, as text."""
    counted: dict[str, int] = {}
    for value, count in series.value_counts(dropna=True).items():
        counted[str(value)] = counted.get(str(value), 0) + int(count)
    return counted
