"""Which cells must run, and why: those that changed, those that may see another value, those whose values are needed.

In: the codes of a notebook's cells and what is kept. Out: a `Plan`. Nothing runs here; `drive.py` carries it out and
asks again, cell by cell, once values are known. A value that cannot be stored is made by running its cell again.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import msgspec

from roadworthy.notebooks.execute.cached import keys, records
from roadworthy.notebooks.execute.cached.inside import Made
from roadworthy.notebooks.execute.cached.keys import Code
from roadworthy.notebooks.execute.cached.records import Record
from roadworthy.store.store import Store

Action = Literal["run", "perhaps", "reuse"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about a cell: `perhaps` when that hangs on what cells above make."""

    index: int
    action: Action
    why: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions in order, and the records of those that are reused."""

    decisions: dict[int, Decision]
    records: dict[int, Record]


class Walk:
    """The notebook's names as one goes down its cells: which cell made what each stands for."""

    def __init__(self, store: Store, root: Path, project: str) -> None:
        self._store = store
        self._root = root
        self._project = project
        self.makers: dict[str, int] = {}
        self.records: dict[int, Record] = {}
        self.codes: dict[int, Code] = {}
        self.shares: dict[str, set[str]] = {}

    def parts(self, code: Code) -> dict[str, str]:
        """The parts of a cell's key, now that all it reads is known."""
        found = dict(code.parts)
        for name in code.needs:
            maker = self.makers.get(name)
            if maker is not None:
                found[f"input {name}"] = self.content(maker, name)
                if self.shares.get(name):
                    # Equal values that share their objects with others are not changed alike.
                    found[f"input {name}"] += f" with {', '.join(sorted(self.shares[name]))}"
        return found

    def content(self, maker: int, name: str) -> str:
        """What stands for a value: what it says where it is stored, the key of its cell where it is not."""
        code = self.codes.get(maker)
        if code is not None and name in code.stands:
            return code.stands[name]
        record = self.records.get(maker)
        if record is None:
            return f"of cell {maker}"
        made = record.made.get(name)
        if made is not None and made.value is not None:
            return f"{made.value.content or made.value.digest} {made.value.format} {made.value.type}"
        return record.kept.key

    def look(self, code: Code) -> tuple[Record | None, str]:
        """What is kept of a cell that still holds, or why nothing is."""
        parts = self.parts(code)
        record, why = records.find(self._store, keys.key(parts), self._root, code.texts)
        if record is None:
            return None, why or records.why_new(self._store, self._project, code, parts)
        for name, state in record.said.states.items():
            if state != self.state(name):
                return None, f"the state of {name.strip('()')}'s generator is another"
        return record, ""

    def state(self, name: str) -> str:
        """What a generator of random numbers is at, as far as cells above say."""
        maker = self.makers.get(name)
        return "unseeded" if maker is None else self.content(maker, name)

    def settle(self, code: Code, record: Record | None) -> None:
        """Go on below a cell: what it did, or what its code says it does."""
        self.codes[code.index] = code
        if record is None:
            self.makers.update(dict.fromkeys(code.makes, code.index))
            return
        self.records[code.index] = record
        self.makers.update(dict.fromkeys(record.made, code.index))
        for name in record.said.deeds.deleted:
            self.makers.pop(name, None)
        self._join(record)

    def _join(self, record: Record) -> None:
        """Follow which names share an object: a name that is made anew shares none but those it is seen to."""
        deeds = record.said.deeds
        for name in {*deeds.made, *deeds.deleted} - {*deeds.in_place}:
            for other in self.shares.pop(name, ()):
                self.shares[other].discard(name)
        for name, made in deeds.made.items():
            for other in made.shares:
                self.shares.setdefault(name, set()).add(other)
                self.shares.setdefault(other, set()).add(name)


def plan(store: Store, root: Path, project: str, codes: list[Code]) -> Plan:
    """Decide for each cell, before anything runs."""
    walk = Walk(store, root, project)
    decisions: dict[int, Decision] = {}
    makers: dict[int, dict[str, int]] = {}
    shares: dict[int, dict[str, set[str]]] = {}
    for code in codes:
        makers[code.index] = dict(walk.makers)
        shares[code.index] = {name: set(others) for name, others in walk.shares.items() if others}
        unsure = _unsure(code, walk, decisions)
        record: Record | None = None
        if code.always:
            decision = Decision(index=code.index, action="run", why=code.always)
        elif unsure:
            decision = Decision(index=code.index, action="perhaps", why=unsure)
        else:
            record, why = walk.look(code)
            action: Action = "run" if record is None else "reuse"
            decision = Decision(index=code.index, action=action, why=why or "nothing it rests on changed")
        decisions[code.index] = decision
        walk.settle(code, record)
    _add_needed(codes, decisions, (makers, shares), walk.records)
    kept = {i: record for i, record in walk.records.items() if decisions[i].action == "reuse"}
    return Plan(decisions=decisions, records=kept)


def usable(code: Code, record: Record, name: str, shares: Collection[str], below: list[Code]) -> str:
    """Why a value of a record cannot stand in for running its cell; empty when it can.

    Args:
        code: of the cell that made it; an import or a plain function is made again by its statement alone.
        shares: names that share an object with it where it is read.
        below: the cells below that will run.
    """
    made = record.made.get(name, Made(why="it was not seen"))
    if made.value is None and name in code.statements:
        return ""
    if made.value is None:
        return made.why or "it was not kept"
    together = {name, *shares, *made.shares}
    if len(together) > 1 and any(together & code.changes for code in below):
        return f"it shares an object with `{min(together - {name})}`, and a cell below changes it"
    return ""


def _unsure(code: Code, walk: Walk, decisions: dict[int, Decision]) -> str:
    for name in sorted(code.needs):
        maker = walk.makers.get(name)
        if maker is not None and decisions[maker].action != "reuse" and name not in walk.codes[maker].stands:
            return f"cell {maker + 1} may make another `{name}`"
    return ""


def _add_needed(
    codes: list[Code],
    decisions: dict[int, Decision],
    above: tuple[dict[int, dict[str, int]], dict[int, dict[str, set[str]]]],
    known: dict[int, Record],
) -> None:
    """Let cells run whose values others need and cannot have otherwise, until none is missing.

    Args:
        above: by cell, who made which name above it, and which names share an object there.
    """
    by_index = {code.index: code for code in codes}
    makers, shares = above
    while True:
        running = [i for i, decision in decisions.items() if decision.action != "reuse"]
        added: dict[int, str] = {}
        last = max(running, default=-1)
        for code in codes:
            if code.sets_up and code.index < last and decisions[code.index].action == "reuse":
                added[code.index] = "it sets things up for the cells below"
        for i in running:
            code = by_index[i]
            wanted = makers[i].keys() if code.touches is None else code.needs
            for name in sorted(wanted):
                maker = makers[i].get(name)
                if maker is None or decisions[maker].action != "reuse" or maker in added:
                    continue
                below = [by_index[j] for j in running if j > maker]
                why = usable(by_index[maker], known[maker], name, shares[i].get(name, ()), below)
                if why:
                    added[maker] = f"cell {i + 1} needs `{name}`: {why}"
        if not added:
            return
        for i, why in added.items():
            decisions[i] = Decision(index=i, action="run", why=why)
