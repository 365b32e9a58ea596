"""Metrics: points of a run, appended at a high rate; the event that ends the run carries their digest.

This file owns the tables `metric_points` and `metrics` (one row per metric: how many points, and the newest).
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from blake3 import blake3

from roadworthy.nouns.errors import invalid, not_found
from roadworthy.nouns.run import MetricPoint
from roadworthy.store.sql import Reader, Transaction
from roadworthy.store.store import Store

NAME_LENGTH_MAX = 250
STEP_MAX = 2**63 - 1
DIGEST_PAGE = 10_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# The run's row serialises writers of one run, so that no two points get one number.
_HOLD_RUN = {
    "sqlite": "SELECT id FROM runs WHERE id = :run",
    "postgresql": "SELECT id FROM runs WHERE id = :run FOR UPDATE",
}
_HEAD = "SELECT points, step, at, value FROM metrics WHERE run = :run AND key = :key"
_PUT_HEAD = """
INSERT INTO metrics (run, key, points, step, at, value) VALUES (:run, :key, :points, :step, :at, :value)
ON CONFLICT (run, key) DO UPDATE
SET points = excluded.points, step = excluded.step, at = excluded.at, value = excluded.value
"""
_INSERT = """
INSERT INTO metric_points (run, key, step, seq, at, value) VALUES (:run, :key, :step, :seq, :at, :value)
"""
_LATEST = "SELECT key, value FROM metrics WHERE run = :run ORDER BY key"
_HISTORY = """
SELECT key, value, step, at FROM metric_points WHERE run = :run AND key = :key ORDER BY step, seq LIMIT :limit
"""
_KEYS = "SELECT key FROM metrics WHERE run = :run ORDER BY key"
_PAGE = """
SELECT seq, step, at, value FROM metric_points WHERE run = :run AND key = :key AND seq >= :start
ORDER BY seq LIMIT :limit
"""


def log(store: Store, run_id: str, points: Sequence[MetricPoint]) -> None:
    """Append points to a run; a moment (`at`) of 0 becomes now. NaN is kept and comes back as NaN.

    Raises:
        Fault: not found for an unknown run, invalid for a name or step that cannot be kept.
    """
    by_key: dict[str, list[MetricPoint]] = {}
    for point in points:
        by_key.setdefault(check_name(point.key), []).append(point)
        if not -STEP_MAX <= point.step <= STEP_MAX:
            raise invalid("a step is a whole number of 64 bits", where=point.key)
    now = store.clock.now()
    with store.append() as tx:
        if tx.row(_HOLD_RUN[tx.dialect], run=run_id) is None:
            raise not_found("no such run", where=run_id)
        for key, its_points in by_key.items():
            _append(tx, run_id, key, its_points, now)


def latest(store: Store, run_id: str) -> dict[str, float]:
    """The newest value of each metric: that of the highest step, and of those the last one logged."""
    with store.read() as reader:
        return {str(key): _value(value) for key, value in reader.rows(_LATEST, run=run_id)}


def history(store: Store, run_id: str, key: str, *, limit: int = 1_000_000) -> list[MetricPoint]:
    """The points of one metric by step, at most `limit`."""
    with store.read() as reader:
        return [
            MetricPoint(key=str(k), value=_value(value), step=int(step), at=float(at))
            for k, value, step, at in reader.rows(_HISTORY, run=run_id, key=key, limit=limit)
        ]


def digest(reader: Reader, run_id: str) -> str:
    """BLAKE3 over all points of a run, in the order of names and logging; empty when it has none."""
    keys = [str(row[0]) for row in reader.rows(_KEYS, run=run_id)]
    hasher = blake3()
    for key in keys:
        start = 0
        while rows := reader.rows(_PAGE, run=run_id, key=key, start=start, limit=DIGEST_PAGE):
            for seq, step, at, value in rows:
                hasher.update(f"{key}\n{seq} {step} {float(at)!r} {_value(value)!r}\n".encode())
            start = int(rows[-1][0]) + 1
    return hasher.hexdigest() if keys else ""


def check_name(name: str) -> str:
    """A name of a metric, parameter or tag as it can be kept.

    Raises:
        Fault: invalid when it is empty, over 250 characters long, or has control characters.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH_MAX or _CONTROL.search(name):
        raise invalid(f"a name has 1 to {NAME_LENGTH_MAX} printable characters", where=repr(name)[:80])
    return name


def _append(tx: Transaction, run_id: str, key: str, points: list[MetricPoint], now: float) -> None:
    row = tx.row(_HEAD, run=run_id, key=key)
    count, newest = (int(row[0]), (int(row[1]), float(row[2]), row[3])) if row else (0, None)
    rows: list[dict[str, Any]] = []
    for seq, point in enumerate(points, start=count):
        at, value = point.at or now, None if math.isnan(point.value) else float(point.value)
        rows.append({"run": run_id, "key": key, "step": point.step, "seq": seq, "at": at, "value": value})
        if newest is None or point.step >= newest[0]:
            newest = (point.step, at, value)
    assert newest is not None
    tx.execute_many(_INSERT, rows)
    tx.execute(
        _PUT_HEAD, run=run_id, key=key, points=count + len(points), step=newest[0], at=newest[1], value=newest[2]
    )


def _value(stored: float | None) -> float:
    return math.nan if stored is None else float(stored)
