"""What of schema 1 no SQL can move: runs' records into columns, groups, parameters, tags, and points into chunks.

In: a transaction in which 0002_tracking.sql was done, with the old tables beside the new. Out: everything in the new
ones. Called by the migrator (store/sql.py), once. The layouts are written out here, as they were when this was made.
"""

import json
import math
import time
from array import array
from collections.abc import Iterator
from typing import Any

from roadworthy.store.sql import Transaction

POINTS_MAX = 4096
_INSERT_GROUP = """
INSERT INTO groups (id, name, project, location, stage, created_ms, updated_ms)
VALUES (:id, :name, :project, '', 'active', :at, :at)
"""
_COUNT = "INSERT INTO counters (name, value) VALUES (:name, :value)"
_OLD_RUNS = "SELECT seq, record FROM runs_1 WHERE seq > :after ORDER BY seq LIMIT 500"
_INSERT_RUN = """
INSERT INTO runs (seq, id, group_id, project, run_group, name, actor, status, stage, start_ms, end_ms, deleted_ms,
                  location, record)
VALUES (:seq, :id, :group_id, :project, :group, :name, :actor, :status, 'active', :start_ms, :end_ms, NULL, '', :record)
"""
_INSERT_PARAM = "INSERT INTO run_params (run, key, value, group_id) VALUES (:run, :key, :value, :group_id)"
_INSERT_TAG = "INSERT INTO run_tags (run, key, value, group_id) VALUES (:run, :key, :value, :group_id)"
_OLD_METRICS = "SELECT key FROM metrics_1 WHERE run = :run"
_OLD_POINTS = "SELECT step, at, value FROM metric_points WHERE run = :run AND key = :key ORDER BY at, step, seq"
_INSERT_METRIC = """
INSERT INTO metrics (run, key, group_id, value, step, at_ms, points, loose)
VALUES (:run, :key, :group_id, :value, :step, :at_ms, :points, 0)
"""
_INSERT_CHUNK = """
INSERT INTO metric_chunks (run, key, level, seq, points, first_ms, last_ms, data)
VALUES (:run, :key, 2, :seq, :points, :first_ms, :last_ms, :data)
"""
_IN_RECORD = ("params", "snapshots", "seed", "code", "environment", "command", "error", "reproduces")


def migrate(tx: Transaction) -> None:
    """Move what is there; of a new store, that is the group every store has."""
    now = int(time.time() * 1000)
    tx.execute(_INSERT_GROUP, id=0, name="Default", project="", at=now)
    groups: dict[str, int] = {}
    last = 0
    while rows := tx.rows(_OLD_RUNS, after=last):
        for seq, text in rows:
            _move(tx, int(seq), json.loads(text), groups)
        last = int(rows[-1][0])
    tx.execute(_COUNT, name="groups", value=len(groups))
    tx.execute(_COUNT, name="runs", value=last)
    tx.execute(_COUNT, name="datasets", value=0)
    for table in ("runs_1", "metrics_1", "metric_points"):
        tx.execute(f"DROP TABLE {table}")


def _move(tx: Transaction, seq: int, run: dict[str, Any], groups: dict[str, int]) -> None:
    project, group = run.get("project", ""), run.get("group", "")
    start_ms = round(run["started_at"] * 1000)
    group_id = _group(tx, groups, project, group, start_ms)
    ended = run.get("ended_at")
    tx.execute(
        _INSERT_RUN, seq=seq, id=run["id"], group_id=group_id, project=project, group=group, name=run.get("name", ""),
        actor=run.get("actor", ""), status=run.get("status", "running"), start_ms=start_ms,
        end_ms=None if ended is None else round(ended * 1000),
        record=json.dumps({name: run[name] for name in _IN_RECORD if run.get(name)}, ensure_ascii=False),
    )  # fmt: skip
    both = {"run": seq, "group_id": group_id}
    params = {key: _text(value) for key, value in run.get("params", {}).items() if _fits(key)}
    tx.execute_many(_INSERT_PARAM, [{**both, "key": key, "value": value} for key, value in params.items()])
    tags = {key: _clean(str(value)) for key, value in run.get("tags", {}).items() if _fits(key)}
    tx.execute_many(_INSERT_TAG, [{**both, "key": key, "value": value} for key, value in tags.items()])
    for (key,) in tx.rows(_OLD_METRICS, run=run["id"]):
        _pack(tx, run["id"], str(key), both)


def _group(tx: Transaction, groups: dict[str, int], project: str, group: str, at: int) -> int:
    name = f"{project}/{group}" if project and group else project or group
    if not name or name == "Default":
        return 0
    if name not in groups:
        groups[name] = len(groups) + 1
        tx.execute(_INSERT_GROUP, id=groups[name], name=name, project=project, at=at)
    return groups[name]


def _pack(tx: Transaction, run_id: str, key: str, both: dict[str, int]) -> None:
    rows = tx.rows(_OLD_POINTS, run=run_id, key=key)
    points = [
        (round(float(at) * 1000), int(step), math.nan if value is None else float(value)) for step, at, value in rows
    ]
    points.sort(key=lambda p: (p[0], p[1], 0.0 if math.isnan(p[2]) else p[2]))
    newest = max(points, key=lambda p: (p[1], p[0], 0.0 if math.isnan(p[2]) else p[2]))
    tx.execute(
        _INSERT_METRIC, **both, key=key, value=None if math.isnan(newest[2]) else newest[2], step=newest[1],
        at_ms=newest[0], points=len(points),
    )  # fmt: skip
    if len(points) == 1:
        return  # said by the row above
    for seq, part in _parts(points):
        tx.execute(
            _INSERT_CHUNK, run=both["run"], key=key, seq=seq, points=len(part), first_ms=part[0][0],
            last_ms=part[-1][0], data=_columns(part),
        )  # fmt: skip


def _parts(points: list[tuple[int, int, float]]) -> Iterator[tuple[int, list[tuple[int, int, float]]]]:
    for start in range(0, len(points), POINTS_MAX):
        yield start, points[start : start + POINTS_MAX]


def _columns(points: list[tuple[int, int, float]]) -> bytes:
    columns = (
        array("q", [p[1] for p in points]),
        array("q", [p[0] for p in points]),
        array("d", [p[2] for p in points]),
    )
    return b"".join(column.tobytes() for column in columns)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _clean(value)
    return _clean(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value))


def _fits(key: str) -> bool:
    return 0 < len(key) <= 250 and "\x00" not in key


def _clean(value: str) -> str:
    """PostgreSQL keeps no null characters in text."""
    return value.replace("\x00", "\ufffd")
