"""Search over traces: by their columns, tags, metadata, spans, assessments and links.

In: conditions and an order that filters.py parsed. Out: a page of records, or how many fit. A statement is put
together from the constant fragments below and those of registry/conditions.py; what a user wrote goes in as bound
parameters alone.
"""

import json
from collections.abc import Sequence
from typing import Literal

import msgspec

from roadworthy.faces.server.mlflow.traces import store as traces
from roadworthy.faces.server.mlflow.traces.store import RUN_KEY, Trace
from roadworthy.registry.conditions import Bound
from roadworthy.store.sql import Dialect, Reader
from roadworthy.store.store import Store

ATTRIBUTES = {
    "request_id": "t.id",
    "timestamp_ms": "t.at_ms",
    "execution_time_ms": "t.duration_ms",
    "end_time_ms": "(t.at_ms + COALESCE(t.duration_ms, 0))",
    "status": "t.state",
    "client_request_id": "t.client_id",
    "name": "t.name",
    "experiment_id": "t.group_id",
}
SPAN_COLUMNS = {"name": "s.name", "type": "s.type", "status": "s.status", "content": "s.data"}
_FROM = f"SELECT {traces.COLUMNS} FROM traces t"
_COUNT = "SELECT COUNT(*) FROM traces t"
_PAIR = {
    "tags": "EXISTS (SELECT 1 FROM trace_tags p WHERE p.trace = t.seq AND p.key = :{key}{holds})",
    "metadata": "EXISTS (SELECT 1 FROM trace_metadata p WHERE p.trace = t.seq AND p.key = :{key}{holds})",
}
_RUN = """(EXISTS (SELECT 1 FROM trace_metadata p WHERE p.trace = t.seq AND p.key = :{key} AND p.value = :{run})
    OR EXISTS (SELECT 1 FROM trace_links l WHERE l.trace = t.seq AND l.kind = 'run' AND l.target = :{run}))"""
_PROMPT = "EXISTS (SELECT 1 FROM trace_links l WHERE l.trace = t.seq AND l.kind = 'prompt' AND l.target = :{prompt})"
_SPAN = "EXISTS (SELECT 1 FROM spans s WHERE s.trace = t.seq AND {holds})"
_ASSESSED = """EXISTS (SELECT 1 FROM assessments a
    WHERE a.trace = t.seq AND a.kind = :{kind} AND a.name = :{name} AND a.valid = 1{holds})"""
_ISSUE = "EXISTS (SELECT 1 FROM assessments a WHERE a.trace = t.seq AND a.kind = 'issue' AND a.name = :{name})"
_ORDER_PAIR = {
    "tags": " LEFT JOIN trace_tags {name} ON {name}.trace = t.seq AND {name}.key = :{key}",
    "metadata": " LEFT JOIN trace_metadata {name} ON {name}.trace = t.seq AND {name}.key = :{key}",
}
_WITHIN: dict[Dialect, str] = {"sqlite": "INSTR(s.data, :{text}) > 0", "postgresql": "STRPOS(s.data, :{text}) > 0"}
_NULLS_LAST = "CASE WHEN {column} IS NULL THEN 1 ELSE 0 END, {column} {direction}"

