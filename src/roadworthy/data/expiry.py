"""Expiry of snapshots: which are old by the project's rules, named by nothing, and not the newest of their data set.

In: what everything else names, from operate/retention.py. Out: rows to remove. Ages count back from the newest snapshot
of the data set: where no data came for a year, nothing grows old.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from roadworthy.nouns.event import Event
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

_ROWS = "SELECT project, name, id, created_at FROM snapshots ORDER BY created_at DESC, id"
# One that was taken again meanwhile is young again.
_REMOVE = """
DELETE FROM snapshots WHERE project = :project AND name = :name AND id = :id AND created_at = :created_at
"""
# Snapshots removed in one transaction, so that writers have their turn.
BATCH = 500


class Row(NamedTuple):
    """Which row of `snapshots`."""

    project: str
    name: str
    id: str
    created_at: float


def judge(reader: Reader, age_s: float | None, *, named: Collection[bytes]) -> tuple[Row, ...]:
    """Which snapshots go.

    Args:
        age_s: from which age on; None for never.
        named: digests that other records name; the ids of snapshots that runs used are among them.
    """
    newest: dict[tuple[str, str], float] = {}
    gone = []
    for project, name, snapshot, created_at in reader.each(_ROWS):
        first = newest.setdefault((project, name), created_at)
        old = age_s is not None and first - created_at >= age_s and created_at < first
        if old and bytes.fromhex(snapshot) not in named:
            gone.append(Row(project, name, snapshot, created_at))
    return tuple(gone)


def remove(store: Store, rows: Iterable[Row]) -> int:
    """Remove snapshots; the log says which. How many."""
    waiting = list(rows)
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        detail = {"snapshots": [row.id for row in batch]}
        with store.change(Event(kind="snapshots.expired", subject=f"{len(batch)} snapshots", detail=detail)) as tx:
            tx.execute_many(_REMOVE, [row._asdict() for row in batch])
    return len(waiting)
