"""Metrics: points of a run, appended at a high rate; the event that ends the run carries their digest.

In: points by key. Out: the latest value of each metric; the whole history is read by registry/history.py. This file
owns the tables `metrics` (one row per metric: how many points, and the latest) and `metric_chunks`.

The latest is the point of the highest step; of those, of the last moment; of those, of the highest value. Equal points
are one: a client that tries again doubles nothing.
"""

import math
import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from blake3 import blake3

from roadworthy.nouns.errors import invalid, not_found
from roadworthy.nouns.run import MetricPoint
from roadworthy.registry import chunks, labels, run_rows
from roadworthy.registry.chunks import Point
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Asked, Dialect, Reader, Transaction
from roadworthy.store.store import Store

NAME_LENGTH_MAX = 250
STEP_MAX = 2**63 - 1
KEYS_ASKED_FOR_MAX = 200  # of more, a run's metrics are read all
CROSSED_MAX = 2  # how many times more metrics may be looked for than are wanted, when all are in all runs
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_HEAD = "SELECT key, points, loose, at_ms, step, value FROM metrics WHERE run = :run AND key = :key"
_HEADS = "SELECT key, points, loose, at_ms, step, value FROM metrics WHERE run = :run"
_SOME_HEADS: dict[Dialect, str] = {
    "sqlite": f"{_HEADS} AND key IN (SELECT value FROM json_each(:keys))",
    "postgresql": f"{_HEADS} AND key = ANY(:keys)",
}
_SOME_AHEAD = """
SELECT w.key, r.seq, m.points, m.loose, m.at_ms, m.step, m.value
FROM unnest(CAST(:ids AS TEXT[]), CAST(:keys AS TEXT[])) AS w (id, key)
JOIN runs r ON r.id = w.id
LEFT JOIN LATERAL (SELECT * FROM metrics WHERE run = r.seq AND key = w.key LIMIT 1) m ON TRUE
"""
_CROSSED_AHEAD = """
SELECT r.id, r.seq, m.key, m.points, m.loose, m.at_ms, m.step, m.value
FROM runs r LEFT JOIN metrics m ON m.run = r.seq AND m.key = ANY(:keys) WHERE r.id = ANY(:ids)
"""
_ALL_AHEAD = """
SELECT r.seq, m.key, m.points, m.loose, m.at_ms, m.step, m.value
FROM runs r LEFT JOIN metrics m ON m.run = r.seq WHERE r.id = ANY(:ids)
"""
_PUT_HEAD = """
INSERT INTO metrics (run, key, group_id, value, step, at_ms, points, loose)
VALUES (:run, :key, :group_id, :value, :step, :at_ms, :points, :loose)
ON CONFLICT (run, key) DO UPDATE
SET value = excluded.value, step = excluded.step, at_ms = excluded.at_ms, points = excluded.points,
    loose = excluded.loose
"""
_INSERT_CHUNK = """
INSERT INTO metric_chunks (run, key, level, seq, points, first_ms, last_ms, data)
VALUES (:run, :key, :level, :seq, :points, :first_ms, :last_ms, :data)
"""
_OF_LEVEL = "SELECT seq, data FROM metric_chunks WHERE run = :run AND key = :key AND level = :level ORDER BY seq"
_DELETE_LEVEL = "DELETE FROM metric_chunks WHERE run = :run AND key = :key AND level = :level"
_LATEST = "SELECT key, value FROM metrics WHERE run = :run ORDER BY key"
_LATEST_OF_MANY: dict[Dialect, str] = {
    "sqlite": """
SELECT run, key, value, step, at_ms FROM metrics WHERE run IN (SELECT value FROM json_each(:runs))
""",
    "postgresql": "SELECT run, key, value, step, at_ms FROM metrics WHERE run = ANY(:runs) ORDER BY run, key",
}
_CHUNKS = """
SELECT key, level, seq, points, data FROM metric_chunks WHERE run = :run ORDER BY key, level, seq
"""
_SET_GROUP = "UPDATE metrics SET group_id = :group_id WHERE run = :run"

