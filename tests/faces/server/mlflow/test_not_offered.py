"""What is not offered answers as MLflow's own server does where nothing of it was set up; and nothing is forgotten."""

from pathlib import Path

import pytest

from roadworthy.faces.server.mlflow import coverage
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

ROOT = Path(__file__).parents[4]
V3 = "/api/3.0/mlflow"


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", f"{V3}/gateway/endpoints/list", 200, "{}"),
        ("GET", f"{V3}/gateway/secrets/list", 200, "{}"),
        ("GET", f"{V3}/gateway/endpoints/get?endpoint_id=x", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", f"{V3}/gateway/secrets/create", 501, "NOT_IMPLEMENTED"),
        ("POST", f"{V3}/prompt-optimization/jobs/search", 200, "{}"),
        ("GET", f"{V3}/prompt-optimization/jobs/j", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", f"{V3}/label-schemas/list?experiment_id=0", 200, "{}"),
        ("GET", f"{V3}/review-queues/list?experiment_id=0", 200, "{}"),
        ("POST", f"{V3}/issues/search", 200, "{}"),
        ("GET", f"{V3}/workspaces", 503, "without workspaces support"),
        ("DELETE", f"{V3}/workspaces/w", 503, "without workspaces support"),
        ("GET", f"{V3}/scorers/online-configs?scorer_ids=x", 200, '{"configs":[]}'),
    ],
)
def test_answers_where_nothing_is_configured(store: Store, method: str, path: str, status: int, says: str) -> None:
    with Conversation(store) as talk:
        answer = talk.ask(method, path, b"{}" if method == "POST" else b"")
    assert answer.status == status
    assert says in answer.body.decode()


def test_every_endpoint_is_accounted_for_and_its_tests_exist() -> None:
    for group in coverage.groups():
        assert coverage.states(group)
        for test in group.tests:
            assert (ROOT / test).is_file(), test


def test_groups_that_are_whole_stay_whole() -> None:
    whole = {
        "Experiments", "Artifacts", "Registered models", "Model versions", "Webhooks", "Assessments",
        "Evaluation data sets", "Scorers", "Workspaces",
    }  # fmt: skip
    lacking = [
        f"{endpoint.method} {endpoint.path}"
        for group in coverage.groups()
        if group.title in whole
        for endpoint in coverage.states(group)
        if endpoint.state == "not done"
    ]
    assert lacking == []
