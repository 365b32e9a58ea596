"""Versions as a registry shows them: source, stage, description, tags, aliases; whether or not we could serve them.

In: what the MLflow wire asks for. Out: `Version` records, over the same rows as registry/models.py, which knows what a
version is made of. This file owns the table `model_tags`, and `models` but for its record.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from roadworthy.nouns.errors import not_found
from roadworthy.nouns.event import Event
from roadworthy.registry import model_names
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

STAGES = ("None", "Staging", "Production", "Archived")
DELETED = "Deleted_Internal"
REDACTED = {"source": "REDACTED-SOURCE-PATH", "run": "REDACTED-RUN-ID", "run_link": "REDACTED-RUN-LINK"}

COLUMNS = (
    "name, version, run, project, created_at, updated_ms, description, stage, source, location, run_link, model_id"
)
_READ = f"SELECT {COLUMNS} FROM models WHERE name = :name AND version = :version AND stage <> 'Deleted_Internal'"
_OF_NAME = f"SELECT {COLUMNS} FROM models WHERE name = :name AND stage <> 'Deleted_Internal' ORDER BY version"
_TAGS = "SELECT key, value FROM model_tags WHERE name = :name AND version = :version ORDER BY key"
_TAGS_OF_NAME = "SELECT name, version, key, value FROM model_tags WHERE name = :name ORDER BY version, key"
_ALIASES = "SELECT alias FROM aliases WHERE name = :name AND version = :version ORDER BY alias"
# SQLite's writers hold the whole file; two of PostgreSQL's must not give one number to two versions.
HOLD_NAME = {"sqlite": "SELECT 1", "postgresql": "SELECT pg_advisory_xact_lock(hashtext(:name))"}
NEXT = "SELECT COALESCE(MAX(version), 0) + 1 FROM models WHERE name = :name"
_INSERT = """
INSERT INTO models (name, version, run, digest, project, created_at, record, updated_ms, description, stage, source,
    location, run_link, model_id)
VALUES (:name, :version, :run, '', :project, :created_at, '', :updated_ms, :description, 'None', :source,
    :location, :run_link, :model_id)
"""
SET_TAG = """
INSERT INTO model_tags (name, version, key, value) VALUES (:name, :version, :key, :value)
ON CONFLICT (name, version, key) DO UPDATE SET value = excluded.value
"""
_UNSET_TAG = "DELETE FROM model_tags WHERE name = :name AND version = :version AND key = :key"
_DESCRIBE = """
UPDATE models SET description = :description, updated_ms = :at WHERE name = :name AND version = :version
"""
_STAGE = "UPDATE models SET stage = :stage, updated_ms = :at WHERE name = :name AND version = :version"
_ARCHIVE = """
UPDATE models SET stage = 'Archived', updated_ms = :at
WHERE name = :name AND stage = :stage AND version <> :version
"""
# The record stays: certificates and releases of what is deleted here must still say what they were of.
_DELETE = """
UPDATE models SET stage = 'Deleted_Internal', updated_ms = :at, description = NULL, source = :source,
    run_link = :run_link, run = CASE WHEN record = '' THEN CAST(:run AS TEXT) ELSE run END
WHERE name = :name AND version = :version
"""
_UNSET_ALIASES = "DELETE FROM aliases WHERE name = :name AND version = :version"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version.

    Args:
        source: the URI it was registered from, empty when `rw run` made it.
        location: where its files are, when that is not the source.
        model_id: the logged model that it is, if it is one.
        created_ms, updated_ms: milliseconds since the epoch.
    """

    name: str
    version: int = 0
    run: str = ""
    project: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    description: str | None = None
    stage: str = "None"
    source: str = ""
    location: str = ""
    run_link: str | None = None
    model_id: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


def create(store: Store, version: Version) -> Version:
    """Register what a client logged; it gets the next number of its name, which must be there."""
    at = model_names.now_ms(store)
    event = Event(kind="model.registered", subject=version.name, project=version.project)
    with store.change(event) as tx:
        tx.row(HOLD_NAME[tx.dialect], name=version.name)
        number = next_number(tx, version.name)
        tx.about(f"{version.name}@{number}")
        tx.note(run=version.run, source=version.source)
        tx.execute(
            _INSERT, name=version.name, version=number, run=version.run, project=version.project,
            created_at=at / 1000, updated_ms=at, description=version.description, source=version.source,
            location=version.location, run_link=version.run_link, model_id=version.model_id,
        )  # fmt: skip
        tx.execute_many(SET_TAG, tag_rows(version.name, number, version.tags))
        model_names.touch(tx, version.name, at)
    return msgspec.structs.replace(version, version=number, created_ms=at, updated_ms=at)


