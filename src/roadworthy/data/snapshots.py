"""Snapshots: take one, find it again, read it, restore it, verify it.

In: files, or a table. Out: a `Snapshot` record, whose manifest (a blob) lists every file with its digest. Called by
data/sources.py, pipelines/, gates/ and `rw data`. This room alone writes the table `snapshots`.
"""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from roadworthy.data import gather, laying_out, table_files
from roadworthy.data.formats import parquet
from roadworthy.data.formats.format import Context, type_names
from roadworthy.data.gather import Progress, quiet
from roadworthy.data.hashes import Hashes
from roadworthy.nouns.errors import Fault, conflict, invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.nouns.snapshot import Column, File, Snapshot
from roadworthy.nouns.step import Value
from roadworthy.store.garbage import uncollected
from roadworthy.store.store import Store

# To count a CSV's rows, and to tell its types from every row, is to read it all; a larger one is counted when its
# contract is checked, and its types are told from its first rows.
COUNT_CSV_BYTES_MAX = 128 << 20
ID_DIGITS_MIN = 4
LISTED_MAX = 1000
TABLE_FILES_MAX = 256
TABLE_FILE = "data.parquet"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")

INSERT = """
INSERT INTO snapshots (id, name, project, created_at, record) VALUES (:id, :name, :project, :created_at, :record)
ON CONFLICT (project, name, id) DO UPDATE SET created_at = excluded.created_at, record = excluded.record
"""
NEWEST = """
SELECT record FROM snapshots WHERE name = :name AND (project = :project OR :any_project = 1)
ORDER BY created_at DESC, id LIMIT 1
"""
BY_ID = """
SELECT record FROM snapshots WHERE id >= :low AND id < :high AND (project = :project OR :any_project = 1)
ORDER BY created_at DESC LIMIT 100
"""
EVERY = "SELECT project, name, id, record FROM snapshots"
LISTING = """
SELECT record FROM snapshots
WHERE (project = :project OR :any_project = 1) AND (name = :name OR :any_name = 1)
ORDER BY created_at DESC, name, id LIMIT :most
"""


@uncollected()  # of so many files, looking for garbage among them takes as long as reading them
def take(
    store: Store,
    name: str,
    path: Path | list[Path],
    *,
    project: str = "",
    source: str = "",
    copy: bool = False,
    types: dict[str, str] | None = None,
    progress: Progress = quiet,
) -> Snapshot:
    """Take a snapshot of a file, a folder, or several files.

    A snapshot of what is there already is that one: nothing is written, and the newest stays the newest. A file of 64
    MiB or more is not copied but cloned or hard-linked, and made read-only by that (see `Blobs.keep_file`).

    Args:
        store: where to.
        name: what the data set is called.
        path: what to take.
        project: whose it is.
        source: where it came from, as the user wrote it; the path when empty.
        copy: copy large files instead.
        types: DuckDB types for columns of a CSV that should not be guessed.
        progress: told what is done, of how much: ("bytes" | "files", done, total), and ("linked", files, all files)
            when large files were hard-linked and made read-only.

    Raises:
        Fault: not found when there is nothing there; invalid when something cannot be read or is no data.
    """
    name = _named(name)
    store.blobs.sweep()
    paths = path if isinstance(path, list) else [path]
    found = gather.find(paths)
    kind = table_files.kind_of([each.name for each in found])
    # Tables are read in place, so they are not packed, unless there are so many that writing each would take long.
    pack = kind == "folder" or len(found) > TABLE_FILES_MAX
    hashes = Hashes(store.home / "cache" / "hashes")
    with gather.gather(store.blobs, found, hashes, pack=pack, copy=copy, progress=progress) as gathered:
        if gathered.linked:
            progress("linked", gathered.linked, len(found))
        return _record(
            store,
            name,
            gathered.files,
            kind=kind,
            project=project,
            types=types,
            source=source or str(paths[0]),
            settle=gathered.settle,
        )


def take_table(store: Store, name: str, table: Any, *, project: str = "", source: str = "") -> Snapshot:
    """Take a snapshot of a table: a pandas DataFrame, a pyarrow Table or a DuckDB relation, as one Parquet file.

    Raises:
        Fault: invalid when it is no table, or holds what Parquet cannot.
    """
    if not parquet.takes(table):
        raise invalid(
            f"a data set must be a table, not a {type(table).__qualname__}",
            where=source or name,
            fix="return a pandas DataFrame, a pyarrow Table, a DuckDB relation, or a path",
        )
    with store.blobs.new() as temporary:
        parquet.write(table, temporary, _no_parts(store))
        kept = store.blobs.adopt(temporary)
    file = File(path=TABLE_FILE, digest=kept.digest, size=kept.size)
    return _record(
        store, _named(name), [file], kind="parquet", project=project, types=None, source=source, settle=_settled
    )


