"""Conversations of clients before MLflow 3, which begin and end a trace by two requests."""

from tests.faces.server.mlflow.talk import Step, query
from tests.faces.server.mlflow.talks import V2, V3

TRACES = f"{V2}/traces"
AT = 1_714_979_289_123


def _pairs(**pairs: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


def _search(text: str, **more: object) -> Step:
    path = query(TRACES, experiment_ids="EXPERIMENT", filter=text, **more)
    return Step("GET", path.replace("EXPERIMENT", "{experiment}"))


LEGACY = [
    Step("POST", f"{V2}/experiments/create", {"name": "of old traces"}, keep={"experiment": "experiment_id"}),
    Step(
        "POST",
        TRACES,
        {
            "experiment_id": "{experiment}",
            "timestamp_ms": AT,
            "request_metadata": _pairs(who="bob", **{"mlflow.sourceRun": "r"}),
            "tags": _pairs(team="ml", long="x" * 400, **{"mlflow.traceName": "ask"}),
        },
        keep={"one": "trace_info.request_id"},
    ),
    Step("GET", f"{TRACES}/{{one}}/info"),
    Step(
        "PATCH",
        f"{TRACES}/{{one}}",
        {
            "timestamp_ms": AT + 1_500,
            "status": "OK",
            "request_metadata": _pairs(out="yes"),
            "tags": _pairs(team="data", **{"mlflow.traceName": "tell"}),
        },
    ),
    Step("GET", f"{TRACES}/{{one}}/info"),
    Step("GET", f"{V3}/traces/{{one}}"),
    Step(
        "POST",
        TRACES,
        {"experiment_id": "{experiment}", "timestamp_ms": str(AT + 5)},
        keep={"two": "trace_info.request_id"},
    ),
    Step("PATCH", f"{TRACES}/{{two}}", {"timestamp_ms": AT, "status": "ERROR"}),
    Step("PATCH", f"{TRACES}/{{two}}", {"timestamp_ms": "soon", "status": "OK"}),
    Step("PATCH", f"{TRACES}/{{two}}", {"timestamp_ms": AT + 9, "status": 2}),
    Step("PATCH", f"{TRACES}/{{two}}", {"timestamp_ms": AT + 9, "status": "OK", "tags": [{"value": "no key"}]}),
    Step("POST", TRACES, {"experiment_id": "{experiment}", "timestamp_ms": AT, "tags": [{"value": "no key"}]}),
    Step("POST", TRACES, {"experiment_id": "999999", "timestamp_ms": AT}),
    Step("POST", TRACES, {"timestamp_ms": AT}),
    Step("GET", f"{TRACES}/none/info"),
    Step("PATCH", f"{TRACES}/none", {"timestamp_ms": AT}),
    Step("GET", TRACES),
    _search(""),
    _search("status = 'OK'"),
    _search("name = 'tell'"),
    _search("request_metadata.who = 'bob'"),
    _search("timestamp_ms > 1714979289123"),
    _search("", order_by="timestamp_ms ASC"),
    _search("", max_results=501),
    _search("", max_results="many"),
    _search("colour = 'red'"),
    Step("GET", f"{TRACES}?experiment_ids={{experiment}}&max_results=1"),
    Step("GET", f"{TRACES}?experiment_ids={{experiment}}&page_token=nonsense"),
    Step("DELETE", f"{TRACES}/{{one}}/tags", {"key": "team"}),
    Step("POST", f"{TRACES}/delete-traces", {"experiment_id": "{experiment}", "max_timestamp_millis": AT + 100}),
    Step("GET", f"{TRACES}/{{one}}/info"),
    Step("POST", f"{V2}/experiments/update", {"experiment_id": "{experiment}", "new_name": "gone {experiment}"}),
    Step("POST", f"{V2}/experiments/delete", {"experiment_id": "{experiment}"}),
]

ALL = {"old traces": LEGACY}
