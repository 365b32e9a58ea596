"""The paired bootstrap against scipy's, DeLong's variance, and what must hold."""

import doctest

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from roadworthy.gates import compare
from roadworthy.gates.compare import in_words, paired_bootstrap
from roadworthy.gates.measures import performance
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.evidence import Comparison


def scored(rows, seed=0, gain=0.15):
    random = np.random.default_rng(seed)
    label = random.random(rows) < 0.3
    base = random.normal(size=rows) + 0.8 * label
    weak = 1 / (1 + np.exp(-(base + random.normal(size=rows) - 1)))
    strong = 1 / (1 + np.exp(-(base + gain * label + 0.8 * random.normal(size=rows) - 1)))
    return label, strong, weak


def by_name(comparisons):
    return {c.metric: c for c in comparisons}


def rank_auc(label, score):
    ranks = stats.rankdata(score)[label]
    return (ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / (len(ranks) * (~label).sum())


PEERS = {
    "auc": rank_auc,
    "brier": lambda y, s: np.mean((s - y) ** 2),
    "recall": lambda y, s: np.mean(s[y] >= 0.5),
}


@pytest.mark.parametrize("decimals", [9, 1])
def test_a_draw_is_measured_as_the_drawn_rows_would_be(decimals):
    label, score, _ = scored(300)
    score = np.round(score, decimals)
    draws = compare._Classification(label, score, 0.5)
    picked = np.random.default_rng(3).integers(0, 300, 300)
    expected = performance.measure(label[picked], score[picked])
    found = draws.measure(picked)
    for name in found:
        assert found[name] == pytest.approx(expected[name], abs=1e-12), name
    assert set(expected) - set(found) == performance.NEITHER


@pytest.mark.parametrize("metric", ["auc", "brier", "recall"])
def test_intervals_agree_with_scipy(metric):
    label, strong, weak = scored(400)
    peer = PEERS[metric]

    def statistic(y, a, b):
        y = y.astype(bool)  # scipy stacks the three samples into one array of doubles
        return peer(y, a) - peer(y, b)

    theirs = stats.bootstrap(
        (label, strong, weak),
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=1500,
        method="percentile",
        rng=np.random.default_rng(5),
    )
    ours = by_name(paired_bootstrap(label, strong, weak, resamples=4000, seed=1))[metric]
    # Monte Carlo error of a 2.5 % quantile with 1,500 draws is about 0.07 standard deviations
    slack = 0.3 * theirs.standard_error
    assert PEERS["auc"](label, strong) == pytest.approx(sk.roc_auc_score(label, strong))
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=slack)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=slack)
    assert ours.difference == pytest.approx(statistic(label, strong, weak))


def delong_standard_error(label, a, b):
    """Standard error of the difference of two correlated AUCs (DeLong, DeLong and Clarke-Pearson 1988)."""
    placements = []
    for score in (a, b):
        positive, negative = score[label], score[~label]
        wins = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
        placements.append((wins.mean(axis=1), wins.mean(axis=0)))
    of_positives = np.cov(placements[0][0] - placements[1][0])
    of_negatives = np.cov(placements[0][1] - placements[1][1])
    return np.sqrt(of_positives / label.sum() + of_negatives / (~label).sum())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_auc_interval_has_delongs_width(seed):
    label, strong, weak = scored(2_000, seed=seed)
    found = by_name(paired_bootstrap(label, strong, weak, resamples=1500, seed=seed))["auc"]
    width = 2 * stats.norm.ppf(0.975) * delong_standard_error(label, strong, weak)
    assert found.high - found.low == pytest.approx(width, rel=0.12)


def test_regression_agrees_with_scipy():
    random = np.random.default_rng(0)
    label = random.normal(size=300)
    a, b = label + 0.5 * random.normal(size=300), label + 0.6 * random.normal(size=300)

    def statistic(y, s, t):
        return np.sqrt(np.mean((s - y) ** 2)) - np.sqrt(np.mean((t - y) ** 2))

    theirs = stats.bootstrap(
        (label, a, b),
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=3000,
        method="percentile",
        rng=np.random.default_rng(5),
    )
    found = by_name(paired_bootstrap(label, a, b, task="regression", resamples=3000))
    assert set(found) == {"rmse", "mae", "r2"}
    assert found["rmse"].low == pytest.approx(theirs.confidence_interval.low, abs=0.3 * theirs.standard_error)
    assert found["rmse"].difference < 0
    assert found["rmse"].probability_better > 0.9
    assert found["r2"].probability_better == pytest.approx(found["rmse"].probability_better, abs=0.02)


