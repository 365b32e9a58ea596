"""Connections to the engines: how each is opened, and what is set on it.

In: a path, or a URL. Out: the driver's own connection. Called by store/sql.py, which shares it between threads.
"""

import select
import sqlite3
from pathlib import Path
from typing import Any

from roadworthy.nouns.errors import invalid

LOCK_WAIT_S_MAX = 30.0
LOCK_WAIT_MS_MAX = int(LOCK_WAIT_S_MAX * 1000)
PREPARED_MAX = 400  # searches are statements of many shapes
# What the writer of a server asks for it names by its key, again and again. PostgreSQL would plan most of it anew each
# time; or plan it while tables are small, keep that, and read the tables whole.
_ONLY_WRITES = """
SET plan_cache_mode = force_generic_plan; SET jit = off;
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off
"""


def to_sqlite(path: Path) -> sqlite3.Connection:
    """The file, made if it is not there, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=LOCK_WAIT_S_MAX, isolation_level=None, check_same_thread=False)
    # FULL: a commit is on the disk before it is acknowledged.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def to_postgresql(url: str, *, to_write: bool) -> Any:
    """A connection that commits each statement unless told otherwise.

    Args:
        to_write: whether it is a server's writer, which searches for nothing.

    Raises:
        Fault: invalid when the driver is not installed.
    """
    try:
        import psycopg
        import psycopg.types.numeric
    except ImportError:
        raise invalid("a PostgreSQL store needs the psycopg driver", fix="pip install 'roadworthy[postgres]'") from None
    connection = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=10,
        client_encoding="utf8",
        application_name="roadworthy",
        cursor_factory=psycopg.RawCursor,
    )
    connection.prepared_max = PREPARED_MAX
    # One type for whole numbers of any size, or a statement would be prepared anew for every mixture of sizes.
    connection.adapters.register_dumper(int, psycopg.types.numeric.Int8Dumper)
    if to_write:
        connection.execute(_ONLY_WRITES)
    return connection


def is_lost(connection: Any) -> bool:
    """Whether a connection of which nothing is asked just now is closed, or PostgreSQL ended it, as far as is heard."""
    import psycopg

    heard = select.poll()
    try:
        heard.register(connection.pgconn.socket, select.POLLIN)
        while heard.poll(0):
            connection.pgconn.consume_input()  # a notice, or the last words before the end
    except psycopg.OperationalError:
        connection.close()
        return True
    return False
