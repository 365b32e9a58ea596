"""Reading ahead: what a group of writes will ask about its runs, in one way to PostgreSQL and back for all of them.

In: for each piece of work, what it will read. Out: the transaction's `ahead`, where run_rows, labels, metrics and
groups look before they ask, and in which each of them puts right what it changes. Called by the store before a group's
pieces are done (store/group.py); without it each asks for itself.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from roadworthy.registry import groups, labels, metrics, run_rows
from roadworthy.store.sql import Transaction


class Wanted(NamedTuple):
    """What one piece of work will read.

    Args:
        run: the id of the run that it writes to.
        params: whether it reads the run's parameters.
        keys: the metrics of which it reads the latest; None for all of the run's.
        place: whether it reads the run's group.
        begins_in: the number of the group in which it begins a run.
    """

    run: str = ""
    params: bool = False
    keys: Iterable[str] | None = ()
    place: bool = False
    begins_in: int | None = None


def read(tx: Transaction, wanted: Sequence[Wanted]) -> None:
    """Read what is wanted; the runs are held until the transaction ends."""
    some_metrics = [(each.run, key) for each in wanted for key in each.keys or ()]
    beginning = [each.begins_in for each in wanted if each.begins_in is not None]
    placed = [each.run for each in wanted if each.place]
    asked = [
        run_rows.hold_ahead(tx, [each.run for each in wanted if each.run]),
        labels.params_ahead(tx, [each.run for each in wanted if each.params]),
        metrics.some_ahead(tx, some_metrics),
        metrics.all_ahead(tx, [each.run for each in wanted if each.keys is None]),
        groups.ahead(tx, beginning, placed),
        groups.numbers_ahead(tx, "runs", len(beginning)),
    ]
    tx.together([each for each in asked if each is not None])
