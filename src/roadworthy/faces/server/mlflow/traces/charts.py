"""The charts of MLflow's pages over traces: counts, latencies, tokens, costs and assessments, by time and by dimension.

In: a request for one metric of one view. Out: its points (aggregates.py), or INVALID_PARAMETER_VALUE in MLflow's words.
"""

import datetime as dt
from typing import NamedTuple, cast

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow import filters, run_rules
from roadworthy.faces.server.mlflow.traces import aggregates
from roadworthy.faces.server.mlflow.traces.aggregates import Aggregate, Filter, Point, Question, View
from roadworthy.faces.server.mlflow.traces.handlers import needed
from roadworthy.faces.server.mlflow.wire import SHOWN, V3, Message, endpoint, invalid, number, read, required
from roadworthy.faces.server.server import Server
from roadworthy.store.store import Store

POINTS_MAX = 100_000
LISTED_MAX = 100
LATEST_MS = 253_402_300_799_000  # the end of the year 9999
_AGGREGATIONS = ("COUNT", "SUM", "AVG", "PERCENTILE", "MIN", "MAX")
_VIEWS = ("TRACES", "SPANS", "ASSESSMENTS")
_ENTITIES = {
    "trace": {"status": False, "tag": True, "metadata": True},
    "span": {"name": False, "status": False, "type": False},
    "assessment": {"name": False, "type": False},
}


class _Allowed(NamedTuple):
    aggregations: tuple[str, ...]
    dimensions: tuple[str, ...] = ()


_COUNTED, _MEASURED = ("COUNT",), ("AVG", "MAX", "MIN", "PERCENTILE")
_SUMMED = (*_MEASURED, "SUM")
_TOKENS = _Allowed(_SUMMED, ("trace_name",))
_COSTS = _Allowed(_SUMMED, ("span_model_name", "span_model_provider"))
_METRICS: dict[str, dict[str, _Allowed]] = {
    "TRACES": {
        "trace_count": _Allowed(_COUNTED, ("trace_name", "trace_status")),
        "session_count": _Allowed(_COUNTED),
        "latency": _Allowed(_MEASURED, ("trace_name",)),
        "input_tokens": _TOKENS,
        "output_tokens": _TOKENS,
        "total_tokens": _TOKENS,
        "cache_read_input_tokens": _TOKENS,
        "cache_creation_input_tokens": _TOKENS,
    },
    "SPANS": {
        "span_count": _Allowed(
            _COUNTED, ("span_model_name", "span_model_provider", "span_name", "span_status", "span_type")
        ),
        "latency": _Allowed(_MEASURED, ("span_name", "span_status")),
        "input_cost": _COSTS,
        "output_cost": _COSTS,
        "total_cost": _COSTS,
    },
    "ASSESSMENTS": {
        "assessment_count": _Allowed(_COUNTED, ("assessment_name", "assessment_value")),
        "assessment_value": _Allowed(_MEASURED, ("assessment_name",)),
    },
}


class Aggregation(Message):
    aggregation_type: str | int = ""
    percentile_value: float | UnsetType = UNSET


class Query(Message):
    experiment_ids: tuple[str, ...] | UnsetType = UNSET
    view_type: str | int = ""
    metric_name: str = ""
    aggregations: tuple[Aggregation, ...] | UnsetType = UNSET
    dimensions: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    time_interval_seconds: int | UnsetType = UNSET
    start_time_ms: int | UnsetType = UNSET
    end_time_ms: int | UnsetType = UNSET
    max_results: int = 1_000
    page_token: str = ""


async def metrics(server: Server, request: Request) -> Reply:
    message = read(request, Query)
    question = _question(message, request.identity.projects("viewer"))

    def work(store: Store) -> bytes:
        with store.read() as reader:
            points = [_shown(message.metric_name, each) for each in aggregates.ask(reader, question)]
        return msgspec.json.encode({"data_points": points} if points else {})

    return Reply(200, await server.read(work))


