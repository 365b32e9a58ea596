"""What is not offered answers as MLflow's own server does where nothing of it was set up; and nothing is forgotten."""

import json
from pathlib import Path
from typing import Any

import pytest

from roadworthy.faces.server.mlflow import coverage
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation
from tests.faces.server.mlflow import absent_talks, talk
from tests.faces.server.mlflow.talk import Step

ROOT = Path(__file__).parents[4]
V3 = "/api/3.0/mlflow"
RECORDED = json.loads((Path(__file__).parent / "recorded_absent.json").read_text("utf-8"))["not offered"]
# The assistant is a program on the user's machine; and what is put into an MCP registry is refused without being read.
OF_ITS_OWN = ("/mlflow/assistant/", "POST /api/3.0/mlflow/mcp-servers/x/")


def test_each_answers_as_mlflow_where_it_is_not_set_up(store: Store) -> None:
    with Conversation(store) as conversation:

        def ask(step: Step) -> tuple[int, Any]:
            answer = conversation.ask(step.method, step.path, json=step.body)
            return answer.status, talk.decoded(answer.body)

        ours = talk.play(ask, absent_talks.ALL["not offered"])
    compared = 0
    for answered, theirs in zip(ours, RECORDED, strict=True):
        assert answered["ask"] == theirs["ask"], "record it again"
        if not any(path in theirs["ask"] for path in OF_ITS_OWN):
            assert _said(answered) == _said(theirs), theirs["ask"]
            compared += 1
    assert compared > 90


def _said(answered: dict[str, Any]) -> tuple[int, Any]:
    """The status and error code; all of an answer that is no error."""
    answer = answered["answer"]
    if answered["status"] < 400:
        return answered["status"], answer
    return answered["status"], answer.get("error_code") if isinstance(answer, dict) else None


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", f"{V3}/gateway/secrets/create", {"secret_name": "x"}, 501, "The AI Gateway feature is disabled."),
        ("POST", "/gateway/mlflow/v1/chat/completions", {}, 501, "The AI Gateway feature is disabled."),
        ("POST", "/ajax-api/3.0/mlflow/demo/generate", {}, 501, "This server runs none"),
        (
            "POST", "/ajax-api/3.0/mlflow/genai/evaluate/invoke",
            {"experiment_id": "0", "trace_ids": ["a"], "serialized_scorers": ["{}"]}, 501, "This server runs none",
        ),
        ("GET", f"{V3}/prompt-optimization/jobs/j", None, 404, "Job with ID j not found"),
        ("GET", f"{V3}/workspaces", None, 503, "without workspaces support"),
        ("GET", f"{V3}/mcp-servers/com.example/a/versions", None, 200, '"mcp_server_versions":[]'),
        ("GET", f"{V3}/scorers/online-configs?scorer_ids=x", None, 200, '{"configs":[]}'),
        ("GET", "/ajax-api/3.0/mlflow/ui-telemetry", None, 200, '"disable_ui_telemetry":true'),
    ],
)  # fmt: skip
def test_answers_where_nothing_is_configured(  # noqa: PLR0917
    store: Store, method: str, path: str, body: Any, status: int, says: str
) -> None:
    with Conversation(store) as conversation:
        answer = conversation.ask(method, path, b"" if body is None else json.dumps(body).encode())
    assert answer.status == status
    assert says in answer.body.decode()


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b"\xff", b"null"])
def test_what_cannot_be_read_is_refused_there_too(store: Store, body: bytes) -> None:
    with Conversation(store) as conversation:
        answer = conversation.ask("POST", f"{V3}/prompt-optimization/jobs", body)
    assert answer.status == 400


def test_every_endpoint_is_accounted_for_and_its_tests_exist() -> None:
    for group in coverage.groups():
        assert coverage.states(group)
        for test in group.tests:
            assert (ROOT / test).is_file(), test


def test_no_endpoint_of_mlflow_is_left_out() -> None:
    lacking = [
        f"{endpoint.method} {endpoint.path}"
        for group in coverage.groups()
        for endpoint in coverage.states(group)
        if endpoint.state == "not done"
    ]
    assert lacking == []
