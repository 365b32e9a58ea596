"""Evaluation data sets: named records of inputs and what is expected of them. This file owns their four tables.

In: records as clients send them. Out: `EvaluationSet` and record messages. The same inputs are one record: sent again,
what is expected of them is merged.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from roadworthy.nouns.event import Event
from roadworthy.registry import groups
from roadworthy.store.sql import Reader, Transaction
from roadworthy.store.store import Store

USER_TAG = "mlflow.user"
OUTPUT_KEY = "mlflow_wrapped"
_COLUMNS = (
    "d.id, d.project, d.name, d.digest, d.schema, d.profile, d.created_ms, d.updated_ms, d.created_by, d.updated_by"
)
_READ = f"SELECT {_COLUMNS} FROM evaluation_sets d WHERE d.id = :id"
FROM = f"SELECT {_COLUMNS} FROM evaluation_sets d"
_INSERT = """
INSERT INTO evaluation_sets (id, project, name, digest, schema, profile, created_ms, updated_ms, created_by, updated_by)
VALUES (:id, :project, :name, :digest, NULL, NULL, :at, :at, :by, :by)
"""
_UPDATE = """
UPDATE evaluation_sets SET digest = :digest, schema = :schema, profile = :profile, updated_ms = :at, updated_by = :by
WHERE id = :id
"""
_DELETE = (
    "DELETE FROM evaluation_sets WHERE id = :id",
    "DELETE FROM evaluation_set_tags WHERE dataset = :id",
    "DELETE FROM evaluation_set_groups WHERE dataset = :id",
    "DELETE FROM evaluation_records WHERE dataset = :id",
)
_TAGS = "SELECT key, value FROM evaluation_set_tags WHERE dataset = :id ORDER BY key"
_SET_TAG = """
INSERT INTO evaluation_set_tags (dataset, key, value) VALUES (:dataset, :key, :value)
ON CONFLICT (dataset, key) DO UPDATE SET value = excluded.value
"""
_UNSET_TAG = "DELETE FROM evaluation_set_tags WHERE dataset = :dataset AND key = :key"
_GROUPS = "SELECT group_id FROM evaluation_set_groups WHERE dataset = :id ORDER BY group_id"
_ADD_GROUP = """
INSERT INTO evaluation_set_groups (group_id, dataset) VALUES (:group_id, :dataset)
ON CONFLICT (group_id, dataset) DO NOTHING
"""
_REMOVE_GROUP = "DELETE FROM evaluation_set_groups WHERE group_id = :group_id AND dataset = :dataset"
_RECORD = "SELECT id, record FROM evaluation_records WHERE dataset = :dataset AND inputs = :inputs"
_INSERT_RECORD = """
INSERT INTO evaluation_records (id, dataset, inputs, seq, created_ms, updated_ms, record)
VALUES (:id, :dataset, :inputs, :seq, :at, :at, :record)
"""
_UPDATE_RECORD = "UPDATE evaluation_records SET record = :record, updated_ms = :at WHERE id = :id"
_RECORDS = """
SELECT id, seq, created_ms, updated_ms, record FROM evaluation_records WHERE dataset = :dataset AND seq > :after
ORDER BY seq LIMIT :limit
"""
_COUNT = "SELECT COUNT(*) FROM evaluation_records WHERE dataset = :dataset"
_DELETE_RECORD = "DELETE FROM evaluation_records WHERE dataset = :dataset AND id = :id"


class EvaluationSet(msgspec.Struct, frozen=True, kw_only=True):
    """One data set, without its records.

    Args:
        groups: MLflow's experiments that it belongs to.
        created_ms, updated_ms: milliseconds since the epoch.
    """

    id: str
    project: str
    name: str
    digest: str
    schema: str | None
    profile: str | None
    created_ms: int
    updated_ms: int
    created_by: str
    updated_by: str
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    groups: tuple[int, ...] = ()


def create(store: Store, name: str, project: str, tags: Mapping[str, str], of_groups: Iterable[int]) -> EvaluationSet:
    """Make a data set without records."""
    identifier, at = f"d-{store.ids.new()}", round(store.clock.now() * 1000)
    with store.change(Event(kind="dataset.made", subject=identifier, project=project, detail={"name": name})) as tx:
        tx.execute(
            _INSERT, id=identifier, project=project, name=name, digest=_digest(name, at), at=at,
            by=tags.get(USER_TAG, ""),
        )  # fmt: skip
        tx.execute_many(_SET_TAG, [{"dataset": identifier, "key": k, "value": v} for k, v in tags.items()])
        tx.execute_many(_ADD_GROUP, [{"dataset": identifier, "group_id": group} for group in of_groups])
        made = find(tx, identifier)
    assert made is not None
    return made


def find(reader: Reader, identifier: str) -> EvaluationSet | None:
    """A data set, or None."""
    row = reader.row(_READ, id=identifier)
    return None if row is None else of_row(reader, row)


def of_row(reader: Reader, row: Sequence[object]) -> EvaluationSet:
    """A data set of a row of `FROM`."""
    fields = dict(zip(_COLUMNS.replace("d.", "").split(", "), row, strict=True))
    return msgspec.convert(
        {
            **fields,
            "tags": {str(key): str(value) for key, value in reader.rows(_TAGS, id=fields["id"])},
            "groups": [int(group) for (group,) in reader.rows(_GROUPS, id=fields["id"])],
        },
        EvaluationSet,
    )


def delete(store: Store, held: EvaluationSet) -> None:
    """Delete a data set with its records."""
    with store.change(Event(kind="dataset.deleted", subject=held.id, project=held.project)) as tx:
        for statement in _DELETE:
            tx.execute(statement, id=held.id)


def set_tags(store: Store, held: EvaluationSet, tags: Mapping[str, str | None]) -> None:
    """Give a data set tags; a value of None takes one away."""
    with store.append() as tx:
        tx.execute_many(
            _SET_TAG, [{"dataset": held.id, "key": k, "value": v} for k, v in tags.items() if v is not None]
        )
        for key in (key for key, value in tags.items() if value is None):
            tx.execute(_UNSET_TAG, dataset=held.id, key=key)


def join(store: Store, held: EvaluationSet, of_groups: Iterable[int], *, leave: bool = False) -> None:
    """Let a data set belong to experiments, or no longer."""
    with store.append() as tx:
        statement = _REMOVE_GROUP if leave else _ADD_GROUP
        tx.execute_many(statement, [{"dataset": held.id, "group_id": group} for group in of_groups])


def upsert(store: Store, held: EvaluationSet, records: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Keep records; how many are new, and how many were there and are changed."""
    at, inserted, by = round(store.clock.now() * 1000), 0, held.updated_by
    with store.append() as tx:
        for record in records:
            inserted += _upsert_one(store, tx, held, record, at)
            by = str((record.get("tags") or {}).get(USER_TAG, by))
        schema = _schema(held.schema, records)
        tx.execute(
            _UPDATE, id=held.id, digest=_digest(held.name, at), schema=schema, profile=_profile(tx, held.id), at=at,
            by=by,
        )  # fmt: skip
    return inserted, len(records) - inserted


