"""Groups: what gathers runs. Every run is in one; a project's runs are in groups named after it.

In: names, locations, tags, from `rw`'s own runs and from clients (MLflow's experiments are groups). Out: `Group`
records. This file owns the tables `groups` and `group_tags`, and the numbers that are given out one after another.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from roadworthy.nouns.errors import conflict, invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.store.sql import Asked, Reader, Transaction
from roadworthy.store.store import Store

DEFAULT = "Default"
NAMES_TRIED_MAX = 1_000

_NEXT = "UPDATE counters SET value = value + :count WHERE name = :name RETURNING value"
_COLUMNS = "id, name, project, location, stage, created_ms, updated_ms"
_BY_ID = f"SELECT {_COLUMNS} FROM groups WHERE id = :id"
_BY_ID_TO_WRITE = {"sqlite": _BY_ID, "postgresql": f"{_BY_ID} FOR UPDATE"}
_AHEAD = f"""
SELECT {_COLUMNS} FROM groups WHERE id = ANY(:numbers)
UNION
SELECT {_COLUMNS} FROM groups WHERE id IN (SELECT group_id FROM runs WHERE runs.id = ANY(:runs))
"""
_BY_NAME = f"SELECT {_COLUMNS} FROM groups WHERE name = :name"
_INSERT = """
INSERT INTO groups (id, name, project, location, stage, created_ms, updated_ms)
VALUES (:id, :name, :project, :location, 'active', :at, :at)
"""
_RENAME = "UPDATE groups SET name = :name, updated_ms = :at WHERE id = :id"
_SET_STAGE = "UPDATE groups SET stage = :stage, updated_ms = :at WHERE id = :id"
_SET_RUNS_STAGE = "UPDATE runs SET stage = :stage, deleted_ms = :deleted_ms WHERE group_id = :id AND stage <> :stage"
_TAGS = "SELECT key, value FROM group_tags WHERE group_id = :id ORDER BY key"
_PUT_TAG = """
INSERT INTO group_tags (group_id, key, value) VALUES (:id, :key, :value)
ON CONFLICT (group_id, key) DO UPDATE SET value = excluded.value
"""
_DELETE_TAG = "DELETE FROM group_tags WHERE group_id = :id AND key = :key"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What gathers runs.

    Args:
        id: a number; 0 is the group of runs that name none.
        name: unique.
        project: whose members may see it; empty for everyone's.
        location: where its runs' artifacts go, empty for the store's own place.
        stage: `active` or `deleted`.
        created_ms, updated_ms: milliseconds since 1970-01-01 UTC.
        tags: what clients noted.
    """

    id: int
    name: str
    project: str = ""
    location: str = ""
    stage: str = "active"
    created_ms: int = 0
    updated_ms: int = 0
    tags: dict[str, str] = msgspec.field(default_factory=dict)


def create(
    store: Store, name: str, *, project: str = "", location: str = "", tags: Mapping[str, str] | None = None
) -> Group:
    """Make a group.

    Raises:
        Fault: conflict when the name is taken.
    """
    at = int(store.clock.now() * 1000)
    with store.change(Event(kind="group.created", subject="", project=project)) as tx:
        if tx.row(_BY_NAME, name=name) is not None:
            raise conflict("a group of this name exists already", where=name)
        number = next_number(tx, "groups")
        tx.about(str(number))
        tx.note(name=name, location=location, tags=sorted(tags or {}))
        tx.execute(_INSERT, id=number, name=name, project=project, location=location, at=at)
        tx.execute_many(_PUT_TAG, [{"id": number, "key": k, "value": v} for k, v in (tags or {}).items()])
    return Group(
        id=number,
        name=name,
        project=project,
        location=location,
        created_ms=at,
        updated_ms=at,
        tags=dict(sorted((tags or {}).items())),
    )


def find(reader: Reader, number: int, *, tags: bool = True) -> Group | None:
    """A group by its number, or None."""
    ahead: Group | None = None if tags else reader.ahead.get(("group", number))
    if ahead is not None:
        return ahead
    return _whole(reader, reader.row(_BY_ID, id=number), tags=tags)


def ahead(numbers: Sequence[int], runs: Sequence[str]) -> Asked | None:
    """What reads several groups, and those of several runs, without tags, for the pieces of a group of writes."""

    def take(rows: list[tuple[Any, ...]], found: dict[Hashable, Any]) -> None:
        for group in of_rows(rows):
            found["group", group.id] = group

    if not numbers and not runs:
        return None
    return Asked(_AHEAD, {"numbers": sorted(set(numbers)), "runs": sorted(set(runs))}, take)


def numbers_ahead(name: str, count: int) -> Asked | None:
    """What takes several numbers of a counter at once; those that nobody wants then are left out."""

    def take(rows: list[tuple[Any, ...]], found: dict[Hashable, Any]) -> None:
        found["last", name] = rows[0][0]
        found["numbers", name] = numbers(rows[0][0], count)

    return Asked(_NEXT, {"name": name, "count": count}, take) if count else None