# Of a metric: how many points, how many loose chunks, and the latest point's moment, step and value (none for NaN).
Head = tuple[int, int, int, int, float | None]
Latest = list[tuple[str, float, int, int]]  # key, value, step, at_ms


class Heads:
    """What is known of a run's metrics: their heads, and None for what is no metric.

    Args:
        heads: by key.
        whole: whether there are no others.
    """

    __slots__ = ("heads", "whole")

    def __init__(self, heads: Mapping[str, Head | None], *, whole: bool = False) -> None:
        self.heads = dict(heads)
        self.whole = whole

    def have(self, keys: Iterable[str] | None) -> bool:
        """Whether all is known of these keys; of all keys, when none are named."""
        return self.whole or (keys is not None and all(key in self.heads for key in keys))

    def of(self, keys: Iterable[str] | None) -> "Heads":
        """A copy of what is known of these keys, or of all."""
        return Heads(self.heads, whole=True) if keys is None else Heads({key: self.heads.get(key) for key in keys})

    def with_(self, newer: "Heads") -> "Heads":
        """Both, where they differ as the newer ones say."""
        return newer if newer.whole else Heads(self.heads | newer.heads, whole=self.whole)

    def same(self, others: "Heads", keys: Iterable[str] | None) -> bool:
        """Whether others are the same as to these keys, or as to all."""
        if keys is not None:
            return all(self.heads.get(key) == others.heads.get(key) for key in keys)
        there = {key: head for key, head in self.heads.items() if head is not None}
        return self.whole and others.whole and others.heads == there


def log(store: Store, run_id: str, points: Sequence[MetricPoint]) -> None:
    """Append points to a run; a moment (`at`) of 0 becomes now. NaN is kept and comes back as NaN.

    Raises:
        Fault: not found for an unknown run, invalid for a name or step that cannot be kept.
    """
    now_ms = round(store.clock.now() * 1000)
    by_key: dict[str, list[Point]] = {}
    for point in points:
        if not -STEP_MAX <= point.step <= STEP_MAX:
            raise invalid("a step is a whole number of 64 bits", where=point.key)
        at_ms = round(point.at * 1000) if point.at else now_ms
        by_key.setdefault(check_name(point.key), []).append((at_ms, point.step, float(point.value)))
    with store.append() as tx:
        run = run_rows.hold(tx, run_id)
        if run is None:
            raise not_found("no such run", where=run_id)
        append(tx, run, by_key)


