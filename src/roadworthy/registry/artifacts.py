"""Artifacts: files that a run keeps, as blobs under the names the user gave. This file owns the table `artifacts`.

What belongs to no run (a logged model's files, a trace's) is kept the same way, under its whole path and the owner
`NO_RUN`, so that equal files are stored once whoever keeps them. Called by tracking, reports and the server's faces.
"""

import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from roadworthy.nouns.errors import conflict, invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.nouns.run import Artifact
from roadworthy.store.sql import Dialect, Reader
from roadworthy.store.store import Store

PATH_LENGTH_MAX = 500
# With the folders that a server puts before it.
WHOLE_PATH_LENGTH_MAX = 700
# An entry of PostgreSQL's index must hold it.
PATH_BYTES_MAX = 2_000
ENTRIES_MAX = 100_000  # files read to list one folder
DECODED_MAX = 5
NO_RUN = ""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff\ufffd\u2028\u2029]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")

_RUN = "SELECT project FROM runs WHERE id = :run"
_OWNER = "SELECT project, group_id, location FROM runs WHERE id = :run"
_PUT = """
INSERT INTO artifacts (run, path, digest, size) VALUES (:run, :path, :digest, :size)
ON CONFLICT (run, path) DO UPDATE SET digest = excluded.digest, size = excluded.size
"""
_LISTING = "SELECT path, digest, size FROM artifacts WHERE run = :run ORDER BY path"
_ONE = "SELECT path, digest, size FROM artifacts WHERE run = :run AND path = :path"
# Files below a folder: `0` is the character after `/`, so the range is every path that begins with `folder/`.
# PostgreSQL compares bytes only when told to.
_BELOW: dict[Dialect, str] = {
    "sqlite": """
SELECT path, digest, size FROM artifacts WHERE run = :run AND path >= :low AND path < :high ORDER BY path LIMIT :limit
""",
    "postgresql": """
SELECT path, digest, size FROM artifacts WHERE run = :run AND path COLLATE "C" >= :low AND path COLLATE "C" < :high
ORDER BY path COLLATE "C" LIMIT :limit
""",
}
_DELETE = "DELETE FROM artifacts WHERE run = :run AND path = :path"
_DELETE_BELOW: dict[Dialect, str] = {
    "sqlite": "DELETE FROM artifacts WHERE run = :run AND path >= :low AND path < :high",
    "postgresql": """
DELETE FROM artifacts WHERE run = :run AND path COLLATE "C" >= :low AND path COLLATE "C" < :high
""",
}


class Entry(NamedTuple):
    """One line of a folder's listing; `size` is None for a folder."""

    name: str
    size: int | None


class Owner(NamedTuple):
    """A run that keeps artifacts: its project, its group, and the URI under which its clients know them, if any."""

    project: str
    group: int
    location: str


def keep(store: Store, run_id: str, path: str, content: bytes | Path) -> Artifact:
    """Keep bytes, or a copy of a file, under `path`; what was there under that name is replaced.

    Args:
        path: relative, with `/`, such as `plots/roc.png`.

    Raises:
        Fault: invalid for a path that leaves its folder or a file that cannot be read, not found for an unknown run.
    """
    path = check_path(path)
    if isinstance(content, Path):
        kept = store.blobs.keep_file(content, copy=True)
        return put(store, run_id, path, kept.digest, kept.size)
    return put(store, run_id, path, store.blobs.put(content), len(content))


def put(store: Store, run_id: str, path: str, digest: str, size: int, *, project: str = "") -> Artifact:
    """Name a blob that is in the store already; what was there under that name is replaced.

    Args:
        run_id: whose it is; `NO_RUN` for what belongs to none, whose `path` is then the whole one.
        path: in its normal form (`check_path`).
        project: of what belongs to no run.

    Raises:
        Fault: not found for an unknown run, conflict where a file would have to be a folder or a folder a file.
    """
    kind = "run.artifact_kept" if run_id else "artifact.kept"
    event = Event(
        kind=kind, subject=run_id or path, project=project, detail={"path": path, "digest": digest, "size": size}
    )
    with store.change(event) as tx:
        if run_id and tx.row(_RUN, run=run_id) is None:
            raise not_found("no such run", where=run_id)
        if tx.row(_ONE, run=run_id, path=path) is None:
            _free(tx, run_id, path)
        tx.execute(_PUT, run=run_id, path=path, digest=digest, size=size)
    return Artifact(path=path, digest=digest, size=size)


def remove(store: Store, run_id: str, path: str, *, project: str = "") -> int:
    """Take away a file, or a folder with all that is in it (everything, for an empty path); how many files.

    Blobs stay until nothing names them any more and the store is swept.
    """
    kind = "run.artifacts_removed" if run_id else "artifact.removed"
    event = Event(kind=kind, subject=run_id or path, project=project, detail={"path": path})
    with store.change(event) as tx:
        removed = tx.changed(_DELETE, run=run_id, path=path)
        removed += tx.changed(_DELETE_BELOW[tx.dialect], run=run_id, **_range(path))
        tx.note(files=removed)
    return removed


