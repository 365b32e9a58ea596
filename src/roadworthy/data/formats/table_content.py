"""What an Arrow table says, as a digest: the same for equal tables however they are chunked, sliced or stored.

Each column is hashed as its type, which values are missing, and its values with missing ones zeroed, so that what
lies in memory under a missing value does not matter. Called by data/formats/parquet.py.
"""

from typing import Any

import msgspec
from blake3 import blake3

_VERSION = b"roadworthy table v1\n"
# Keys of pandas' metadata that say who wrote it, not what.
_WRITER = ("creator", "pandas_version")


def content_of(table: Any, kind: str) -> str:
    """BLAKE3 of a pyarrow.Table's columns, types and metadata, and of what Python type it was."""
    hasher = blake3(_VERSION + kind.encode())
    metadata = dict(table.schema.metadata or {})
    if b"pandas" in metadata:
        said = msgspec.json.decode(metadata[b"pandas"])
        metadata[b"pandas"] = msgspec.json.encode({k: v for k, v in said.items() if k not in _WRITER}, order="sorted")
    _feed(hasher, repr(sorted(metadata.items())), table.num_rows, table.num_columns)
    for field, column in zip(table.schema, table.columns, strict=True):
        _feed(hasher, field.name, str(field.type), field.nullable)
        _column(hasher, column)
    return str(hasher.hexdigest())


def _feed(hasher: Any, *words: object) -> None:
    hasher.update(msgspec.json.encode([str(word) for word in words]))


def _column(hasher: Any, column: Any) -> None:
    import pyarrow as pa

    kind = column.type
    # One chunk of strings holds at most 2 GiB, so they are widened before they are joined.
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.large_string())
    elif pa.types.is_binary(kind) or pa.types.is_binary_view(kind):
        column = column.cast(pa.large_binary())
    elif pa.types.is_dictionary(kind):
        column = column.unify_dictionaries()
    array = column.combine_chunks()
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        _array(hasher, chunk)


def _array(hasher: Any, array: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    _feed(hasher, kind, len(array), array.null_count)
    if array.null_count:
        hasher.update(_bits(pc.is_valid(array)))
    if isinstance(array, pa.ExtensionArray):
        _array(hasher, array.storage)
    elif pa.types.is_dictionary(kind):
        _array(hasher, array.dictionary)
        _array(hasher, array.indices)
    elif pa.types.is_struct(kind):
        for index, field in enumerate(array.flatten()):
            _feed(hasher, kind.field(index).name)
            _array(hasher, field)
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        _strings(hasher, array)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        _array(hasher, pc.fill_null(pc.list_value_length(array), 0))
        _column(hasher, pa.chunked_array([array.flatten()]))
    elif pa.types.is_boolean(kind):
        hasher.update(_bits(pc.fill_null(array, False)))
    elif pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind):
        hasher.update(_fixed(array))
    elif not pa.types.is_null(kind):
        hasher.update(repr(array.to_pylist()).encode())  # maps, unions: rare, so slow and simple


def _strings(hasher: Any, array: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.null_count:
        array = pc.fill_null(array, pa.scalar(b"" if pa.types.is_large_binary(array.type) else "", array.type))
    _array(hasher, pc.binary_length(array))
    _, offsets, data = array.buffers()
    if len(array) and data is not None:
        edges = memoryview(offsets).cast("B").cast("q")
        start, end = edges[array.offset], edges[array.offset + len(array)]
        hasher.update(memoryview(data).cast("B")[start:end])


def _fixed(array: Any) -> Any:
    """The values of a fixed-width array, those of missing rows zero."""
    import numpy as np
    import pyarrow.compute as pc

    width = array.type.bit_width // 8
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return b""
    values = memoryview(buffer).cast("B")[array.offset * width : (array.offset + len(array)) * width]
    if not array.null_count:
        return values
    clean = np.frombuffer(values, np.uint8).reshape(len(array), width).copy()
    clean[pc.is_null(array).to_numpy(zero_copy_only=False)] = 0
    return clean.data


def _bits(booleans: Any) -> bytes:
    import numpy as np

    packed: bytes = np.packbits(booleans.to_numpy(zero_copy_only=False)).tobytes()
    return packed
