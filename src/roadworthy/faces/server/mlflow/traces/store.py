"""Traces: what a client says of one request it traced, and its spans. This file owns the tables of both.

In: infos and spans, in either order, since clients send them apart. Out: `Trace` records, and spans as they are
answered. Nothing of it is an event by itself, except that traces were deleted.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from roadworthy.faces.server.mlflow.traces import figures
from roadworthy.faces.server.mlflow.traces.figures import Figures, Node
from roadworthy.nouns.event import Event
from roadworthy.registry import groups
from roadworthy.registry.groups import Group
from roadworthy.store.sql import Reader, Transaction
from roadworthy.store.store import Store

AT_ONCE = 400
NAME_TAG = "mlflow.traceName"
LOCATION_TAG = "mlflow.artifactLocation"
SPANS_TAG = "mlflow.trace.spansLocation"
SPANS_HERE = "TRACKING_STORE"
COMPLETE_KEY = "mlflow.trace.infoFinalized"
RUN_KEY = "mlflow.sourceRun"
STATES = ("STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS")

COLUMNS = (
    "t.seq, t.id, t.group_id, t.project, t.at_ms, t.duration_ms, t.state, t.name, t.client_id, t.request, t.response, "
    "t.complete"
)
_READ = f"SELECT {COLUMNS} FROM traces t WHERE t.id = :id"
_PROJECT = "SELECT project FROM traces WHERE id = :id"
_MANY = f"SELECT {COLUMNS} FROM traces t WHERE t.id IN ({{ids}})"
_INSERT = """
INSERT INTO traces (id, seq, group_id, project, at_ms, duration_ms, state, name, client_id, request, response, complete)
VALUES (:id, :seq, :group_id, :project, :at_ms, :duration_ms, :state, :name, :client_id, :request, :response, :complete)
"""
_UPDATE = """
UPDATE traces SET at_ms = :at_ms, duration_ms = :duration_ms, state = :state, name = COALESCE(:name, name),
    client_id = COALESCE(:client_id, client_id), request = COALESCE(:request, request),
    response = COALESCE(:response, response), complete = :complete
WHERE seq = :seq
"""
_SET_NAME = "UPDATE traces SET name = :name WHERE seq = :seq"
_PUT = {
    "tags": """
INSERT INTO trace_tags (trace, key, value) VALUES (:trace, :key, :value)
ON CONFLICT (trace, key) DO UPDATE SET value = excluded.value
""",
    "metadata": """
INSERT INTO trace_metadata (trace, key, value) VALUES (:trace, :key, :value)
ON CONFLICT (trace, key) DO UPDATE SET value = excluded.value
""",
}
_OF = {
    "tags": "SELECT trace, key, value FROM trace_tags WHERE trace IN ({traces}) ORDER BY trace, key",
    "metadata": "SELECT trace, key, value FROM trace_metadata WHERE trace IN ({traces}) ORDER BY trace, key",
}
_DELETE_TAG = "DELETE FROM trace_tags WHERE trace = :trace AND key = :key"
_PUT_SPAN = """
INSERT INTO spans (trace, id, parent, name, type, status, start_ns, end_ns, data, model, provider, input_cost,
                   output_cost, total_cost, tokens)
VALUES (:trace, :id, :parent, :name, :type, :status, :start_ns, :end_ns, :data, :model, :provider, :input_cost,
        :output_cost, :total_cost, :tokens)
ON CONFLICT (trace, id) DO UPDATE SET parent = excluded.parent, name = excluded.name, type = excluded.type,
    status = excluded.status, start_ns = excluded.start_ns, end_ns = excluded.end_ns, data = excluded.data,
    model = excluded.model, provider = excluded.provider, input_cost = excluded.input_cost,
    output_cost = excluded.output_cost, total_cost = excluded.total_cost, tokens = excluded.tokens
