"""Assessments: what people, code and models say of a trace. This file owns their table.

In: assessments as messages. Out: the same, with ids and moments; what one overrides is no longer valid.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from roadworthy.faces.server.mlflow.schema.trace import moment, moment_ms
from roadworthy.faces.server.mlflow.wire import SHOWN, invalid
from roadworthy.store.sql import Reader, Transaction

KINDS = ("feedback", "expectation", "issue")
NAME_MAX = 250
TEXT_MAX = 100_000
AT_ONCE = 400
FIELDS = ("assessment_name", "span_id", "source", "rationale", "metadata", "overrides", "error", *KINDS)
_SOURCES = ("SOURCE_TYPE_UNSPECIFIED", "HUMAN", "LLM_JUDGE", "CODE")

_COLUMNS = "id, trace, kind, name, valid, created_ms, updated_ms, record"
_READ = f"SELECT {_COLUMNS} FROM assessments WHERE trace = :trace AND id = :id"
_OF_TRACES = f"SELECT {_COLUMNS} FROM assessments WHERE trace IN ({{traces}}) ORDER BY trace, created_ms, id"
_PUT = """
INSERT INTO assessments (id, trace, kind, name, valid, said, number, created_ms, updated_ms, record)
VALUES (:id, :trace, :kind, :name, :valid, :said, :number, :created_ms, :updated_ms, :record)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, valid = excluded.valid,
    said = excluded.said, number = excluded.number, updated_ms = excluded.updated_ms, record = excluded.record
WHERE assessments.trace = excluded.trace
"""
_SET_VALID = "UPDATE assessments SET valid = :valid WHERE trace = :trace AND id = :id"
_DELETE = "DELETE FROM assessments WHERE trace = :trace AND id = :id"


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """One assessment.

    Args:
        record: its message without id, trace, moments and `valid`.
        created_ms, updated_ms: milliseconds since the epoch.
    """

    id: str
    trace: int
    kind: str
    name: str
    valid: bool = True
    created_ms: int
    updated_ms: int
    record: dict[str, Any]


def made(sent: dict[str, Any], trace: int, identifier: str, now_ms: int) -> Assessment:
    """The assessment of a message.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    kinds = [kind for kind in KINDS if sent.get(kind) is not None]
    if len(kinds) != 1:
        raise invalid("An assessment has one of feedback, expectation and issue.")
    record = {field: sent[field] for field in FIELDS if sent.get(field) not in (None, "", {})}
    _check(record)
    name = record.get("assessment_name", "")
    if kinds[0] == "issue":
        name = sent["issue"].get("issue_name") or name
    if not name:
        raise invalid("Missing value for required parameter 'assessment.assessment_name'.")
    created = moment_ms(sent["create_time"], "create_time") if sent.get("create_time") else now_ms
    updated = moment_ms(sent["last_update_time"], "last_update_time") if sent.get("last_update_time") else created
    return Assessment(
        id=str(sent.get("assessment_id") or identifier),
        trace=trace,
        kind=kinds[0],
        name=str(name),
        valid=bool(sent.get("valid", True)),
        created_ms=created,
        updated_ms=updated,
        record=record,
    )


