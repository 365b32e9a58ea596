"""Names of models: what is known of a name whatever its versions are. This file owns the tables `model_names`,
`model_name_tags` and `model_numbers`, and moves a name's versions with it.

In: names, descriptions and tags, from registry/models.py and the MLflow wire, which calls them registered models. Out:
`Named` records. Projects restrict names further (registry/models.py); here a name is whatever its caller let pass.
"""

from collections.abc import Mapping, Sequence

import msgspec

from roadworthy.nouns.errors import conflict, not_found
from roadworthy.nouns.event import Event
from roadworthy.store.sql import Reader, Transaction
from roadworthy.store.store import Store

_READ = "SELECT name, project, created_ms, updated_ms, description FROM model_names WHERE name = :name"
_INSERT = """
INSERT INTO model_names (name, project, created_ms, updated_ms, description)
VALUES (:name, :project, :at, :at, :description) ON CONFLICT (name) DO NOTHING
"""
_CLAIM = "UPDATE model_names SET project = :project WHERE name = :name AND project = ''"
_TOUCH = "UPDATE model_names SET updated_ms = :at WHERE name = :name"
_DESCRIBE = "UPDATE model_names SET description = :description, updated_ms = :at WHERE name = :name"
_TAGS = "SELECT key, value FROM model_name_tags WHERE name = :name ORDER BY key"
_SET_TAG = """
INSERT INTO model_name_tags (name, key, value) VALUES (:name, :key, :value)
ON CONFLICT (name, key) DO UPDATE SET value = excluded.value
"""
_UNSET_TAG = "DELETE FROM model_name_tags WHERE name = :name AND key = :key"
_ALIASES = "SELECT alias, version FROM aliases WHERE name = :name ORDER BY alias"
# Versions with a record were made by `rw run` or adopted: certificates and releases may speak of them.
_ON_THE_ROAD = "SELECT MAX(version) FROM models WHERE name = :name AND record <> ''"
_LAST = "SELECT COALESCE(MAX(version), 0) FROM models WHERE name = :name"
_REMEMBER = """
INSERT INTO model_numbers (name, last) VALUES (:name, :last)
ON CONFLICT (name) DO UPDATE SET last = excluded.last
"""
_REMEMBERED = "SELECT last FROM model_numbers WHERE name = :name"
_RENAME = (
    "UPDATE model_names SET name = :new, updated_ms = :at WHERE name = :name",
    "UPDATE model_name_tags SET name = :new WHERE name = :name",
    "UPDATE models SET name = :new, updated_ms = :at WHERE name = :name",
    "UPDATE model_tags SET name = :new WHERE name = :name",
    "UPDATE aliases SET name = :new WHERE name = :name",
)
_DELETE = (
    "DELETE FROM model_names WHERE name = :name",
    "DELETE FROM model_name_tags WHERE name = :name",
    "DELETE FROM models WHERE name = :name",
    "DELETE FROM model_tags WHERE name = :name",
    "DELETE FROM aliases WHERE name = :name",
)


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a name.

    Args:
        created_ms, updated_ms: milliseconds since the epoch.
        aliases: alias to version number.
    """

    name: str
    project: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    description: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    aliases: dict[str, int] = msgspec.field(default_factory=dict)


def create(
    store: Store,
    name: str,
    *,
    project: str = "",
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Named:
    """Take a name that has no version yet.

    Raises:
        Fault: conflict when it is taken.
    """
    at = now_ms(store)
    event = Event(kind="model.named", subject=name, project=project, detail={"tags": sorted(tags or {})})
    with store.change(event) as tx:
        if tx.changed(_INSERT, name=name, project=project, at=at, description=description) == 0:
            raise conflict("a model has this name already", where=name[:80])
        tx.execute_many(_SET_TAG, [{"name": name, "key": k, "value": v} for k, v in (tags or {}).items()])
        found = find(tx, name)
    assert found is not None
    return found


def find(reader: Reader, name: str) -> Named | None:
    """A name with its tags and aliases, or None."""
    row = reader.row(_READ, name=name)
    return None if row is None else _named(reader, row)


def get(store: Store, name: str) -> Named:
    """As `find`.

    Raises:
        Fault: not found.
    """
    with store.read() as reader:
        found = find(reader, name)
    if found is None:
        raise not_found("no such model", where=name[:80])
    return found


def ensure(tx: Transaction, name: str, project: str, at_ms: int) -> None:
    """Have a row for a name that is about to get a version, in the caller's transaction; it counts as updated."""
    tx.execute(_INSERT, name=name, project=project, at=at_ms, description=None)
    touch(tx, name, at_ms)


