"""Readers: connections that only read, so that a server's searches never wait for its writer.

In: the database's URL, and threads that want to read. Out: a cursor in a transaction of one moment. Used by
`Database.read` (store/sql.py) when a server asked for them; commands, which do one thing at a time, have none.
"""

import contextlib
import queue
from collections.abc import Callable, Iterator
from typing import Any

CONNECTIONS_MAX = 8
CACHE_KIB = 16_384
# More would be the page cache counted as the server's own.
MAPPED_BYTES = 64 << 20


class Readers:
    """A pool of reading connections; a thread that finds none free waits for one.

    Args:
        connect: makes a connection.
        begin: the statement that begins a reading transaction.
        sqlite: whether they are SQLite's, which are told to read alone.
    """

    def __init__(self, connect: Callable[[], Any], begin: str, *, sqlite: bool) -> None:
        self._connect = connect
        self._begin = begin
        self._sqlite = sqlite
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(CONNECTIONS_MAX):
            self._free.put(None)

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        """A cursor inside a reading transaction."""
        connection = self._free.get()
        try:
            connection, cursor = self._begun(connection)
            yield cursor
            cursor.execute("COMMIT", ())
            cursor.close()
        except BaseException:
            # Whatever went wrong, a new connection starts clean.
            if connection is not None:
                connection.close()
                connection = None
            raise
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Close what is free; what is in use closes when its thread is done with the process."""
        free = []
        with contextlib.suppress(queue.Empty):
            while True:
                free.append(self._free.get_nowait())
        for connection in free:
            if connection is not None:
                connection.close()
            self._free.put(None)

    def _begun(self, connection: Any) -> tuple[Any, Any]:
        """A connection, and its cursor in a transaction."""
        if connection is not None:
            try:
                return connection, self._begin_on(connection)
            except Exception:
                # Lost while it was free, as when PostgreSQL was started again: nothing had been asked over it.
                connection.close()
        connection = self._new()
        try:
            return connection, self._begin_on(connection)
        except BaseException:
            connection.close()
            raise

    def _begin_on(self, connection: Any) -> Any:
        cursor = connection.cursor()
        cursor.execute(self._begin, ())
        return cursor

    def _new(self) -> Any:
        connection = self._connect()
        if self._sqlite:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        return connection
