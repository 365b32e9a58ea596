"""SQLite as a file: give space that deleted rows left back to the disk, and copy a live database consistently.

In: the database's path. Out: bytes given back; a file that is of one moment. Called by operate/retention.py and
store/backup.py; what rows there are is nobody's business here.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from roadworthy.nouns.errors import invalid, unavailable
from roadworthy.store.packs import sync_folder

# Less than this, or less than this share of the file, is not worth writing it anew: new rows will fill it.
FREE_BYTES_MIN = 1 << 20
FREE_SHARE_MIN = 0.2
WAIT_S = 5.0
# Pages copied at a time; between two such parts writers have their turn.
COPY_PAGES = 1_000
_INCREMENTAL = 2


def free(path: Path, *, dry_run: bool = False) -> int:
    """Give back what deleted rows left, when it is worth it; the bytes by which the file shrank, or would.

    Writers may be at work: nothing happens when they do not let us have a turn.
    """
    with contextlib.closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as connection:
        size, unused = _sizes(connection)
        if unused < max(FREE_BYTES_MIN, FREE_SHARE_MIN * size) or dry_run:
            return unused if unused >= max(FREE_BYTES_MIN, FREE_SHARE_MIN * size) else 0
        try:
            if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL:
                # It gives back a page a step, and `execute` takes one step of what has no columns.
                connection.executescript("PRAGMA incremental_vacuum;")
            else:
                # From then on pages can be given back one by one, without writing the whole file anew.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError:
            return 0
        return max(0, size - _sizes(connection)[0])


def copy(path: Path, to: Path, *, progress: Callable[[int, int], None]) -> None:
    """Copy a database while it is written to: `to` is as the database was at one moment, checked and synced.

    Args:
        to: a new file, in a folder that is there.
        progress: told how many pages are done, of how many.

    Raises:
        Fault: unavailable when it cannot be read or written; invalid when the database is damaged.
    """
    url = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with (
            contextlib.closing(sqlite3.connect(url, uri=True, timeout=WAIT_S, isolation_level=None)) as source,
            contextlib.closing(sqlite3.connect(to, isolation_level=None)) as target,
        ):  # fmt: skip
            # Held for the length of the copy, so that writers do not make it begin again for ever.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(target, pages=COPY_PAGES, progress=lambda _, left, whole: progress(whole - left, whole))
            source.execute("COMMIT")
            # The copy is one file: a journal of its own would be left beside it.
            target.execute("PRAGMA journal_mode = DELETE").fetchall()
            problem = check(target)
    except sqlite3.Error as failure:
        raise unavailable(
            f"the records cannot be copied: {failure}", where=str(path), fix="free space, or mend permissions"
        ) from None
    if problem:
        raise invalid(f"the database is damaged: {problem}", where=str(path), fix="restore it from a backup")
    with to.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(to.parent)


def check(connection: sqlite3.Connection) -> str:
    """What is wrong with a database's structure; empty when nothing is."""
    [first, *_] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    return "" if first[0] == "ok" else str(first[0])


def _sizes(connection: sqlite3.Connection) -> tuple[int, int]:
    """Bytes of the file, and of its pages that nothing uses."""
    page = int(connection.execute("PRAGMA page_size").fetchone()[0])
    pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
    return page * pages, page * int(connection.execute("PRAGMA freelist_count").fetchone()[0])
