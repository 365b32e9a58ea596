"""Conversations about the charts of traces: by infos, by OTLP, by assessments, and every aggregate of them."""

from tests.faces.server.mlflow.talk import Step
from tests.faces.server.mlflow.talks import HERE, TRACES, V2

METRICS = f"{TRACES}/metrics"
OTLP = {"x-mlflow-experiment-id": "{experiment}"}
FIRST_MS = 1_714_979_289_000
_USED = '{"input_tokens": %d, "output_tokens": %d, "total_tokens": %d}'


def _id(place: int) -> str:
    return f"tr-{place:032x}"


def _trace(place: int, name: str, state: str, lasted_ms: int, **metadata: str) -> Step:
    seconds, ms = divmod(FIRST_MS % 60_000 + place * 20_500, 1000)
    info = {
        "trace_id": _id(place),
        "trace_location": HERE,
        "request_time": f"2024-05-06T07:{8 + seconds // 60:02d}:{seconds % 60:02d}.{ms:03d}Z",
        "execution_duration": f"{lasted_ms / 1000:.3f}s",
        "state": state,
        "tags": {"mlflow.traceName": name, "team": "ml" if place % 2 else "data"},
        "trace_metadata": metadata,
    }
    return Step("POST", TRACES, {"trace": {"trace_info": info}})


def _used(n: int) -> dict[str, str]:
    return {"mlflow.trace.tokenUsage": _USED % (n, 2 * n, 3 * n), "mlflow.trace.session": f"s{n % 2}"}


def _span(trace: int, span: int, parent: int, lasted_ms: int, **attributes: str) -> dict[str, object]:
    start = (FIRST_MS + trace * 20_500 + span * 100) * 1_000_000
    told: dict[str, object] = {
        "traceId": f"{trace:032x}",
        "spanId": f"{span:016x}",
        "name": f"step {span}",
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + lasted_ms * 1_000_000),
        "status": {"code": 2 if span == 3 else 1},
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }
    return {**told, "parentSpanId": f"{parent:016x}"} if parent else told


def _export(*spans: dict[str, object]) -> Step:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}
    return Step("POST", "/v1/traces", body, headers=OTLP)


def _priced(model: str, cost: float, tokens: int) -> dict[str, str]:
    return {
        "mlflow.spanType": "LLM",
        "mlflow.llm.model": model,
        "mlflow.llm.provider": "ours",
        "mlflow.chat.tokenUsage": _USED % (tokens, tokens, 2 * tokens),
        "mlflow.llm.cost": f'{{"input_cost": {cost}, "output_cost": {2 * cost}, "total_cost": {3 * cost}}}',
    }


def _assessed(trace: int, name: str, value: object) -> Step:
    at = f"{TRACES}/{_id(trace)}/assessments"
    told = {
        "assessment_name": name,
        "trace_id": _id(trace),
        "source": {"source_type": "HUMAN", "source_id": "bob"},
        "create_time": "2024-05-06T08:00:00Z",
        "last_update_time": "2024-05-06T08:00:00Z",
        "feedback": {"value": value},
    }
    return Step("POST", at, {"assessment": told})


def _ask(view: object, metric: object, *kinds: object, **more: object) -> Step:
    aggregations = [
        {"aggregation_type": "PERCENTILE", "percentile_value": kind} if isinstance(kind, float) else
        {"aggregation_type": kind} for kind in kinds
    ]  # fmt: skip
    body = {"experiment_ids": ["{experiment}"], "view_type": view, "metric_name": metric, "aggregations": aggregations}
    return Step("POST", METRICS, {**body, **more})


ALL_KINDS = ("SUM", "AVG", "MIN", "MAX", 0.0, 25.0, 50.0, 90.0, 99.9, 100.0)
MEASURED = tuple(kind for kind in ALL_KINDS if kind != "SUM")
RANGE = {"start_time_ms": FIRST_MS - 60_000, "end_time_ms": FIRST_MS + 600_000}
BY_MINUTE = {"time_interval_seconds": 60, **RANGE}

