"""Logged models: what MLflow's clients log before anything is registered. This file owns their four tables.

In: what clients say of a model, and the metrics that runs log with its id. Out: `LoggedModel` records. The files are
artifacts below its experiment's; a version registered from it is a model of ours (registry/model_versions.py).
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from roadworthy.nouns.event import Event
from roadworthy.registry import groups
from roadworthy.registry.groups import Group
from roadworthy.store.sql import Reader, Transaction
from roadworthy.store.store import Store

STATUS = ("LOGGED_MODEL_STATUS_UNSPECIFIED", "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")
PENDING = 1
AT_ONCE = 400
VERSIONS_TAG = "mlflow.modelVersions"
VERSIONS_NOTED_MAX = 100

COLUMNS = (
    "m.seq, m.id, m.group_id, m.project, m.name, m.type, m.status, m.message, m.source_run, m.location, m.created_ms, "
    "m.updated_ms, m.deleted"
)
_READ = f"SELECT {COLUMNS} FROM logged_models m WHERE m.id = :id"
_PROJECT = "SELECT project FROM logged_models WHERE id = :id"
_SEQ = "SELECT seq FROM logged_models WHERE id = :id AND project = :project AND deleted = 0"
_INSERT = """
INSERT INTO logged_models (id, seq, group_id, project, name, type, status, message, source_run, location, created_ms,
    updated_ms)
VALUES (:id, :seq, :group_id, :project, :name, :type, 1, NULL, :source_run, :location, :at, :at)
"""
_PUT_PARAM = """
INSERT INTO logged_model_params (model, key, value) VALUES (:model, :key, :value) ON CONFLICT (model, key) DO NOTHING
"""
_SET_TAG = """
INSERT INTO logged_model_tags (model, key, value) VALUES (:model, :key, :value)
ON CONFLICT (model, key) DO UPDATE SET value = excluded.value
"""
_UNSET_TAG = "DELETE FROM logged_model_tags WHERE model = :model AND key = :key"
_FINISH = "UPDATE logged_models SET status = :status, updated_ms = :at WHERE id = :id"
_DELETE = "UPDATE logged_models SET deleted = 1, updated_ms = :at WHERE id = :id"
_PUT_METRIC = """
INSERT INTO logged_model_metrics (model, key, at_ms, step, run, value, dataset, digest)
VALUES (:model, :key, :at_ms, :step, :run, :value, :dataset, :digest)
ON CONFLICT (model, key, at_ms, step, run) DO NOTHING
"""
_TAGS = "SELECT model, key, value FROM logged_model_tags WHERE model IN ({models}) ORDER BY model, key"
_PARAMS = "SELECT model, key, value FROM logged_model_params WHERE model IN ({models}) ORDER BY model, key"
_METRICS = """
SELECT model, key, at_ms, step, run, value, dataset, digest FROM logged_model_metrics WHERE model IN ({models})
ORDER BY model, key, at_ms, step, run
"""


class Point(NamedTuple):
    """One value of a metric that a run logged with a model's id; `value` NaN is kept as null."""

    model_id: str
    run: str
    key: str
    value: float
    step: int
    at_ms: int
    dataset: str | None = None
    digest: str | None = None


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model.

    Args:
        seq: its number, by which its tags and points are kept.
        group: MLflow's experiment.
        status: place in `STATUS`.
        created_ms, updated_ms: milliseconds since the epoch.
    """

    seq: int
    id: str
    group: int
    project: str
    name: str
    type: str | None
    status: int
    message: str | None
    source_run: str | None
    location: str
    created_ms: int
    updated_ms: int
    deleted: bool
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    params: dict[str, str] = msgspec.field(default_factory=dict)
    metrics: tuple[Point, ...] = ()


class New(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model that is to be."""

    name: str
    type: str | None = None
    source_run: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    params: dict[str, str] = msgspec.field(default_factory=dict)


def create(store: Store, group: Group, new: New) -> LoggedModel:
    """Make a logged model in an experiment; it is pending until it is finished."""
    at, identifier = round(store.clock.now() * 1000), f"m-{store.ids.new()}"
    place = group.location.rstrip("/") or f"mlflow-artifacts:/{group.id}"
    detail = {"name": new.name, "run": new.source_run or ""}
    with store.change(
        Event(kind="logged_model.created", subject=identifier, project=group.project, detail=detail)
    ) as tx:
        seq = groups.next_number(tx, "logged_models")
        tx.execute(
            _INSERT, id=identifier, seq=seq, group_id=group.id, project=group.project, name=new.name, type=new.type,
            source_run=new.source_run, location=f"{place}/models/{identifier}/artifacts", at=at,
        )  # fmt: skip
        tx.execute_many(_PUT_PARAM, [{"model": seq, "key": k, "value": v} for k, v in new.params.items()])
        tx.execute_many(_SET_TAG, [{"model": seq, "key": k, "value": v} for k, v in new.tags.items()])
        made = find(tx, identifier)
    assert made is not None
    return made


def find(reader: Reader, identifier: str, *, deleted: bool = False) -> LoggedModel | None:
    """A logged model with its tags, parameters and metrics; None when there is none, or it was deleted."""
    row = reader.row(_READ, id=identifier)
    if row is None or (row[12] and not deleted):
        return None
    return whole(reader, [row])[0]


