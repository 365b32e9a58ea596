"""Measures against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from roadworthy.gates.measures import performance
from roadworthy.nouns.errors import Fault


def peers(label, score, threshold):
    said = score >= threshold
    return {
        "auc": sk.roc_auc_score(label, score),
        "average_precision": sk.average_precision_score(label, score),
        "log_loss": sk.log_loss(label, np.column_stack([1 - score, score])),
        "brier": sk.brier_score_loss(label, score),
        "accuracy": sk.accuracy_score(label, said),
        "precision": sk.precision_score(label, said, zero_division=0),
        "recall": sk.recall_score(label, said),
        "f1": sk.f1_score(label, said, zero_division=0),
        "positive_rate": said.mean(),
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 200), st.sampled_from([1, 2, 6]), st.sampled_from([0.2, 0.5, 0.9]))
def test_classification_agrees_with_scikit_learn_ties_included(seed, rows, decimals, threshold):
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, rows)
    label[:2] = [0, 1]
    score = np.round(random.random(rows), decimals)
    found = performance.measure(label, score, threshold=threshold)
    assert tuple(found) == performance.CLASSIFICATION
    for name, value in peers(label, score, threshold).items():
        assert found[name] == pytest.approx(value, abs=1e-10), name


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.integers(2, 50), elements=st.floats(-1e3, 1e3)), st.integers(0, 99))
def test_regression_agrees_with_scikit_learn(label, seed):
    score = label + np.random.default_rng(seed).normal(size=len(label))
    found = performance.measure(label, score, task="regression")
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(label, score))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(label, score))
    if np.ptp(label) > 1e-3:
        assert found["r2"] == pytest.approx(sk.r2_score(label, score), rel=1e-6, abs=1e-6)


def test_what_is_not_defined_is_left_out():
    all_no = performance.measure([0, 0, 0], [0.1, 0.2, 0.3])
    assert "auc" not in all_no
    assert "recall" not in all_no
    assert all_no["accuracy"] == 1.0
    all_yes = performance.measure([1, 1], [0.1, 0.9])
    assert "auc" not in all_yes
    assert all_yes["recall"] == 0.5
    assert performance.measure([], []) == {}
    assert performance.measure([], [], task="regression") == {}
    assert "r2" not in performance.measure([1.0, 1.0], [1.0, 2.0], task="regression")


@pytest.mark.parametrize(
    "label",
    [
        [False, True, True],
        [0, 1, 1],
        [0.0, 1.0, 1.0],
        ["no", "yes", "yes"],
        [1, 2, 2],
        np.array([0, 1, 1], dtype="int8"),
    ],
)
def test_labels_of_two_values_are_told_apart_in_any_form(label):
    assert performance.as_truth(label).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("label", "score", "said"),
    [
        ([0, 1], [0.1], "2 labels and 1 scores"),
        ([0, 1], [0.1, np.nan], "1 of 2 scores are missing or infinite"),
        ([0, 1], ["a", "b"], "not a number"),
        ([0, np.nan], [0.1, 0.2], "some labels are missing"),
        (["a", None], [0.1, 0.2], "some labels are missing"),
        ([0, 1, 2], [0.1, 0.2, 0.3], "labels have 3 values"),
        ([0, 1], [[0.1, 0.9], [0.2, 0.8]], "one score per row"),
    ],
)
def test_what_cannot_be_measured_is_refused(label, score, said):
    with pytest.raises(Fault, match=said):
        performance.measure(label, score)


def peers_of_several(label, probabilities):
    said = probabilities.argmax(axis=1)
    kinds = list(range(probabilities.shape[1]))
    return {
        "accuracy": sk.accuracy_score(label, said),
        "f1_macro": sk.f1_score(label, said, average="macro", zero_division=0),
        "precision_macro": sk.precision_score(label, said, average="macro", zero_division=0),
        "recall_macro": sk.recall_score(label, said, average="macro", zero_division=0),
        "log_loss": sk.log_loss(label, probabilities, labels=kinds),
        "auc_ovr": sk.roc_auc_score(label, probabilities, multi_class="ovr", average="macro", labels=kinds),
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 6), st.integers(8, 150), st.sampled_from([1, 8]))
def test_several_classes_agree_with_scikit_learn(seed, kinds, rows, decimals):
    random = np.random.default_rng(seed)
    label = random.integers(0, kinds, rows)
    label[:kinds] = np.arange(kinds)
    probabilities = np.round(random.random((rows, kinds)), decimals) + 0.01
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = [f"kind {n}" for n in range(kinds)]
    found = performance.measure(
        np.array(names, dtype=object)[label], probabilities, task="multiclass", classes=names
    )  # fmt: skip
    assert tuple(found) == performance.MULTICLASS
    for name, value in peers_of_several(label, probabilities).items():
        assert found[name] == pytest.approx(value, abs=1e-10), name
    places = performance.measure(label, probabilities.argmax(axis=1), task="multiclass", classes=range(kinds))
    assert places == {name: found[name] for name in performance.MULTICLASS[:4]}


def test_classes_that_are_not_there_are_left_out_as_scikit_learn_does():
    label, said = np.array([0, 0, 2, 2, 2]), np.array([0, 2, 2, 2, 0])
    found = performance.measure(label, said, task="multiclass", classes=(0, 1, 2, 3))
    assert found["recall_macro"] == pytest.approx(sk.recall_score(label, said, average="macro"))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(label, said, average="macro"))
    probabilities = np.eye(4)[said]
    assert "auc_ovr" not in performance.measure(label, probabilities, task="multiclass", classes=(0, 1, 2, 3))


@pytest.mark.parametrize(
    ("label", "score", "what"),
    [
        (["a", "z"], [0, 1], "'z' is none of the model's 3 classes"),
        (["a", None], [0, 1], "None is none"),
        (["a", "b"], [0, 3], "no place among 3 classes"),
        (["a", "b"], np.ones((2, 2)), "2 probabilities a row for 3 classes"),
        (["a", "b"], np.full((2, 3), np.nan), "missing or infinite"),
        (["a", "b"], [0], "2 labels and 1 scores"),
    ],
)
def test_several_classes_that_do_not_fit_are_refused(label, score, what):
    with pytest.raises(Fault) as caught:
        performance.measure(np.array(label, dtype=object), score, task="multiclass", classes=("a", "b", "c"))
    assert what in caught.value.what