"""
_USED = "SELECT id, parent, tokens, input_cost, output_cost, total_cost FROM spans WHERE trace = :trace"
_NO_NUMBERS = "DELETE FROM trace_numbers WHERE trace = :trace"
_PUT_NUMBER = "INSERT INTO trace_numbers (trace, name, number) VALUES (:trace, :name, :number)"
_SPANS = "SELECT trace, data FROM spans WHERE trace IN ({traces}) ORDER BY trace, start_ns, id"
_EXTENT = "SELECT MIN(start_ns), MAX(end_ns), COUNT(*) FROM spans WHERE trace = :trace"
_LINK = """
INSERT INTO trace_links (target, kind, trace) VALUES (:target, :kind, :trace)
ON CONFLICT (target, kind, trace) DO NOTHING
"""
_OLDEST = """
SELECT seq FROM traces WHERE group_id = :group_id AND at_ms <= :at_ms ORDER BY at_ms, id LIMIT :limit
"""
_OF_GROUP = "SELECT seq FROM traces WHERE group_id = :group_id AND id IN ({ids})"
_DELETE = tuple(
    f"DELETE FROM {table} WHERE {column} = :trace"
    for table, column in (
        ("traces", "seq"), ("trace_tags", "trace"), ("trace_metadata", "trace"), ("trace_links", "trace"),
        ("spans", "trace"), ("assessments", "trace"), ("trace_numbers", "trace"),
    )
)  # fmt: skip


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one traced request.

    Args:
        seq: its number; 0 for one that is not kept yet.
        group: MLflow's experiment.
        at_ms: when it began, in milliseconds since the epoch.
        request, response: previews.
        complete: whether its client has said all of it.
    """

    seq: int = 0
    id: str
    group: int = 0
    project: str = ""
    at_ms: int
    duration_ms: int | None = None
    state: str = "STATE_UNSPECIFIED"
    name: str | None = None
    client_id: str | None = None
    request: str | None = None
    response: str | None = None
    complete: bool = False
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class Span(NamedTuple):
    """One span: what is searched for, and all of it as JSON."""

    id: str
    parent: str
    name: str
    type: str
    status: str
    start_ns: int
    end_ns: int
    data: str
    figures: Figures = Figures()


def put(tx: Transaction, group: Group, trace: Trace) -> int:
    """Keep what is said of a trace, over what its spans told before; its number."""
    known = tx.row(_READ, id=trace.id)
    seq = groups.next_number(tx, "traces") if known is None else int(known[0])
    fields = {
        "seq": seq, "at_ms": trace.at_ms, "duration_ms": trace.duration_ms, "state": trace.state,
        "name": trace.tags.get(NAME_TAG, trace.name), "client_id": trace.client_id, "request": trace.request,
        "response": trace.response, "complete": int(trace.complete),
    }  # fmt: skip
    if known is None:
        tx.execute(_INSERT, id=trace.id, group_id=group.id, project=group.project, **fields)
    else:
        tx.execute(_UPDATE, **fields)
    place = group.location.rstrip("/") or f"mlflow-artifacts:/{group.id}"
    tags = {**trace.tags, LOCATION_TAG: f"{place}/traces/{trace.id}/artifacts"}
    tags.pop(NAME_TAG, None)
    put_pairs(tx, "tags", seq, tags)
    put_pairs(tx, "metadata", seq, trace.metadata)
    if figures.TOKENS_KEY in trace.metadata:
        tx.execute(_NO_NUMBERS, trace=seq)
        used = figures.of_metadata(trace.metadata)
        tx.execute_many(_PUT_NUMBER, [{"trace": seq, "name": name, "number": number} for name, number in used.items()])
    return seq


def put_pairs(tx: Transaction, kind: Literal["tags", "metadata"], seq: int, pairs: Mapping[str, str]) -> None:
    """Give a trace tags or metadata; those of equal keys are replaced."""
    tx.execute_many(_PUT[kind], [{"trace": seq, "key": key, "value": value} for key, value in pairs.items()])


def set_name(tx: Transaction, seq: int, name: str | None) -> None:
    """Give a trace another name, which MLflow takes for a tag."""
    tx.execute(_SET_NAME, seq=seq, name=name)


def delete_tag(tx: Transaction, seq: int, key: str) -> bool:
    """Take a tag away; whether it was there."""
    return tx.changed(_DELETE_TAG, trace=seq, key=key) > 0


def put_spans(tx: Transaction, seq: int, spans: Iterable[Span]) -> None:
    """Keep spans of a trace; those that are there are replaced."""
    tx.execute_many(_PUT_SPAN, [_fields(seq, span) for span in spans])
    put_pairs(tx, "tags", seq, {SPANS_TAG: SPANS_HERE})


def extent(reader: Reader, seq: int) -> tuple[int, int, int]:
    """When a trace's spans begin and end, in nanoseconds since the epoch, and how many there are."""
    row = reader.row(_EXTENT, trace=seq)
    assert row is not None
    return int(row[0] or 0), int(row[1] or 0), int(row[2])


def used(reader: Reader, seq: int) -> dict[str, str]:
    """What a trace used by what its spans tell, as metadata."""
    tokens, costs = [], []
    for identifier, parent, said, *cost in reader.rows(_USED, trace=seq):
        tokens.append(Node(identifier, parent, None if said is None else msgspec.json.decode(said)))
        of_span = {name: float(each) for name, each in zip(figures.COSTS, cost, strict=True) if each is not None}
        costs.append(Node(identifier, parent, of_span or None))
    summed = {
        figures.TOKENS_KEY: figures.total(tokens, figures.TOKENS, figures.CACHED_TOKENS),
        figures.COST_KEY: figures.total(costs, figures.COSTS),
    }
    return {key: json.dumps(numbers) for key, numbers in summed.items() if numbers}


