"""Statements to PostgreSQL that do not wait for the answers to those before them.

In: a connection. Out: a cursor as store/sql.py uses one, for one transaction. What it writes is sent and not waited
for; what it reads waits, and so does the transaction's end, so that a commit is known when its block ends. Between them
a group of writes (store/group.py) takes one way to the database and back for each read, not for each statement.

What goes wrong shows at the next wait, perhaps in a later piece of the work than the one it went wrong in.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


class Pipelined:
    """A cursor in pipeline mode: each statement has a cursor of the driver's own, so that answers are not mixed up.

    Args:
        connection, pipeline: psycopg's.
    """

    def __init__(self, connection: Any, pipeline: Any) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._last: Any = None

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed, once that is known."""
        self._pipeline.sync()
        return int(self._last.rowcount)

    def execute(self, sql: str, params: Any, /) -> None:
        self._last = self._connection.cursor()
        self._last.execute(sql, params)

    def executemany(self, sql: str, params: Iterable[Any], /) -> None:
        self._last = self._connection.cursor()
        self._last.executemany(sql, params)

    def fetchone(self) -> Any:
        return self._last.fetchone()

    def fetchall(self) -> Any:
        return self._last.fetchall()

    def fetchmany(self, size: int, /) -> Any:
        return self._last.fetchmany(size)

    def close(self) -> None:
        """Nothing: its cursors end with the pipeline."""


@contextmanager
def pipelined(connection: Any) -> Iterator[Pipelined]:
    """A cursor whose statements are all answered, and none has failed, when the block ends."""
    with connection.pipeline() as pipeline:
        yield Pipelined(connection, pipeline)