CHARTS = [
    Step("POST", f"{V2}/experiments/create", {"name": "of charts"}, keep={"experiment": "experiment_id"}),
    _ask("TRACES", "trace_count", "COUNT"),
    _ask("TRACES", "latency", "AVG", 50.0),
    *(
        _trace(n, "ask" if n < 4 else "tell", "OK" if n % 3 else "ERROR", 100 * n * n + 7, **(_used(n) if n < 5 else {}))
        for n in range(1, 8)
    ),
    *(
        _assessed(trace, name, value)
        for trace, name, value in (
            (1, "good", True), (2, "good", False), (3, "good", True), (1, "score", 0.25), (2, "score", 4),
            (3, "said", "yes"), (4, "said", "No"), (5, "said", "perhaps"), (5, "listed", ["a"]),
        )
    ),
    _ask("TRACES", "trace_count", "COUNT"),
    _ask("TRACES", "trace_count", "COUNT", dimensions=["trace_name"]),
    _ask("TRACES", "trace_count", "COUNT", dimensions=["trace_status", "trace_name"]),
    _ask("TRACES", "trace_count", "COUNT", **BY_MINUTE),
    _ask("TRACES", "trace_count", "COUNT", dimensions=["trace_status"], **BY_MINUTE),
    _ask("TRACES", "trace_count", "COUNT", dimensions=["trace_status"], max_results=2, **BY_MINUTE),
    _ask("TRACES", "trace_count", "COUNT", start_time_ms=FIRST_MS + 41_000, end_time_ms=FIRST_MS + 82_000),
    _ask("TRACES", "trace_count", "COUNT", start_time_ms=2**63 - 1),
    _ask("TRACES", "trace_count", "COUNT", end_time_ms=-(2**63)),
    _ask("TRACES", "session_count", "COUNT"),
    _ask("TRACES", "session_count", "COUNT", **BY_MINUTE),
    _ask("TRACES", "latency", *MEASURED),
    _ask("TRACES", "latency", *MEASURED, dimensions=["trace_name"]),
    _ask("TRACES", "latency", *MEASURED, **BY_MINUTE),
    *(_ask("TRACES", f"{kind}_tokens", *ALL_KINDS) for kind in ("input", "output", "total", "cache_read_input")),
    _ask("TRACES", "total_tokens", "SUM", dimensions=["trace_name"], **BY_MINUTE),
    *(
        _ask("TRACES", "trace_count", "COUNT", filters=[text])
        for text in (
            "trace.status = 'OK'",
            "trace.status = 'none'",
            "trace.tag.team = 'ml'",
            'trace.tag.`team` = "data"',
            "trace.tag.mlflow.traceName = 'ask'",
            "trace.metadata.mlflow.trace.session = 's1'",
            "trace.metadata.`mlflow.trace.session` = 's1'",
            "trace.metadata.mlflow.sourceRun = 'x'",
            "",
            "trace.status = OK",
            "trace.status = 3",
            "trace.status != 'OK'",
            "trace.status LIKE 'O%'",
            "trace.status = 'OK' AND trace.tag.team = 'ml'",
            "trace.status.x = 'OK'",
            "trace.tag = 'OK'",
            "trace.colour = 'red'",
            "colour = 'red'",
            "run.status = 'OK'",
            "span.name = 'step 1'",
            "assessment.name = 'good'",
        )
    ),
    _ask("TRACES", "trace_count", "COUNT", filters=["trace.status = 'OK'", "trace.tag.team = 'ml'"]),
    _export(
        _span(20, 1, 0, 900),
        _span(20, 2, 1, 300, **_priced("small", 0.25, 10)),
        _span(20, 3, 1, 500, **_priced("large", 1.5, 7)),
        _span(20, 4, 3, 50, **_priced("large", 0.5, 3)),
        _span(21, 1, 0, 90, **_priced("small", 0.125, 5)),
    ),
    _ask("TRACES", "trace_count", "COUNT"),
    _ask("TRACES", "total_tokens", *ALL_KINDS),
    _ask("TRACES", "latency", "MAX", filters=["trace.status = 'OK'"]),
    _ask("SPANS", "span_count", "COUNT"),
    *(
        _ask("SPANS", "span_count", "COUNT", dimensions=[f"span_{kind}"])
        for kind in ("name", "type", "status", "model_name", "model_provider")
    ),
    _ask("SPANS", "span_count", "COUNT", **BY_MINUTE),
    _ask("SPANS", "latency", *MEASURED),
    _ask("SPANS", "latency", *MEASURED, dimensions=["span_status"], **BY_MINUTE),
    *(_ask("SPANS", f"{kind}_cost", *ALL_KINDS) for kind in ("input", "output", "total")),
    _ask("SPANS", "total_cost", "SUM", dimensions=["span_model_name"]),
    _ask("SPANS", "total_cost", "SUM", dimensions=["span_model_name"], **BY_MINUTE),
    *(
        _ask("SPANS", "span_count", "COUNT", filters=[text])
        for text in ("span.name = 'step 1'", "span.type = 'LLM'", "span.status = 'ERROR'", "trace.status = 'OK'")
    ),
    _ask("SPANS", "span_count", "COUNT", filters=["span.colour = 'red'"]),
    _ask("ASSESSMENTS", "assessment_count", "COUNT"),
    _ask("ASSESSMENTS", "assessment_count", "COUNT", dimensions=["assessment_name"]),
    _ask("ASSESSMENTS", "assessment_count", "COUNT", dimensions=["assessment_value"], filters=["assessment.name = 'good'"]),
    _ask("ASSESSMENTS", "assessment_count", "COUNT", dimensions=["assessment_value"]),
    _ask("ASSESSMENTS", "assessment_value", *MEASURED, dimensions=["assessment_name"]),
    _ask("ASSESSMENTS", "assessment_value", "AVG", filters=["assessment.type = 'feedback'"], **BY_MINUTE),
    _ask("ASSESSMENTS", "assessment_value", "AVG", filters=["trace.status = 'OK'"]),
    _ask("ASSESSMENTS", "assessment_value", "AVG", filters=["trace.tag.team = 'ml'"]),
    Step("POST", METRICS, {}),
    Step("POST", METRICS, {"experiment_ids": ["{experiment}"]}),
    Step("POST", METRICS, {"experiment_ids": ["{experiment}"], "view_type": "TRACES"}),
    Step("POST", METRICS, {"experiment_ids": ["{experiment}"], "view_type": "TRACES", "metric_name": "trace_count"}),
    _ask("EVERYTHING", "trace_count", "COUNT"),
    _ask(1, "trace_count", 1),
    _ask("TRACES", "colour", "COUNT"),
    _ask("SPANS", "trace_count", "COUNT"),
    _ask("TRACES", "trace_count", "SUM"),
    _ask("TRACES", "trace_count", "SUM", "AVG"),
    _ask("TRACES", "latency", "COUNT"),
    _ask("TRACES", "trace_count", "MEDIAN"),
    _ask("TRACES", "trace_count", "COUNT", dimensions=["colour"]),
    _ask("TRACES", "latency", "AVG", dimensions=["trace_status"]),
    _ask("TRACES", "latency", "PERCENTILE"),
    _ask("TRACES", "latency", 101.0),
    _ask("TRACES", "trace_count", "COUNT", time_interval_seconds=60),
    _ask("TRACES", "trace_count", "COUNT", experiment_ids=["nothing"]),
    _ask("TRACES", "trace_count", "COUNT", experiment_ids=["999999"]),
    _ask("TRACES", "trace_count", "COUNT", time_interval_seconds="a while"),
    Step(
        "POST",
        f"{V2}/traces/delete-traces",
        {"experiment_id": "{experiment}", "request_ids": [_id(n) for n in (*range(8), 20, 21)]},
    ),
    _ask("ASSESSMENTS", "assessment_count", "COUNT"),
    Step("POST", f"{V2}/experiments/update", {"experiment_id": "{experiment}", "new_name": "gone {experiment}"}),
    Step("POST", f"{V2}/experiments/delete", {"experiment_id": "{experiment}"}),
]  # fmt: skip

ALL = {"charts of traces": CHARTS}