def numbers(last: int, count: int) -> Iterator[int]:
    """So many numbers of a counter, up to the last."""
    return iter(range(last - count + 1, last + 1))


def named(reader: Reader, name: str) -> Group | None:
    """A group by its name, or None."""
    return _whole(reader, reader.row(_BY_NAME, name=name))


def rename(store: Store, number: int, name: str) -> None:
    """Give a group another name.

    Raises:
        Fault: conflict when the name is taken or the group is deleted, not found when it does not exist.
    """
    with store.change(Event(kind="group.renamed", subject=str(number), detail={"name": name})) as tx:
        group = _required(tx, number)
        _about(tx, group)
        if group.stage != "active":
            raise conflict("a deleted group keeps its name", where=group.name)
        other = tx.row(_BY_NAME, name=name)
        if other is not None and int(other[0]) != number:
            raise conflict("a group of this name exists already", where=name)
        tx.execute(_RENAME, id=number, name=name, at=int(store.clock.now() * 1000))


def set_stage(store: Store, number: int, stage: str) -> None:
    """Delete a group and its runs (`deleted`), or restore both (`active`); for good only `rw gc` deletes."""
    at = int(store.clock.now() * 1000)
    kind = "group.deleted" if stage == "deleted" else "group.restored"
    with store.change(Event(kind=kind, subject=str(number))) as tx:
        group = _required(tx, number)
        _about(tx, group)
        tx.execute(_SET_STAGE, id=number, stage=stage, at=at)
        runs = tx.changed(_SET_RUNS_STAGE, id=number, stage=stage, deleted_ms=at if stage == "deleted" else None)
        tx.note(name=group.name, runs=runs)


def set_tag(store: Store, number: int, key: str, value: str) -> None:
    """Note something about a group; an equal key is replaced."""
    with store.change(Event(kind="group.tagged", subject=str(number), detail={"tag": key})) as tx:
        _about(tx, _required(tx, number))
        tx.execute(_PUT_TAG, id=number, key=key, value=value)


def delete_tag(store: Store, number: int, key: str) -> bool:
    """Take a note back; whether it was there."""
    with store.change(Event(kind="group.untagged", subject=str(number), detail={"tag": key})) as tx:
        _about(tx, _required(tx, number))
        return tx.changed(_DELETE_TAG, id=number, key=key) > 0


def of_run(tx: Transaction, project: str, group: str, at_ms: int) -> int:
    """The number of the group that a run of ours belongs to, which is made if need be.

    The name is `project/group`, or the one that is there; when another project has that name, a number is added.
    """
    name = f"{project}/{group}" if project and group else project or group
    if not name:
        return 0
    for number in range(1, NAMES_TRIED_MAX):
        tried = name if number == 1 else f"{name} ({number})"
        found = _whole(tx, tx.row(_BY_NAME, name=tried), tags=False)
        if found is None:
            made = next_number(tx, "groups")
            tx.execute(_INSERT, id=made, name=tried, project=project, location="", at=at_ms)
            return made
        if found.project == project:
            if found.stage != "active":
                tx.execute(_SET_STAGE, id=found.id, stage="active", at=at_ms)
            return found.id
    raise invalid("no name is free for the run's group", where=name)


def next_number(tx: Transaction, name: str, count: int = 1) -> int:
    """The next number of a counter, which stays held until the transaction ends; the last of `count`."""
    ahead: int | None = next(tx.ahead.get(("numbers", name), iter(())), None) if count == 1 else None
    if ahead is not None:
        return ahead
    row = tx.row(_NEXT, name=name, count=count)
    assert row is not None, name
    return int(row[0])


def of_rows(rows: Iterable[tuple[Any, ...]]) -> list[Group]:
    """Records without tags of rows in the order of the columns."""
    return [
        Group(
            id=int(i), name=str(name), project=str(project), location=str(location), stage=str(stage),
            created_ms=int(created), updated_ms=int(updated),
        )
        for i, name, project, location, stage, created, updated in rows
    ]  # fmt: skip


def _whole(reader: Reader, row: tuple[Any, ...] | None, *, tags: bool = True) -> Group | None:
    if row is None:
        return None
    group = of_rows([row])[0]
    if not tags:
        return group
    return msgspec.structs.replace(group, tags={str(k): str(v) for k, v in reader.rows(_TAGS, id=group.id)})


def _required(tx: Transaction, number: int) -> Group:
    group = _whole(tx, tx.row(_BY_ID_TO_WRITE[tx.dialect], id=number), tags=False)
    if group is None:
        raise not_found("no such group", where=str(number))
    return group


def _about(tx: Any, group: Group) -> None:
    tx.event = msgspec.structs.replace(tx.event, project=group.project)
