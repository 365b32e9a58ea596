"""Artifacts: files that a run keeps, as blobs under the names the user gave. This file owns the table `artifacts`."""

import re
from pathlib import Path, PurePosixPath

from roadworthy.nouns.errors import invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.nouns.run import Artifact
from roadworthy.store.store import Store

PATH_LENGTH_MAX = 500
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")

_RUN = "SELECT project FROM runs WHERE id = :run"
_PUT = """
INSERT INTO artifacts (run, path, digest, size) VALUES (:run, :path, :digest, :size)
ON CONFLICT (run, path) DO UPDATE SET digest = excluded.digest, size = excluded.size
"""
_LISTING = "SELECT path, digest, size FROM artifacts WHERE run = :run ORDER BY path"
_ONE = "SELECT path, digest, size FROM artifacts WHERE run = :run AND path = :path"


def keep(store: Store, run_id: str, path: str, content: bytes | Path) -> Artifact:
    """Keep bytes, or a copy of a file, under `path`; what was there under that name is replaced.

    Args:
        path: relative, with `/`, such as `plots/roc.png`.

    Raises:
        Fault: invalid for a path that leaves its folder or a file that cannot be read, not found for an unknown run.
    """
    path = check_path(path)
    digest = store.blobs.put_file(content) if isinstance(content, Path) else store.blobs.put(content)
    size = store.blobs.path(digest).stat().st_size
    event = Event(kind="run.artifact_kept", subject=run_id, detail={"path": path, "digest": digest, "size": size})
    with store.change(event) as tx:
        if tx.row(_RUN, run=run_id) is None:
            raise not_found("no such run", where=run_id)
        tx.execute(_PUT, run=run_id, path=path, digest=digest, size=size)
    return Artifact(path=path, digest=digest, size=size)


def listing(store: Store, run_id: str) -> list[Artifact]:
    """What a run keeps, by path."""
    with store.read() as reader:
        return [Artifact(path=str(p), digest=str(d), size=int(s)) for p, d, s in reader.rows(_LISTING, run=run_id)]


def get(store: Store, run_id: str, path: str) -> Artifact:
    """One artifact by its path."""
    with store.read() as reader:
        row = reader.row(_ONE, run=run_id, path=path)
    if row is None:
        there = ", ".join(a.path for a in listing(store, run_id)[:10]) or "none"
        raise not_found("the run keeps no such artifact", where=path[:200], fix=f"it keeps: {there}")
    return Artifact(path=str(row[0]), digest=str(row[1]), size=int(row[2]))


def read(store: Store, artifact: Artifact) -> bytes:
    """The content, checked against its digest."""
    return store.blobs.get(artifact.digest)


def check_path(path: str) -> str:
    """An artifact's path in its normal form.

    Raises:
        Fault: invalid when it is absolute, empty, too long, climbs out with `..`, or has control characters.
    """
    parts = PurePosixPath(path).parts if isinstance(path, str) else ()
    if not parts or len(path) > PATH_LENGTH_MAX or path.startswith("/") or ".." in parts or _UNSAFE.search(path):
        raise invalid(
            "not a path for an artifact", where=repr(path)[:120], fix="give a relative one, such as plots/roc.png"
        )
    return "/".join(parts)
