"""Reading ahead: what a group of writes will ask about its runs, in one way to PostgreSQL and back for all of them.

In: for each piece of work, what it will read. Out: the transaction's `ahead`, where run_rows, labels, metrics and
groups look before they ask, and in which each of them puts right what it changes. Called by the store before a group's
pieces are done (store/group.py); without it each asks for itself.

Most runs are written to by one server, a great many times. What a group has left of its runs is remembered, and the
next that writes to them goes on with that while PostgreSQL reads it: what it says is held against it before the commit,
under the same locks, and when anything differs nothing was done, and the group reads first. So what is remembered may
be as old as it likes, and only ever costs time.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from roadworthy.registry import groups, labels, metrics, run_rows
from roadworthy.registry.groups import Group
from roadworthy.registry.metrics import Heads
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Asked, Transaction
from roadworthy.store.trust import Trust

KNOWN_MAX = 500  # runs
KNOWN_METRICS_MAX = 100  # of a run
KNOWN_PARAMS_MAX = 10_000  # characters of a run's parameters
# A run that another server writes to as well is found out so many times, and then read first.
STALE_MAX = 3
_LAST = ("last", "runs")


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
    keys: Collection[str] | None = ()
    place: bool = False
    begins_in: int | None = None

    def and_also(self, other: "Wanted") -> "Wanted":
        """What two pieces want that write to the same run."""
        keys = None if self.keys is None or other.keys is None else {*self.keys, *other.keys}
        return Wanted(self.run, self.params or other.params, keys, self.place or other.place)


class _Known:
    """What is known of a run; None for what nobody has asked yet."""

    __slots__ = ("group", "heads", "params", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.heads: Heads | None = None
        self.params: dict[str, str] | None = None
        self.group: Group | None = None

    def give(self, wanted: Wanted, ahead: dict[Hashable, Any]) -> bool:
        """Let what is wanted be read ahead, and nothing else: the rest is not held against what is so."""
        seq, heads, keys = self.row.seq, self.heads, wanted.keys
        ahead["run", self.row.id] = self.row
        if keys is None or keys:
            if heads is None or not heads.have(keys):
                return False
            ahead["metrics", seq] = heads.of(keys)
        if wanted.params:
            if self.params is None:
                return False
            ahead["params", seq] = dict(self.params)
        if wanted.place:
            if self.group is None:
                return False
            ahead["group", self.group.id] = self.group
        return True

    def holds(self, wanted: Wanted, found: Mapping[Hashable, Any]) -> bool:
        """Whether what was wanted was found to be so."""
        row, heads, keys = self.row, self.heads, wanted.keys
        return (
            found.get(("run", row.id)) == row
            and ((keys is not None and not keys) or (heads is not None and heads.same(found["metrics", row.seq], keys)))
            and (not wanted.params or found.get(("params", row.seq)) == self.params)
            and (not wanted.place or found.get(("group", row.group_id)) == self.group)
        )

    def learn(self, row: Row, ahead: Mapping[Hashable, Any]) -> None:
        """Take what a transaction has left."""
        self.row = row
        heads: Heads | None = ahead.get(("metrics", row.seq))
        if heads is not None:
            heads = heads if self.heads is None else self.heads.with_(heads)
            self.heads = heads if len(heads.heads) <= KNOWN_METRICS_MAX else None
        params: dict[str, str] | None = ahead.get(("params", row.seq))
        if params is not None:
            self.params = params if sum(map(len, (*params, *params.values()))) <= KNOWN_PARAMS_MAX else None
        self.group = ahead.get(("group", row.group_id), self.group)


class ReadAhead:
    """Reads ahead for one group after another, and remembers; one of each server.

    Attributes:
        trusted: how many groups went on with what was remembered.
        stale: how many times that was not so.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}  # the run that was not written to for longest first
        self._found_stale: Counter[str] = Counter()
        self._runs: dict[str, Wanted] = {}  # of the group under way
        self._beginning: list[int] = []  # the groups of the runs that it begins
        self._groups: dict[int, Group] = {}  # in which runs were begun
        self._last: int | None = None  # of the runs' numbers
        self._trust = Trust()  # of that
        self.trusted = 0
        self.stale = 0

    def read(self, tx: Transaction, wanted: Sequence[Wanted], *, trust: bool) -> bool:
        """Read what is wanted; the runs are held until the transaction ends.

        Args:
            trust: whether to go on with what is remembered.

        Returns:
            whether that was done: then the transaction may fail at any time because of it, in any way.
        """
        self._runs = _by_run(wanted)
        self._beginning = [each.begins_in for each in wanted if each.begins_in is not None]
        asked = _asked(self._runs, self._beginning)
        known: dict[Hashable, Any] = {}
        if trust and self._give(known):
            tx.ahead.update(known)
            tx.assume(asked, self._holds)
            self.trusted += 1
            return True
        tx.together(asked)
        for seq in tx.ahead.pop(run_rows.SHOWN, ()):
            run_rows.forget(tx, seq)
        return False

    def committed(self, tx: Transaction) -> None:
        """What the transaction has left is so now."""
        for run in self._runs:
            if ("run", run) not in tx.ahead:
                self._known.pop(run, None)
        for row in tx.ahead.values():
            if isinstance(row, Row):
                of = self._known.pop(row.id, None) or _Known(row)
                of.learn(row, tx.ahead)
                # A run that has ended is hardly written to again.
                if row.end_ms is None and self._found_stale[row.id] < STALE_MAX:
                    self._known[row.id] = of
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        if self._beginning:
            self._last = tx.ahead.get(_LAST)
            if len(self._groups) > KNOWN_MAX:
                self._groups.clear()
            found = {number: tx.ahead.get(("group", number)) for number in self._beginning}
            self._groups.update({number: group for number, group in found.items() if group is not None})

    def _give(self, ahead: dict[Hashable, Any]) -> bool:
        for run, wanted in self._runs.items():
            known = self._known.get(run)
            if known is None or not known.give(wanted, ahead):
                return False
        return not self._beginning or self._give_numbers(ahead)

    def _give_numbers(self, ahead: dict[Hashable, Any]) -> bool:
        groups_known = {number: self._groups.get(number) for number in self._beginning}
        if self._last is None or None in groups_known.values() or not self._trust.dares():
            return False
        count = len(self._beginning)
        ahead[_LAST] = self._last + count
        ahead["numbers", "runs"] = groups.numbers(ahead[_LAST], count)
        ahead.update({("group", number): group for number, group in groups_known.items()})
        return True

    def _numbers_hold(self, found: Mapping[Hashable, Any]) -> bool:
        if not self._beginning:
            return True
        well = self._last is not None and found[_LAST] == self._last + len(self._beginning)
        self._trust.came(well=well)
        same = all(found.get(("group", number)) == self._groups[number] for number in self._beginning)
        if not same:
            self._groups.clear()
        return well and same

    def _holds(self, found: dict[Hashable, Any]) -> bool:
        if run_rows.SHOWN in found:
            return False  # it is to be forgotten first
        numbers_hold = self._numbers_hold(found)
        stale = [run for run, wanted in self._runs.items() if not self._known[run].holds(wanted, found)]
        if stale:
            for run in stale:
                del self._known[run]
            self._found_stale.update(stale)
            if len(self._found_stale) > KNOWN_MAX:
                self._found_stale.clear()
        well = numbers_hold and not stale
        self.stale += not well
        return well


def _by_run(wanted: Iterable[Wanted]) -> dict[str, Wanted]:
    """What all pieces of a group want of each run."""
    runs: dict[str, Wanted] = {}
    for each in wanted:
        if each.run:
            other = runs.get(each.run)
            runs[each.run] = each if other is None else each.and_also(other)
    return runs


def _asked(runs: Mapping[str, Wanted], beginning: Sequence[int]) -> list[Asked]:
    asked = [
        run_rows.hold_ahead(runs),
        labels.params_ahead([run for run, of in runs.items() if of.params]),
        metrics.some_ahead({run: of.keys for run, of in runs.items() if of.keys}),
        metrics.all_ahead([run for run, of in runs.items() if of.keys is None]),
        groups.ahead(beginning, [run for run, of in runs.items() if of.place]),
        groups.numbers_ahead("runs", len(beginning)),
    ]
    return [each for each in asked if each is not None]
