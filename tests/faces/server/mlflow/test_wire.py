"""How requests may be written: as JSON, as protobuf's JSON, and as clients do; what is wrong is said in MLflow's words."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Request
from roadworthy.faces.server.mlflow import wire
from roadworthy.faces.server.mlflow.schema import run as schema
from roadworthy.serving.wire import Headers
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation


def read(body: bytes, kind: type = schema.LogMetric, *, query: bytes = b"") -> Any:
    request = Request("GET" if query else "POST", "/", query, Headers([]))
    request.body = body
    return wire.read(request, kind)


@pytest.mark.parametrize(
    "body",
    [
        b'{"run_id": "r", "key": "k", "value": 1.5, "timestamp": 7, "step": 3}',
        b'{"runId": "r", "key": "k", "value": "1.5", "timestamp": "7", "step": "3"}',
        b'{"run_id": "r", "runUuid": null, "key": "k", "value": 1.5, "timestamp": 7.0, "step": 3, "other": [1]}',
        json.dumps('{"run_id": "r", "key": "k", "value": 1.5, "timestamp": 7, "step": 3}').encode(),
    ],
)
def test_a_message_may_be_written_in_many_ways(body: bytes) -> None:
    message = read(body)
    assert (message.run_id, message.key, message.value, message.timestamp, message.step) == ("r", "k", 1.5, 7, 3)


@pytest.mark.parametrize(
    ("written", "value"), [("NaN", "nan"), ('"NaN"', "nan"), ("Infinity", "inf"), ('"-Infinity"', "-inf")]
)
def test_numbers_that_json_does_not_know_are_read(written: str, value: str) -> None:
    assert repr(read(f'{{"run_id": "r", "value": {written}}}'.encode()).value) == value


@pytest.mark.parametrize(
    ("body", "code", "why"),
    [
        (b'{"run_id": 5}', "INVALID_PARAMETER_VALUE", "Invalid value 5 for parameter 'run_id' supplied:  Hint: Value was of type 'int'."),
        (b'{"value": "x"}', "INVALID_PARAMETER_VALUE", "Invalid value \"x\" for parameter 'value' supplied"),
        (b'{"value": true}', "INVALID_PARAMETER_VALUE", "of type 'bool'"),
        (b'{"step": 9223372036854775808}', "INVALID_PARAMETER_VALUE", "parameter 'step'"),
        (b'{"run_id": "a", "runId": "b"}', "INVALID_PARAMETER_VALUE", "both 'run_id' and 'runId'"),
        (b"[]", "INVALID_PARAMETER_VALUE", "no JSON object"),
        (b'"5"', "INVALID_PARAMETER_VALUE", "no JSON object"),
        (b'"x"', "INVALID_PARAMETER_VALUE", "no JSON object"),
        (b"{", "BAD_REQUEST", "not JSON"),
        (b'{"value": NaN', "BAD_REQUEST", "not JSON"),
        (b'{"key": "\xff"}', "BAD_REQUEST", "not JSON"),
        (b"[" * 100_000, "BAD_REQUEST", "not JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(body: bytes, code: str, why: str) -> None:
    with pytest.raises(WireError) as refusal:
        read(body)
    assert refusal.value.code == code
    assert why in str(refusal.value)


def test_a_name_inside_a_text_is_no_field() -> None:
    message = read(json.dumps({"run_id": "r", "key": 'say "runId": "x"'}).encode(), schema.LogPair)
    assert message.run_id == "r"


def test_a_query_is_a_message_too() -> None:
    message = read(b"", schema.History, query=b"run_id=r&metric_key=a%20b&max_results=5")
    assert (message.run_id, message.metric_key, message.max_results) == ("r", "a b", 5)
    with pytest.raises(WireError):
        read(b"", schema.History, query=b"max_results=x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "value", "step", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["run_id", "runId", "run_uuid", "key", "value", "timestamp", "step", "metrics", "params", "tags", "experiment_id",
     "experiment_ids", "filter", "order_by", "max_results", "page_token", "name", "status", "end_time", "models", "datasets"]
)  # fmt: skip
PATHS = [
    "experiments/create", "experiments/update", "experiments/search", "experiments/set-experiment-tag", "runs/create",
    "runs/update", "runs/delete", "runs/log-metric", "runs/log-batch", "runs/log-parameter", "runs/set-tag",
    "runs/delete-tag", "runs/log-model", "runs/log-inputs", "runs/outputs", "runs/search", "experiments/search-datasets",
]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(body=st.dictionaries(FIELDS, JSON, max_size=5), path=st.sampled_from(PATHS))
def test_no_body_breaks_an_endpoint(lasting: tuple[Conversation, str], body: dict, path: str) -> None:
    conversation, run_id = lasting
    if body.get("run_id") is not None:
        body["run_id"] = run_id
    answer = conversation.ask("POST", f"/api/2.0/mlflow/{path}", json.dumps(body).encode("utf-8", "surrogatepass"))
    assert answer.status in (200, 400, 404), (answer.status, answer.body)
    assert isinstance(msgspec.json.decode(answer.body), dict)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from roadworthy.store.store import open_store

    with open_store(tmp_path_factory.mktemp("lasting") / ".roadworthy") as store, Conversation(store) as conversation:
        made = conversation.ask("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json
        yield conversation, made["run"]["info"]["run_id"]


def test_old_clients_name_runs_otherwise(store: Store) -> None:
    with Conversation(store) as conversation:
        made = conversation.ask("POST", "/api/2.0/mlflow/runs/create", json={"experimentId": "0", "runName": "x"}).json
        run_id = made["run"]["info"]["run_id"]
        assert made["run"]["info"]["run_name"] == "x"
        body = {"run_uuid": run_id, "key": "k", "value": 1, "timestamp": 5}
        assert conversation.ask("POST", "/api/2.0/mlflow/runs/log-metric", json=body).status == 200


@pytest.mark.parametrize("body", [{}, {"experiment_id": ""}, {"experiment_id": None}, {"start_time": 1}])
def test_a_run_of_no_experiment_is_refused_and_not_put_into_the_default_one(store: Store, body: dict[str, Any]) -> None:
    with Conversation(store) as conversation:
        answer = conversation.ask("POST", "/api/2.0/mlflow/runs/create", json=body)
        assert (answer.status, answer.json["error_code"]) == (400, "BAD_REQUEST")
        assert "experiment_id" in answer.json["message"]
        found = conversation.ask("POST", "/api/2.0/mlflow/runs/search", json={"experiment_ids": ["0"]}).json
        assert found.get("runs", []) == []
