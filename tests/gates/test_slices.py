"""Slices: each group by itself."""

import numpy as np
import pandas as pd
import pytest

from roadworthy.gates.measures import performance, slices
from roadworthy.nouns.errors import Fault


def by(label, score):
    return performance.measure(label, score)


def test_each_value_is_measured_by_itself_and_the_worst_named():
    random = np.random.default_rng(1)
    carrier = pd.Series(random.choice(["AA", "B6", "9E", None], 4_000))
    label = random.integers(0, 2, 4_000)
    score = np.where(carrier == "B6", random.random(4_000), 0.25 + 0.5 * label)
    found = slices.measure(label, score, {"carrier": carrier}, by=by, rows_min=100)["carrier"]
    assert set(found["values"]) == {"AA", "B6", "9E", slices.MISSING}
    for value, measured in found["values"].items():
        rows = carrier.isna() if value == slices.MISSING else carrier == value
        assert measured == {**by(label[rows], score[rows]), "rows": int(rows.sum())}
    assert found["min_at"]["recall"] == "B6"
    assert found["min"]["recall"] == found["values"]["B6"]["recall"]
    assert found["max_at"]["log_loss"] == "B6"
    assert (found["left_out"], found["rows_left_out"]) == (0, 0)


def test_small_groups_are_left_out_and_counted():
    column = ["a"] * 50 + ["b"] * 5
    found = slices.measure([0, 1] * 25 + [1] * 5, np.full(55, 0.7), {"c": column}, by=by, rows_min=10)["c"]
    assert list(found["values"]) == ["a"]
    assert (found["left_out"], found["rows_left_out"]) == (1, 5)


def test_no_group_large_enough_measures_nothing():
    found = slices.measure([0, 1], [0.1, 0.2], {"c": ["a", "b"]}, by=by, rows_min=10)["c"]
    assert found["min"] == {}
    assert found["rows_left_out"] == 2


def test_of_very_many_values_the_largest_are_kept():
    column = [f"v{i % 500}" for i in range(5_000)] + ["v7"] * 10
    found = slices.measure([0, 1] * 2_505, np.full(5_010, 0.5), {"c": column}, by=by, rows_min=1)["c"]
    assert len(found["values"]) == slices.VALUES_MAX
    assert found["values"]["v7"]["rows"] == 20
    assert found["left_out"] == 500 - slices.VALUES_MAX


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ([True, False] * 5, {"true", "false"}),
        ([1, 2] * 5, {"1", "2"}),
        ([1.0, 2.5] * 5, {"1", "2.5"}),
        (pd.Categorical(["x", "y"] * 5), {"x", "y"}),
        (pd.array([1, None] * 5, dtype="Int64"), {"1", slices.MISSING}),
        (pd.to_datetime(["2013-01-01", "2013-02-01"] * 5), {"2013-01-01 00:00:00", "2013-02-01 00:00:00"}),
    ],
)
def test_values_are_named_as_rules_write_them(column, names):
    found = slices.measure([0, 1] * 5, np.full(10, 0.5), {"c": column}, by=by, rows_min=1)["c"]
    assert set(found["values"]) == names


def test_a_measure_that_a_group_lacks_does_not_count():
    found = slices.measure([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.9], {"c": ["a", "a", "b", "b"]}, by=by, rows_min=1)["c"]
    assert "recall" not in found["values"]["a"]
    assert found["min"]["recall"] == 1.0


def test_a_column_of_another_length_is_refused():
    with pytest.raises(Fault, match="2 labels and 1 values"):
        slices.measure([0, 1], [0.1, 0.2], {"c": ["a"]}, by=by)