def listing(store: Store, run_id: str) -> list[Artifact]:
    """What a run keeps, by path."""
    with store.read() as reader:
        return [_artifact(row) for row in reader.rows(_LISTING, run=run_id)]


def below(store: Store, run_id: str, path: str) -> list[Artifact]:
    """All files below a folder, by path."""
    with store.read() as reader:
        rows = reader.rows(_BELOW[reader.dialect], run=run_id, limit=ENTRIES_MAX, **_range(path))
    return [_artifact(row) for row in rows]


def folder(store: Store, run_id: str, path: str) -> list[Entry]:
    """The files and folders directly in a folder (the root, for an empty path), by name; none when it is a file."""
    with store.read() as reader:
        rows = reader.rows(_BELOW[reader.dialect], run=run_id, limit=ENTRIES_MAX, **_range(path))
    start = len(path) + 1 if path else 0
    found: dict[str, int | None] = {}
    for whole, _, size in rows:
        name, deeper, _ = str(whole)[start:].partition("/")
        found[name] = None if deeper else int(size)
    return [Entry(name, found[name]) for name in sorted(found)]


def get(store: Store, run_id: str, path: str) -> Artifact:
    """One artifact by its path.

    Raises:
        Fault: not found, with what the run does keep.
    """
    artifact = find(store, run_id, path)
    if artifact is None:
        there = ", ".join(a.path for a in listing(store, run_id)[:10]) or "none"
        raise not_found("the run keeps no such artifact", where=path[:200], fix=f"it keeps: {there}")
    return artifact


def owner(reader: Reader, run_id: str) -> Owner | None:
    """Whose a run's artifacts are and where its clients keep them; None when there is no such run."""
    row = reader.row(_OWNER, run=run_id)
    return None if row is None else Owner(str(row[0]), int(row[1]), str(row[2]))


def find(store: Store, run_id: str, path: str) -> Artifact | None:
    """One artifact by its path, if it is there."""
    with store.read() as reader:
        row = reader.row(_ONE, run=run_id, path=path)
    return None if row is None else _artifact(row)


def read(store: Store, artifact: Artifact) -> bytes:
    """The content, checked against its digest."""
    return store.blobs.get(artifact.digest)


def check_path(path: str, *, length_max: int = PATH_LENGTH_MAX) -> str:
    """An artifact's path in its normal form.

    It is refused however it hides where it leads: encoded again and again, behind a `;`, in look-alike characters, as a
    URI or a drive of Windows.

    Raises:
        Fault: invalid when it is absolute, empty, too long, climbs out with `..`, or has control characters.
    """
    parts = PurePosixPath(path).parts if isinstance(path, str) else ()
    too_long = len(path) > length_max or len(path.encode("utf-8", "replace")) > PATH_BYTES_MAX
    if not parts or too_long or any(_leads_out(form) for form in _forms(path)):
        raise invalid(
            "not a path for an artifact", where=repr(path)[:120], fix="give a relative one, such as plots/roc.png"
        )
    return "/".join(parts)


def _forms(path: str) -> set[str]:
    """What the path may be taken for by someone who decodes it once more than we do, or folds its characters."""
    forms = {path}
    for _ in range(DECODED_MAX):
        path = unquote(path)
        forms.add(path)
    return forms if path.isascii() else forms | {unicodedata.normalize("NFKC", form) for form in forms}


def _leads_out(path: str) -> bool:
    names = [part.partition(";")[0].strip() for part in path.split("/")]
    return path.startswith(("/", "~/")) or ".." in names or bool(_UNSAFE.search(path)) or bool(_SCHEME.match(path))


def _free(reader: Reader, run_id: str, path: str) -> None:
    """Refuse a file where a folder is, or below a file: whoever downloads both could not write them."""
    parents = [str(parent) for parent in PurePosixPath(path).parents][:-1]
    taken = [parent for parent in parents if reader.row(_ONE, run=run_id, path=parent) is not None]
    if taken:
        raise conflict("a file of this name is there, which cannot be a folder", where=taken[0])
    if reader.row(_BELOW[reader.dialect], run=run_id, limit=1, **_range(path)) is not None:
        raise conflict("a folder of this name is there, which cannot be a file", where=path)


def _range(path: str) -> dict[str, Any]:
    return {"low": f"{path}/", "high": f"{path}0"} if path else {"low": "", "high": "\U0010ffff"}


def _artifact(row: tuple[Any, ...]) -> Artifact:
    return Artifact(path=str(row[0]), digest=str(row[1]), size=int(row[2]))