def append(tx: Transaction, run: Row, by_key: Mapping[str, Sequence[Point]]) -> None:
    """Append points to a run that the caller holds (`run_rows.hold`).

    A metric's first point alone makes no chunk: the row of its latest value says all there is to say of it.
    """
    heads = _heads(tx, run.seq, by_key)
    rows: list[dict[str, Any]] = []
    new_rows: list[dict[str, Any]] = []
    new_chunks: list[dict[str, Any]] = []
    full: list[tuple[str, int]] = []
    seq_of_run, group_id = run.seq, run.group_id
    for key, points in by_key.items():
        head = heads.get(key)
        if head is None:
            if len(points) == 1:
                at_ms, step, value = points[0]
                new_rows.append(
                    {
                        "run": seq_of_run, "key": key, "group_id": group_id, "step": step, "at_ms": at_ms,
                        "value": _stored(value), "points": 1, "loose": 0,
                    }
                )  # fmt: skip
                continue
            count = loose = 0
            chunk, latest = chunks.pack(points)
        else:
            count, loose, at_ms, step, stored = head
            before = (at_ms, step, _value(stored))
            if count == 1:
                chunk, latest = chunks.pack([before, *points])
                count = 0
            else:
                chunk, latest = chunks.pack(points)
            if chunks.rank(before) >= chunks.rank(latest):
                latest = before
        if chunk.level < chunks.LAST_LEVEL:
            # The digits of a number to the base of 64: how many there are of each level. A level that is full carries.
            loose += chunks.MERGED**chunk.level
            if chunk.level == 0 and loose % chunks.MERGED == 0:
                full.append((key, 0))
            if loose >= chunks.MERGED**chunks.LAST_LEVEL:
                full.append((key, 1))
                loose %= chunks.MERGED
        at_ms, step, value = latest
        new_chunks.append(
            {
                "run": seq_of_run, "key": key, "level": chunk.level, "seq": count, "points": chunk.points,
                "first_ms": chunk.first_ms, "last_ms": chunk.last_ms, "data": chunk.data,
            }
        )  # fmt: skip
        (new_rows if head is None else rows).append(
            {
                "run": seq_of_run, "key": key, "group_id": group_id, "step": step, "at_ms": at_ms,
                "value": _stored(value), "points": count + chunk.points, "loose": loose,
            }
        )  # fmt: skip
    tx.insert_many(_INSERT_CHUNK, new_chunks)
    tx.insert_many(_PUT_HEAD, rows)
    tx.insert_many(_PUT_HEAD, new_rows, new=True)
    ahead: Heads | None = tx.ahead.get(("metrics", seq_of_run))
    if ahead is not None:
        for row in (*rows, *new_rows):
            ahead.heads[row["key"]] = row["points"], row["loose"], row["at_ms"], row["step"], row["value"]
    for key, level in full:
        _merge(tx, seq_of_run, key, level)


def some_ahead(wanted: Mapping[str, Collection[str]]) -> Asked | None:
    """What reads the heads of metrics, of each run by its id those of some keys, for the pieces of a group."""
    if not wanted:
        return None
    different = {key for keys in wanted.values() for key in keys}
    count = sum(map(len, wanted.values()))

    def take_crossed(rows: list[tuple[Any, ...]], found: dict[Hashable, Any]) -> None:
        for run_id, run, key, *head in rows:
            of = found.get(("metrics", run))
            if of is None:
                of = found["metrics", run] = Heads(dict.fromkeys(wanted[run_id]))
            if key is not None:
                of.heads[key] = tuple(head)

    def take(rows: list[tuple[Any, ...]], found: dict[Hashable, Any]) -> None:
        for key, run, *head in rows:
            of = found.get(("metrics", run))
            if of is None:
                of = found["metrics", run] = Heads({})
            of.heads[key] = None if head[0] is None else tuple(head)

    # Runs that log the same metrics: all are looked for in all runs, which gives no rows of what is not there yet.
    if len(wanted) * len(different) <= CROSSED_MAX * count:
        return Asked(_CROSSED_AHEAD, {"ids": list(wanted), "keys": list(different)}, take_crossed)
    pairs = [(run_id, key) for run_id, keys in wanted.items() for key in keys]
    return Asked(_SOME_AHEAD, {"ids": [run_id for run_id, _ in pairs], "keys": [key for _, key in pairs]}, take)


def all_ahead(ids: Iterable[str]) -> Asked | None:
    """What reads the heads of all metrics of several runs of PostgreSQL's for the pieces of a group."""

    def take(rows: list[tuple[Any, ...]], found: dict[Hashable, Any]) -> None:
        for run, key, *head in rows:
            of = found.get(("metrics", run))
            if of is None:
                of = found["metrics", run] = Heads({}, whole=True)
            if key is not None:
                of.heads[key] = tuple(head)

    once = sorted(set(ids))
    return Asked(_ALL_AHEAD, {"ids": once}, take) if once else None


def begun(tx: Transaction, run: Row) -> None:
    """A run was just made, and has no metrics yet."""
    tx.know(("metrics", run.seq), Heads({}, whole=True))


def latest(store: Store, run_id: str) -> dict[str, float]:
    """The latest value of each metric."""
    with store.read() as reader:
        run = run_rows.find(reader, run_id)
        rows = [] if run is None else reader.rows(_LATEST, run=run.seq)
    return {str(key): _value(value) for key, value in rows}


