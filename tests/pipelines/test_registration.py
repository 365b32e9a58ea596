"""A signature allows what training had; equal models are one version."""

from collections.abc import Callable

import pytest

from roadworthy.nouns.errors import Fault
from roadworthy.pipelines import registration
from roadworthy.registry import history, metrics
from tests.pipelines.conftest import Bench

TOML = """
[project]
name = "shop"
[model]
name = "spend"
step = "model"
holdout = "holdout"
label = "label"
features = ["age", "visits"]
"""
STEPS = """
import numpy as np
import pandas as pd
import roadworthy as rw
from sklearn.ensemble import HistGradientBoostingClassifier

@rw.step
def train() -> pd.DataFrame:
    age = np.arange(100.0)
    age[3] = np.nan
    return pd.DataFrame({"age": age, "visits": np.arange(100), "label": np.arange(100) % 2})

@rw.step
def holdout() -> pd.DataFrame:
    return pd.DataFrame({"age": np.arange(50.0), "visits": np.arange(50), "label": np.arange(50) % 2})

@rw.step
def model(train: pd.DataFrame) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=2).fit(train[["age", "visits"]], train["label"])
"""


def test_what_was_missing_in_training_may_be_missing_in_a_request(bench: Callable[[dict[str, str]], Bench]) -> None:
    shop = bench({"roadworthy.toml": TOML, "pipeline.py": STEPS})
    run = shop.run()
    made = registration.register(shop.store, shop.place, run)
    assert {field.name: field.nullable for field in made.signature.inputs} == {"age": True, "visits": False}
    assert registration.register(shop.store, shop.place, run) == made


def test_going_back_to_what_an_earlier_version_was_is_that_version(bench: Callable[[dict[str, str]], Bench]) -> None:
    shop = bench({"roadworthy.toml": TOML, "pipeline.py": STEPS})
    first = registration.register(shop.store, shop.place, shop.run())
    shop.write({"pipeline.py": STEPS.replace("max_iter=2", "max_iter=3")})
    second = registration.register(shop.store, shop.place, shop.run())
    shop.write({"pipeline.py": STEPS})
    again = registration.register(shop.store, shop.place, shop.run())
    assert (first.version, second.version, again.version) == (1, 2, 1)


def test_a_model_that_is_known_is_found_without_its_rows_and_brings_its_metrics(
    bench: Callable[[dict[str, str]], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = bench({"roadworthy.toml": TOML, "pipeline.py": STEPS})
    first = shop.run()
    made = registration.register(shop.store, shop.place, first)
    shop.write({"pipeline.py": STEPS + "\n@rw.step\ndef more() -> int:\n    return 1\n"})
    second = shop.run()
    assert second.id != first.id

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the rows were loaded")

    monkeypatch.setattr(registration.served, "predictor", never)
    assert registration.register(shop.store, shop.place, second) == made
    assert metrics.latest(shop.store, second.id)["auc"] == metrics.latest(shop.store, first.id)["auc"]
    points = len(history.of_run(shop.store, second.id, "auc"))
    registration.register(shop.store, shop.place, second)
    assert len(history.of_run(shop.store, second.id, "auc")) == points == 1


def test_sensitive_values_are_not_in_the_profile(bench: Callable[[dict[str, str]], Bench]) -> None:
    shop = bench({"roadworthy.toml": TOML + '[serving]\nsensitive = ["age"]\n', "pipeline.py": STEPS})
    made = registration.register(shop.store, shop.place, shop.run())
    assert made.profile is not None
    profile = shop.store.blobs.get(made.profile)
    assert b'"visits"' in profile
    assert b'"age"' not in profile


def test_a_hold_out_without_the_label_is_said(bench: Callable[[dict[str, str]], Bench]) -> None:
    shop = bench({"roadworthy.toml": TOML.replace('label = "label"', 'label = "lable"'), "pipeline.py": STEPS})
    with pytest.raises(Fault, match="has no column `lable`") as caught:
        registration.register(shop.store, shop.place, shop.run())
    assert "label" in caught.value.fix
