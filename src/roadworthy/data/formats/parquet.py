"""Tables as Parquet: pandas DataFrames and Series, pyarrow Tables, DuckDB relations.

What Parquet or pandas would lose on the way is kept beside it: the order of categories and those that no row has, the
frequency of a time index, and which text columns were of dtype `object`.
"""

import base64
import json
from pathlib import Path
from typing import Any

from roadworthy.data.formats.format import Context, Stored, Written, type_names
from roadworthy.data.formats.table_content import content_of
from roadworthy.nouns.errors import invalid

NAME = "parquet"
AUTOMATIC = True
# Fixed, so that equal tables become equal bytes.
ROWS_PER_GROUP = 1 << 18
_META = b"roadworthy:meta"
_CATEGORIES = b"roadworthy:categories:"
_SERIES = "values"
_TYPES = {"pandas.DataFrame", "pandas.Series", "pyarrow.Table", "duckdb.DuckDBPyRelation"}


def takes(value: Any) -> bool:
    return type_names(value)[0] in _TYPES


def write(value: Any, path: Path, context: Context) -> Written:
    import pyarrow as pa
    import pyarrow.parquet as pq

    del context
    kind = type_names(value)[0]
    meta: dict[str, Any] = {}
    if kind == "pandas.Series":
        meta["name"] = _name_of(value.name)
        value = value.to_frame(name=_SERIES)
    if kind.startswith("pandas."):
        meta.update(_pandas_losses(value))
        table = _from_pandas(value)
    elif kind == "duckdb.DuckDBPyRelation":
        table = value.to_arrow_table()
    else:
        table = value
    if not table.num_columns:
        meta["rows"] = len(value)
    content = content_of(table, f"{kind}|{json.dumps(meta, sort_keys=True)}")
    try:
        pq.write_table(
            _with_losses(table.combine_chunks(), meta),
            path,
            compression="zstd",
            compression_level=1,
            row_group_size=ROWS_PER_GROUP,
            version="2.6",
            use_compliant_nested_type=False,  # it renames the items of lists
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as problem:
        raise invalid(f"the table cannot be stored as Parquet: {_one_line(problem)}") from None
    return Written(type=kind, content=content, meta={"rows": len(value)})


def read(stored: Stored, context: Context) -> Any:
    del context
    return open_table(stored.path(), stored.value.type)


def open_table(path: Path, kind: str) -> Any:
    """The table in a Parquet file, ours or anyone's, as a Python type.

    Args:
        path: of the file.
        kind: `pandas.DataFrame`, `pandas.Series`, `pyarrow.Table` or `duckdb.DuckDBPyRelation`.
    """
    import pyarrow.parquet as pq

    table, meta = _categories_back(pq.read_table(path, partitioning=None))
    if kind == "pyarrow.Table":
        return table
    if kind == "duckdb.DuckDBPyRelation":
        import duckdb

        return duckdb.from_arrow(table)
    frame = _to_pandas(table, meta)
    if kind == "pandas.Series":
        series = frame.iloc[:, 0]
        series.name = meta["name"][0] if meta.get("name") else None
        return series
    return frame


def _to_pandas(table: Any, meta: dict[str, Any]) -> Any:
    import pandas as pd

    frame = table.to_pandas()
    if not table.num_columns and meta.get("rows"):
        frame = pd.DataFrame(index=pd.RangeIndex(meta["rows"]))  # rows with nothing in them: Parquet has no word for it
    for place in meta.get("objects", ()):
        column = frame.iloc[:, place].astype(object)
        frame.isetitem(place, column.where(column.notna(), None))
    if meta.get("frequency"):
        frame.index.freq = meta["frequency"]
    return frame


def _from_pandas(frame: Any) -> Any:
    import pyarrow as pa

    if not frame.columns.is_unique:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise invalid(f"the table has columns of the same name: {', '.join(twice)}", fix="rename them")
    try:
        return pa.Table.from_pandas(frame, preserve_index=None)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError) as problem:
        raise invalid(
            f"the table cannot be stored as Parquet: {_one_line(problem)}",
            fix="give the column one type, such as frame[column].astype(str)",
        ) from None


def _pandas_losses(frame: Any) -> dict[str, Any]:
    """What a round trip through Arrow would not bring back."""
    meta: dict[str, Any] = {}
    objects = [
        place for place, dtype in enumerate(frame.dtypes) if str(dtype) == "object" and _is_text(frame.iloc[:, place])
    ]
    if objects:
        meta["objects"] = objects
    frequency = getattr(frame.index, "freqstr", None)
    if frequency and hasattr(frame.index, "freq") and type(frame.index).__name__ != "PeriodIndex":
        meta["frequency"] = frequency
    return meta


def _is_text(column: Any) -> bool:
    from pandas.api.types import infer_dtype

    return infer_dtype(column, skipna=True) in {"string", "empty"}


def _name_of(name: Any) -> list[Any]:
    """A Series' name in JSON: empty for None."""
    if name is None:
        return []
    if not isinstance(name, str | int | float):
        raise invalid(f"a Series called {name!r} cannot be stored", fix="call it by a string or a number")
    return [name]


def _with_losses(table: Any, meta: dict[str, Any]) -> Any:
    """Keep in the schema what Parquet would lose: `meta`, and of each dictionary column its values in their order."""
    import pyarrow as pa

    kept = {_META: json.dumps(meta).encode()} if meta else {}
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(index).unify_dictionaries()
            values = column.chunk(0).dictionary if column.num_chunks else pa.array([], field.type.value_type)
            batch = pa.record_batch([values], ["values"])
            encoded = pa.BufferOutputStream()
            with pa.ipc.new_stream(encoded, batch.schema) as writer:
                writer.write_batch(batch)
            kept[_CATEGORIES + str(index).encode()] = base64.b64encode(encoded.getvalue().to_pybytes())
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **kept}) if kept else table


def _categories_back(table: Any) -> tuple[Any, dict[str, Any]]:
    """The table as it was before `_with_losses`, and `meta`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    metadata = dict(table.schema.metadata or {})
    meta: dict[str, Any] = json.loads(metadata.pop(_META, b"{}"))
    for key in [key for key in metadata if key.startswith(_CATEGORIES)]:
        place = int(key.removeprefix(_CATEGORIES))
        values = pa.ipc.open_stream(base64.b64decode(metadata.pop(key))).read_next_batch().column(0)
        field = table.schema.field(place)
        kind = field.type if pa.types.is_dictionary(field.type) else pa.dictionary(pa.int32(), values.type)
        plain = table.column(place).cast(values.type).combine_chunks()
        indices = pc.index_in(plain, value_set=values).cast(kind.index_type)
        coded = pa.DictionaryArray.from_arrays(indices, values, ordered=kind.ordered)
        table = table.set_column(place, field.with_type(coded.type), coded)
    return table.replace_schema_metadata(metadata or None), meta


def _one_line(problem: BaseException) -> str:
    said = [str(part) for part in problem.args] or [str(problem)]
    return " ".join(" ".join(said).split())