Entity = Literal["attributes", "tags", "metadata", "run", "prompt", "span", "feedback", "expectation", "issue"]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison; `value` is None for IS NULL and IS NOT NULL."""

    entity: Entity
    key: str
    comparator: str
    value: str | float | tuple[str, ...] | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an order: by a column of `ATTRIBUTES`, a tag or a value of the metadata."""

    entity: Literal["attributes", "tags", "metadata"]
    key: str
    ascending: bool = True


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for.

    Args:
        groups: MLflow's experiments.
        projects: those that may be seen; None for all.
    """

    groups: tuple[int, ...]
    conditions: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int = 100
    skip: int = 0
    projects: frozenset[str] | None = None


def search(reader: Reader, wanted: Wanted) -> list[Trace]:
    """A page of traces, the newest first unless ordered otherwise."""
    bound = Bound(reader.dialect)
    joins, order = _order(bound, wanted.order)
    sql = f"{_FROM}{joins} WHERE {where(bound, wanted)} ORDER BY {order} LIMIT :limit OFFSET :skip"
    return traces.whole(reader, reader.rows(sql, limit=wanted.limit, skip=wanted.skip, **bound.values))


def count(store: Store, wanted: Wanted) -> int:
    """How many traces fit."""
    with store.read() as reader:
        bound = Bound(reader.dialect)
        row = reader.row(f"{_COUNT} WHERE {where(bound, wanted)}", **bound.values)
    assert row is not None
    return int(row[0])


def where(bound: Bound, wanted: Wanted) -> str:
    """The clause that holds for what is wanted, over `traces t`."""
    of_groups = f"t.group_id IN ({bound.listed(wanted.groups)})" if wanted.groups else "1 = 0"
    clauses = [of_groups, bound.within("t.project", wanted.projects)]
    spans = []
    for each in wanted.conditions:
        if each.entity == "span":
            spans.append(_of_span(bound, each))
        else:
            clauses.append(_holds(bound, each))
    if spans:
        # All of them of one span.
        clauses.append(_SPAN.format(holds=" AND ".join(spans)))
    return " AND ".join(clauses)


def _holds(bound: Bound, each: Condition) -> str:
    if each.entity == "attributes":
        column = ATTRIBUTES[each.key]
        if each.value is None:
            return f"{column} {each.comparator}"
        return bound.holds(column, each.comparator, each.value)
    if each.entity == "run":
        return _RUN.format(key=bound.bind(RUN_KEY), run=bound.bind(each.value))
    if each.entity == "prompt":
        return _PROMPT.format(prompt=bound.bind(each.value))
    if each.entity == "issue":
        return _ISSUE.format(name=bound.bind(each.value))
    if each.entity in ("feedback", "expectation"):
        return _of_assessment(bound, each)
    pattern = _PAIR["tags" if each.entity == "tags" else "metadata"]
    key = bound.bind(each.key)
    if each.value is None:
        there = pattern.format(key=key, holds="")
        return f"NOT {there}" if each.comparator == "IS NULL" else there
    return pattern.format(key=key, holds=f" AND {bound.holds('p.value', each.comparator, each.value)}")


def _of_assessment(bound: Bound, each: Condition) -> str:
    kind, name = bound.bind(each.entity), bound.bind(each.key)
    if each.value is None:
        there = _ASSESSED.format(kind=kind, name=name, holds="")
        return f"NOT {there}" if each.comparator == "IS NULL" else there
    column = "a.number" if isinstance(each.value, int | float) else "a.said"
    return _ASSESSED.format(kind=kind, name=name, holds=f" AND {bound.holds(column, each.comparator, each.value)}")


def _of_span(bound: Bound, each: Condition) -> str:
    assert each.value is not None
    if not each.key.startswith("attributes."):
        return bound.holds(SPAN_COLUMNS[each.key], each.comparator, each.value)
    name = json.dumps(each.key.removeprefix("attributes."), ensure_ascii=False)
    start = f'{{"key":{name},"value":{{"string_value":'
    values = each.value if isinstance(each.value, tuple) else (each.value,)
    if each.comparator in ("LIKE", "ILIKE"):
        return bound.holds("s.data", each.comparator, f"%{_literal(start)}{_inner(str(values[0]))}%")
    # As it is, or as JSON in text, which is how MLflow's clients send attributes.
    texts = [f"{start}{json.dumps(form, ensure_ascii=False)}" for v in values for form in (str(v), json.dumps(str(v)))]
    any_of = " OR ".join(_WITHIN[bound.dialect].format(text=bound.bind(text)) for text in texts)
    if each.comparator in ("=", "IN"):
        return f"({any_of})"
    return f"({_WITHIN[bound.dialect].format(text=bound.bind(start))} AND NOT ({any_of}))"


def _literal(text: str) -> str:
    """Text that holds no signs of LIKE's but `_`, which may as well stand for any character."""
    return text.replace("%", "_")


def _inner(pattern: str) -> str:
    escaped = json.dumps(pattern, ensure_ascii=False)[1:-1]
    return f"%{escaped.strip('%')}" if escaped.startswith("%") else f'"{escaped}'


def _order(bound: Bound, wanted: Sequence[Order]) -> tuple[str, str]:
    joins, parts, named = "", [], set()
    for place, each in enumerate(wanted):
        if each.entity == "attributes":
            column = ATTRIBUTES[each.key]
            named.add(column)
        else:
            column = f"o{place}.value"
            joins += _ORDER_PAIR[each.entity].format(name=f"o{place}", key=bound.bind(each.key))
        parts.append(_NULLS_LAST.format(column=column, direction="ASC" if each.ascending else "DESC"))
    if "t.at_ms" not in named:
        parts.append("t.at_ms DESC")
    if "t.id" not in named:
        parts.append("t.id ASC")
    return joins, ", ".join(parts)
