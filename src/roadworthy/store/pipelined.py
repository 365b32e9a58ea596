"""Statements to PostgreSQL that do not wait for the answers to those before them.

In: a pipeline. Out: a cursor as store/sql.py uses one, for one transaction. What it writes is sent and not waited
for; what it reads waits, and so does the transaction's end, so that a commit is known when its block ends. Rows that
are to be written are kept until there are some or the transaction next asks for something, so that rows of several
pieces of work are one statement; and what a group's pieces will read can be read ahead of them, at once
(store/group.py). So a group takes a few ways to the database and back, not one for each read of each piece. What is
believed to be known already is read ahead too, but is waited for only before the commit, which needs it to be so.

What goes wrong shows at the next wait, perhaps in a later piece of the work than the one it went wrong in.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from typing import Any

from roadworthy.store import many_rows
from roadworthy.store.pipeline import Answer, Pipeline

Row = Mapping[str, Any]

# So many rows are sent without waiting for more, so that PostgreSQL writes them while the next are prepared.
UNSENT_MAX = 20

# Whether answers say what was assumed of them.
Holds = Callable[[list[list[Any]]], bool]

_KEY = re.compile(r"\bON CONFLICT\s*\(([^()]*)\)")


class Stale(Exception):
    """What a transaction assumed is not so (any more), and nothing of it was done."""


class Pipelined:
    """A cursor in pipeline mode.

    Args:
        pipeline: opened.

    Attributes:
        ahead: what was read ahead, and is still so: whoever writes rows of it with `insert_later` or `update_later`
            puts right what it says; any other statement that may change something empties it.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._last = Answer()
        self._page: list[Any] | None = None  # what is left of the last statement's rows
        self._inserts: dict[tuple[str, bool], list[Row]] = {}
        self._keys: dict[str, set[Hashable]] = {}
        self._unsent = 0  # rows
        self._updates: list[tuple[str, Sequence[Any]]] = []
        self._assumed: list[tuple[list[Answer], Holds]] = []
        self.ahead: dict[Hashable, Any] = {}

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed, once that is known."""
        return self._pipeline.changed(self._last)

    def execute(self, sql: str, params: Any, /) -> None:
        if not sql.lstrip().startswith("SELECT"):
            self.ahead.clear()
        self.execute_beside(sql, params)

    def execute_beside(self, sql: str, params: Sequence[Any]) -> None:
        """As `execute`, of what changes nothing that may have been read ahead."""
        self.send_rest()
        self._send(sql, params)

    def executemany(self, sql: str, params: Iterable[Any], /) -> None:
        self.send_rest()
        self.ahead.clear()
        for each in params:
            self._send(sql, each)

    def insert_later(self, sql: str, rows: Sequence[Row], *, new: bool = False) -> None:
        """Insert rows before anything is asked of the database, with other rows of the same statement.

        PostgreSQL takes a fifth longer over rows that may be there than over those that are `new`.
        """
        named = _key_of(sql)
        if named is not None:
            keys = self._keys.setdefault(sql, set())
            added = set(map(named, rows))
            if not keys.isdisjoint(added):  # one statement may not change a row twice
                self.send_rest()
                keys = self._keys.setdefault(sql, set())
            keys |= added
        self._inserts.setdefault((sql, new), []).extend(rows)
        self._unsent += len(rows)
        if self._unsent >= UNSENT_MAX:
            self.send_rest()
            self._pipeline.push()

    def update_later(self, sql: str, params: Sequence[Any]) -> None:
        """Change a row by its key before anything is asked of the database, after all that is inserted till then."""
        self._updates.append((sql, params))

    def together(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
        """The rows of several statements, for which it is waited once; they may hold rows, and change none."""
        return [self._pipeline.rows(answer) for answer in self._ask(statements)]

    def assume(self, statements: Iterable[tuple[str, Sequence[Any]]], holds: Holds) -> None:
        """As `together`, and go on; before the transaction is committed, `holds` is asked whether all is as assumed.

        Raises:
            Stale: at the block's end, when it is not.
        """
        asked = self._ask(statements)
        self._pipeline.want(asked)
        self._assumed.append((asked, holds))

    def verify(self) -> None:
        """Hold what was assumed against the answers."""
        if self._assumed:
            self._pipeline.push()  # so that PostgreSQL has something to do meanwhile
        for asked, holds in self._assumed:
            if not holds([self._pipeline.rows(answer) for answer in asked]):
                raise Stale

    def fetchone(self) -> Any:
        return next(iter(self.fetchmany(1)), None)

    def fetchall(self) -> Any:
        return self.fetchmany(None)

    def fetchmany(self, size: int | None, /) -> Any:
        rows = self._pipeline.rows(self._last) if self._page is None else self._page
        if size is None or len(rows) <= size:
            self._page = []
            return rows
        self._page = rows[size:]
        return rows[:size]

    def close(self) -> None:
        """Nothing: its cursors end with the pipeline."""

    def send_rest(self) -> None:
        """Send what was left for later."""
        self._unsent = 0
        if self._inserts:
            inserts, self._inserts = self._inserts, {}
            self._keys.clear()
            for (sql, new), rows in inserts.items():
                for statement, params in many_rows.together(_plain(sql) if new else sql, rows):
                    self._send(statement, params)
        if self._updates:
            updates, self._updates = self._updates, []
            for sql, values in updates:
                self._send(sql, values)

    def _ask(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> list[Answer]:
        self.send_rest()
        asked = []
        for sql, params in statements:
            self._send(sql, params)
            asked.append(self._last)
        return asked

    def _send(self, sql: str, params: Any) -> None:
        self._last = self._pipeline.send(sql, params)
        self._page = None


@contextmanager
def pipelined(pipeline: Pipeline) -> Iterator[Pipelined]:
    """A transaction's cursor: committed when the block ends, rolled back if it raises."""
    with pipeline.opened():
        cursor = Pipelined(pipeline)
        yield cursor
        cursor.send_rest()
        cursor.verify()


@lru_cache(maxsize=256)
def _plain(sql: str) -> str:
    """An insert of rows of which none is there."""
    return sql.partition("ON CONFLICT")[0]


@lru_cache(maxsize=256)
def _key_of(sql: str) -> Callable[[Row], Hashable] | None:
    """What tells rows of an insert apart, if it may meet some that are there."""
    found = _KEY.search(sql)
    return itemgetter(*(name.strip() for name in found[1].split(","))) if found else None
