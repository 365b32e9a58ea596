"""A signature allows what training had; equal models are one version."""

from collections.abc import Callable

from roadworthy.pipelines import registration
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