def test_better_is_higher_or_lower_by_the_metric():
    label, strong, weak = scored(5_000, gain=0.6)
    found = by_name(paired_bootstrap(label, strong, weak, resamples=200))
    assert found["auc"].difference > 0
    assert found["auc"].probability_better == 1.0
    assert found["log_loss"].probability_better + 0.0 == (
        1.0 if found["log_loss"].high < 0 else found["log_loss"].probability_better
    )
    turned = by_name(paired_bootstrap(label, weak, strong, resamples=200))
    for name, comparison in found.items():
        assert turned[name].difference == -comparison.difference
        assert turned[name].probability_better == pytest.approx(1 - comparison.probability_better)
    assert "positive_rate" not in found


def test_a_model_is_as_good_as_itself():
    label, score, _ = scored(500)
    for comparison in paired_bootstrap(label, score, score, resamples=100):
        assert (comparison.difference, comparison.low, comparison.high) == (0, 0, 0)
        assert comparison.probability_better == 0.5


def test_the_same_seed_gives_the_same_interval():
    label, strong, weak = scored(300)
    first, again, other = (paired_bootstrap(label, strong, weak, resamples=150, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_metric_that_most_draws_do_not_define_is_not_compared():
    label = np.zeros(30, dtype=bool)
    label[0] = True
    score = np.linspace(0.1, 0.9, 30)
    found = by_name(paired_bootstrap(label, score, score[::-1], resamples=200))
    assert found["auc"].resamples < 200
    assert paired_bootstrap(np.zeros(5), np.full(5, 0.5), np.full(5, 0.4), resamples=100)[0].metric == "log_loss"


def test_each_model_is_held_to_its_own_threshold():
    label, score, _ = scored(400)
    found = by_name(paired_bootstrap(label, score, score, threshold=0.3, champion_threshold=0.7, resamples=100))
    assert found["recall"].difference > 0
    assert found["auc"].difference == 0


def test_lengths_must_agree():
    with pytest.raises(Fault, match="3 labels, 3 scores of the challenger and 2 of the champion"):
        paired_bootstrap([0, 1, 1], [0.1, 0.2, 0.3], [0.1, 0.2])


@pytest.mark.parametrize(
    ("comparison", "words"),
    [
        (("auc", 0.012, 0.008, 0.016, 1.0), "0.012 better, 95 % interval 0.008 to 0.016, probability better 1.00"),
        (("auc", -0.012, -0.016, 0.001, 0.04), "0.012 worse, 95 % interval -0.016 to 0.001, probability better 0.04"),
        (
            ("log_loss", -0.02, -0.03, -0.01, 0.99),
            "0.020 better, 95 % interval 0.010 to 0.030, probability better 0.99",
        ),
        (
            ("auc", 0.00012, -0.0001, 0.0003, 0.8),
            "0.000120 better, 95 % interval -0.000100 to 0.000300, probability better 0.80",
        ),
        (("auc", 0.0, 0.0, 0.0, 0.5), "equal, 95 % interval 0.000 to 0.000, probability better 0.50"),
    ],
)
def test_comparisons_in_words(comparison, words):
    metric, difference, low, high, probability = comparison
    made = Comparison(
        metric=metric,
        challenger=0.7 + difference,
        champion=0.7,
        difference=difference,
        low=low,
        high=high,
        probability_better=probability,
    )
    assert in_words(made) == words


def test_docstring_examples_hold():
    assert doctest.testmod(compare).failed == 0


def test_models_of_several_classes_are_measured_on_each_draw_as_on_all_rows():
    random = np.random.default_rng(3)
    label = random.integers(0, 3, 150)
    weak = random.random((150, 3)) + 0.4 * np.eye(3)[label]
    strong = random.random((150, 3)) + 1.2 * np.eye(3)[label]
    weak, strong = (each / each.sum(axis=1, keepdims=True) for each in (weak, strong))
    names = ("x", "y", "z")
    texts = np.array(names, dtype=object)[label]
    found = by_name(paired_bootstrap(texts, strong, weak, task="multiclass", resamples=100, classes=names))
    assert tuple(found) == performance.MULTICLASS
    assert all(c.probability_better > 0.95 for c in found.values())
    draws = compare._Multiclass(label, strong, 3)
    picked = random.integers(0, 150, 150)
    expected = performance.measure(texts[picked], strong[picked], task="multiclass", classes=names)
    assert draws.measure(picked) == pytest.approx(expected)


def test_without_probabilities_what_was_said_is_compared():
    label = np.array([0, 1, 2] * 20)
    found = by_name(paired_bootstrap(label, label, np.zeros(60), task="multiclass", resamples=100, classes=(0, 1, 2)))
    assert tuple(found) == performance.MULTICLASS[:4]
    assert found["accuracy"].difference == pytest.approx(2 / 3)
