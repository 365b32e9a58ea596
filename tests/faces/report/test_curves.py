"""Curves against scikit-learn, on a model that went through the store."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from roadworthy.data.formats.registry import save
from roadworthy.faces.report.curves import POINTS_MAX, curves
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.model import Model
from roadworthy.serving.signature import infer
from roadworthy.store.store import Store


def rows(seed: int = 7, count: int = 2_000) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"a": random.normal(size=count), "b": random.normal(size=count).round(1)})
    return table.assign(y=(table["a"] + 0.5 * table["b"] + random.normal(size=count) > 0.7).astype(int))


def model_of(store: Store, estimator: object, table: pd.DataFrame, **more: object) -> Model:
    value, holdout = save(store.blobs, estimator), save(store.blobs, table)
    return Model(
        name="m",
        version=1,
        run="r",
        value=value,
        holdout=holdout,
        signature=infer(table, ["a", "b"]),
        label="y",
        **more,
    )


def test_areas_under_the_curves_are_those_of_scikit_learn(store: Store, tmp_path: Path) -> None:
    table = rows()
    estimator = LogisticRegression().fit(table[["a", "b"]], table["y"])
    found = curves(store, model_of(store, estimator, table), tmp_path)
    score = estimator.predict_proba(table[["a", "b"]])[:, 1]
    assert found.auc == pytest.approx(roc_auc_score(table["y"], score))
    assert found.average_precision == pytest.approx(average_precision_score(table["y"], score))
    assert len(found.roc) <= 2 * POINTS_MAX
    x, y = np.array(found.roc).T
    assert np.trapezoid(y, x) == pytest.approx(found.auc, abs=0.003)
    assert found.roc[0] == (0.0, 0.0)
    assert found.roc[-1] == (1.0, 1.0)
    assert sum(b.rows for b in found.calibration) == len(table)
    assert all(b.low <= b.seen <= b.high for b in found.calibration)
    assert sum(found.positives) == table["y"].sum()


def test_a_regression_is_a_cloud_of_points(store: Store, tmp_path: Path) -> None:
    table = rows().assign(y=lambda t: t["a"] * 3.0)
    estimator = LinearRegression().fit(table[["a", "b"]], table["y"])
    found = curves(store, model_of(store, estimator, table, task="regression"), tmp_path)
    assert found.roc == ()
    assert all(said == pytest.approx(seen) for said, seen in found.scatter)


def test_a_model_without_a_holdout_has_no_curves(store: Store, tmp_path: Path) -> None:
    table = rows()
    estimator = LogisticRegression().fit(table[["a", "b"]], table["y"])
    value = save(store.blobs, estimator)
    bare = Model(name="m", version=1, run="r", value=value, signature=infer(table, ["a", "b"]), label="y")
    with pytest.raises(Fault, match="no hold-out"):
        curves(store, bare, tmp_path)