def next_number(reader: Reader, name: str) -> int:
    """The number that the next version of a name gets."""
    row = reader.row(NEXT, name=name)
    assert row is not None
    return max(int(row[0]), model_names.remembered(reader, name) + 1)


def tag_rows(name: str, version: int, tags: Mapping[str, str]) -> list[dict[str, object]]:
    """Tags as rows for `SET_TAG`."""
    return [{"name": name, "version": version, "key": key, "value": value} for key, value in tags.items()]


def find(reader: Reader, name: str, version: int) -> Version | None:
    """A version with its tags and aliases, None when there is none or it was deleted."""
    row = reader.row(_READ, name=name, version=version)
    if row is None:
        return None
    found = of_row(row)
    return msgspec.structs.replace(
        found,
        tags={str(k): str(v) for k, v in reader.rows(_TAGS, name=name, version=version)},
        aliases=tuple(str(alias) for (alias,) in reader.rows(_ALIASES, name=name, version=version)),
    )


def get(store: Store, name: str, version: int) -> Version:
    """As `find`.

    Raises:
        Fault: not found.
    """
    with store.read() as reader:
        found = find(reader, name, version)
    if found is None:
        raise not_found("no such version", where=f"{name}@{version}"[:200])
    return found


def of_name(reader: Reader, name: str) -> list[Version]:
    """All versions of a name in order of their numbers, with their tags."""
    tags: dict[int, dict[str, str]] = {}
    for _, number, key, value in reader.rows(_TAGS_OF_NAME, name=name):
        tags.setdefault(int(number), {})[str(key)] = str(value)
    found = [of_row(row) for row in reader.rows(_OF_NAME, name=name)]
    return [msgspec.structs.replace(each, tags=tags.get(each.version, {})) for each in found]


def latest(versions: Iterable[Version]) -> list[Version]:
    """The newest of each stage, in the order in which the stages appear."""
    newest: dict[str, Version] = {}
    for each in versions:
        newest[each.stage] = each
    return list(newest.values())


def describe(store: Store, held: Version, description: str | None) -> None:
    """Give a version another description."""
    with store.change(Event(kind="model.version_described", subject=held.id, project=held.project)) as tx:
        at = model_names.now_ms(store)
        tx.execute(_DESCRIBE, name=held.name, version=held.version, description=description, at=at)


def move(store: Store, held: Version, stage: str, *, archive: bool = False) -> None:
    """Move a version to a stage, and what was there before to `Archived` if asked."""
    detail = {"stage": stage, "before": held.stage}
    with store.change(Event(kind="model.staged", subject=held.id, project=held.project, detail=detail)) as tx:
        at = model_names.now_ms(store)
        if archive:
            tx.note(archived=tx.changed(_ARCHIVE, name=held.name, version=held.version, stage=stage, at=at))
        tx.execute(_STAGE, name=held.name, version=held.version, stage=stage, at=at)
        model_names.touch(tx, held.name, at)


def delete(store: Store, held: Version) -> None:
    """Delete a version and the aliases that point at it; its number is not used again."""
    event = Event(kind="model.version_deleted", subject=held.id, project=held.project)
    with store.change(event) as tx:
        at = model_names.now_ms(store)
        tx.note(aliases=tx.changed(_UNSET_ALIASES, name=held.name, version=held.version))
        tx.execute(_DELETE, name=held.name, version=held.version, at=at, **REDACTED)
        model_names.touch(tx, held.name, at)


def set_tag(store: Store, held: Version, key: str, value: str) -> None:
    """Give a version a tag; one of that key is replaced."""
    event = Event(kind="model.version_tagged", subject=held.id, project=held.project, detail={"tag": key})
    with store.change(event) as tx:
        tx.execute_many(SET_TAG, tag_rows(held.name, held.version, {key: value}))


def unset_tag(store: Store, held: Version, key: str) -> bool:
    """Take a tag from a version; whether it had it."""
    event = Event(kind="model.version_untagged", subject=held.id, project=held.project, detail={"tag": key})
    with store.change(event) as tx:
        return tx.changed(_UNSET_TAG, name=held.name, version=held.version, key=key) > 0


def of_row(row: Sequence[object]) -> Version:
    """A version of a row of `COLUMNS`, without tags and aliases."""
    name, version, run, project, created, updated, description, stage, source, location, link, model_id = row
    return Version(
        name=str(name),
        version=int(str(version)),
        run=str(run),
        project=str(project),
        created_ms=round(float(str(created)) * 1000),
        updated_ms=int(str(updated)),
        description=None if description is None else str(description),
        stage=str(stage),
        source=str(source),
        location=str(location),
        run_link=None if link is None else str(link),
        model_id=str(model_id),
    )