def of_runs(reader: Reader, runs: Sequence[int]) -> dict[int, Latest]:
    """The latest points of several runs, each by key, in one statement."""
    found: dict[int, Latest] = {run: [] for run in runs}
    for run, key, value, step, at_ms in rows_of_runs(reader, runs):
        found[run].append((key, math.nan if value is None else value, step, at_ms))
    return found


def rows_of_runs(reader: Reader, runs: Sequence[int]) -> list[tuple[Any, ...]]:
    """As `of_runs`, as rows of run, key, value (none for NaN), step and moment."""
    return reader.rows(_LATEST_OF_MANY[reader.dialect], runs=labels.listed(reader, runs))


def digest(reader: Reader, run: Row) -> str:
    """BLAKE3 over all points of a run, by name, as they lie in its rows and chunks; empty when it has none."""
    ahead: Heads | None = reader.ahead.get(("metrics", run.seq))
    if ahead is not None and ahead.whole:
        rows = [(key, *head) for key, head in ahead.heads.items() if head is not None]
    else:
        rows = reader.rows(_HEADS, run=run.seq)
    if not rows:
        return ""
    heads = [
        f"{key}\n{points} {at_ms} {step} {_value(value)!r}\n" for key, points, _, at_ms, step, value in sorted(rows)
    ]
    hasher = blake3("".join(heads).encode())
    if any(row[1] > 1 for row in rows):
        for key, level, seq, points, data in reader.rows(_CHUNKS, run=run.seq):
            hasher.update(f"{key}\n{level} {seq} {points}\n".encode())
            hasher.update(bytes(data))
    return hasher.hexdigest()


def move(tx: Transaction, run: Row) -> None:
    """The run is in another group now."""
    tx.execute(_SET_GROUP, run=run.seq, group_id=run.group_id)


def check_name(name: str) -> str:
    """A name of a metric, parameter or tag as it can be kept.

    Raises:
        Fault: invalid when it is empty, over 250 characters long, or has control characters.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH_MAX or _CONTROL.search(name):
        raise invalid(f"a name has 1 to {NAME_LENGTH_MAX} printable characters", where=repr(name)[:80])
    return name


def _heads(tx: Transaction, run: int, keys: Mapping[str, Any]) -> Mapping[str, Head | None]:
    ahead: Heads | None = tx.ahead.get(("metrics", run))
    if ahead is not None and (ahead.whole or keys.keys() <= ahead.heads.keys()):
        return ahead.heads
    if len(keys) == 1:
        row = tx.row(_HEAD, run=run, key=next(iter(keys)))
        rows = [row] if row else []
    elif len(keys) <= KEYS_ASKED_FOR_MAX:
        rows = tx.rows(_SOME_HEADS[tx.dialect], run=run, keys=labels.written_list(tx.dialect, list(keys)))
    else:
        rows = tx.rows(_HEADS, run=run)
    return {row[0]: row[1:] for row in rows}


def _merge(tx: Transaction, run: int, key: str, level: int) -> None:
    """Make one chunk of the next level of all chunks of this one."""
    rows = tx.rows(_OF_LEVEL, run=run, key=key, level=level)
    chunk = chunks.merge([bytes(data) for _, data in rows])
    tx.execute_beside(_DELETE_LEVEL, run=run, key=key, level=level)
    tx.execute_beside(
        _INSERT_CHUNK, run=run, key=key, level=level + 1, seq=rows[0][0], points=chunk.points,
        first_ms=chunk.first_ms, last_ms=chunk.last_ms, data=chunk.data,
    )  # fmt: skip


def _stored(value: float) -> float | None:
    """NaN is stored as none: the engines differ about it."""
    return None if math.isnan(value) else value


def _value(stored: float | None) -> float:
    return math.nan if stored is None else float(stored)
