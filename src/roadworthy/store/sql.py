"""The SQL engine: one connection, two dialects, transactions. It knows no table.

Statements are whole and named, with `:name` parameters, and written so that SQLite and PostgreSQL both take them.
They go straight to the drivers (sqlite3, psycopg 3): a toolkit between would cost more at start-up than `rw run` may
take altogether (docs/decisions.md has the measurement).
"""

import os
import re
import sqlite3
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from roadworthy.nouns.errors import Fault, invalid, unavailable
from roadworthy.store import connecting, many_rows
from roadworthy.store.connecting import LOCK_WAIT_MS_MAX, LOCK_WAIT_S_MAX
from roadworthy.store.pipeline import Pipeline
from roadworthy.store.pipelined import Pipelined, pipelined
from roadworthy.store.readers import Readers

Dialect = Literal["sqlite", "postgresql"]
Row = tuple[Any, ...]
Parameters = Mapping[str, Any] | Sequence[Any]

PAGE = 1_000
# PostgreSQL's default level would show each statement another moment.
_READ: dict[Dialect, str] = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"}


class Cursor(Protocol):
    """What both drivers' cursors share, as far as we use it."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, sql: str, params: Parameters, /) -> Any: ...

    def executemany(self, sql: str, params: Iterable[Parameters], /) -> Any: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> Any: ...

    def fetchmany(self, size: int, /) -> Any: ...

    def close(self) -> None: ...


class Asked(NamedTuple):
    """A statement with `:name` parameters, and what takes its rows into what is read ahead."""

    sql: str
    params: Mapping[str, Any]
    take: Callable[[list[Row], dict[Hashable, Any]], None]


class Reader:
    """Reads inside one transaction: everything it returns is of one moment.

    Attributes:
        ahead: what was read ahead for a group's pieces (store/pipelined.py); empty outside groups.
    """

    def __init__(self, cursor: Cursor, dialect: Dialect) -> None:
        self._cursor = cursor
        self.dialect: Dialect = dialect
        self.ahead: dict[Hashable, Any] = cursor.ahead if isinstance(cursor, Pipelined) else {}

    def rows(self, sql: str, **params: Any) -> list[Row]:
        """All rows of a statement with `:name` parameters."""
        self._run(sql, params)
        return list(self._cursor.fetchall())

    def each(self, sql: str, **params: Any) -> Iterator[Row]:
        """The rows one by one, for a table that memory may not hold; ask nothing else before the last."""
        self._run(sql, params)
        while page := self._cursor.fetchmany(PAGE):
            yield from page

    def row(self, sql: str, **params: Any) -> Row | None:
        """The first row, or None."""
        self._run(sql, params)
        found: Row | None = self._cursor.fetchone()
        return found

    def _run(self, sql: str, params: Mapping[str, Any]) -> None:
        if self.dialect == "sqlite":
            self._cursor.execute(sql, params)
        else:
            self._cursor.execute(*_in_order(sql, params))


class Transaction(Reader):
    """Reads and writes inside one transaction: committed when its block ends, rolled back if it raises."""

    def execute(self, sql: str, **params: Any) -> None:
        """Run a statement."""
        self._run(sql, params)

    def changed(self, sql: str, **params: Any) -> int:
        """Run a statement; how many rows it changed."""
        self._run(sql, params)
        return self._cursor.rowcount

    def execute_many(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once per row of parameters."""
        if rows and self.dialect == "sqlite":
            self._cursor.executemany(sql, rows)
        elif rows:
            text, names = _numbered(sql)
            self._cursor.executemany(text, [[row[name] for name in names] for row in rows])

    def insert_many(self, sql: str, rows: Sequence[Mapping[str, Any]], *, new: bool = False) -> None:
        """Insert rows of which no two have the same key, with `INSERT … VALUES (:a, :b)` and what may follow it.

        In a group they are inserted at the latest when something is next asked of the database.

        Args:
            new: whether it is known that none of them is there, so that nobody need look for each.
        """
        if not rows:
            return
        if self.dialect == "sqlite":
            self.execute_many(sql, rows)
        elif isinstance(self._cursor, Pipelined):
            self._cursor.insert_later(sql, rows, new=new)
        else:
            for statement, params in many_rows.together(sql, rows):
                self._cursor.execute(statement, params)

    def update_one(self, sql: str, **params: Any) -> None:
        """Change a row by its key; in a group, when something is next asked of the database."""
        if isinstance(self._cursor, Pipelined):
            self._cursor.update_later(*_in_order(sql, params))
        else:
            self._run(sql, params)

    def execute_beside(self, sql: str, **params: Any) -> None:
        """Run a statement that changes nothing of what is ever read ahead."""
        if isinstance(self._cursor, Pipelined):
            self._cursor.execute_beside(*_in_order(sql, params))
        else:
            self._run(sql, params)

    def know(self, key: Hashable, value: Any) -> None:
        """Keep what is known of something that this transaction made, as if it had been read ahead; in groups alone."""
        if isinstance(self._cursor, Pipelined):
            self.ahead[key] = value

    def together(self, asked: Sequence[Asked]) -> None:
        """Ask several things in a group on PostgreSQL, none of which depends on another's answer, and wait once."""
        assert isinstance(self._cursor, Pipelined)
        _take(asked, self._cursor.together(_in_order(each.sql, each.params) for each in asked), self.ahead)

    def assume(self, asked: Sequence[Asked], holds: Callable[[dict[Hashable, Any]], bool]) -> None:
        """As `together`, and go on without the answers: `holds` is given them, as they are taken, before the commit.

        Raises:
            Stale: at the transaction's end, when what was assumed does not hold.
        """
        assert isinstance(self._cursor, Pipelined)

        def compare(answers: list[list[Row]]) -> bool:
            found: dict[Hashable, Any] = {}
            _take(asked, answers, found)
            return holds(found)

        self._cursor.assume((_in_order(each.sql, each.params) for each in asked), compare)


