"""What must stay true whatever is changed: nothing leaks, time is respected, training and production see the same."""

import datetime as dt
import tomllib
from collections.abc import Iterator
from pathlib import Path

import features
import numpy as np
import pandas as pd
import pipeline
import pytest
import source
from sklearn.metrics import roc_auc_score

APRIL = dt.datetime(2013, 4, 1, 9, tzinfo=dt.UTC)
SETTINGS = tomllib.loads((Path(source.__file__).parent / "roadworthy.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return source.departed(APRIL)


@pytest.fixture
def read_again() -> Iterator[None]:
    """Let the year be read again, before and after."""
    source.year.cache_clear()
    yield
    source.year.cache_clear()


@pytest.fixture(autouse=True)
def tracked_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the steps log goes into a store of the test's own."""
    monkeypatch.chdir(tmp_path)


def test_no_column_says_what_is_known_only_after_departure(flights: pd.DataFrame) -> None:
    forbidden = set(SETTINGS["data"]["flights"]["contract"]["forbidden"])
    assert forbidden == {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    assert not forbidden & set(flights.columns)
    assert not forbidden & set(features.FEATURES)


@pytest.mark.usefixtures("read_again")
def test_what_becomes_of_a_flight_does_not_change_its_features(monkeypatch: pytest.MonkeyPatch) -> None:
    before = features.known_before_departure(source.departed(APRIL))[["id", *features.FEATURES]]
    really_read = source.read

    def another_outcome(name: str) -> pd.DataFrame:
        table = really_read(name)
        if name == "flights.csv.zip":
            known = table["arr_delay"].notna()
            outcomes = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
            table.loc[known, outcomes] = np.random.default_rng(7).integers(0, 500, (known.sum(), len(outcomes)))
        return table

    source.year.cache_clear()
    monkeypatch.setattr(source, "read", another_outcome)
    after = features.known_before_departure(source.departed(APRIL))[["id", *features.FEATURES]]
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.usefixtures("read_again")
def test_weather_of_the_last_hour_before_departure_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    noon = pd.Timestamp("2013-02-01 12:00", tz="UTC")
    really_read = source.read

    def storm_from_noon(name: str) -> pd.DataFrame:
        table = really_read(name)
        if name == "weather.csv":
            table.loc[pd.to_datetime(table["time_hour"], utc=True) >= noon, "wind_speed"] = 99.0
        return table

    source.year.cache_clear()
    monkeypatch.setattr(source, "read", storm_from_noon)
    flights = source.departed(APRIL)
    stormy = flights[flights["wind_speed"] == 99.0]
    assert len(stormy) > 1000
    assert stormy["scheduled"].min() - noon >= pd.Timedelta(hours=1)


def test_only_flights_whose_arrival_was_reported_are_seen(flights: pd.DataFrame) -> None:
    assert flights["scheduled"].max() < pd.Timestamp("2013-03-31", tz="UTC")
    assert flights["id"].is_unique
    assert len(source.departed(dt.datetime(2012, 12, 31, tzinfo=dt.UTC))) == 0


def test_the_replay_is_the_rest_of_the_year_with_each_label_a_day_late() -> None:
    asked: dict[str, dt.datetime] = {}
    known: dict[str, dt.datetime] = {}
    for moment, rows, labels in source.replay():
        assert "late" not in rows.columns
        assert (rows["scheduled"] < pd.Timestamp(moment)).all()
        asked |= dict.fromkeys(rows["id"], moment)
        known |= dict.fromkeys(labels["id"], moment)
    assert len(asked) == 249_537
    late = [known[flight] - asked[flight] for flight in asked if flight in known]
    assert len(late) > 248_000
    assert set(late) == {dt.timedelta(days=1)}


def test_production_rows_are_the_rows_of_training() -> None:
    first = next(source.replay())[1].set_index("id")
    later = pipeline.prepared(source.departed(dt.datetime(2013, 4, 8, tzinfo=dt.UTC))).set_index("id")
    pd.testing.assert_frame_equal(first[features.FEATURES], later.loc[first.index, features.FEATURES])


def test_the_project_file_names_the_columns_of_the_pipeline() -> None:
    assert SETTINGS["model"]["features"] == features.FEATURES
    assert SETTINGS["model"]["label"] == pipeline.LABEL


def test_the_model_is_judged_on_what_came_after_all_it_has_seen(flights: pd.DataFrame) -> None:
    prepared = pipeline.prepared(flights)
    train, holdout = pipeline.train(prepared, 28), pipeline.holdout(prepared, 28)
    assert len(train) + len(holdout) == len(prepared)
    assert train["scheduled"].max() < holdout["scheduled"].min()
    model = pipeline.model(train, learning_rate=0.1, max_iter=20, max_leaf_nodes=31, l2_regularization=1.0, seed=7)
    score = model.predict_proba(holdout[features.FEATURES])[:, 1]
    assert roc_auc_score(holdout["late"], score) > 0.68


def test_a_flight_of_an_airline_never_seen_before_is_scored(flights: pd.DataFrame) -> None:
    train = pipeline.prepared(flights.head(20_000))
    model = pipeline.model(train, learning_rate=0.1, max_iter=5, max_leaf_nodes=8, l2_regularization=1.0, seed=7)
    row = train[features.FEATURES].head(1).assign(carrier="ZZ", dest="XXX", temp=np.nan)
    assert 0 < model.predict_proba(row)[0, 1] < 1


def test_a_broken_wind_report_counts_as_missing(flights: pd.DataFrame) -> None:
    assert (flights["wind_speed"] > features.WIND_MPH_MAX).any()
    assert not (features.known_before_departure(flights)["wind_speed"] > features.WIND_MPH_MAX).any()
