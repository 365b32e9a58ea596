"""Metric points: appended, newest, history."""

import math

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.run import MetricPoint, Run
from roadworthy.registry import history, metrics, run_rows, runs
from roadworthy.store.store import Store


@pytest.fixture
def run(any_store: Store) -> Run:
    return runs.start(any_store, Run(id=""))


def test_history_is_by_step_and_the_latest_is_of_the_highest_step_moment_and_value(any_store: Store, run: Run) -> None:
    points = [MetricPoint(key="loss", value=v, step=s, at=1.0 + s) for v, s in [(3.0, 1), (1.0, 3), (2.0, 2), (0.5, 3)]]
    metrics.log(any_store, run.id, points[:2])
    metrics.log(any_store, run.id, points[2:])
    assert [(p.step, p.value) for p in history.of_run(any_store, run.id, "loss")] == [
        (1, 3.0),
        (2, 2.0),
        (3, 0.5),
        (3, 1.0),
    ]
    assert metrics.latest(any_store, run.id) == {"loss": 1.0}


def test_nan_and_infinities_come_back(any_store: Store, run: Run) -> None:
    metrics.log(
        any_store,
        run.id,
        [MetricPoint(key=k, value=v) for k, v in [("n", math.nan), ("i", math.inf), ("j", -math.inf)]],
    )
    found = metrics.latest(any_store, run.id)
    assert math.isnan(found["n"])
    assert (found["i"], found["j"]) == (math.inf, -math.inf)
    assert math.isnan(history.of_run(any_store, run.id, "n")[0].value)


def test_names_of_any_language_are_kept(any_store: Store, run: Run) -> None:
    names = ["späte Flüge", "精度", "a/b.c-d", "percent % :name ' \" --"]
    metrics.log(any_store, run.id, [MetricPoint(key=n, value=1.0) for n in names])
    assert set(metrics.latest(any_store, run.id)) == set(names)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00b", "x" * 251])
def test_names_that_cannot_be_shown_are_refused(any_store: Store, run: Run, name: str) -> None:
    with pytest.raises(Fault) as fault:
        metrics.log(any_store, run.id, [MetricPoint(key=name, value=1.0)])
    assert fault.value.code == Code.INVALID


def test_a_step_beyond_64_bits_is_refused(any_store: Store, run: Run) -> None:
    with pytest.raises(Fault, match="64 bits"):
        metrics.log(any_store, run.id, [MetricPoint(key="a", value=1.0, step=2**63)])


def test_points_of_an_unknown_run_are_refused(any_store: Store) -> None:
    with pytest.raises(Fault) as fault:
        metrics.log(any_store, "0" * 32, [MetricPoint(key="a", value=1.0)])
    assert fault.value.code == Code.NOT_FOUND


def test_many_points_are_one_history(any_store: Store, run: Run) -> None:
    for start in range(0, 25_000, 5_000):
        metrics.log(
            any_store, run.id, [MetricPoint(key="x", value=float(i), step=i) for i in range(start, start + 5_000)]
        )
    assert len(history.of_run(any_store, run.id, "x")) == 25_000
    assert metrics.latest(any_store, run.id) == {"x": 24_999.0}
    with any_store.read() as reader:
        row = run_rows.find(reader, run.id)
        assert row is not None
        assert len(metrics.digest(reader, row)) == 64