class Database:
    """A connection to SQLite or PostgreSQL, safe to share between threads (they take turns).

    Args:
        url: a path for SQLite, or `postgresql://user@host:port/database`.

    A server calls `read_beside` once: from then on reads have connections of their own and wait for no writer, and the
    other connection is for writes.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.dialect: Dialect = "postgresql" if url.startswith(("postgresql://", "postgres://")) else "sqlite"
        self._lock = threading.RLock()
        self._connection: Any = None
        self._pipeline: Pipeline | None = None  # of the connection, on PostgreSQL
        self._open: Cursor | None = None
        self._writing = 0  # the thread whose transaction is open
        self._lock_wait_ms = LOCK_WAIT_MS_MAX
        self._folder = str(Path(url).parent)
        self._readers: Readers | None = None

    def read_beside(self) -> None:
        """Let reads have connections of their own, several at once, beside the one that writes."""
        self._readers = Readers(
            lambda: self._connect(to_write=False), _READ[self.dialect], sqlite=self.dialect == "sqlite"
        )
        if self.dialect == "postgresql":
            self._drop()  # the next is opened to write alone

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """A reading transaction; inside another transaction of this thread, part of that one."""
        if self._readers is not None and self._writing != threading.get_ident():
            with self._named_failures(), self._readers.cursor() as cursor:
                yield Reader(cursor, self.dialect)
            return
        with self._lock:
            if self._open is not None:
                yield Reader(self._open, self.dialect)
                return
            with self._begun(_READ[self.dialect]) as cursor:
                yield Reader(cursor, self.dialect)

    @contextmanager
    def write(self, *, lock_wait_ms: int | None = None, pipeline: bool = False) -> Iterator[Transaction]:
        """A transaction that holds the write lock from its first statement, so that it cannot fail half-way for it.

        Args:
            lock_wait_ms: how long to wait for SQLite's lock; `LOCK_WAIT_S_MAX` unless given.
            pipeline: whether PostgreSQL may say later what is wrong with a statement (store/pipelined.py).
        """
        begin = "BEGIN IMMEDIATE" if self.dialect == "sqlite" else "BEGIN"
        with self._lock:
            # Two writes in one would break "its event or neither"; a read first would take the lock too late.
            assert self._open is None, "a write was begun inside another transaction"
            # Before, lest it overwrites what the disk still has; after, lest it is acknowledged.
            self._refuse_read_only()
            with self._begun(begin, pipeline=pipeline, lock_wait_ms=lock_wait_ms) as cursor:
                yield Transaction(cursor, self.dialect)
            self._refuse_read_only()

    def close(self) -> None:
        if self._readers is not None:
            self._readers.close()
        self._drop()

    def _drop(self) -> None:
        """Close the connection that writes; the next who needs one opens it."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _refuse_read_only(self) -> None:
        """Refuse to write to a file system that has turned read-only: its syncs may do nothing.

        Linux's ext4 that met an error and is set to go on read-only takes writes to blocks it has, and answers a sync
        of them with success, without writing anything.
        """
        try:
            flags = os.statvfs(self._folder).f_flag if self.dialect == "sqlite" else 0
        except OSError:
            return  # what opens the store says what is wrong
        if flags & os.ST_RDONLY:
            raise unavailable(
                "the file system is read-only", where=self.url, fix="mend the disk, and mount it for writing"
            )

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except Exception as problem:
            fault = as_fault(problem, self.url)
            if fault is None:
                raise
            raise fault from problem

    @contextmanager
    def _begun(self, begin: str, *, pipeline: bool = False, lock_wait_ms: int | None = None) -> Iterator[Cursor]:
        self._connected()
        opened: AbstractContextManager[Cursor]
        if pipeline and self.dialect == "postgresql":
            opened = pipelined(self._piped())
        else:
            opened = self._plain(begin, lock_wait_ms or LOCK_WAIT_MS_MAX)
        try:
            with opened as cursor:
                self._open = cursor
                self._writing = threading.get_ident()
                yield cursor
        except BaseException as problem:
            cause = problem.__cause__ or problem  # of work that was refused, its own words may say anything
            if isinstance(cause, sqlite3.Error) and "readonly" in str(cause):
                # Opened while the file could not be written, it would stay so when the disk is mended.
                self._drop()
            fault = as_fault(problem, self.url)
            if fault is None:
                raise
            raise fault from problem
        finally:
            self._open = None
            self._writing = 0

    @contextmanager
    def _plain(self, begin: str, lock_wait_ms: int) -> Iterator[Cursor]:
        cursor = self._connection.cursor()
        try:
            self._set_lock_wait(cursor, lock_wait_ms)
            cursor.execute(begin, ())
            yield cursor
            cursor.execute("COMMIT", ())
        except BaseException:
            self._roll_back(cursor)
            raise
        finally:
            if self._connection is not None:
                cursor.close()

    def _piped(self) -> Pipeline:
        if self._pipeline is None or self._pipeline.connection is not self._connection:
            self._pipeline = Pipeline(self._connection)
        return self._pipeline

    def _set_lock_wait(self, cursor: Cursor, wait_ms: int) -> None:
        """How long SQLite's lock is waited for; said only when it is another time than before."""
        if self.dialect == "sqlite" and wait_ms != self._lock_wait_ms:
            cursor.execute(f"PRAGMA busy_timeout = {int(wait_ms)}", ())
            self._lock_wait_ms = wait_ms

    def _roll_back(self, cursor: Cursor) -> None:
        try:
            cursor.execute("ROLLBACK", ())
        except Exception:
            # Nothing was begun, or the connection is gone: either way a new one starts clean.
            self._drop()

    def _connected(self) -> None:
        if self._connection is None or self._is_lost():
            try:
                self._connection = self._connect(to_write=self._readers is not None)
                self._lock_wait_ms = LOCK_WAIT_MS_MAX
            except Exception as problem:
                fault = as_fault(problem, self.url)
                if fault is None:
                    raise
                raise fault from problem

    def _is_lost(self) -> bool:
        # Found out now, or the first write after PostgreSQL was started again would be refused.
        return self.dialect == "postgresql" and connecting.is_lost(self._connection)

    def _connect(self, *, to_write: bool) -> Any:
        if self.dialect == "sqlite":
            return connecting.to_sqlite(Path(self.url))
        return connecting.to_postgresql(self.url, to_write=to_write)


