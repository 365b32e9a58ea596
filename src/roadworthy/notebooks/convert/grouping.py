"""Statements gathered into steps: by what they are for and their headings, then by what may not be apart.

In: the statements kept. Out: groups in an order in which each comes after what it needs, with the values that cross
from one to another. A value that cannot be stored keeps its maker and its takers together; so does the state of a
random generator. Called by `conversion.py`.
"""

import ast
from collections.abc import Iterable

import msgspec

from roadworthy.notebooks.convert import slicing
from roadworthy.notebooks.convert.hoisting import Hoisted
from roadworthy.notebooks.convert.program import Program
from roadworthy.notebooks.convert.seen import Seen, key_of
from roadworthy.notebooks.convert.slicing import RANDOM, Effect

_TABLES = ("pandas.DataFrame", "numpy.ndarray", "pandas.Series", "scipy.sparse")
ROUNDS_MAX = 200

Key = tuple[int, int]


class Crossing(msgspec.Struct, frozen=True):
    """A name's value, as a statement left it, that another group needs."""

    name: str
    maker: Key


class Group(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Statements that become one step.

    Args:
        kind: prepare, fit, measure or report.
        tag: the name that a tag asks for.
        takes: what it needs of others, and gives: what others need of it, or one keeps; by name.
        params: parameters it uses.
    """

    kind: str
    tag: str
    effects: tuple[Effect, ...]
    takes: tuple[Crossing, ...]
    gives: tuple[Crossing, ...]

    @property
    def cells(self) -> list[int]:
        return sorted({e.statement.cell for e in self.effects})


def group(
    program: Program, hoisted: Hoisted, kept: tuple[Effect, ...], seen: Seen | None, *, tables: Iterable[Key] = ()
) -> list[Group]:
    """Gather the statements into groups; those of `tables`, which are to become data sets, stand alone if they can."""
    work = _Grouping(program, hoisted, kept, seen)
    work.set_apart(tables)
    work.move()
    work.settle()
    return work.groups()


class _Grouping:
    def __init__(self, program: Program, hoisted: Hoisted, kept: tuple[Effect, ...], seen: Seen | None) -> None:
        self.program = program
        self.kept = kept
        self.seen = seen
        self.params = hoisted.params
        self.makers = _makers(kept, hoisted)
        self.of: dict[Key, int] = {}
        self.kinds: dict[int, str] = {}
        self._runs()

    def set_apart(self, tables: Iterable[Key]) -> None:
        """Give statements that fetch a table groups of their own."""
        for key in tables:
            self.of[key] = max(self.kinds) + 1
            self.kinds[self.of[key]] = "data"

    def move(self) -> None:
        """Put what only makes ready (an estimator not yet fitted, a grid) beside what uses it."""
        for effect in reversed(self.kept):
            if effect.statement.kind != "prepare" or effect.changes or self.program.step_tag(effect.statement.cell):
                continue
            if self.kinds[self.of[effect.statement.key]] == "data":
                continue
            users = self._users(effect)
            homes = {self.of[e.statement.key] for e in users}
            if len(homes) != 1 or homes == {self.of[effect.statement.key]}:
                continue
            changed = any(e.changes & effect.binds for e in users)
            near = all(self._place(e.statement.cell) == self._place(effect.statement.cell) for e in users)
            if (changed and self.kinds[next(iter(homes))] != "prepare") or (near and self._is_small(effect)):
                self.of[effect.statement.key] = homes.pop()

    def settle(self) -> None:
        """Merge groups until every value that crosses can, and no two groups need each other."""
        for _ in range(ROUNDS_MAX):
            pair = self._pair_to_merge()
            if pair is None:
                return
            first, second = min(pair), max(pair)
            self.kinds[first] = _stronger(self.kinds[first], self.kinds[second])
            self.of = {key: first if home == second else home for key, home in self.of.items()}

    def groups(self) -> list[Group]:
        members: dict[int, list[Effect]] = {}
        for effect in self.kept:
            members.setdefault(self.of[effect.statement.key], []).append(effect)
        takes: dict[int, list[Crossing]] = {home: [] for home in members}
        gives: dict[int, list[Crossing]] = {home: [] for home in members}
        for home, other, crossing in self._crossings():
            if crossing not in takes[other]:
                takes[other].append(crossing)
            if crossing not in gives[home]:
                gives[home].append(crossing)
        for home, effects in members.items():
            gives[home] += self._finals(effects, {c.name for c in gives[home]})
        return [
            Group(
                kind=self.kinds[home],
                tag=next((t for e in members[home] if (t := self.program.step_tag(e.statement.cell))), ""),
                effects=tuple(members[home]),
                takes=tuple(takes[home]),
                gives=tuple(sorted(gives[home], key=lambda c: (c.maker, c.name))),
            )
            for home in self._order(members)
        ]

    def _runs(self) -> None:
        """Consecutive statements of one kind under one heading."""
        number, before = -1, None
        for effect in self.kept:
            statement = effect.statement
            kind = self._kind(effect)
            if before is not None and kind == "prepare" and before[0] == "measure":
                made = {n for e in self.kept if self.of.get(e.statement.key) == number for n in e.touches}
                if before[1] == self._place(statement.cell) and effect.reads & made:
                    kind = "measure"
            now = (kind, self._place(statement.cell), statement.cell if kind == "fit" else -1)
            if now != before:
                number += 1
                self.kinds[number] = kind
                before = now
            self.of[statement.key] = number
        self._tagged()

    def _tagged(self) -> None:
        first: dict[str, int] = {}
        for effect in self.kept:
            tag = self.program.step_tag(effect.statement.cell)
            if tag:
                home = first.setdefault(tag, self.of[effect.statement.key])
                self.kinds[home] = _stronger(self.kinds[home], self.kinds[self.of[effect.statement.key]])
                self.of[effect.statement.key] = home

    def _kind(self, effect: Effect) -> str:
        statement = effect.statement
        if self.program.has_tag(statement.cell, slicing.REPORT_TAG):
            return "report"
        return {"define": "prepare", "display": "prepare"}.get(statement.kind, statement.kind)

    def _place(self, cell: int) -> tuple[int, str]:
        """What must be alike for statements to stand in one step: the heading, and the step that a tag asks for."""
        return self.program.sections[cell].number, self.program.step_tag(cell)

    def _users(self, effect: Effect) -> list[Effect]:
        """The statements that read what a statement binds."""
        wanted = {(name, effect.statement.key) for name in effect.binds}
        return [
            e for e in self.kept if any((n, self.makers.get((e.statement.key, n))) in wanted for n in e.reads)
        ]  # fmt: skip

    def _is_small(self, effect: Effect) -> bool:
        """Whether what it binds is no table or model but something to set one up with."""
        value = getattr(effect.statement.node, "value", None)
        if self.seen is None:
            return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id[:1].isupper()
        found = [self.seen.values.get(key_of(effect.statement.key, name)) for name in effect.binds]
        return all(v is not None and not v.type.startswith(_TABLES) and not v.shape for v in found) and not any(
            name.startswith(_TABLES) for v in found if v is not None for name in v.items
        )

    def _crossings(self) -> Iterable[tuple[int, int, Crossing]]:
        """(maker's group, taker's group, what)."""
        for effect in self.kept:
            home = self.of[effect.statement.key]
            for name in sorted(effect.reads):
                maker = self.makers.get((effect.statement.key, name))
                if maker is not None and self.of[maker] != home:
                    yield self.of[maker], home, Crossing(name, maker)

    def _pair_to_merge(self) -> tuple[int, int] | None:
        """Two groups that may not be apart."""
        needs: dict[int, set[int]] = {}
        versions: dict[tuple[int, str], set[Key]] = {}
        given: dict[tuple[int, str], set[Key]] = {}
        for home, other, crossing in self._crossings():
            if crossing.name == RANDOM or not self._can_cross(crossing):
                return home, other
            needs.setdefault(other, set()).add(home)
            versions.setdefault((other, crossing.name), set()).add(crossing.maker)
            given.setdefault((home, crossing.name), set()).add(crossing.maker)
            # The taker has a value of its own under that name before it takes this one.
            for effect in self.kept:
                mine = self.of[effect.statement.key] == other
                if mine and crossing.name in effect.touches and effect.statement.key < crossing.maker:
                    return home, other
        for (other, _), makers in versions.items():
            if len(makers) > 1:
                return self.of[min(makers)], other
        for (home, name), makers in given.items():
            last = max(e.statement.key for e in self.kept if self.of[e.statement.key] == home and name in e.touches)
            early = makers - {last}
            if early:
                taker = next(o for h, o, c in self._crossings() if h == home and c.name == name and c.maker in early)
                return home, taker
        return _in_a_circle(needs)

    def _can_cross(self, crossing: Crossing) -> bool:
        # A copy in another process would no longer be the object that its other name stands for.
        return crossing.name not in self.program.entangled and self._can_be_kept(crossing)

    def _can_be_kept(self, crossing: Crossing) -> bool:
        maker = next(e for e in self.kept if e.statement.key == crossing.maker)
        taken = None if self.seen is None else self.seen.values.get(key_of(crossing.maker, crossing.name))
        if maker.statement.kind == "define" or (maker.statement.kind == "display" and taken is None):
            return False
        if self.seen is None:
            return not isinstance(getattr(maker.statement.node, "value", None), ast.GeneratorExp | ast.Lambda)
        return taken is None or taken.storable != "no"

    def _finals(self, effects: list[Effect], known: set[str]) -> list[Crossing]:
        """What a group makes that one keeps although no other group needs it."""
        found: list[Crossing] = []
        read = {(n, m) for (_, n), m in self.makers.items()}
        for effect in effects:
            statement = effect.statement
            if (
                not statement.results
                and any(e.statement.results for e in self.kept)
                and not self.program.step_tag(statement.cell)
            ):
                continue
            for name in sorted(effect.touches - {RANDOM} - known):
                last = max(e.statement.key for e in effects if name in e.touches)
                if last != statement.key or statement.kind in {"define", "display"}:
                    continue
                wanted = statement.kind == "fit" or (name, statement.key) not in read
                if (
                    wanted
                    and self._can_be_kept(Crossing(name, statement.key))
                    and not _is_loop_variable(statement.node, name)
                ):
                    found.append(Crossing(name, statement.key))
                    known = known | {name}
        return found

    def _order(self, members: dict[int, list[Effect]]) -> list[int]:
        """Groups, each after those it needs, otherwise as they stand in the notebook."""
        needs: dict[int, set[int]] = {home: set() for home in members}
        for home, other, _ in self._crossings():
            needs[other].add(home)
        done: list[int] = []
        waiting = sorted(members, key=lambda home: members[home][0].statement.key)
        while waiting:
            ready = next(home for home in waiting if needs[home] <= set(done))
            waiting.remove(ready)
            done.append(ready)
        return done


def _makers(kept: tuple[Effect, ...], hoisted: Hoisted) -> dict[tuple[Key, str], Key]:
    """(statement, name it reads) to the statement that last touched it."""
    last: dict[str, Key] = {}
    found: dict[tuple[Key, str], Key] = {}
    for effect in kept:
        for name in effect.reads:
            if name in last and name not in hoisted.params:
                found[(effect.statement.key, name)] = last[name]
        for name in effect.touches:
            last[name] = effect.statement.key
    return found


def _in_a_circle(needs: dict[int, set[int]]) -> tuple[int, int] | None:
    """Two groups, each of which needs the other, near or far."""
    for start in sorted(needs):
        seen: set[int] = set()
        waiting = list(needs[start])
        while waiting:
            each = waiting.pop()
            if each == start:
                return start, next(n for n in needs[start] if start in _reach(needs, n))
            if each not in seen:
                seen.add(each)
                waiting += needs.get(each, ())
    return None


def _reach(needs: dict[int, set[int]], start: int) -> set[int]:
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            waiting += needs.get(each, ())
    return seen


def _stronger(one: str, other: str) -> str:
    order = ["data", "prepare", "report", "measure", "fit"]
    return max(one, other, key=order.index)


def _is_loop_variable(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.For) and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node.target))
