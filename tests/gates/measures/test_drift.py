import datetime as dt
import decimal
import math

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from roadworthy.gates.measures import drift as d
from roadworthy.nouns.errors import Fault


def one(reference, current, **more):
    made = d.profile({"x": reference}, ("x",))
    return d.drift(made, {"x": current}, **more)[0]


def test_numbers_agree_with_scipy():
    rng = np.random.default_rng(1)
    for n, m in [(200, 300), (900, 70), (1024, 5000)]:
        left, right = rng.normal(size=n), rng.normal(0.3, 1.2, size=m)
        found = one(left, right)
        theirs = stats.ks_2samp(left, right, method="asymp")
        assert found.value == pytest.approx(theirs.statistic, abs=1e-12)
        assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
        assert found.wasserstein == pytest.approx(stats.wasserstein_distance(left, right) / left.std(), rel=1e-9)


def test_the_sketch_of_many_rows_is_as_near_as_promised():
    rng = np.random.default_rng(2)
    left, right = rng.gamma(2.0, size=100_000), rng.gamma(2.2, size=40_000)
    found = one(left, right)
    assert found.value == pytest.approx(stats.ks_2samp(left, right).statistic, abs=0.5 / d.SKETCH_MAX + 1e-5)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(left, right) / left.std(), abs=0.005)
    assert len(d.profile({"x": left}, ("x",)).columns[0].sketch) == d.SKETCH_MAX


def test_categories_agree_with_scipy():
    rng = np.random.default_rng(3)
    names = np.array(["AA", "B6", "DL", "UA"])
    left = names[rng.choice(4, 900, p=[0.4, 0.3, 0.2, 0.1])]
    right = names[rng.choice(4, 400, p=[0.3, 0.3, 0.2, 0.2])]
    table = np.array([[(left == c).sum() for c in names], [(right == c).sum() for c in names]])
    found = one(left, right)
    theirs = stats.chi2_contingency(table, correction=False)
    assert found.value == pytest.approx(theirs.statistic)
    assert found.p_value == pytest.approx(theirs.pvalue)
    balanced = table / table.sum(axis=1, keepdims=True) * 1_000_000
    assert found.effect == pytest.approx(stats.contingency.association(balanced.astype(int), method="cramer"), abs=1e-4)


def test_the_effect_does_not_shrink_with_a_large_reference():
    small = one(["a", "b"] * 500, ["a", "a", "a", "b"] * 250)
    large = one(["a", "b"] * 50_000, ["a", "a", "a", "b"] * 250)
    assert large.effect == pytest.approx(small.effect)
    assert large.verdict == "large"


@given(st.lists(st.integers(0, 500), min_size=2, max_size=12), st.data())
def test_histogram_distances(reference, data):
    size = len(reference)
    current = data.draw(st.lists(st.integers(0, 500), min_size=size, max_size=size))
    if not sum(reference) or not sum(current):
        return
    assert d.jensen_shannon(reference, current) == pytest.approx(
        distance.jensenshannon(reference, current, base=2), abs=1e-7
    )
    p = (np.array(reference) + 0.5) / (sum(reference) + size / 2)
    q = (np.array(current) + 0.5) / (sum(current) + size / 2)
    # PSI is the symmetric Kullback-Leibler divergence.
    assert d.psi(reference, current) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_false_discovery_agrees_with_scipy(p_values):
    assert d.false_discovery(p_values) == pytest.approx(list(stats.false_discovery_control(p_values)), abs=1e-12)


def test_large_samples_of_one_distribution_raise_no_alarm():
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)

        def rows(n, rng=rng):
            return {
                "normal": rng.normal(size=n),
                "heavy": rng.pareto(1.5, size=n),
                "ties": rng.poisson(2, size=n),
                "category": rng.choice(list("abcdefgh"), n),
                "rare": np.where(rng.random(n) < 0.002, rng.choice(list("wxyz"), n), "usual"),
                "gaps": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            }

        made = d.profile(rows(20_000), ("normal", "heavy", "ties", "category", "rare", "gaps"))
        alarms += sum(x.verdict != "none" for x in d.drift(made, rows(50_000)))
    assert alarms == 0