def find(reader: Reader, identifier: str) -> Trace | None:
    """A trace without its spans, or None."""
    row = reader.row(_READ, id=identifier)
    return None if row is None else whole(reader, [row])[0]


def project_of(reader: Reader, identifier: str) -> str | None:
    """The project of a trace; None when there is none."""
    row = reader.row(_PROJECT, id=identifier)
    return None if row is None else str(row[0])


def many(reader: Reader, identifiers: Sequence[str]) -> list[Trace]:
    """The traces that are there, in the order asked for."""
    rows: dict[str, tuple[object, ...]] = {}
    for start in range(0, len(identifiers), AT_ONCE):
        bound = {f"i{n}": each for n, each in enumerate(identifiers[start : start + AT_ONCE])}
        marks = ", ".join(f":{name}" for name in bound)
        rows |= {str(row[1]): row for row in reader.rows(_MANY.format(ids=marks), **bound)}
    return whole(reader, [rows[each] for each in dict.fromkeys(identifiers) if each in rows])


def whole(reader: Reader, rows: Sequence[Sequence[object]]) -> list[Trace]:
    """Traces of rows of `COLUMNS`, with tags and metadata."""
    numbers = [int(str(row[0])) for row in rows]
    tags, metadata = _pairs(reader, "tags", numbers), _pairs(reader, "metadata", numbers)
    found = []
    for row, number in zip(rows, numbers, strict=True):
        fields = dict(zip(COLUMNS.replace("t.", "").split(", "), row, strict=True))
        fields |= {"group": fields.pop("group_id"), "complete": bool(fields["complete"])}
        of_trace = tags.get(number, {})
        if fields["name"] is not None:
            of_trace[NAME_TAG] = str(fields["name"])
        found.append(msgspec.convert({**fields, "tags": of_trace, "metadata": metadata.get(number, {})}, Trace))
    return found


def spans_of(reader: Reader, traces: Sequence[Trace]) -> dict[int, list[msgspec.Raw]]:
    """The spans of traces by number, as they are answered, from the first to the last."""
    found: dict[int, list[msgspec.Raw]] = {}
    for marks, bound in _chunks([trace.seq for trace in traces]):
        for trace, data in reader.rows(_SPANS.format(traces=marks), **bound):
            found.setdefault(int(trace), []).append(msgspec.Raw(str(data).encode()))
    return found


def link(tx: Transaction, seq: int, kind: Literal["run", "prompt"], target: str) -> None:
    """Say that a trace belongs to a run, or used a prompt's version (`name/version`)."""
    tx.execute(_LINK, target=target, kind=kind, trace=seq)


def delete(store: Store, group: Group, *, before_ms: int | None, limit: int | None, identifiers: Sequence[str]) -> int:
    """Delete traces of an experiment: the named ones, or the oldest up to a moment; how many."""
    with store.change(Event(kind="trace.deleted", subject=str(group.id), project=group.project)) as tx:
        numbers: list[int] = []
        if identifiers:
            for start in range(0, len(identifiers), AT_ONCE):
                bound = {f"i{n}": each for n, each in enumerate(identifiers[start : start + AT_ONCE])}
                marks = ", ".join(f":{name}" for name in bound)
                numbers += [int(seq) for (seq,) in tx.rows(_OF_GROUP.format(ids=marks), group_id=group.id, **bound)]
        else:
            at = 2**62 if before_ms is None else before_ms
            most = 2**31 if limit is None else limit
            numbers = [int(seq) for (seq,) in tx.rows(_OLDEST, group_id=group.id, at_ms=at, limit=most)]
        for statement in _DELETE:
            tx.execute_many(statement, [{"trace": number} for number in numbers])
        tx.note(count=len(numbers))
    return len(numbers)


def _fields(seq: int, span: Span) -> dict[str, object]:
    told = span.figures
    tokens = None if told.tokens is None else json.dumps(told.tokens)
    costs = {name: (told.cost or {}).get(name) for name in figures.COSTS}
    more = {"trace": seq, "model": told.model, "provider": told.provider, "tokens": tokens, **costs}
    return {name: value for name, value in span._asdict().items() if name != "figures"} | more


def _pairs(reader: Reader, kind: Literal["tags", "metadata"], numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for marks, bound in _chunks(numbers):
        for trace, key, value in reader.rows(_OF[kind].format(traces=marks), **bound):
            found.setdefault(int(trace), {})[str(key)] = str(value)
    return found


def _chunks(numbers: Sequence[int]) -> Iterable[tuple[str, dict[str, int]]]:
    for start in range(0, len(numbers), AT_ONCE):
        bound = {f"n{i}": number for i, number in enumerate(numbers[start : start + AT_ONCE])}
        yield ", ".join(f":{name}" for name in bound), bound
