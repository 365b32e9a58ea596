"""Belonging: whose blobs a folder holds, so that none are taken for nobody's.

In: a store as it was opened. Out: a note in its folder of the databases whose records name its blobs; a refusal where
another store was opened by mistake (a variable that is not set), and what only the right one names would be swept.
Called when a store is opened, and before a sweep or a backup.
"""

import contextlib
import sqlite3
from pathlib import Path

from roadworthy.nouns.errors import conflict
from roadworthy.store.blobs import Blobs
from roadworthy.store.remote_blobs import RemoteBlobs
from roadworthy.store.sql import Database, without_password

NOTE = "databases"
OWN = "store.db"


def note(home: Path, url: str) -> None:
    """Note that records in PostgreSQL name the folder's blobs; the folder may be one that cannot be written."""
    shown = without_password(url)
    if shown not in _noted(home):
        with contextlib.suppress(OSError), (home / NOTE).open("a") as file:
            file.write(f"{shown}\n")


def require(home: Path, sql: Database, blobs: Blobs) -> None:
    """Refuse unless the records that were opened are all that name the folder's blobs.

    Raises:
        Fault: conflict, with what to do.
    """
    here = "sqlite" if sql.dialect == "sqlite" else without_password(sql.url)
    others = [url for url in _noted(home) if url != here]
    if others:
        raise conflict(
            f"blobs here are named by records in {others[0]}, and others were opened",
            where=str(home),
            fix=f"set ROADWORTHY_STORE to it; if that database is gone, take its line out of {home / NOTE}",
        )
    if sql.dialect != "sqlite" and _events(home / OWN):
        raise conflict(
            "blobs here are named by records in store.db too, and others were opened",
            where=str(home),
            fix="unset ROADWORTHY_STORE; if those records are no longer needed, move store.db away",
        )
    with sql.read() as reader:
        empty = reader.row("SELECT 1 FROM events LIMIT 1") is None
    if empty and (isinstance(blobs, RemoteBlobs) or any(blobs.folder.glob("*/*"))):
        raise conflict(
            "the store that was opened has no records at all: whose are the blobs?",
            where=str(home),
            fix="is it the right one? ROADWORTHY_STORE says which",
        )


def _noted(home: Path) -> list[str]:
    try:
        return (home / NOTE).read_text().splitlines()
    except OSError:
        return []


def _events(database: Path) -> bool:
    if not database.is_file():
        return False
    with contextlib.closing(sqlite3.connect(database.absolute().as_uri() + "?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT 1 FROM events LIMIT 1").fetchone() is not None
        except sqlite3.DatabaseError:
            return True  # whatever it is, it is not for us to say that nobody needs it
