"""Expiry of the cache: what steps made leaves it when no run that keeps its outputs made or used it.

In: which runs and keys stay, from operate/retention.py. Out: the keys that go; what the others name. What was found
about data sets and contracts is small, and stays.
"""

from collections.abc import Iterable, Iterator

import msgspec

from roadworthy.nouns.event import Event
from roadworthy.store import references
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

_ROWS = "SELECT key, step, run, record FROM step_outputs"
_REMOVE = "DELETE FROM step_outputs WHERE key = :key"
# Rows removed in one transaction, so that writers have their turn.
BATCH = 1_000


class Cached(msgspec.Struct, frozen=True, kw_only=True):
    """The cache by the rules: keys that go, and the digests (32 bytes each) that the rest names, and that they name."""

    gone: tuple[str, ...]
    digests: set[bytes]
    of_gone: set[bytes]


def judge(reader: Reader, *, runs: frozenset[str], keys: set[str], known: frozenset[str]) -> Cached:
    """Which rows go.

    Args:
        runs: those that keep what their steps made.
        keys: of steps that such runs made or used.
        known: all runs there are; what a run has kept that is not recorded yet stays.
    """
    gone: list[str] = []
    digests: set[bytes] = set()
    of_gone: set[bytes] = set()
    for key, step, run, record in _rows(reader):
        of_data = ":" in step
        if not of_data and key not in keys and run not in runs and run in known:
            gone.append(key)
            of_gone |= references.in_cell(record)
        else:
            digests |= references.in_cell(record)
    return Cached(gone=tuple(gone), digests=digests, of_gone=of_gone)


def remove(store: Store, keys: Iterable[str]) -> int:
    """Forget what is kept under keys; how many."""
    waiting = list(keys)
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        event = Event(kind="step_outputs.expired", subject=f"{len(batch)} outputs", detail={"keys": len(batch)})
        with store.change(event) as tx:
            tx.execute_many(_REMOVE, [{"key": key} for key in batch])
    return len(waiting)


def _rows(reader: Reader) -> Iterator[tuple[str, str, str, str]]:
    for key, step, run, record in reader.each(_ROWS):
        yield str(key), str(step), str(run), str(record)
