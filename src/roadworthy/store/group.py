"""Group commit: many changes in one transaction, acknowledged together after one sync of the disk.

In: pieces of work, functions that take a store and return what their caller wants; from one event loop. Out: a future
each, which is done once the work is durable, or failed with what its own piece raised; the others do not notice. A
piece is given a store whose `change`, `append` and `read` are parts of the transaction under way, so whatever a room
can do with a store it can do here. Used by servers (faces/server).

While one group is being synced the next gathers, so that the more ask at once, the fewer syncs each costs. On SQLite
the loop's own thread writes, since handing over to another costs more than the write; it lets a thread of its own do
so when the disk or another process's lock makes it wait. PostgreSQL is always waited for in that thread.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol

import msgspec

from roadworthy.nouns.errors import Fault, unavailable
from roadworthy.nouns.event import Event
from roadworthy.store import log
from roadworthy.store.gathering import Gathering
from roadworthy.store.sql import Reader, Transaction, as_fault, is_deadlock
from roadworthy.store.store import Change, Store
from roadworthy.store.writing import Writing

WORK_MAX = 256  # pieces in one transaction
WAITING_MAX = 20_000
DEADLOCK_TRIES = 4  # of groups of two servers that want each other's rows, PostgreSQL ends one
# A commit on the loop's thread that takes longer sends the next ones to the other thread for a while.
PATIENCE_S = 0.05
AWAY_S = 5.0
INLINE_LOCK_WAIT_MS = 20
# Most work succeeds, so a group is tried without savepoints; after one in which some did not, for this long with them.
APART_S = 1.0

Work = Callable[[Store], Any]


class Reading(Protocol):
    """What reads for all pieces of a group at once; it lives as long as the groups, and may remember."""

    def read(self, tx: Transaction, wanted: list[Any], *, trust: bool) -> bool:
        """Read what the pieces want; whether it went on with what it remembers, which only `trust` allows."""

    def committed(self, tx: Transaction) -> None:
        """The transaction for which it read last is durable."""


# What reads for a piece, one of a kind for all of them, and what the piece wants of it.
Ahead = tuple[Callable[[], Reading], Any]


class _Piece(NamedTuple):
    work: Work
    actor: str
    source: str
    ahead: Ahead | None
    done: asyncio.Future[Any]


class _Refusal(Exception):
    """A piece of a group that has no savepoints raised what is its cause."""


class Grouped(Store):
    """A store inside a transaction under way: what it changes is part of it, up to a savepoint of its own."""

    def __init__(self, store: Store, tx: Transaction, actor: str, source: str = "") -> None:
        self.home, self.sql, self.blobs, self.keys = store.home, store.sql, store.blobs, store.keys
        self.clock, self.ids = store.clock, store.ids
        self.actor = actor or store.actor
        self.source = source
        self.events: list[Event] = []
        self._tx = tx
        self._inside = nullcontext(tx)

    @contextmanager
    def change(self, event: Event) -> Iterator[Change]:
        """As `Store.change`; the event is logged with the group."""
        change = Change(self._tx._cursor, self._tx.dialect)  # noqa: SLF001 - the same transaction, with its event
        change.event = event
        yield change
        event = change.event
        detail = {**event.detail, "from": self.source} if self.source else event.detail
        stamped = msgspec.structs.replace(event, at=self.clock.now(), actor=event.actor or self.actor, detail=detail)
        self.events.append(stamped)

    def append(self) -> AbstractContextManager[Transaction]:
        return self._inside

    def read(self) -> AbstractContextManager[Reader]:
        return self._inside

    def close(self) -> None:
        """Nothing: the transaction ends with its group."""


@contextmanager
def together(store: Store) -> Iterator[Grouped]:
    """A store inside one transaction: all that is changed through it is there when the block ends, or nothing is."""
    with store.sql.write() as tx:
        grouped = Grouped(store, tx, "")
        yield grouped
        log.append_many(tx, grouped.events)


class GroupCommit:
    """Takes work from an event loop and commits it in groups.

    Args:
        store: where the work is done; nothing else may write through it meanwhile.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Piece] = []
        self._under_way = False
        self._scheduled = False
        self._gathering = Gathering()
        self._timer: asyncio.TimerHandle | None = None
        self._took_s = 0.0
        self._away_until = 0.0
        self._apart_until = 0.0
        self._last: list[asyncio.Future[Any]] = []
        self._thread = Writing()
        self._readings: dict[Callable[[], Reading], Reading] = {}
        self._end = log.End()
        self.commits = 0
        self.pieces = 0

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return len(self._waiting)

    def submit(
        self, work: Work, *, actor: str = "", source: str = "", ahead: Ahead | None = None
    ) -> asyncio.Future[Any]:
        """Have `work(store)` done in the next group; its result once it is durable.

        Args:
            work: must not wait for anything but the store, and changes nothing when it raises. It may be done again,
                when what it did was taken back.
            actor: who is said to have made the changes.
            source: the address they came from, empty for this machine.
            ahead: what PostgreSQL is asked for before a group's pieces are done, in as many statements for all of them
                as for one; the work must be right without it too.

        Raises:
            Fault: unavailable when too many wait.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise unavailable("too many writes wait for the disk", fix="try again in a second")
        piece = _Piece(work, actor, source, ahead, asyncio.get_running_loop().create_future())
        self._waiting.append(piece)
        if self._timer is not None and self._gathering.enough(len(self._waiting)):
            self._timer.cancel()
            self._timer = None
            asyncio.get_running_loop().call_soon(self._start)
        elif not self._scheduled and not self._under_way:
            self._schedule()
        return piece.done

    async def drain(self) -> None:
        """Wait until nothing waits; whoever stops a server calls it when no request can come any more."""
        while self._waiting or self._under_way or self._scheduled:
            await asyncio.wait([*(piece.done for piece in self._waiting), *self._last], timeout=1.0)
        self._thread.end()

    def _schedule(self) -> None:
        """Begin after every request that has arrived by now, or is about to: they share the sync."""
        self._scheduled = True
        loop = asyncio.get_running_loop()
        if wait_s := self._gathering.wait_s(len(self._waiting)):
            self._timer = loop.call_later(wait_s, self._start)
        else:
            loop.call_soon(self._start)

    def _start(self) -> None:
        self._scheduled = False
        self._timer = None
        if self._under_way or not self._waiting:
            return
        group, self._waiting = self._waiting[:WORK_MAX], self._waiting[WORK_MAX:]
        if self._store.sql.dialect == "sqlite" and time.monotonic() >= self._away_until:
            began = time.monotonic()
            outcome = self._carry_out(group, INLINE_LOCK_WAIT_MS)
            if time.monotonic() - began > PATIENCE_S or outcome is None:
                self._away_until = time.monotonic() + AWAY_S
            if outcome is not None:
                self._settle(group, outcome)
                return
        self._under_way = True
        self._last = [piece.done for piece in group]
        self._thread.do(lambda: self._elsewhere(group), lambda outcome: self._came_back(group, outcome))

    def _elsewhere(self, group: list[_Piece]) -> list[tuple[bool, Any]]:
        """As `_carry_out`, in the writing thread, which nothing may end: those who wait would wait for ever."""
        try:
            outcome = self._carry_out(group, None)
            assert outcome is not None
        except BaseException as problem:
            failure = RuntimeError(f"the writing thread met {type(problem).__name__}")
            failure.__cause__ = problem
            return [(False, failure)] * len(group)
        return outcome

    def _came_back(self, group: list[_Piece], outcome: list[tuple[bool, Any]]) -> None:
        self._under_way = False
        self._settle(group, outcome)

    def _settle(self, group: list[_Piece], outcome: list[tuple[bool, Any]]) -> None:
        self.commits += 1
        self.pieces += len(group)
        self._gathering.committed(len(group), self._took_s)
        for piece, (well, value) in zip(group, outcome, strict=True):
            if piece.done.done():
                continue  # whoever asked is gone
            if well:
                piece.done.set_result(value)
            else:
                piece.done.set_exception(value)
        if self._waiting and not self._scheduled:
            self._schedule()

    def _carry_out(self, group: list[_Piece], lock_wait_ms: int | None) -> list[tuple[bool, Any]] | None:
        """Do a group's work and commit it; None when another process held the lock for longer than was to be waited."""
        began, start, tries_left, trust = False, time.monotonic(), DEADLOCK_TRIES, True
        while True:
            apart, trusting = start < self._apart_until, False
            done: list[tuple[bool, Any]] = []
            try:
                with self._store.sql.write(lock_wait_ms=lock_wait_ms, pipeline=not apart) as tx:
                    began = True
                    events: list[Event] = []
                    readings = [] if apart or tx.dialect == "sqlite" else self._wanted(group)
                    for reading, wanted in readings:
                        trusting |= reading.read(tx, wanted, trust=trust)
                    done += [self._one(tx, piece, events, apart=apart) for piece in group]
                    log.append_many(tx, events, self._end, trust=trust and not apart and tx.dialect == "postgresql")
                    trusting |= self._end.trusted
                break
            except Exception as problem:
                if is_deadlock(problem):
                    tries_left -= 1
                    if tries_left:
                        continue  # another server's group goes first; none of this one's work was kept
                elif trusting and not isinstance(problem, Fault):
                    trust = False
                    continue  # what was trusted may be all that is wrong
                elif not apart and not isinstance(problem, Fault):
                    if len(group) > 1:
                        self._apart_until = start + APART_S
                        continue  # once more, each piece up to a savepoint: the others must not notice
                    return [(False, problem.__cause__ if isinstance(problem, _Refusal) else problem)]
                if lock_wait_ms is not None and not began and isinstance(problem, Fault):
                    return None
                return [(False, problem)] * len(group)
        self._end.committed()
        for reading, _ in readings:
            reading.committed(tx)
        self._store.note()
        self._took_s = time.monotonic() - start
        return done

    def _wanted(self, group: list[_Piece]) -> list[tuple[Reading, list[Any]]]:
        """What reads ahead for a group, and what its pieces want of each."""
        wanted: dict[Callable[[], Reading], list[Any]] = {}
        for piece in group:
            if piece.ahead is not None:
                wanted.setdefault(piece.ahead[0], []).append(piece.ahead[1])
        for kind in wanted.keys() - self._readings.keys():
            self._readings[kind] = kind()
        return [(self._readings[kind], wants) for kind, wants in wanted.items()]

    def _one(self, tx: Transaction, piece: _Piece, events: list[Event], *, apart: bool) -> tuple[bool, Any]:
        """Do one piece's work; with `apart`, it takes back only what it did itself when it raises."""
        store = Grouped(self._store, tx, piece.actor, piece.source)
        if apart:
            tx.execute("SAVEPOINT piece")
        try:
            result = piece.work(store)
        except Exception as problem:
            if is_deadlock(problem):
                raise
            if fault := as_fault(problem, self._store.sql.url):
                raise fault from problem  # of the disk or the connection: it is the whole group's
            if not apart:
                raise _Refusal from problem
            tx.execute("ROLLBACK TO SAVEPOINT piece")
            tx.execute("RELEASE SAVEPOINT piece")
            return False, problem
        if apart:
            tx.execute("RELEASE SAVEPOINT piece")
        events += store.events
        return True, result
