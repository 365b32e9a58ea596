"""Two values are the same, or it is said where they are not."""

import functools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from roadworthy.notebooks.prove.alike import compare


class Lazy:
    """Computes one attribute when it is first asked, and keeps another count."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def asked(self) -> int:
        return self.count

    @functools.cached_property
    def total(self) -> int:
        return 3


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_a_value_is_like_its_copy(value) -> None:
    import copy

    assert compare(value, copy.deepcopy(value)).verdict == "identical"


@pytest.mark.parametrize(
    ("one", "two", "where"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, "['a'][1]"),
        ([1], [1, 2], ""),
        ({"a": 1}, {"b": 1}, ""),
        (pd.DataFrame({"x": [1.0, 2.0]}), pd.DataFrame({"x": [1.0, 2.5]}), "column x"),
        (pd.DataFrame({"x": [1]}, index=[4]), pd.DataFrame({"x": [1]}, index=[5]), "index"),
        (pd.Series([1], dtype="int64"), pd.Series([1], dtype="int32"), ""),
        (pd.MultiIndex.from_tuples([("a", 1)]), pd.MultiIndex.from_tuples([("a", 2)]), "level 1"),
        (pd.MultiIndex.from_tuples([("a", 1), ("b", 1)])[:1], pd.MultiIndex.from_tuples([("a", 1)]), ""),
        (functools.partial(int, base=2), functools.partial(int, base=8), "[2]['base']"),
        ([1].count, [2].count, ""),
        (Lazy().asked, Lazy(1).asked, "[1].count"),
        (np.array([1.0, np.nan]), np.array([1.0, 0.0]), ""),
        ("text", "test", ""),
        ({1, 2}, {1, 3}, ""),
        (1, "1", ""),
    ],
)
def test_what_differs_is_said_with_its_place(one, two, where: str) -> None:
    found = compare(one, two)
    assert found.verdict == "different"
    assert found.where.strip() == where
    assert found.found


def test_a_tolerance_is_relative_and_told() -> None:
    one, two = np.array([1e6, 1.0]), np.array([1e6 + 0.001, 1.0])
    assert compare(one, two).verdict == "different"
    found = compare(one, two, tolerance=1e-8)
    assert found.verdict == "within tolerance"
    assert 0 < found.largest <= 1e-8


def test_whole_numbers_know_no_tolerance() -> None:
    assert compare(1_000_000, 1_000_001, tolerance=0.1).verdict == "different"
    assert compare(np.array([1]), np.array([2]), tolerance=10).verdict == "different"


def test_models_are_what_they_learned() -> None:
    rows, label = np.arange(20.0).reshape(10, 2) ** 1.5, np.arange(10) % 2
    one, two = (LogisticRegression().fit(rows, label) for _ in range(2))
    assert compare(one, two).verdict == "identical"
    two.coef_ = two.coef_ + 1e-3
    assert compare(one, two).where == ".coef_"
    assert compare(LinearRegression(), LogisticRegression()).verdict == "different"
    assert compare(LogisticRegression(C=1.0), LogisticRegression(C=2.0)).where == ".C"


def test_forests_of_two_seeds_differ() -> None:
    rows, label = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
    first, again, other = (
        RandomForestClassifier(n_estimators=3, random_state=seed).fit(rows, label) for seed in (1, 1, 2)
    )
    assert compare(first, again).verdict == "identical"
    assert compare(first, other).verdict == "different"


def test_values_that_hold_themselves_end() -> None:
    one: list = [1]
    one.append(one)
    two: list = [1]
    two.append(two)
    assert compare(one, two).verdict == "identical"


def test_moments_are_alike_whatever_object_is_their_zone() -> None:
    import datetime as dt
    import zoneinfo

    one = pd.Series(pd.to_datetime(["2013-01-01"]).tz_localize(dt.UTC))
    two = pd.Series(pd.to_datetime(["2013-01-01"]).tz_localize(zoneinfo.ZoneInfo("UTC")))
    assert compare(one, two).verdict == "identical"


def test_what_was_computed_on_demand_since_is_no_change() -> None:
    before, after = Lazy(), Lazy()
    assert after.total == 3
    assert compare(before, after).verdict == "different"
    assert compare(before, after, later=True).verdict == "identical"
    after.count = 1
    assert compare(before, after, later=True).where == ".count"
    after.count = 0
    after.__dict__["new"] = 1
    assert compare(before, after, later=True).verdict == "different"


def test_what_is_bound_to_equal_objects_is_alike() -> None:
    assert compare(Lazy(2).asked, Lazy(2).asked).verdict == "identical"
    assert compare(functools.partial(int, base=2), functools.partial(int, base=2)).verdict == "identical"
