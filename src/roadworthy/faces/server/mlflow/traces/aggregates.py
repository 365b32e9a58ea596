"""Aggregates over traces, spans and assessments, by dimensions and in buckets of time: one statement for both engines.

In: what charts.py read and checked. Out: rows of dimensions and numbers. The statement is put together from the
constant fragments below; what a user wrote goes in as bound parameters alone. A percentile is interpolated between its
two neighbours (NumPy's "linear"): of each row its place in order is known, and all but these two weigh nothing.
"""

from typing import Literal, NamedTuple

import msgspec

from roadworthy.faces.server.mlflow.traces.store import NAME_TAG, RUN_KEY
from roadworthy.registry.conditions import Bound
from roadworthy.store.sql import Reader

View = Literal["TRACES", "SPANS", "ASSESSMENTS"]
SESSION_KEY = "mlflow.trace.session"
MS_MAX = 2**62
NS_IN_MS = 1_000_000
NS_MAX = 2**63 - 1

_FROM: dict[View, str] = {
    "TRACES": "traces t",
    "SPANS": "traces t JOIN spans s ON s.trace = t.seq",
    "ASSESSMENTS": "traces t JOIN assessments a ON a.trace = t.seq AND a.valid = 1",
}
_SESSIONS = " JOIN trace_metadata m ON m.trace = t.seq AND m.key = :session"
_NUMBERS = " JOIN trace_numbers n ON n.trace = t.seq AND n.name = :number"
_VALUES: dict[View, dict[str, str]] = {
    "TRACES": {
        "trace_count": "t.seq",
        "session_count": "m.value",
        "latency": "t.duration_ms",
        "input_tokens": "n.number",
        "output_tokens": "n.number",
        "total_tokens": "n.number",
        "cache_read_input_tokens": "n.number",
        "cache_creation_input_tokens": "n.number",
    },
    "SPANS": {
        "span_count": "s.trace",
        "latency": "CASE WHEN s.end_ns > 0 THEN (s.end_ns - s.start_ns) / 1000000 END",
        "input_cost": "s.input_cost",
        "output_cost": "s.output_cost",
        "total_cost": "s.total_cost",
    },
    "ASSESSMENTS": {
        "assessment_count": "a.trace",
        "assessment_value": ("COALESCE(a.number, CASE LOWER(TRIM(a.said)) WHEN 'yes' THEN 1.0 WHEN 'no' THEN 0.0 END)"),
    },
}
# A value that is text is shown as JSON, in quotes.
_SAID = """CASE WHEN a.number IS NULL AND SUBSTR(a.said, 1, 1) NOT IN ('{', '[')
    THEN '"' || REPLACE(REPLACE(a.said, '\\', '\\\\'), '"', '\\"') || '"' ELSE a.said END"""
_DIMENSIONS: dict[str, str] = {
    "trace_name": "t.name",
    "trace_status": "t.state",
    "span_name": "s.name",
    "span_type": "NULLIF(s.type, '')",
    "span_status": "s.status",
    "span_model_name": "s.model",
    "span_model_provider": "s.provider",
    "assessment_name": "a.name",
    "assessment_value": _SAID,
}
_MOMENTS: dict[View, str] = {"TRACES": "t.at_ms", "SPANS": "(s.start_ns / 1000000)", "ASSESSMENTS": "t.at_ms"}
_HOLDS: dict[tuple[str, str], str] = {
    ("trace", "status"): "t.state = :{value}",
    (
        "trace",
        "tag",
    ): "EXISTS (SELECT 1 FROM trace_tags p WHERE p.trace = t.seq AND p.key = :{key} AND p.value = :{value})",
    ("trace", "metadata"): (
        "EXISTS (SELECT 1 FROM trace_metadata p WHERE p.trace = t.seq AND p.key = :{key} AND p.value = :{value})"
    ),
    ("span", "name"): "s.name = :{value}",
    ("span", "status"): "s.status = :{value}",
    ("span", "type"): "s.type = :{value}",
    ("assessment", "name"): "a.name = :{value}",
    ("assessment", "type"): "a.kind = :{value}",
}
_NAMED = "t.name = :{value}"
_LINKED = """({holds} OR EXISTS (SELECT 1 FROM trace_links l
    WHERE l.trace = t.seq AND l.kind = 'run' AND l.target = :{value}))"""
_MEASURED = """
WITH measured AS (SELECT {dimensions}{value} AS v FROM {source} WHERE {holds}),
placed AS (SELECT {names}v{place} FROM measured WHERE v IS NOT NULL{present})
SELECT {names}{aggregates} FROM placed{grouped} LIMIT :most
"""
_PLACE = ", ROW_NUMBER() OVER ({parts}ORDER BY v) - 1 AS place, COUNT(*) OVER ({parts_alone}) AS several"
_AGGREGATES = {"COUNT": "COUNT(v)", "SUM": "SUM(v)", "AVG": "AVG(v)", "MIN": "MIN(v)", "MAX": "MAX(v)"}
_WEIGHED = (
    "SUM(CASE WHEN ABS(place - CAST(:{share} AS DOUBLE PRECISION) * (several - 1)) < 1 "
    "THEN v * (1 - ABS(place - CAST(:{share} AS DOUBLE PRECISION) * (several - 1))) ELSE 0 END)"
)