def claim(tx: Transaction, name: str, project: str) -> None:
    """Let a name that is nobody's be a project's."""
    tx.execute(_CLAIM, name=name, project=project)


def touch(tx: Transaction, name: str, at_ms: int) -> None:
    """Say that something about a name's versions changed."""
    tx.execute(_TOUCH, name=name, at=at_ms)


def describe(store: Store, name: str, description: str | None) -> Named:
    """Give a name another description."""
    with store.change(Event(kind="model.described", subject=name, project=get(store, name).project)) as tx:
        tx.execute(_DESCRIBE, name=name, description=description, at=now_ms(store))
    return get(store, name)


def rename(store: Store, name: str, new: str) -> Named:
    """Give a name's versions, tags and aliases to another name.

    Raises:
        Fault: conflict when the new name is taken, or when certificates may speak of the old one.
    """
    held = get(store, name)
    with store.change(Event(kind="model.renamed", subject=new, project=held.project, detail={"before": name})) as tx:
        if tx.row(_READ, name=new) is not None:
            raise conflict("a model has this name already", where=new[:80])
        if _on_the_road(tx, name):
            raise conflict(
                "certificates and releases name the versions of this model", where=name[:80],
                fix="register the next version under the new name instead",
            )  # fmt: skip
        for statement in _RENAME:
            tx.execute(statement, name=name, new=new, at=now_ms(store))
    return get(store, new)


def delete(store: Store, name: str) -> None:
    """Delete a name with all its versions.

    A number that certificates or approvals may speak of is not given out again, should the name come back.
    """
    held = get(store, name)
    with store.change(Event(kind="model.deleted", subject=name, project=held.project)) as tx:
        last = tx.row(_LAST, name=name)
        if _on_the_road(tx, name) and last is not None:
            tx.execute(_REMEMBER, name=name, last=int(last[0]))
        for statement in _DELETE:
            tx.execute(statement, name=name)


def set_tag(store: Store, name: str, key: str, value: str) -> None:
    """Give a name a tag; one of that key is replaced."""
    event = Event(kind="model.tagged", subject=name, project=get(store, name).project, detail={"tag": key})
    with store.change(event) as tx:
        tx.execute(_SET_TAG, name=name, key=key, value=value)


def unset_tag(store: Store, name: str, key: str) -> bool:
    """Take a tag from a name; whether it had it."""
    event = Event(kind="model.untagged", subject=name, project=get(store, name).project, detail={"tag": key})
    with store.change(event) as tx:
        return tx.changed(_UNSET_TAG, name=name, key=key) > 0


def remembered(reader: Reader, name: str) -> int:
    """The last number that a deleted model of this name had, 0 if that matters to nobody."""
    row = reader.row(_REMEMBERED, name=name)
    return 0 if row is None else int(row[0])


def now_ms(store: Store) -> int:
    """The moment in milliseconds since the epoch."""
    return round(store.clock.now() * 1000)


def _on_the_road(reader: Reader, name: str) -> bool:
    row = reader.row(_ON_THE_ROAD, name=name)
    return row is not None and row[0] is not None


def _named(reader: Reader, row: Sequence[object]) -> Named:
    name, project, created, updated, description = row
    return Named(
        name=str(name),
        project=str(project),
        created_ms=int(str(created)),
        updated_ms=int(str(updated)),
        description=None if description is None else str(description),
        tags={str(key): str(value) for key, value in reader.rows(_TAGS, name=name)},
        aliases={str(alias): int(version) for alias, version in reader.rows(_ALIASES, name=name)},
    )
