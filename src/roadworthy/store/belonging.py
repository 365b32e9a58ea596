"""Belonging: whose blobs a folder or a bucket holds, so that none are taken for nobody's.

In: a store as it was opened. Out: notes, beside the blobs, of the stores whose records name them; a refusal where
another store was opened by mistake (a variable that is not set), and what only the right one names would be swept. A
store is known by its log's first leaf, which no other has, however its URL is written. Called when a store first
writes, and before a sweep or a backup.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from roadworthy.nouns.errors import conflict
from roadworthy.store.blobs import Blobs
from roadworthy.store.remote_blobs import RemoteBlobs
from roadworthy.store.sql import Database

NOTE = "databases"
OWN = "store.db"
_FIRST_LEAF = "SELECT leaf FROM events ORDER BY seq LIMIT 1"


def note(home: Path, sql: Database, blobs: Blobs) -> bool:
    """Note that the store's records name the blobs; whether that is done, which it is not before there are records.

    Of `store.db`, beside the folder's blobs, nothing needs to be noted.
    """
    if sql.dialect == "sqlite" and not isinstance(blobs, RemoteBlobs):
        return True
    this = _identity(sql)
    if not this:
        return False
    if isinstance(blobs, RemoteBlobs):
        blobs.note(f"{NOTE}/{this}", _shown(sql))
    if sql.dialect != "sqlite" and this not in dict(_noted(home)):
        with contextlib.suppress(OSError):  # whoever may not write here sweeps nothing here
            written = os.open(home / NOTE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(written, "a", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
                file.write(f"{this} {_shown(sql)}\n")
    return True


def require(home: Path, sql: Database, blobs: Blobs) -> None:
    """Refuse unless the records that were opened are all that name the blobs.

    Raises:
        Fault: conflict, with what to do.
    """
    this = _identity(sql)
    others = [where for identity, where in _noted(home) if identity != this]
    if others:
        raise conflict(
            f"blobs here are named by the records of {others[0]}, and others were opened",
            where=str(home),
            fix=f"ROADWORTHY_STORE says which; if that database is gone, take its line out of {home / NOTE}",
        )
    if sql.dialect != "sqlite" and _first_leaf(home / OWN):
        raise conflict(
            f"blobs here are named by the records of {OWN} too, and others were opened",
            where=str(home),
            fix=f"unset ROADWORTHY_STORE; if those records are no longer needed, move {OWN} away",
        )
    if isinstance(blobs, RemoteBlobs) and any(name != this for name in blobs.noted(NOTE)):
        raise conflict(
            "blobs there are named by the records of another store as well, and one of them was opened",
            where=blobs.where,
            fix=f"give each store a bucket or a prefix of its own; if the other is gone, delete what is in {NOTE}/",
        )
    if not this and (isinstance(blobs, RemoteBlobs) or any(blobs.folder.glob("*/*"))):
        raise conflict(
            "the store that was opened has no records at all: whose are the blobs?",
            where=str(home),
            fix="is it the right one? ROADWORTHY_STORE says which",
        )


def _identity(sql: Database) -> str:
    with sql.read() as reader:
        row = reader.row(_FIRST_LEAF)
    return str(row[0]) if row else ""


def _shown(sql: Database) -> str:
    """Where the records are, without users, passwords and options."""
    if sql.dialect == "sqlite":
        return str(Path(sql.url).absolute())
    parts = urlsplit(sql.url)
    return f"postgresql://{(parts.hostname or '').lower()}{parts.path}"


def _noted(home: Path) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError):
        for line in (home / NOTE).read_text(encoding="utf-8").splitlines():
            identity, _, where = line.partition(" ")
            yield identity, where


def _first_leaf(database: Path) -> str:
    if not database.is_file():
        return ""
    try:
        uri = database.absolute().as_uri() + "?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            row = connection.execute(_FIRST_LEAF).fetchone()
    except sqlite3.Error:
        return "unreadable"  # it is not for us to say that nobody needs it
    return str(row[0]) if row else ""