def get(store: Store, ref: str, project: str = "") -> Snapshot:
    """A snapshot by its id, the beginning of its id (4 digits or more), or its data set's name (the newest).

    Args:
        store: where from.
        ref: id, beginning of one, or name.
        project: whose; anyone's when empty.

    Raises:
        Fault: not found, naming the data sets there are; conflict when several ids begin so.
    """
    whose = {"project": project, "any_project": int(not project)}
    with store.read() as reader:
        row = reader.row(NEWEST, name=ref, **whose)
        if row is None and re.fullmatch(rf"[0-9a-f]{{{ID_DIGITS_MIN},64}}", ref):
            rows = reader.rows(BY_ID, low=ref, high=ref + "g", **whose)
            found = {snapshot.id: snapshot for snapshot in reversed([_decode(each[0]) for each in rows])}
            if len(found) > 1:
                raise conflict(
                    f"{len(found)} snapshots begin so", where=ref, fix="give more digits: " + ", ".join(sorted(found))
                )
            if found:
                return found.popitem()[1]
        names = sorted({_decode(each[0]).name for each in reader.rows(LISTING, name="", any_name=1, most=100, **whose)})
    if row is not None:
        return _decode(row[0])
    raise not_found(
        "there is no such snapshot",
        where=ref,
        fix=f"there are snapshots of {', '.join(names)}" if names else "take one: rw data add NAME",
    )


def listing(store: Store, project: str = "", name: str = "") -> list[Snapshot]:
    """Snapshots, the newest first; of all projects and names when these are empty."""
    with store.read() as reader:
        rows = reader.rows(
            LISTING, project=project, any_project=int(not project), name=name, any_name=int(not name), most=LISTED_MAX
        )
    return [_decode(row[0]) for row in rows]


def files(store: Store, snapshot: Snapshot) -> list[File]:
    """The files of a snapshot, by name.

    Raises:
        Fault: not found or invalid when its manifest is gone, damaged, or names a path that leads out of it.
    """
    listed = msgspec.json.decode(store.blobs.get(snapshot.manifest), type=list[File])
    for file in listed:
        gather.contained(file.path)
    return listed


def kept(store: Store, but: Collection[tuple[str, str, str]] = ()) -> tuple[set[bytes], set[bytes]]:
    """The digests (32 bytes each) of all snapshots' manifests, and of the files in them: whoever sweeps spares them.

    Args:
        but: snapshots that go, each as project, name and id.

    Raises:
        Fault: conflict when a manifest is gone or damaged: what belongs to it is then known to nobody.
    """
    manifests: set[bytes] = set()
    content: set[bytes] = set()
    with store.read() as reader:
        records = [str(record) for *row, record in reader.rows(EVERY) if tuple(row) not in but]
    for snapshot in map(_decode, records):
        manifest = bytes.fromhex(snapshot.manifest)
        if manifest in manifests:
            continue
        try:
            content |= {bytes.fromhex(file.digest) for file in files(store, snapshot)}
        except Fault as fault:
            raise conflict(
                f"the manifest of a snapshot cannot be read, so nobody knows which blobs are its: {fault.what}",
                where=f"{snapshot.name} {snapshot.id[:12]}",
                fix="restore the blob from a backup: rw restore",
            ) from None
        manifests.add(manifest)
    return manifests, content


def paths(store: Store, snapshot: Snapshot) -> list[Path]:
    """Where the bytes of a snapshot's files lie, checked against their digests; never to be written to."""
    return [store.blobs.file(file.digest) for file in files(store, snapshot)]


def tabular(store: Store, snapshot: Snapshot) -> table_files.Tabular:
    """What DuckDB needs to read a snapshot as one table.

    Raises:
        Fault: invalid when its files are not tabular.
    """
    if snapshot.kind not in {"csv", "parquet"}:
        raise invalid("this snapshot is a folder of files and no table", where=snapshot.name)
    listed = files(store, snapshot)
    return table_files.Tabular(
        kind=snapshot.kind,
        paths=tuple(store.blobs.file(file.digest) for file in listed),
        names=tuple(file.path for file in listed),
        columns=snapshot.columns,
    )


def read(store: Store, snapshot: Snapshot, as_type: Any) -> Any:
    """A snapshot's content as a Python value.

    Args:
        store: where from.
        snapshot: which.
        as_type: `pandas.DataFrame`, `pyarrow.Table` or `pathlib.Path`: a path is the file when it is one table in one
            file, else the folder, laid out read-only.

    Raises:
        Fault: invalid for another type, or when the files are no table.
    """
    wanted = f"{as_type.__module__.partition('.')[0]}.{as_type.__qualname__}"
    if wanted == "pathlib.Path":
        return laying_out.as_path(store, snapshot, files(store, snapshot))
    if wanted not in {"pandas.DataFrame", "pyarrow.Table"}:
        raise invalid(
            f"a snapshot cannot be read as {wanted}", fix="ask for pandas.DataFrame, pyarrow.Table or pathlib.Path"
        )
    table = tabular(store, snapshot)
    if table.kind == "parquet" and len(table.paths) == 1:
        with table_files.faults(table):
            return parquet.open_table(table.paths[0], wanted)
    with table_files.connect() as connection, table_files.faults(table):
        arrow = connection.sql(f"SELECT * FROM {table_files.scan(table)}").to_arrow_table()
    return arrow if wanted == "pyarrow.Table" else arrow.to_pandas(date_as_object=False)


