"""The store: everything that is kept, behind one door.

`with store.change(event) as tx:` is the only way to get a transaction that writes, so nothing changes without its line
in the log; the event, its leaf and the change commit together or not at all. Rooms write the tables they own through
`tx`; reads go through `store.read()`.
"""

import contextlib
import getpass
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.event import Event
from roadworthy.store import belonging, log, migrating
from roadworthy.store.blobs import Blobs
from roadworthy.store.clock import Clock, Ids, RandomIds, from_environment
from roadworthy.store.keys import Keys
from roadworthy.store.sql import Database, Reader, Transaction

HOME = ".roadworthy"
URL_ENVIRONMENT = "ROADWORTHY_STORE"


class Change(Transaction):
    """A writing transaction with the event that will be logged when it commits."""

    event: Event

    def note(self, **detail: object) -> None:
        """Add to the event's detail what is only known inside the transaction (a version number, say)."""
        self.event = msgspec.structs.replace(self.event, detail={**self.event.detail, **detail})

    def about(self, subject: str) -> None:
        """Name the event's subject, where the transaction itself settles it."""
        self.event = msgspec.structs.replace(self.event, subject=subject)


class Store:
    """Everything kept by one project (or one server): records, blobs, log, keys, clock.

    Args:
        home: the `.roadworthy` folder.
        sql: the database.
        clock, ids: time and chance; tests and replays give their own.
        actor: who is said to have made the changes.
    """

    def __init__(self, home: Path, sql: Database, *, clock: Clock, ids: Ids, actor: str) -> None:
        self.home = home
        self.sql = sql
        self.blobs = Blobs(home / "blobs")
        self.keys = Keys(home / "keys")
        self.clock = clock
        self.ids = ids
        self.actor = actor
        self._noted = False

    @contextmanager
    def change(self, event: Event) -> Iterator[Change]:
        """A writing transaction; its event is logged with it, or neither happens."""
        with self.sql.write() as tx:
            change = Change(tx._cursor, tx.dialect)  # noqa: SLF001 - the same transaction, with its event
            change.event = event
            yield change
            stamped = msgspec.structs.replace(change.event, at=self.clock.now(), actor=event.actor or self.actor)
            log.append(change, stamped)
        self.note()

    def read(self) -> AbstractContextManager[Reader]:
        """A reading transaction: all of it is of one moment."""
        return self.sql.read()

    def append(self) -> AbstractContextManager[Transaction]:
        """A transaction for high-rate rows (metric points) and leases, which are not events one by one.

        The event that closes their run or window carries their digest.
        """
        return self.sql.write()

    def note(self) -> None:
        """Note, once something was written, that its records name the blobs; what was written is so without it too."""
        if not self._noted:
            with contextlib.suppress(Fault):
                self._noted = belonging.note(self.home, self.sql, self.blobs)

    def keep_blobs(self, blobs: Blobs) -> None:
        """Have blobs elsewhere than in the folder."""
        self.blobs = blobs
        self._noted = False

    def close(self) -> None:
        self.sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(
    home: Path, *, url: str = "", clock: Clock | None = None, ids: Ids | None = None, actor: str = ""
) -> Store:
    """Open the store in `home`, making or migrating it as needed.

    Args:
        home: the `.roadworthy` folder; made if absent, with a .gitignore that keeps it out of git.
        url: `sqlite` (the default), or `postgresql://…`; the variable ROADWORTHY_STORE wins over it.
        clock, ids: the system's unless given; the variable ROADWORTHY_NOW shifts the system's clock.
        actor: the user's login name unless given.

    Raises:
        Fault: invalid for a URL of another kind, unavailable when the database does not answer.
    """
    url = os.environ.get(URL_ENVIRONMENT) or url or "sqlite"
    if url != "sqlite" and not re.match(r"postgres(ql)?://", url):
        raise invalid("the store's URL is neither `sqlite` nor `postgresql://…`", where=url.split("@")[-1])
    prepare_home(home)
    database = Database(str(home / "store.db") if url == "sqlite" else url)
    migrating.migrate(database)
    return Store(home, database, clock=clock or from_environment(), ids=ids or RandomIds(), actor=actor or _login())


def prepare_home(home: Path) -> None:
    """Make the `.roadworthy` folder, readable by its owner alone and ignored by git."""
    if home.is_dir():
        return
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / ".gitignore").write_text("*\n")
    except OSError as problem:
        raise invalid(f"the store's folder cannot be made: {problem.strerror}", where=str(home)) from None


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
