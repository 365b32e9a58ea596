"""Histories over the wire: whole, however long, or page by page, the same points either way."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from roadworthy.faces.server.mlflow import metric_history
from roadworthy.faces.server.server import Settings
from roadworthy.nouns.run import MetricPoint, Run
from roadworthy.registry import metrics, runs
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

PATH = "/api/2.0/mlflow/metrics/get-history"


@pytest.fixture
def talk(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Conversation]:
    monkeypatch.setattr(metric_history, "PART", 100)
    monkeypatch.setattr(metric_history, "PAGE_MAX", 150)
    with Conversation(any_store, Settings()) as conversation:
        yield conversation


def logged(store: Store, count: int) -> str:
    run = runs.start(store, Run(id=""))
    points = [MetricPoint(key="a b", value=i / 7, step=i, at=1000 + i) for i in range(count)]
    metrics.log(store, run.id, points)
    return run.id


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 201, 1000])
def test_a_history_of_any_length_comes_whole_when_no_page_is_asked_for(talk: Conversation, count: int) -> None:
    run = logged(talk.server.store, count)
    answer = talk.ask("GET", f"{PATH}?run_id={run}&metric_key={quote('a b')}").json
    assert [point["step"] for point in answer.get("metrics", [])] == list(range(count))
    assert "next_page_token" not in answer


@pytest.mark.parametrize("page", [13, 37, 100, 150, 151, 100_000])
def test_pages_together_are_the_history(talk: Conversation, page: int) -> None:
    run = logged(talk.server.store, 300)
    found, token = [], ""
    while True:
        answer = talk.ask(
            "GET", f"{PATH}?run_id={run}&metric_key={quote('a b')}&max_results={page}&page_token={token}"
        ).json
        assert len(answer["metrics"]) <= page
        found += answer["metrics"]
        token = answer.get("next_page_token", "")
        if not token:
            break
    assert [(point["step"], point["timestamp"], point["value"], point["key"]) for point in found] == [
        (i, 1_000_000 + i * 1000, i / 7, "a b") for i in range(300)
    ]


def test_a_whole_history_goes_on_after_a_token(talk: Conversation) -> None:
    run = logged(talk.server.store, 300)
    first = talk.ask("GET", f"{PATH}?run_id={run}&metric_key=a%20b&max_results=10").json
    rest = talk.ask("GET", f"{PATH}?run_id={run}&metric_key=a%20b&page_token={first['next_page_token']}").json
    assert [point["step"] for point in rest["metrics"]] == list(range(10, 300))
