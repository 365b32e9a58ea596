"""Cost is measured in a process of its own, on the code that serves."""

import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from roadworthy.gates.measures import cost
from roadworthy.nouns.errors import Code, Fault

from .conftest import FEATURES, flights


@pytest.mark.timeout(120)
def test_every_cost_is_measured(store, register, monkeypatch):
    monkeypatch.setattr(cost, "TIMEOUT_S", 60)
    model = register()
    found = cost.measure(store, model, flights(1_500, seed=1))
    assert set(found) == {
        "p50_ms", "p99_ms", "batch_p50_ms", "batch_p99_ms", "rows_per_s", "memory_peak_mb", "memory_mb", "model_mb",
        "load_s", "train_cpu_s", "calls", "batch_calls",
    }  # fmt: skip
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert found["batch_p50_ms"] <= found["batch_p99_ms"]
    assert found["rows_per_s"] == pytest.approx(1_000 / found["batch_p50_ms"] * 1e3)
    assert found["rows_per_s"] > 1e3 / found["p50_ms"]
    assert 0 < found["memory_peak_mb"] < found["memory_mb"]
    assert found["model_mb"] == model.value.size / 2**20
    assert found["train_cpu_s"] == 1.25
    assert found["calls"] >= 1
    assert found["load_s"] > 0


def test_without_rows_nothing_is_measured(store, register):
    with pytest.raises(Fault, match="no rows to measure with"):
        cost.measure(store, register(), flights(0, seed=1))


def test_what_the_model_refuses_is_said(store, register):
    model = register()
    store.blobs.path(model.value.digest).unlink()
    with pytest.raises(Fault) as caught:
        cost.measure(store, model, flights(200, seed=1))
    assert caught.value.code is Code.INVALID
    assert "not in the store" in caught.value.what


def test_rows_that_no_request_could_carry_are_scored_as_a_table():
    import pandas as pd

    from roadworthy.serving.model import Predictor
    from roadworthy.serving.signature import infer

    class Counting(ClassifierMixin, BaseEstimator):
        classes_ = np.array([0, 1])

        def predict_proba(self, table):
            assert list(table.columns) == ["x"]
            return np.column_stack([1 - table["x"].isna(), table["x"].isna()])

    class ModelStub:
        task, signature, id = "classification", infer(pd.DataFrame({"x": [1.0, 2.0]})), "m@1"

    rows = pd.DataFrame({"x": [1.0, None]})
    answer = cost._answering(Predictor(Counting(), ModelStub()), rows, {"x": [1.0, None]})
    assert answer(0, 2).tolist() == [0.0, 1.0]
    answer = cost._answering(Predictor(Counting(), ModelStub()), rows, {"x": [1.0, 2.0]})
    assert answer(0, 2).tolist() == [0.0, 0.0]


def test_calls_are_timed_until_the_budget_is_spent():
    called = []
    taken = cost._time(called.append, budget_s=0.0, calls=(5, 50))
    assert len(taken) == 5
    assert len(called) == 5 + 1
    assert len(cost._time(called.append, budget_s=10.0, calls=(5, 50))) == 50


def test_quantiles_are_values_that_were_measured():
    values = [float(i) for i in range(1, 101)]
    assert (cost._quantile(values, 0.5), cost._quantile(values, 0.99), cost._quantile([3.0], 0.99)) == (50.0, 99.0, 3.0)


def test_memory_is_this_programs_own():
    assert 1 < cost._peak_mb() < 20_000
    assert sys.platform != "linux" or cost._peak_mb() > 20
    assert FEATURES