def _question(message: Query, projects: frozenset[str] | None) -> Question:
    experiments = needed(message.experiment_ids, "experiment_ids")
    required(message.view_type, "view_type")
    required(message.metric_name, "metric_name")
    aggregations = needed(message.aggregations, "aggregations")
    if not aggregations:
        raise WireError("BAD_REQUEST", "Query contains no columns with which to SELECT from.", 400)
    for name, values in (
        ("aggregations", aggregations),
        ("dimensions", message.dimensions),
        ("filters", message.filters),
    ):
        if len(values) > LISTED_MAX:
            raise invalid(f"at most {LISTED_MAX} {name} are asked for at once")
    view = _one_of(message.view_type, _VIEWS)
    asked = tuple(_aggregate(each) for each in aggregations)
    offered = _METRICS[view]
    if message.metric_name not in offered:
        raise invalid(f"metric_name must be one of {list(offered)}, got '{message.metric_name[:SHOWN]}'")
    allowed = offered[message.metric_name]
    wrong = sorted({each.kind for each in asked} - set(allowed.aggregations))
    if wrong:
        raise invalid(
            f"Found invalid aggregation_type(s): {wrong}. Supported aggregation types: {sorted(allowed.aggregations)}"
        )
    strange = sorted({each[:SHOWN] for each in message.dimensions} - set(allowed.dimensions))
    if strange:
        raise invalid(f"Found invalid dimension(s): {strange}. Supported dimensions: {list(allowed.dimensions)}")
    interval = 0 if message.time_interval_seconds is UNSET else message.time_interval_seconds
    start = None if message.start_time_ms is UNSET else message.start_time_ms
    end = None if message.end_time_ms is UNSET else message.end_time_ms
    if interval and (start is None or end is None):
        raise invalid("start_time_ms and end_time_ms are required if time_interval_seconds is set")
    if interval < 0:
        raise invalid(f"time_interval_seconds must be positive, got {interval}")
    return Question(
        groups=tuple(run_rules.experiment_id(each) for each in experiments),
        view=cast("View", view),
        metric=message.metric_name,
        aggregates=asked,
        dimensions=tuple(dict.fromkeys(message.dimensions)),
        filters=tuple(_filter(each, view) for each in message.filters),
        interval_ms=interval * 1000,
        start_ms=start,
        end_ms=end,
        most=message.max_results if 0 <= message.max_results <= POINTS_MAX else POINTS_MAX,
        projects=projects,
    )


def _aggregate(sent: Aggregation) -> Aggregate:
    kind = _one_of(sent.aggregation_type, _AGGREGATIONS)
    at = None if sent.percentile_value is UNSET else sent.percentile_value
    if kind == "PERCENTILE":
        if at is None:
            raise invalid("Percentile value is required for PERCENTILE aggregation")
        if not 0 <= at <= 100:
            raise invalid(f"Percentile value must be between 0 and 100, got {at}")
    elif at is not None:
        raise invalid(f"Percentile value is only allowed for PERCENTILE aggregation type, got {kind}")
    return Aggregate(kind, at)


def _one_of(said: str | int, names: tuple[str, ...]) -> str:
    """A value of an enumeration, as protobuf's JSON may write it: a name, or a number; else the first."""
    name = said if isinstance(said, str) else dict(enumerate(names, 1)).get(said, "")
    return name if name in names else names[0]


def _filter(text: str, view: str) -> Filter:
    clauses = filters.clauses(text)
    if len(clauses) > 1:
        raise invalid("Invalid clause(s) in filter string: AND")
    if not clauses:
        raise invalid(f"Invalid filter: '{text[:SHOWN]}'. Expected one filter clause.")
    clause = clauses[0]
    if not clause.entity:
        raise invalid(
            f"Invalid identifier {clause.key[:SHOWN]!r}. Columns should be specified as 'trace.<key>', 'span.<key>', "
            "'assessment.<key>'."
        )
    if clause.entity not in _ENTITIES:
        raise invalid(f"Invalid view type '{clause.entity[:SHOWN]}'. Valid values are dict_keys({list(_ENTITIES)})")
    entities = _ENTITIES[clause.entity]
    entity, dot, key = clause.key.partition(".")
    if entity not in entities:
        raise invalid(
            f"Invalid entity '{entity[:SHOWN]}' specified for view type '{clause.entity}'. Valid entities are "
            f"{list(entities)}"
        )
    if entities[entity] and not dot:
        raise invalid(f"Filtering by {entity} requires a key, e.g. '{clause.entity}.{entity}.<key> = <value>'")
    if dot and not entities[entity]:
        raise invalid(f"Filtering by {entity} does not require a key, use '{clause.entity}.{entity}' instead")
    if clause.comparator != "=":
        raise invalid(f"Invalid comparator: '{clause.comparator[:SHOWN]}', only '=' operator is supported")
    value = filters.text_of(clause.value, f"Expected a quoted string value for {entity} value (e.g. 'my-value').")
    for narrow, wide in (("span", "SPANS"), ("assessment", "ASSESSMENTS")):
        if clause.entity == narrow and view != wide:
            raise invalid(f"Filtering by {narrow} is only supported for {wide} view type, got {view}")
    return Filter(clause.entity, entity, filters.unquoted(key), value)


def _shown(metric: str, point: Point) -> dict[str, object]:
    told = dict(point.dimensions)
    if told.get("assessment_value", "").isdecimal():  # protobuf knows floats alone
        told["assessment_value"] += ".0"
    if point.at_ms is not None:
        at = max(-LATEST_MS // 4, min(point.at_ms, LATEST_MS))
        told["time_bucket"] = dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat()
    values = {label: number(value) for label, value in point.values.items()}
    return {"metric_name": metric, **({"dimensions": told} if told else {}), "values": values}


ROUTES: tuple[Route, ...] = (*endpoint("POST", "/traces/metrics", metrics, "viewer", versions=(V3,)),)