def _take(asked: Sequence[Asked], answers: Sequence[list[Row]], found: dict[Hashable, Any]) -> None:
    for each, rows in zip(asked, answers, strict=True):
        each.take(rows, found)


def _in_order(sql: str, params: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """A statement and its parameters as PostgreSQL itself takes them."""
    text, names = _numbered(sql)
    return text, [params[name] for name in names]


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement as PostgreSQL itself takes it, `$1` for the first of the names that are beside it.

    The driver would read a statement with names anew for each execution when it is long or has many of them.
    """
    names: dict[str, int] = {}
    text = many_rows.PARAMETER.sub(lambda m: f"${names.setdefault(m[1], len(names) + 1)}" if m[1] else m[0], sql)
    return text, tuple(names)


def is_deadlock(problem: BaseException) -> bool:
    """Whether PostgreSQL ended a transaction so that another could go on: done again, it may well succeed."""
    kind = type(problem)
    return kind.__module__.startswith("psycopg") and kind.__name__ in {"DeadlockDetected", "SerializationFailure"}


def as_fault(problem: BaseException, url: str) -> Fault | None:
    """What a user can act on, of what the drivers raise; None for defects of ours."""
    where = without_password(url)
    if isinstance(problem, sqlite3.OperationalError | sqlite3.DatabaseError):
        text = str(problem)
        if "locked" in text:
            return unavailable(f"another process held the store for over {LOCK_WAIT_S_MAX:.0f} s", where=where)
        if any(word in text for word in ("full", "readonly", "disk I/O", "unable to open")):
            return unavailable(
                f"the store cannot be written: {text}", where=where, fix="free space, or mend permissions"
            )
        if "not a database" in text or "malformed" in text:
            return invalid(f"the store is damaged: {text}", where=where, fix="restore it from a backup")
    elif type(problem).__module__.startswith("psycopg") and type(problem).__name__ in {
        "OperationalError",
        "AdminShutdown",
    }:
        return unavailable(f"PostgreSQL does not answer: {str(problem).strip()}", where=where)
    elif (
        isinstance(problem, OSError)
        and not isinstance(problem, TimeoutError)
        and problem.filename == str(Path(url).parent)
    ):
        return unavailable(f"the store cannot be opened: {problem.strerror}", where=where)
    return None


def without_password(url: str) -> str:
    """A database's URL as messages may show it."""
    return re.sub(r"//([^:/@]+):[^@]*@", r"//\1:***@", url)