def test_significant_but_tiny_is_no_alarm():
    rng = np.random.default_rng(5)
    found = one(rng.normal(size=200_000), rng.normal(0.03, 1, size=200_000))
    assert found.p_adjusted < 1e-6
    assert found.verdict == "none"


def test_large_but_insignificant_is_no_alarm():
    found = one([1.0, 2.0, 3.0, 4.0], [2.5, 3.5, 4.5, 5.5])
    assert found.effect >= d.EFFECT_LARGE
    assert found.verdict == "none"


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "none"), (0.35, "small"), (0.7, "large"), (3.0, "large")])
def test_a_shift_is_judged_by_its_size(shift, verdict):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert one(rng.normal(size=5000), rng.normal(shift, 1, size=5000)).verdict == verdict


def test_false_alarms_of_many_columns_stay_rare():
    """40 columns, small windows: the share of windows with any alarm stays below the level."""
    alarms = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        names = tuple(f"c{i}" for i in range(40))
        made = d.profile({n: rng.normal(size=1000) for n in names}, names)
        alarms += any(x.verdict != "none" for x in d.drift(made, {n: rng.normal(size=100) for n in names}))
    assert alarms <= 3


def test_score_comes_last_and_counts_among_the_columns():
    rng = np.random.default_rng(6)
    made = d.profile({"x": rng.normal(size=2000)}, ("x",), rng.random(2000))
    found = d.drift(made, {"x": rng.normal(size=2000)}, score=rng.random(2000) ** 3)
    assert [x.column for x in found] == ["x", "score"]
    assert [x.verdict for x in found] == ["none", "large"]
    assert d.drift(made, {"x": [1.0]})[-1].column == "x"


def test_constants():
    assert one([3.0] * 500, [3.0] * 500).verdict == "none"
    for other in (2.0, 4.0):
        found = one([3.0] * 500, [other] * 500)
        assert (found.effect, found.verdict, found.wasserstein) == (1.0, "large", None)
        assert found.psi > 1
    assert one(["a"] * 500, ["a"] * 500).verdict == "none"
    assert one(["a"] * 500, ["b"] * 500).verdict == "large"


def test_a_value_that_most_rows_have_hides_no_shift():
    rng = np.random.default_rng(9)

    def visibility(clear):
        return np.where(rng.random(4000) < clear, 10.0, rng.uniform(0, 10, 4000))

    assert one(visibility(0.93), visibility(0.93)).verdict == "none"
    found = one(visibility(0.93), visibility(0.5))
    assert found.verdict == "large"
    assert found.psi > 0.5


def test_nulls():
    full = list(np.random.default_rng(7).normal(size=500))
    for reference, current, verdict in [
        (full, [None] * 500, "large"),
        ([None] * 500, full, "large"),
        ([None] * 500, [None] * 500, "none"),
        (full, full[:250] + [math.nan] * 250, "large"),
        (full, full[:480] + [math.inf] * 20, "small"),
        (["a", "b"] * 250, [None] * 500, "large"),
    ]:
        found = one(reference, current)
        assert found.verdict == verdict, found
    assert one(full, full[:250] + [None] * 250).missing == 0.5


def test_empty_windows_and_absent_columns():
    made = d.profile({"x": [1.0, 2.0], "c": ["a", "b"]}, ("x", "c"), np.array([0.1, 0.2]))
    empty = d.drift(made, pd.DataFrame({"x": pd.Series([], dtype=float), "c": pd.Series([], dtype=str)}))
    assert all((x.verdict, x.p_value, x.effect, x.missing) == ("none", 1.0, 0.0, 0.0) for x in empty)
    assert d.drift(made, {}) == empty
    made = d.profile({"x": np.arange(500.0), "y": np.arange(500.0)}, ("x", "y"))
    found = d.drift(made, {"x": np.arange(500.0)})
    assert (found[1].missing, found[1].verdict) == (1.0, "large")
    assert d.drift(d.profile({"x": []}, ("x",)), {"x": [1.0]})[0].verdict == "none"


