"""Snapshot: an immutable, content-addressed version of a data set."""

import msgspec


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a snapshot.

    Args:
        path: relative to the snapshot's root, with `/`.
        digest: BLAKE3 of the content, 64 hex digits.
        size: bytes.
    """

    path: str
    digest: str
    size: int


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column as found in tabular data; `type` is DuckDB's name for it."""

    name: str
    type: str
    nullable: bool = True


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Files that belong together, addressed by what is in them.

    Args:
        id: BLAKE3 of the sorted list of (path, digest): equal content has an equal id.
        name: the data set's name in the project file.
        kind: `csv`, `parquet`, `folder` (any files).
        manifest: digest of the blob that lists the files (so that a snapshot of many files stays one row).
        size: bytes of all files.
        files: how many.
        rows: number of rows, for tabular data.
        columns: names and types, for tabular data.
        created_at: seconds since the epoch.
        source: where it came from, as the user wrote it.
    """

    id: str
    name: str
    kind: str
    manifest: str
    size: int
    files: int
    created_at: float
    rows: int | None = None
    columns: tuple[Column, ...] = ()
    source: str = ""