def project_of(reader: Reader, identifier: str) -> str | None:
    """The project of a logged model, deleted or not; None when there is none."""
    row = reader.row(_PROJECT, id=identifier)
    return None if row is None else str(row[0])


def log_params(store: Store, held: LoggedModel, params: Mapping[str, str]) -> None:
    """Give a model parameters."""
    with store.append() as tx:
        tx.execute_many(_PUT_PARAM, [{"model": held.seq, "key": k, "value": v} for k, v in params.items()])


def set_tags(store: Store, held: LoggedModel, tags: Mapping[str, str]) -> None:
    """Give a model tags; those of equal keys are replaced."""
    with store.append() as tx:
        tx.execute_many(_SET_TAG, [{"model": held.seq, "key": k, "value": v} for k, v in tags.items()])


def note_version(store: Store, identifier: str, name: str, version: int) -> None:
    """Say in a model's tags which registered version was made of it, as MLflow's pages look for it."""
    with store.append() as tx:
        held = find(tx, identifier)
        if held is None:
            return
        try:
            before = msgspec.json.decode(held.tags.get(VERSIONS_TAG, "[]"), type=list[dict[str, Any]])
        except msgspec.DecodeError:
            before = []
        made = {"name": name, "version": version}
        noted = before if made in before else [*before, made]
        text = json.dumps(noted[-VERSIONS_NOTED_MAX:])
        tx.execute_many(_SET_TAG, [{"model": held.seq, "key": VERSIONS_TAG, "value": text}])


def unset_tag(store: Store, held: LoggedModel, key: str) -> bool:
    """Take a tag away; whether it was there."""
    with store.append() as tx:
        return tx.changed(_UNSET_TAG, model=held.seq, key=key) > 0


def finish(store: Store, held: LoggedModel, status: int) -> LoggedModel:
    """Say how logging the model ended."""
    event = Event(kind="logged_model.finished", subject=held.id, project=held.project, detail={"status": status})
    with store.change(event) as tx:
        at = round(store.clock.now() * 1000)
        tx.execute(_FINISH, id=held.id, status=status, at=at)
    return msgspec.structs.replace(held, status=status, updated_ms=at)


def delete(store: Store, held: LoggedModel) -> None:
    """Delete a model; its files stay until the store is swept."""
    with store.change(Event(kind="logged_model.deleted", subject=held.id, project=held.project)) as tx:
        tx.execute(_DELETE, id=held.id, at=round(store.clock.now() * 1000))


def attach_metrics(tx: Transaction, project: str, points: Iterable[Point]) -> int:
    """Keep what a run logged with models' ids, in the run's own transaction; how many were kept.

    Args:
        project: the run's; a model of another one gets none of it.
    """
    numbers: dict[str, int | None] = {}
    rows: list[dict[str, object]] = []
    for point in points:
        if point.model_id not in numbers:
            found = tx.row(_SEQ, id=point.model_id, project=project)
            numbers[point.model_id] = None if found is None else int(found[0])
        seq = numbers[point.model_id]
        if seq is not None:
            rows.append(
                {
                    "model": seq, "key": point.key, "at_ms": point.at_ms, "step": point.step, "run": point.run,
                    "value": None if math.isnan(point.value) else point.value, "dataset": point.dataset,
                    "digest": point.digest,
                }
            )  # fmt: skip
    tx.execute_many(_PUT_METRIC, rows)
    return len(rows)


def whole(reader: Reader, rows: Sequence[Sequence[object]]) -> list[LoggedModel]:
    """Models of rows of `COLUMNS`, with tags, parameters and metrics, in three statements whatever their number."""
    numbers = [int(str(row[0])) for row in rows]
    tags: dict[int, dict[str, str]] = {}
    params: dict[int, dict[str, str]] = {}
    metrics: dict[int, list[Point]] = {}
    names = {int(str(row[0])): str(row[1]) for row in rows}
    for start in range(0, len(numbers), AT_ONCE):
        bound = {f"n{i}": number for i, number in enumerate(numbers[start : start + AT_ONCE])}
        marks = ", ".join(f":{name}" for name in bound)
        for model, key, value in reader.rows(_TAGS.format(models=marks), **bound):
            tags.setdefault(int(model), {})[str(key)] = str(value)
        for model, key, value in reader.rows(_PARAMS.format(models=marks), **bound):
            params.setdefault(int(model), {})[str(key)] = str(value)
        for model, key, at_ms, step, run, value, dataset, digest in reader.rows(_METRICS.format(models=marks), **bound):
            found = math.nan if value is None else float(value)
            point = Point(names[int(model)], str(run), str(key), found, int(step), int(at_ms), dataset, digest)
            metrics.setdefault(int(model), []).append(point)
    return [
        msgspec.structs.replace(
            _bare(row), tags=tags.get(n, {}), params=params.get(n, {}), metrics=tuple(metrics.get(n, ()))
        )
        for n, row in zip(numbers, rows, strict=True)
    ]  # fmt: skip


def _bare(row: Sequence[object]) -> LoggedModel:
    names = COLUMNS.replace("m.", "").split(", ")
    named = dict(zip(names, row, strict=True))
    named["group"] = named.pop("group_id")
    return msgspec.convert({**named, "deleted": bool(named["deleted"])}, LoggedModel)