def test_types():
    start = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    times = [start + dt.timedelta(hours=i) for i in range(400)]
    table = pd.DataFrame(
        {
            "when": times,
            "day": [t.date() for t in times],
            "flag": [i % 2 == 0 for i in range(400)],
            "category": pd.Categorical(["a", "b"] * 200),
            "money": [decimal.Decimal(i) for i in range(400)],
            "mixed": [1, "x"] * 200,
            "took": pd.to_timedelta(range(400), unit="s"),
            "integers": pd.array([None, *range(399)], dtype="Int64"),
        }
    )
    names = tuple(table.columns)
    made = d.profile(table, names)
    assert [c.type for c in made.columns] == [
        *("datetime", "datetime", "boolean", "string", "number", "string", "duration", "number")
    ]
    assert all(x.verdict == "none" and x.p_value > 0.99 for x in d.drift(made, table))
    arrow = pa.Table.from_pandas(table.drop(columns=["mixed", "took"]))
    kept = tuple(n for n in names if n not in ("mixed", "took"))
    assert all(x.verdict == "none" for x in d.drift(d.profile(arrow, kept), arrow))
    # A datetime comes back from JSON as text, and the profile still reads it.
    texts = d.drift(d.profile(table, ("when",)), {"when": [t.isoformat() for t in times]})
    assert texts[0].effect == 0.0
    later = d.drift(d.profile(table, ("when",)), {"when": [t + dt.timedelta(days=30) for t in times]})
    assert later[0].verdict == "large"


def test_a_window_of_another_type_says_so():
    found = one(np.arange(300.0), ["oops"] * 300)
    assert found.new_values == {d.UNREADABLE: 1.0}
    assert found.verdict == "large"
    assert one(np.arange(300.0), [str(i) for i in range(300)]).verdict == "none"
    assert one(np.arange(300.0), pd.date_range("2020", periods=300)).verdict == "large"
    assert one(["a", "b"] * 200, [1, 2] * 200).verdict == "large"


def test_new_values_and_the_bound_on_categories():
    found = one(["a", "b"] * 100, ["a"] * 150 + ["z"] * 50)
    assert found.new_values == {"z": 0.25}
    many = [f"v{i}" for i in range(1000)]
    made = d.profile({"x": many}, ("x",))
    assert len(made.columns[0].categories) == d.CATEGORIES_MAX
    assert made.columns[0].other == 1000 - d.CATEGORIES_MAX
    found = d.drift(made, {"x": many})[0]
    assert (found.verdict, found.new_values) == ("none", {})


def test_only_named_columns():
    made = d.profile({"x": [1.0], "y": [2.0]}, ("x", "y"))
    assert [x.column for x in d.drift(made, {"x": [1.0], "y": [2.0]}, columns=("y",))] == ["y"]


def test_a_profile_is_json_and_comes_back():
    made = d.profile({"x": [1.0, None, 2.5], "c": ["a", None, "b"]}, ("x", "c"), np.array([0.1, 0.5, 0.9]))
    assert d.decode(d.encode(made)) == made
    assert msgspec.json.decode(d.encode(made))["schema"] == 1
    with pytest.raises(Fault, match="not a reference profile"):
        d.decode(b'{"rows": "many"}')


def test_a_column_that_is_not_there():
    with pytest.raises(Fault, match="no such column"):
        d.profile({"x": [1.0]}, ("y",))


@given(
    st.lists(st.one_of(st.none(), st.floats(), st.integers(-(2**63), 2**63 - 1)), max_size=60),
    st.lists(st.one_of(st.none(), st.floats(), st.booleans(), st.text(max_size=3)), max_size=60),
)
def test_anything_goes_in_and_finite_numbers_come_out(reference, current):
    made = d.profile({"x": pd.Series(reference, dtype=object)}, ("x",))
    assert d.decode(d.encode(made)) == made
    for found in d.drift(made, {"x": pd.Series(current, dtype=object)}):
        numbers = [found.psi, found.jensen_shannon, found.p_value, found.p_adjusted, found.effect, found.missing]
        assert all(math.isfinite(n) and n >= 0 for n in numbers)
        assert max(found.jensen_shannon, found.p_value, found.effect, found.missing) <= 1 + 1e-9
