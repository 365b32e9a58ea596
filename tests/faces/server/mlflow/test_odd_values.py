"""Values that no client sends in earnest: each gets an answer below 500, and nothing is half written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
HUGE = 10**30
HERE = {"mlflow_experiment": {"experiment_id": "0"}}
ASKED: list[tuple[str, str, Any]] = [
    ("GET", f"{V2}/registered-models/search?max_results={HUGE}", None),
    ("GET", f"{V2}/registered-models/search?max_results=abc", None),
    ("GET", f"{V2}/model-versions/search?filter=version_number+%3E+999999999999999999", None),
    ("GET", f"{V2}/model-versions/get?name=a&version={'9' * 60}", None),
    ("GET", f"{V2}/model-versions/get?name=a%00&version=1", None),
    ("POST", f"{V2}/model-versions/create", {"name": "a", "source": "http://[::1"}),
    ("POST", f"{V2}/registered-models/create", {"name": "n", "tags": {"a": 1}}),
    ("POST", f"{V2}/registered-models/create", []),
    ("POST", f"{V2}/webhooks", {"name": "a", "url": "https://xn--.com", "events": [{"entity": HUGE, "action": -1}]}),
    ("PATCH", f"{V2}/logged-models/x", {"status": HUGE}),
    ("POST", f"{V2}/logged-models/search", {"experiment_ids": ["0"], "filter": "creation_time > 99999999999999999999"}),
    ("POST", f"{V2}/logged-models/search", {"experiment_ids": ["0"], "filter": "metrics.a > 1e999"}),
    ("POST", f"{V2}/logged-models/search", {"experiment_ids": ["0"], "page_token": "bnVsbA=="}),
    ("POST", f"{V2}/runs/search", {"experiment_ids": ["0"], "filter": "attributes.start_time > 9999999999999999999"}),
    ("POST", f"{V3}/traces/search", {"locations": [HERE], "filter": "timestamp_ms > 99999999999999999999"}),
    ("POST", f"{V3}/traces/delete-traces", {"experiment_id": "0", "max_timestamp_millis": HUGE}),
    ("POST", f"{V3}/traces/t/assessments", {"assessment": {"assessment_name": 3, "feedback": {}}}),
    ("POST", f"{V3}/traces/t/assessments", {"assessment": {"assessment_name": "i", "issue": "x"}}),
    ("POST", f"{V3}/traces/t/assessments", {"assessment": {"assessment_name": "i", "feedback": {"value": 10**400}}}),
    ("POST", f"{V3}/datasets/search", {"filter_string": "created_time > 9999999999999999999"}),
    ("POST", f"{V3}/datasets/create", {"name": "a", "tags": "[1]"}),
    ("POST", f"{V3}/scorers/register", {"experiment_id": "0", "name": "a", "serialized_scorer": "[" * 5_000}),
]
RECORDS = [
    '[{"inputs": {"a": 1e400}}]', '[{"inputs": {"\\u0000": "\\u0000"}}]', '[{"inputs": null}]', "{", "3",
    '[{"inputs": {}, "source": {"source_data": 3}}]', '[{"inputs": {}, "source": {"source_data": {"trace_id": {}}}}]',
    '[{"inputs": {}, "tags": {"mlflow.user": [1]}}]', f'[{{"inputs": {{"a": {"[" * 600}{"]" * 600}}}}}]',
]  # fmt: skip


@pytest.fixture
def talk(any_store: Store) -> Iterator[Conversation]:
    with Conversation(any_store) as conversation:
        info = {"trace_id": "t", "trace_location": HERE, "request_time": "0001-01-01T00:00:00+23:00", "state": "OK"}
        conversation.ask("POST", f"{V3}/traces", json={"trace": {"trace_info": info}})
        yield conversation


def test_odd_values_are_answered(talk: Conversation) -> None:
    for method, path, body in ASKED:
        answer = talk.ask(method, path, json.dumps(body).encode() if body is not None else b"")
        assert answer.status < 500, (method, path, body, answer.body)


def test_odd_records_are_answered_and_read_back(talk: Conversation) -> None:
    made = talk.ask("POST", f"{V3}/datasets/create", json={"name": "odd"}).json["dataset"]["dataset_id"]
    for records in RECORDS:
        answer = talk.ask("POST", f"{V3}/datasets/{made}/records", json={"records": records})
        assert answer.status < 500, (records, answer.body)
    assert talk.ask("GET", f"{V3}/datasets/{made}/records").status == 200


NUL = "\0"
WITH_NUL: list[tuple[str, str, Any]] = [
    ("GET", f"{V2}/experiments/get-by-name?experiment_name=%00", None),
    ("GET", f"{V2}/runs/get?run_id=%00", None),
    ("GET", f"{V2}/metrics/get-history?run_id=%00&metric_key=%00", None),
    ("GET", f"{V3}/traces/get?trace_id=%00", None),
    ("GET", f"{V3}/scorers/get?experiment_id=0&name=%00", None),
    ("POST", f"{V2}/runs/create", {"experiment_id": "0", "user_id": NUL}),
    ("POST", f"{V2}/runs/set-tag", {"run_id": NUL, "key": "k", "value": "v"}),
    ("POST", f"{V2}/logged-models", {"experiment_id": "0", "name": "n", "model_type": NUL, "source_run_id": NUL}),
    ("POST", f"{V2}/traces/link-to-run", {"trace_ids": [NUL], "run_id": NUL}),
    ("POST", f"{V2}/users/create", {"username": NUL, "password": "correct horse battery"}),
    ("GET", f"{V2}/users/get?username=%00", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WITH_NUL)
def test_a_character_that_one_engine_keeps_in_no_text_breaks_nothing(
    any_store: Store, method: str, path: str, body: Any
) -> None:
    with Conversation(any_store) as conversation:
        answer = conversation.ask(method, path, b"" if body is None else json.dumps(body).encode())
        assert answer.status < 500, answer.body
        made = conversation.ask("POST", f"{V2}/experiments/create", json={"name": "still well"})
        assert made.status == 200
