"""Aggregates of traces: percentiles as NumPy has them, buckets of any length, projects apart, and what is no number."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.faces.server.mlflow.traces import aggregates, figures
from roadworthy.faces.server.mlflow.traces import store as traces
from roadworthy.faces.server.mlflow.traces.aggregates import Aggregate, Question
from roadworthy.faces.server.mlflow.traces.figures import Node
from roadworthy.faces.server.mlflow.traces.store import Trace
from roadworthy.registry.groups import Group
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

METRICS = "/api/3.0/mlflow/traces/metrics"
KINDS = (Aggregate("COUNT"), Aggregate("SUM"), Aggregate("AVG"), Aggregate("MIN"), Aggregate("MAX"))
GROUPS = iter(range(1_000, 10_000))


def fill(store: Store, durations: list[int], project: str = "") -> int:
    """Traces that lasted so long, a second apart, in an experiment of their own; its number."""
    number = next(GROUPS)
    group = Group(id=number, name=f"g{number}", project=project, created_ms=0, updated_ms=0)
    with store.append() as tx:
        for n, duration in enumerate(durations):
            traces.put(tx, group, Trace(id=f"tr-{number}-{n}", at_ms=1_000 * n, duration_ms=duration, state="OK"))
    return number


def ask(store: Store, group: int, *asked: Aggregate, **more: Any) -> list[aggregates.Point]:
    question = Question(groups=(group,), view="TRACES", metric="latency", aggregates=asked, **more)
    with store.read() as reader:
        return aggregates.ask(reader, question)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    durations=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
    shares=st.lists(st.floats(0, 100), min_size=1, max_size=4, unique=True),
)
def test_numbers_are_those_of_numpy(any_store: Store, durations: list[int], shares: list[float]) -> None:
    group = fill(any_store, durations)
    asked = (*KINDS, *(Aggregate("PERCENTILE", share) for share in shares))
    (point,) = ask(any_store, group, *asked)
    values = point.values
    assert (values["COUNT"], values["SUM"]) == (len(durations), sum(durations))
    assert (values["MIN"], values["MAX"]) == (min(durations), max(durations))
    assert values["AVG"] == pytest.approx(np.mean(durations))
    for share in shares:
        assert values[f"P{share}"] == pytest.approx(np.percentile(durations, share), rel=1e-9, abs=1e-3)


def test_each_bucket_has_its_own_percentiles(any_store: Store) -> None:
    group = fill(any_store, [10, 20, 30, 5, 7])
    points = ask(any_store, group, Aggregate("PERCENTILE", 50.0), interval_ms=3_000)
    assert [(point.at_ms, point.values) for point in points] == [(0, {"P50.0": 20.0}), (3_000, {"P50.0": 6.0})]


@pytest.mark.parametrize("interval_ms", [1, 10**6, 2**62, 2**70])
def test_a_bucket_may_have_any_length(any_store: Store, interval_ms: int) -> None:
    assert (
        sum(p.values["COUNT"] for p in ask(any_store, fill(any_store, [1, 2]), KINDS[0], interval_ms=interval_ms)) == 2
    )


def test_only_what_may_be_seen_is_counted(any_store: Store) -> None:
    group = fill(any_store, [1, 2, 3], project="flights")
    seen = {
        projects: ask(any_store, group, KINDS[0], projects=projects)[0].values["COUNT"]
        for projects in (None, frozenset({"flights"}), frozenset({"hotels"}), frozenset())
    }
    assert list(seen.values()) == [3, 3, 0, 0]


@pytest.fixture
def talk(store: Store) -> Iterator[Conversation]:
    with Conversation(store) as conversation:
        yield conversation


@pytest.mark.parametrize(
    "more",
    [
        {"time_interval_seconds": -5, "start_time_ms": 0, "end_time_ms": 1},
        {"aggregations": [{"aggregation_type": "PERCENTILE", "percentile_value": "NaN"}]},
        {"aggregations": [{"aggregation_type": "COUNT", "percentile_value": 5}]},
        {"aggregations": [{"aggregation_type": "COUNT"}] * 101},
        {"filters": ["trace.status = 'OK'"] * 101},
        {"filters": ["trace.status = 'OK"]},
        {"filters": [None]},
        {"aggregations": "COUNT"},
        {"aggregations": [None]},
        {"metric_name": 3},
    ],
)
def test_what_makes_no_sense_is_refused(talk: Conversation, more: dict[str, Any]) -> None:
    body = {
        "experiment_ids": ["0"], "view_type": "TRACES", "metric_name": "trace_count",
        "aggregations": [{"aggregation_type": "COUNT"}], **more,
    }  # fmt: skip
    answer = talk.ask("POST", METRICS, json=body)
    assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.body


@pytest.mark.parametrize("number", [2**63, -(2**70), 0])
@pytest.mark.parametrize("interval", [0, 1, 2**62])
def test_moments_of_any_size_are_taken(talk: Conversation, number: int, interval: int) -> None:
    for view, metric in (("TRACES", "trace_count"), ("SPANS", "span_count"), ("ASSESSMENTS", "assessment_count")):
        body = {
            "experiment_ids": ["0"], "view_type": view, "metric_name": metric, "start_time_ms": number,
            "end_time_ms": -number, "time_interval_seconds": interval,
            "aggregations": [{"aggregation_type": "COUNT"}], "max_results": 5,
        }  # fmt: skip
        assert talk.ask("POST", METRICS, json=body).status in (200, 400)


def test_a_span_above_that_says_what_it_used_speaks_for_those_below() -> None:
    nodes = [
        Node("a", "", None), Node("b", "a", {"input_tokens": 5}), Node("c", "b", {"input_tokens": 3}),
        Node("d", "a", {"input_tokens": 1, "cache_read_input_tokens": 4}), Node("e", "gone", {"input_tokens": 7}),
    ]  # fmt: skip
    summed = figures.total(nodes, ("input_tokens", "output_tokens"), ("cache_read_input_tokens",))
    assert summed == {"input_tokens": 13, "output_tokens": 0, "cache_read_input_tokens": 4}
    assert figures.total([Node("a", "", None)], ("input_tokens",)) == {}


@pytest.mark.parametrize(
    ("attributes", "tokens", "cost", "model"),
    [
        ({}, None, None, None),
        ({"mlflow.chat.tokenUsage": {"input_tokens": 3, "output_tokens": "4", "total_tokens": 1.5}},
         {"input_tokens": 3, "output_tokens": 4}, None, None),
        ({"mlflow.llm.cost": '{"input_cost": 0.5, "output_cost": true, "total_cost": 1e999}'}, None,
         {"input_cost": 0.5}, None),
        ({"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4, "gen_ai.request.model": "m"},
         {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}, None, "m"),
        ({"mlflow.llm.model": '"m\\u0000"', "mlflow.llm.cost": "[" * 10_000}, None, None, "m\ufffd"),
        ({"mlflow.llm.model": 3, "mlflow.chat.tokenUsage": math.nan}, None, None, None),
    ],
)  # fmt: skip
def test_figures_of_a_span(attributes: dict[str, Any], tokens: Any, cost: Any, model: str | None) -> None:
    found = figures.of_span(attributes)
    assert (found.tokens, found.cost, found.model) == (tokens, cost, model)
