"""What must stay true of the data whatever is changed: nothing leaks, and production sees what training sees."""

import datetime as dt
import tomllib
from collections.abc import Iterator
from pathlib import Path

import features
import numpy as np
import pandas as pd
import pytest
import source

APRIL = dt.datetime(2013, 4, 1, 9, tzinfo=dt.UTC)
PRODUCTION = tomllib.loads((Path(source.__file__).parent / "production.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return source.departed(APRIL)


@pytest.fixture
def read_again() -> Iterator[None]:
    """Let the year be read again, before and after."""
    source.year.cache_clear()
    yield
    source.year.cache_clear()


def test_no_column_says_what_is_known_only_after_departure(flights: pd.DataFrame) -> None:
    forbidden = set(PRODUCTION["data"]["flights"]["contract"]["forbidden"])
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


def test_a_broken_wind_report_counts_as_missing(flights: pd.DataFrame) -> None:
    assert (flights["wind_speed"] > features.WIND_MPH_MAX).any()
    assert not (features.known_before_departure(flights)["wind_speed"] > features.WIND_MPH_MAX).any()
