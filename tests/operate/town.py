"""A whole small project that can be taken down the road: buses that are late more often when it rains.

Its history is drawn from a seed: for 40 days the weather is as it was, then it turns. One batch a day, labels two days
later.
"""

import socket

PROJECT = """
[project]
name = "buses"
[data.trips]
python = "source:known"
[data.trips.contract]
forbidden = ["arrived"]
[pipeline]
module = "pipeline"
[params]
regularization = 1.0
[model]
name = "late-buses"
step = "model"
holdout = "holdout"
label = "late"
features = ["rain", "load", "line"]
[gate]
resamples = 100
rules = [{gate}]
[release.local]
port = {port}
[release.local.canary]
shares = ["50%"]
min_rows = 60
patience = "20d"
rules = ["canary.errors.share <= 0.05"]
[serving]
key = "trip"
entity = "bus"
time = "at"
flush = "200ms"
[monitor.drift]
window = "10d"
min_rows = 100
rules = ["drift.large.count == 0"]
action = "retrain"
[monitor.quality]
window = "10d"
min_rows = 100
rules = ["performance.auc >= 0.5", "errors.share <= 0.01"]
[operate]
every = "10d"
"""

PIPELINE = """
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import roadworthy as rw

FEATURES = ["rain", "load", "line"]


@rw.step
def recent(trips: pd.DataFrame) -> pd.DataFrame:
    at = pd.to_datetime(trips["at"], utc=True)
    return trips[at >= at.max() - pd.Timedelta(days=20)].reset_index(drop=True)


@rw.step
def training(recent: pd.DataFrame) -> pd.DataFrame:
    return recent[recent["trip"].str[-1].astype(int) % 2 == 0].reset_index(drop=True)


@rw.step
def holdout(recent: pd.DataFrame) -> pd.DataFrame:
    return recent[recent["trip"].str[-1].astype(int) % 2 == 1].reset_index(drop=True)


@rw.step
def model(training: pd.DataFrame, regularization: float):
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["line"]), remainder="passthrough")
    return make_pipeline(encode, LogisticRegression(C=regularization)).fit(training[FEATURES], training["late"])
"""

SOURCE = """
import datetime as dt

import numpy as np
import pandas as pd

START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TURN = 40
DAYS = {days}
ROWS = {rows}


def day(n):
    random = np.random.default_rng(n)
    rain = random.gamma(2.0, 1.0 if n < TURN else 4.0, ROWS)
    load = random.normal(50, 10, ROWS)
    line = random.choice(["A", "B", "C"], ROWS)
    chance = 1 / (1 + np.exp(2.5 - rain * 0.7 - (line == "A")))
    return pd.DataFrame(
        {{
            "trip": [f"{{n}}-{{i}}" for i in range(ROWS)],
            "bus": [f"bus {{i % 37}}" for i in range(ROWS)],
            "at": [START + n * DAY + i * DAY / ROWS for i in range(ROWS)],
            "rain": rain,
            "load": load,
            "line": line,
            "late": (random.random(ROWS) < chance).astype(int),
        }}
    )


def known(now: dt.datetime):
    days = min((now - START) // DAY, DAYS)
    return pd.concat([day(n) for n in range(max(days - 30, 0), days)], ignore_index=True)


def history():
    for n in range(20, DAYS):
        past = day(n - 2) if n >= 22 else None
        yield START + n * DAY, day(n).drop(columns="late"), None if past is None else past[["trip", "late"]]
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def files(*, gate='"metrics.auc >= 0.6"', days=60, rows=40, port=None):
    return {
        "roadworthy.toml": PROJECT.format(gate=gate, port=port or free_port()),
        "pipeline.py": PIPELINE,
        "source.py": SOURCE.format(days=days, rows=rows),
    }
