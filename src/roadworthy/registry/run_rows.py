"""Rows of runs: what its columns say of a run, for those who need no more.

In: a run's id. Out: a `Row`. Called by all of registry/ and by the server's hot paths; registry/runs.py writes them.
"""

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from roadworthy.store.sql import Asked, Reader, Transaction

# Among what is read ahead: the numbers of the runs of which `run_shown` has something.
SHOWN = ("shown",)

COLUMNS = "seq, id, group_id, project, name, actor, status, stage, start_ms, end_ms, location"
_FIND = f"SELECT {COLUMNS} FROM runs WHERE id = :id"
_TO_WRITE = f"SELECT {COLUMNS}, shown FROM runs WHERE id = :id"
# PostgreSQL's writers of one run take turns; SQLite's hold the whole file anyway.
_HOLD = {"sqlite": _TO_WRITE, "postgresql": f"{_TO_WRITE} FOR UPDATE"}
# In an order that all servers keep to, or two groups could wait for each other.
_HOLD_MANY = f"SELECT {COLUMNS}, shown FROM runs WHERE id = ANY(:ids) ORDER BY id FOR UPDATE"
_FORGET = ("DELETE FROM run_shown WHERE run = :seq", "UPDATE runs SET shown = 0 WHERE seq = :seq")


class Row(NamedTuple):
    """The columns of a run.

    Args:
        seq: its number, by which its parameters, tags and metrics are kept.
        group_id: the number of its group.
        stage: `active` or `deleted`.
        start_ms, end_ms: milliseconds since 1970-01-01 UTC.
        location: where its artifacts go, empty for the place its group says.
    """

    seq: int
    id: str
    group_id: int
    project: str
    name: str
    actor: str
    status: str
    stage: str
    start_ms: int
    end_ms: int | None
    location: str


def find(reader: Reader, run_id: str) -> Row | None:
    """The row of a run, or None."""
    row = reader.row(_FIND, id=run_id)
    return None if row is None else Row(*row)


def hold(tx: Transaction, run_id: str) -> Row | None:
    """As `find`, for whoever writes to the run: nobody else does until the transaction ends."""
    ahead: Row | None = tx.ahead.get(("run", run_id))
    if ahead is not None:
        return ahead
    found = tx.row(_HOLD[tx.dialect], id=run_id)
    if found is None:
        return None
    *columns, shown = found
    row = Row(*columns)
    if shown:
        forget(tx, row.seq)
    return row


def hold_ahead(ids: Iterable[str]) -> Asked | None:
    """What holds several runs of PostgreSQL's for the pieces of a group."""

    def take(rows: list[tuple[Any, ...]], found: dict[Hashable, Any]) -> None:
        for *columns, shown in rows:
            row = Row(*columns)
            found["run", row.id] = row
            if shown:
                found.setdefault(SHOWN, []).append(row.seq)

    once = sorted(set(ids))
    return Asked(_HOLD_MANY, {"ids": once}, take) if once else None


def changed(tx: Transaction, row: Row) -> None:
    """A run that is held has other columns now."""
    if ("run", row.id) in tx.ahead:
        tx.ahead["run", row.id] = row


def begun(tx: Transaction, row: Row) -> None:
    """A run was just made: all that there is of it is known."""
    tx.know(("run", row.id), row)


def forget(tx: Transaction, run: int) -> None:
    """Let go of what was made of a run to be shown (registry/shown.py), since the run is about to change."""
    for statement in _FORGET:
        tx.execute_beside(statement, seq=run)


def rows(found: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Rows of a statement that selects `COLUMNS`."""
    return [Row(*row) for row in found]