class Aggregate(NamedTuple):
    """One number asked for; `percentile` is of PERCENTILE alone, from 0 to 100."""

    kind: str
    percentile: float | None = None

    @property
    def label(self) -> str:
        """As it is called in an answer."""
        return self.kind if self.percentile is None else f"P{self.percentile}"


class Filter(NamedTuple):
    """That something of a trace, a span or an assessment is `value`; `key` is that of a tag or of the metadata."""

    view: str
    entity: str
    key: str
    value: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked.

    Args:
        groups: MLflow's experiments.
        interval_ms: the length of a bucket of time; 0 for none.
        start_ms, end_ms: of the traces, or for costs of the spans; both inclusive.
        projects: those that may be seen; None for all.
    """

    groups: tuple[int, ...]
    view: View
    metric: str
    aggregates: tuple[Aggregate, ...]
    dimensions: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    interval_ms: int = 0
    start_ms: int | None = None
    end_ms: int | None = None
    most: int = 1_000
    projects: frozenset[str] | None = None


class Point(NamedTuple):
    """One row: the beginning of its bucket if there are any, its dimensions, and the numbers that there are."""

    at_ms: int | None
    dimensions: dict[str, str]
    values: dict[str, float]


def ask(reader: Reader, question: Question) -> list[Point]:
    """The points, by time and then by dimension."""
    if not question.groups or not question.aggregates:
        return []
    bound = Bound(reader.dialect)
    buckets = int(question.interval_ms > 0)
    columns = [_bucket(bound, question)] if buckets else []
    columns += [_DIMENSIONS[name] for name in question.dimensions]
    names = [f"d{place}" for place in range(len(columns))]
    listed = "".join(f"{name}, " for name in names)
    parts = f"PARTITION BY {', '.join(names)} " if names else ""
    ranked = any(each.percentile is not None for each in question.aggregates)
    grouped = ", ".join(names)
    sql = _MEASURED.format(
        dimensions="".join(f"{column} AS {name}, " for column, name in zip(columns, names, strict=True)),
        value=_VALUES[question.view][question.metric],
        source=_source(bound, question),
        holds=_where(bound, question),
        names=listed,
        place=_PLACE.format(parts=parts, parts_alone=parts) if ranked else "",
        present="".join(f" AND {name} IS NOT NULL" for name in names),
        aggregates=", ".join(_aggregate(bound, question, each) for each in question.aggregates),
        grouped=f" GROUP BY {grouped} ORDER BY {grouped}" if names else "",
    )
    found = []
    for row in reader.rows(sql, most=question.most, **bound.values):
        numbers = zip(question.aggregates, row[len(names) :], strict=True)
        values = {each.label: float(number) for each, number in numbers if number is not None}
        told = dict(zip(question.dimensions, map(str, row[buckets : len(names)]), strict=True))
        if values:
            found.append(Point(int(row[0]) if buckets else None, told, values))
    return found


def _source(bound: Bound, question: Question) -> str:
    source = _FROM[question.view]
    value = _VALUES[question.view][question.metric]
    if value == "m.value":
        bound.values["session"] = SESSION_KEY
        return source + _SESSIONS
    if value == "n.number":
        bound.values["number"] = question.metric
        return source + _NUMBERS
    return source


def _where(bound: Bound, question: Question) -> str:
    clauses = [f"t.group_id IN ({bound.listed(question.groups)})", bound.within("t.project", question.projects)]
    of_spans = question.view == "SPANS" and question.metric.endswith("_cost")
    column, factor, most = ("s.start_ns", NS_IN_MS, NS_MAX) if of_spans else ("t.at_ms", 1, MS_MAX)
    if question.start_ms is not None:
        clauses.append(f"{column} >= :{bound.bind(_within(question.start_ms * factor, most))}")
    if question.end_ms is not None:
        clauses.append(f"{column} < :{bound.bind(_within((question.end_ms + 1) * factor, most))}")
    clauses += [_holds(bound, each) for each in question.filters]
    return " AND ".join(clauses)


def _holds(bound: Bound, each: Filter) -> str:
    value = bound.bind(each.value)
    if (each.entity, each.key) == ("tag", NAME_TAG):
        return _NAMED.format(value=value)
    holds = _HOLDS[each.view, each.entity].format(value=value, key=bound.bind(each.key) if each.key else "")
    return _LINKED.format(holds=holds, value=value) if (each.entity, each.key) == ("metadata", RUN_KEY) else holds


def _bucket(bound: Bound, question: Question) -> str:
    length = bound.bind(_within(question.interval_ms, MS_MAX))
    moment = _MOMENTS[question.view]
    return f"({moment} / CAST(:{length} AS BIGINT)) * CAST(:{length} AS BIGINT)"


def _aggregate(bound: Bound, question: Question, each: Aggregate) -> str:
    if each.percentile is not None:
        return _WEIGHED.format(share=bound.bind(each.percentile / 100))
    return "COUNT(DISTINCT v)" if question.metric == "session_count" else _AGGREGATES[each.kind]


def _within(number: int, most: int) -> int:
    return max(-most, min(number, most))
