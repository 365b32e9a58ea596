"""Imported: groups, runs and models that were made elsewhere, under the ids, numbers and times that they had there.

In: records of faces/moving, inside one transaction of `store.group.together`. Out: rows as if they had been made here.
Called by faces/moving alone; everything else makes its runs and versions new.
"""

from collections.abc import Mapping, Sequence

import msgspec

from roadworthy.nouns.errors import conflict
from roadworthy.nouns.event import Event
from roadworthy.registry import groups, labels, metrics, model_names, model_versions, run_rows, runs
from roadworthy.registry.chunks import Point
from roadworthy.registry.groups import Group
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_versions import Version
from roadworthy.registry.run_rows import Row
from roadworthy.store.store import Store

# Numbers above this were drawn at random by MLflow's folders; counting on from them would make every later one long.
COUNTED_MAX = 10**9

_INSERT_GROUP = """
INSERT INTO groups (id, name, project, location, stage, created_ms, updated_ms)
VALUES (:id, :name, :project, :location, :stage, :created_ms, :updated_ms)
"""
_GROUP_TAG = """
INSERT INTO group_tags (group_id, key, value) VALUES (:id, :key, :value)
ON CONFLICT (group_id, key) DO UPDATE SET value = excluded.value
"""
_COUNT_ON = "UPDATE counters SET value = :id WHERE name = 'groups' AND value < :id"
_INSERT_NAME = """
INSERT INTO model_names (name, project, created_ms, updated_ms, description)
VALUES (:name, :project, :created_ms, :updated_ms, :description)
ON CONFLICT (name) DO UPDATE SET description = excluded.description, updated_ms = excluded.updated_ms
"""
_NAME_TAG = """
INSERT INTO model_name_tags (name, key, value) VALUES (:name, :key, :value)
ON CONFLICT (name, key) DO UPDATE SET value = excluded.value
"""
_INSERT_VERSION = """
INSERT INTO models (name, version, run, digest, project, created_at, record, updated_ms, description, stage, source,
    location, run_link, model_id)
VALUES (:name, :version, :run, '', :project, :created_at, '', :updated_ms, :description, :stage, :source,
    :location, :run_link, :model_id)
"""


def group(store: Store, wanted: Group) -> Group:
    """The group of this name, made under its number; under another when a group here has that number already."""
    with store.change(Event(kind="group.imported", subject=str(wanted.id), project=wanted.project)) as tx:
        found = groups.named(tx, wanted.name)
        if found is None:
            taken = groups.find(tx, wanted.id, tags=False) is not None
            number = groups.next_number(tx, "groups") if taken else wanted.id
            if number <= COUNTED_MAX:
                tx.execute(_COUNT_ON, id=number)
            found = msgspec.structs.replace(wanted, id=number)
            tx.execute(
                _INSERT_GROUP, id=number, name=wanted.name, project=wanted.project, location=wanted.location,
                stage=wanted.stage, created_ms=wanted.created_ms, updated_ms=wanted.updated_ms,
            )  # fmt: skip
        tx.about(str(found.id))
        tx.note(name=wanted.name)
        tx.execute_many(_GROUP_TAG, [{"id": found.id, "key": k, "value": v} for k, v in wanted.tags.items()])
    return found


def run(
    store: Store, row: Row, params: Mapping[str, str], tags: Mapping[str, str], points: Mapping[str, Sequence[Point]]
) -> Row:
    """A run with all it has; one that is here already gets what is new (it was still running when it was first read).

    Equal points are one, so that bringing them twice doubles nothing.
    """
    with store.read() as reader:
        before = run_rows.find(reader, row.id)
    held = runs.begin(store, row, {}) if before is None else row._replace(seq=before.seq, group_id=before.group_id)
    with store.append() as tx:
        run_rows.hold(tx, held.id)
        labels.put(tx, "params", held, params.items())
        labels.put(tx, "tags", held, tags.items())
        metrics.append(tx, held, points)
    runs.conclude(store, held)
    if held.stage != (before.stage if before else "active"):
        runs.set_stage(store, held, held.stage)
    return held


def name(store: Store, wanted: Named) -> None:
    """A name with its description and tags."""
    event = Event(kind="model.imported", subject=wanted.name, project=wanted.project)
    with store.change(event) as tx:
        tx.execute(
            _INSERT_NAME, name=wanted.name, project=wanted.project, created_ms=wanted.created_ms,
            updated_ms=wanted.updated_ms, description=wanted.description,
        )  # fmt: skip
        tx.execute_many(_NAME_TAG, [{"name": wanted.name, "key": k, "value": v} for k, v in wanted.tags.items()])


def version(store: Store, wanted: Version) -> bool:
    """A version under its number; False when it is here already.

    Raises:
        Fault: conflict when another version has the number.
    """
    event = Event(kind="model.imported", subject=wanted.id, project=wanted.project, detail={"run": wanted.run})
    with store.read() as reader:
        before = model_versions.find(reader, wanted.name, wanted.version)
    if before is not None:
        if (before.run, before.source) != (wanted.run, wanted.source):
            raise conflict(
                "a version of this name and number is here already, of another run", where=wanted.id,
                fix="rename one of the two models, and import again",
            )  # fmt: skip
        return False
    with store.change(event) as tx:
        tx.execute(
            _INSERT_VERSION, name=wanted.name, version=wanted.version, run=wanted.run, project=wanted.project,
            created_at=wanted.created_ms / 1000, updated_ms=wanted.updated_ms, description=wanted.description,
            stage=wanted.stage, source=wanted.source, location=wanted.location, run_link=wanted.run_link,
            model_id=wanted.model_id,
        )  # fmt: skip
        tx.execute_many(model_versions.SET_TAG, model_versions.tag_rows(wanted.name, wanted.version, wanted.tags))
        model_names.touch(tx, wanted.name, wanted.updated_ms)
    return True