def changed(held: Assessment, sent: dict[str, Any], fields: Sequence[str], now_ms: int) -> Assessment:
    """An assessment with some fields of a message.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    record = dict(held.record)
    for field in fields:
        if field not in FIELDS and field != "valid":
            raise invalid(f"Unsupported field in update_mask: {field[:SHOWN]}")
        if field in KINDS and field != held.kind:
            raise invalid(f"Cannot update {field} value on an assessment that is of kind {held.kind}.")
        if field in FIELDS:
            record[field] = sent.get(field)
    record = {field: value for field, value in record.items() if value not in (None, "", {})}
    _check(record)
    if held.kind not in record:
        raise invalid(f"An assessment of kind {held.kind} keeps its value.")
    return msgspec.structs.replace(
        held,
        name=str(record.get("assessment_name", held.name)),
        valid=bool(sent.get("valid", held.valid)) if "valid" in fields else held.valid,
        updated_ms=now_ms,
        record=record,
    )


def put(tx: Transaction, assessment: Assessment) -> None:
    """Keep an assessment, new or changed."""
    said, number = _value(assessment)
    tx.execute(
        _PUT, id=assessment.id, trace=assessment.trace, kind=assessment.kind, name=assessment.name,
        valid=int(assessment.valid), said=said, number=number, created_ms=assessment.created_ms,
        updated_ms=assessment.updated_ms, record=msgspec.json.encode(assessment.record).decode(),
    )  # fmt: skip


def set_valid(tx: Transaction, trace: int, identifier: str, *, valid: bool) -> bool:
    """Say whether an assessment still holds; whether it is there."""
    return tx.changed(_SET_VALID, trace=trace, id=identifier, valid=int(valid)) > 0


def delete(tx: Transaction, trace: int, identifier: str) -> None:
    """Take an assessment away."""
    tx.execute(_DELETE, trace=trace, id=identifier)


def find(reader: Reader, trace: int, identifier: str) -> Assessment | None:
    """An assessment of a trace, or None."""
    row = reader.row(_READ, trace=trace, id=identifier)
    return None if row is None else _of_row(row)


def of_traces(reader: Reader, traces: Sequence[int]) -> dict[int, list[Assessment]]:
    """The assessments of traces by number, from the oldest on."""
    found: dict[int, list[Assessment]] = {}
    for start in range(0, len(traces), AT_ONCE):
        bound = {f"n{i}": number for i, number in enumerate(traces[start : start + AT_ONCE])}
        marks = ", ".join(f":{name}" for name in bound)
        for row in reader.rows(_OF_TRACES.format(traces=marks), **bound):
            found.setdefault(int(row[1]), []).append(_of_row(row))
    return found


def shown(assessment: Assessment, trace: str) -> dict[str, Any]:
    """An assessment as a message."""
    return {
        "assessment_id": assessment.id,
        "assessment_name": assessment.name,
        "trace_id": trace,
        **{field: value for field, value in assessment.record.items() if field != "assessment_name"},
        "create_time": moment(assessment.created_ms),
        "last_update_time": moment(assessment.updated_ms),
        "valid": assessment.valid,
    }


def _check(record: dict[str, Any]) -> None:
    for field in ("assessment_name", "span_id", "rationale", "overrides"):
        value = record.get(field, "")
        if not isinstance(value, str) or len(value) > TEXT_MAX or "\0" in value:
            raise invalid(f"Invalid value for parameter 'assessment.{field}' supplied: it is no text of ours to keep")
    if len(record.get("assessment_name", "")) > NAME_MAX:
        raise invalid(f"'assessment_name' exceeds the maximum length of {NAME_MAX} characters")
    for field in ("source", "metadata", "error", *KINDS):
        if not isinstance(record.get(field, {}), dict):
            raise invalid(f"Invalid value for parameter 'assessment.{field}' supplied: it is no object")
    metadata = record.get("metadata", {})
    if any(not isinstance(value, str) for value in metadata.values()):
        raise invalid("Invalid value for parameter 'assessment.metadata' supplied: its values are texts")
    kind = record.get("source", {}).get("source_type")
    if kind is not None and kind not in _SOURCES and not (isinstance(kind, int) and 0 <= kind < len(_SOURCES)):
        raise invalid(f"Invalid assessment source type: {str(kind)[:SHOWN]}. Must be one of {list(_SOURCES[1:])}.")


def _value(assessment: Assessment) -> tuple[str | None, float | None]:
    held = assessment.record.get(assessment.kind, {})
    value = held.get("value")
    if value is None and isinstance(held.get("serialized_value"), dict):
        value = held["serialized_value"].get("value")
    number = float(value) if isinstance(value, bool | int | float) else None
    if value is None or isinstance(value, str):
        return value.replace("\0", "\ufffd") if isinstance(value, str) else None, number
    return json.dumps(value, ensure_ascii=False), number


def _of_row(row: Sequence[object]) -> Assessment:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    record = msgspec.json.decode(str(fields.pop("record")))
    return msgspec.convert({**fields, "valid": bool(fields["valid"]), "record": record}, Assessment)