def page(reader: Reader, held: EvaluationSet, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
    """Records as messages, each behind the number by which the next page begins."""
    found = []
    for identifier, seq, created, updated, text in reader.rows(_RECORDS, dataset=held.id, after=after, limit=limit):
        times = {"created_time": int(created), "last_update_time": int(updated)}
        record = {"dataset_record_id": str(identifier), "dataset_id": held.id, **msgspec.json.decode(text), **times}
        found.append((int(seq), record))
    return found


def delete_records(store: Store, held: EvaluationSet, identifiers: Iterable[str]) -> int:
    """Delete records; how many were there."""
    with store.append() as tx:
        count = sum(tx.changed(_DELETE_RECORD, dataset=held.id, id=each) for each in identifiers)
        at = round(store.clock.now() * 1000)
        tx.execute(
            _UPDATE, id=held.id, digest=_digest(held.name, at), schema=held.schema, profile=_profile(tx, held.id),
            at=at, by=held.updated_by,
        )  # fmt: skip
    return count


def _upsert_one(store: Store, tx: Transaction, held: EvaluationSet, sent: dict[str, Any], at: int) -> int:
    inputs = json.dumps(sent.get("inputs", {}), sort_keys=True)
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    known = tx.row(_RECORD, dataset=held.id, inputs=digest)
    if known is None:
        seq = groups.next_number(tx, "evaluation_records")
        text = msgspec.json.encode(_new(sent)).decode()
        tx.execute(
            _INSERT_RECORD, id=f"dr-{store.ids.new()}", dataset=held.id, inputs=digest, seq=seq, at=at, record=text
        )
        return 1
    record = msgspec.json.decode(str(known[1]))
    if "outputs" in sent:
        record["outputs"] = sent["outputs"]
    for field in ("expectations", "tags"):
        if sent.get(field):
            record[field] = {**(record.get(field) or {}), **sent[field]}
    record = {name: value for name, value in record.items() if value is not None}
    tx.execute(_UPDATE_RECORD, id=known[0], record=msgspec.json.encode(record).decode(), at=at)
    return 0


def _new(sent: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"inputs": sent.get("inputs", {})}
    for field in ("outputs", "expectations", "tags", "source"):
        if sent.get(field) is not None:
            record[field] = sent[field]
    source = record.get("source") or {}
    if source:
        record["source_type"] = source.get("source_type", "UNSPECIFIED")
        trace = (source.get("source_data") or {}).get("trace_id")
        if trace:
            record["source_id"] = str(trace)
    by = (record.get("tags") or {}).get(USER_TAG)
    if by:
        record |= {"created_by": by, "last_updated_by": by}
    return record


def _schema(held: str | None, records: Sequence[dict[str, Any]]) -> str:
    empty = {"inputs": {}, "outputs": {}, "expectations": {}, "version": "1.0"}
    schema: dict[str, Any] = json.loads(held) if held else empty
    for record in records:
        for part in ("inputs", "outputs", "expectations"):
            fields = record.get(part)
            if isinstance(fields, dict) and isinstance(schema.get(part), dict):
                for name, value in fields.items():
                    schema[part].setdefault(name, _type(value))
            elif fields is not None and part == "outputs":
                schema[part] = _type(fields)
    return json.dumps(schema)


def _type(value: Any) -> str:
    kinds = {
        type(None): "null", bool: "boolean", int: "integer", float: "float", str: "string", list: "array",
        dict: "object",
    }  # fmt: skip
    return kinds.get(type(value), "unknown")


def _profile(reader: Reader, identifier: str) -> str | None:
    row = reader.row(_COUNT, dataset=identifier)
    return json.dumps({"num_records": int(row[0])}) if row is not None and row[0] else None


def _digest(name: str, at: int) -> str:
    return hashlib.sha256(f"{name}:{at}".encode()).hexdigest()[:8]
