"""A small project whose model passes the gate: data made here, a scikit-learn pipeline, a store that holds both."""

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from roadworthy.data.formats.registry import save
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Place, Project
from roadworthy.nouns.run import CodeVersion, Environment, MetricPoint, Run
from roadworthy.nouns.step import StepRun
from roadworthy.registry import metrics, models, runs
from roadworthy.serving.signature import infer

FEATURES = ["carrier", "hour", "distance"]


def flights(rows, seed):
    """Flights whose delays depend on hour and carrier."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "carrier": random.choice(["AA", "B6", "9E"], rows),
            "hour": random.integers(5, 24, rows),
            "distance": random.uniform(100, 2500, rows).round(1),
        }
    )
    drive = 0.25 * (frame["hour"] - 15) + 0.8 * (frame["carrier"] == "9E") - 1.0
    frame["late"] = (random.random(rows) < 1 / (1 + np.exp(-drive))).astype("int64")
    return frame


def trained(features, seed=0, rows=2_000):
    frame = flights(rows, seed)
    kinds = [("c", OneHotEncoder(), ["carrier"])] if "carrier" in features else []
    numbers = [name for name in features if name != "carrier"]
    columns = ColumnTransformer([*kinds, ("n", StandardScaler(), numbers)])
    return make_pipeline(columns, LogisticRegression()).fit(frame[features], frame["late"])


@pytest.fixture
def place(tmp_path):
    """A project read from a mapping, as its file would be."""

    def make(**gate):
        rules = {"rules": ["metrics.auc >= 0.66", "metrics.auc >= champion.metrics.auc - 0.005"], "slices": ["carrier"]}
        table = {"project": {"name": "flights"}, "gate": {**rules, "resamples": 100, **gate}}
        table["model"] = {"name": "late", "step": "model", "holdout": "holdout", "label": "late"}
        return Place(root=tmp_path, project=msgspec.convert(table, Project))

    return make


@pytest.fixture
def register(store):
    """Train, store and register a version, with the run that made it."""

    def make(features=FEATURES, *, estimator=None, holdout_rows=1_500, **changes):
        estimator = estimator or trained(features)
        run = runs.start(
            store,
            Run(
                id=store.ids.new(), project="flights", params={"seed": 7},
                code=CodeVersion(digest="c" * 64, commit="abc", dirty=False), environment=Environment(lock="e" * 64),
            ),
        )  # fmt: skip
        runs.settle_step(store, run.id, 0, StepRun(step="model", status="ran", cpu_s=1.25))
        metrics.log(store, run.id, [MetricPoint(key="auc", value=0.999), MetricPoint(key="train_rows", value=2_000.0)])
        runs.finish(store, run.id, "finished")
        holdout = flights(holdout_rows, seed=1)
        model = Model(
            name="late", version=0, run=run.id, value=save(store.blobs, estimator), label="late", project="flights",
            signature=infer(holdout, features), holdout=save(store.blobs, holdout), slices=("carrier",),
        )  # fmt: skip
        return models.register(store, msgspec.structs.replace(model, **changes))

    return make
