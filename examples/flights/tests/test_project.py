"""What must stay true of the project made of the notebook: time is respected, training and production see the same."""

import datetime as dt
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import features
import numpy as np
import pandas as pd
import pytest
import source
from sklearn.metrics import roc_auc_score

APRIL = dt.datetime(2013, 4, 1, 9, tzinfo=dt.UTC)
STEPS = ["calendar", "prepared", "train", "holdout", "model", "evaluation", "curves"]
SETTINGS = {"learning_rate": 0.1, "l2_regularization": 1.0, "seed": 7}


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return source.departed(APRIL)


@pytest.fixture(autouse=True)
def tracked_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the steps log goes into a store of the test's own."""
    monkeypatch.chdir(tmp_path)


def settings_of(made: Path) -> dict:
    return tomllib.loads((made / "roadworthy.toml").read_text("utf-8"))


def test_it_was_shown_to_do_what_the_notebook_does(made: Path) -> None:
    said = json.loads((made / "said.json").read_text("utf-8"))
    proof = said["proof"]
    assert proof["verdict"] == "identical", proof
    compared = {each["what"]: each["type"] for each in proof["compared"]}
    assert compared["flights"] == "pandas DataFrame"
    assert compared["model"] == "sklearn Pipeline"
    assert {"metric auc", "metric average_precision", "metric brier"} <= compared.keys()


def test_it_reads_as_a_person_would_have_written_it(made: Path) -> None:
    assert json.loads((made / "said.json").read_text("utf-8"))["steps"] == STEPS
    text = (made / "pipeline.py").read_text("utf-8")
    left = [word for word in (".head(", "permutation_importance", "LogisticRegression", "by_carrier") if word in text]
    assert left == []


def test_it_is_gated_as_it_was_made(made: Path) -> None:
    settings = tomllib.loads((made / "as-made.toml").read_text("utf-8"))
    assert settings["params"] == {
        "holdout_days": 28, "learning_rate": 0.08, "max_iter": 120, "max_leaf_nodes": 31, "l2_regularization": 10.0,
        "seed": 7,
    }  # fmt: skip
    model = settings["model"]
    assert (model["step"], model["holdout"], model["label"]) == ("model", "holdout", "late")
    assert [rule["rule"] for rule in settings["gate"]["rules"] if rule["rule"].startswith("metrics.auc >= 0.6")]


def test_production_adds_to_the_project_and_keeps_the_rest(made: Path) -> None:
    before, after = tomllib.loads((made / "as-made.toml").read_text("utf-8")), settings_of(made)
    assert after["params"] == before["params"]
    assert after["model"] == before["model"] | {"threshold": 0.25}
    assert after["model"]["features"] == features.FEATURES
    assert after["data"]["flights"]["python"] == "source:departed"
    assert after["monitor"].keys() == {"drift", "performance", "service"}
    rw = Path(sys.executable).with_name("rw")
    assert subprocess.run([rw, "status", "--json"], cwd=made, capture_output=True, check=False).returncode == 0


def test_production_rows_are_the_rows_of_training(pipeline: ModuleType) -> None:
    first = next(source.replay())[1].set_index("id")
    later = pipeline.prepared(source.departed(dt.datetime(2013, 4, 8, tzinfo=dt.UTC))).set_index("id")
    pd.testing.assert_frame_equal(first[features.FEATURES], later.loc[first.index, features.FEATURES])


def test_the_model_is_judged_on_what_came_after_all_it_has_seen(pipeline: ModuleType, flights: pd.DataFrame) -> None:
    prepared = pipeline.prepared(flights)
    train, holdout = pipeline.train(prepared, 28), pipeline.holdout(prepared, 28)
    assert len(train) + len(holdout) == len(prepared)
    assert train["scheduled"].max() < holdout["scheduled"].min()
    model = pipeline.model(train, max_iter=20, max_leaf_nodes=31, **SETTINGS)
    score = model.predict_proba(holdout[features.FEATURES])[:, 1]
    assert roc_auc_score(holdout["late"], score) > 0.68


def test_a_flight_of_an_airline_never_seen_before_is_scored(pipeline: ModuleType, flights: pd.DataFrame) -> None:
    train = pipeline.prepared(flights.head(20_000))
    model = pipeline.model(train, max_iter=5, max_leaf_nodes=8, **SETTINGS)
    row = train[features.FEATURES].head(1).assign(carrier="ZZ", dest="XXX", temp=np.nan)
    assert 0 < model.predict_proba(row)[0, 1] < 1
