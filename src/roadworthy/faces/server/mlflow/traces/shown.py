"""Traces as MLflow's messages. Called by the handlers of traces and assessments."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from roadworthy.faces.server.mlflow.schema import trace as schema
from roadworthy.faces.server.mlflow.traces import assessments, otlp
from roadworthy.faces.server.mlflow.traces import store as traces
from roadworthy.faces.server.mlflow.traces.store import Trace
from roadworthy.store.sql import Reader


def infos(reader: Reader, found: Sequence[Trace]) -> list[schema.Shown]:
    """What is said of traces, with what is said of them by others."""
    said = assessments.of_traces(reader, [trace.seq for trace in found])
    return [info(trace, [assessments.shown(each, trace.id) for each in said.get(trace.seq, ())]) for trace in found]


def wholes(reader: Reader, found: Sequence[Trace]) -> list[schema.Whole]:
    """Traces with their spans."""
    spans = traces.spans_of(reader, found)
    return [
        schema.Whole(trace_info=shown, spans=spans.get(trace.seq) or UNSET)
        for trace, shown in zip(found, infos(reader, found), strict=True)
    ]


def info(trace: Trace, said: Iterable[Any] = ()) -> schema.Shown:
    """What is said of one trace."""
    return schema.Shown(
        trace_id=trace.id,
        trace_location=schema.Location(mlflow_experiment=schema.ExperimentLocation(experiment_id=str(trace.group))),
        request_time=schema.moment(trace.at_ms),
        state=trace.state,
        client_request_id=UNSET if trace.client_id is None else trace.client_id,
        request_preview=UNSET if trace.request is None else trace.request,
        response_preview=UNSET if trace.response is None else trace.response,
        execution_duration=UNSET if trace.duration_ms is None else schema.duration(trace.duration_ms),
        trace_metadata=trace.metadata or UNSET,
        assessments=list(said) or UNSET,
        tags=trace.tags or UNSET,
    )


def document(spans: Sequence[msgspec.Raw]) -> dict[str, Any]:
    """Spans as the file `traces.json` has them, which MLflow's pages read."""
    return {"spans": [_span(msgspec.json.decode(span)) for span in spans]}


def _span(sent: dict[str, Any]) -> dict[str, Any]:
    status = sent.get("status", {})
    return {
        "trace_id": sent.get("trace_id", ""),
        "span_id": sent.get("span_id", ""),
        "parent_span_id": sent.get("parent_span_id"),
        "name": sent.get("name", ""),
        "start_time_unix_nano": sent.get("start_time_unix_nano", 0),
        "end_time_unix_nano": sent.get("end_time_unix_nano"),
        "events": [
            {
                "name": event.get("name", ""),
                "time_unix_nano": event.get("time_unix_nano", 0),
                "attributes": {pair["key"]: otlp.plain(pair["value"]) for pair in event.get("attributes", ())},
            }
            for event in sent.get("events", ())
        ],
        "status": {"code": status.get("code", "STATUS_CODE_UNSET"), "message": status.get("message", "")},
        "attributes": {
            pair["key"]: json.dumps(otlp.plain(pair["value"]), ensure_ascii=False)
            for pair in sent.get("attributes", ())
        },
    }