def restore(store: Store, snapshot: Snapshot, to: Path, *, progress: Progress = quiet) -> list[File]:
    """Write a snapshot's files into a folder that is not there yet, all of them or none.

    Raises:
        Fault: conflict when there is something at `to`; invalid or not found when a blob is damaged or gone.
    """
    listed = files(store, snapshot)
    laying_out.write(store.blobs, listed, to, progress=progress)
    return listed


def verify(store: Store, snapshot: Snapshot, *, progress: Progress = quiet) -> list[tuple[str, str]]:
    """Read every byte of a snapshot again: the files that are not as they were, each with what is wrong."""
    return laying_out.verify(store.blobs, files(store, snapshot), progress=progress)


def identity(listed: Sequence[File]) -> str:
    """A snapshot's id: BLAKE3 of its sorted (path, digest) pairs; equal content has an equal id."""
    lines = "".join(f"{file.digest}  {file.path}\n" for file in sorted(listed, key=lambda file: file.path))
    return blake3(lines.encode()).hexdigest()


def _settled() -> None:
    """What is recorded lies on the disk already."""


def _record(
    store: Store,
    name: str,
    listed: list[File],
    *,
    kind: str,
    project: str,
    types: dict[str, str] | None,
    source: str,
    settle: Callable[[], None],
) -> Snapshot:
    """Write the manifest and the record; the event is logged unless the newest snapshot is this very one.

    The files may still be on their way to the disk: they are there when `settle` returns, and the record comes after.
    """
    known = _newest(store, name, project)
    identified = identity(listed)
    same = known if known is not None and known.id == identified else None
    rows: int | None
    if same is not None and kind != "csv":
        rows, columns = same.rows, same.columns
    else:
        if kind != "folder":
            settle()  # tables are read, which cannot be done on their way
        kind, rows, columns = _describe(store, listed, kind, types)
    if same is not None and (same.kind, same.columns) == (kind, columns):
        settle()
        return same
    snapshot = Snapshot(
        id=identified,
        name=name,
        kind=kind,
        manifest=store.blobs.put(msgspec.json.encode(listed)),
        size=sum(file.size for file in listed),
        files=len(listed),
        created_at=store.clock.now(),
        rows=rows,
        columns=columns,
        source=source,
    )
    detail = {"name": name, "files": snapshot.files, "bytes": snapshot.size, "rows": rows}
    settle()
    with store.change(Event(kind="snapshot.taken", subject=snapshot.id, project=project, detail=detail)) as tx:
        tx.execute(
            INSERT,
            id=snapshot.id,
            name=name,
            project=project,
            created_at=snapshot.created_at,
            record=msgspec.json.encode(snapshot).decode(),
        )
    return snapshot


def _describe(
    store: Store, listed: list[File], kind: str, types: dict[str, str] | None
) -> tuple[str, int | None, tuple[Column, ...]]:
    """Kind, rows and columns."""
    if kind == "folder":
        return kind, None, ()
    table = table_files.Tabular(
        kind=kind,
        paths=tuple(store.blobs.file(file.digest, check=False) for file in listed),
        names=tuple(file.path for file in listed),
    )
    with table_files.connect() as connection:
        whole = sum(file.size for file in listed) <= COUNT_CSV_BYTES_MAX
        columns = table_files.describe(connection, table, types=types, whole=whole)
        if kind == "csv" and not whole:
            return kind, None, columns
        counted = msgspec.structs.replace(table, columns=columns if kind == "csv" else ())
        with table_files.faults(counted):
            [[rows]] = connection.execute(f"SELECT count(*) FROM {table_files.scan(counted)}").fetchall()
    return kind, int(rows), columns


def _newest(store: Store, name: str, project: str) -> Snapshot | None:
    with store.read() as reader:
        row = reader.row(NEWEST, name=name, project=project, any_project=0)
    return _decode(row[0]) if row else None


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise invalid(
            "a data set's name is lower case letters, digits, - and _, and begins with a letter", where=name[:80]
        )
    return name


def _decode(record: str) -> Snapshot:
    return msgspec.json.decode(record, type=Snapshot)


def _no_parts(store: Store) -> Context:
    def never(value: Any) -> Value:
        raise invalid(f"a table holds a {type_names(value)[0]}")

    return Context(trusted=(), keys=None, keep=never, fetch=never, unpacked=store.home / "unpacked")
