"""A served model without servers: a registered version with a profile, and an inference log as the servers write it."""

import numpy as np
import pandas as pd
import pytest

from roadworthy.gates.measures import drift
from roadworthy.nouns.model import Field, Model, Signature
from roadworthy.nouns.project import About, MonitorSpec, Operate, Place, Project, Target
from roadworthy.nouns.step import Value
from roadworthy.registry import models
from roadworthy.serving import inference_rows

DAY = 86_400.0
# midnight UTC
MIDNIGHT = 1_700_006_400.0


def features(rng, n, *, shift=0.0):
    return pd.DataFrame(
        {
            "distance": rng.normal(shift, 1, n),
            "carrier": rng.choice(["AA", "B6", "DL"], n),
            "hour": rng.integers(0, 24, n),
        }
    )


def scores(table):
    return 1 / (1 + np.exp(-(table["distance"].to_numpy() + (table["carrier"] == "AA"))))


class Served:
    """Writes what servers would: Parquet files of served rows, and labels later."""

    def __init__(self, store, target="local"):
        self.store = store
        self.folder = store.home / "inference" / target
        self.count = 0
        self.files = 0

    def register(self, name="late", rows=4000, seed=0):
        rng = np.random.default_rng(seed)
        table = features(rng, rows)
        made = drift.profile(table, tuple(table.columns), scores(table))
        model = Model(
            name=name,
            version=0,
            run=f"run-{seed}",
            value=Value(format="skops", digest=f"{seed:064x}", size=1),
            signature=Signature(
                inputs=(
                    Field(name="distance", type="number"),
                    Field(name="carrier", type="string"),
                    Field(name="hour", type="integer"),
                )
            ),
            label="late",
            profile=self.store.blobs.put(drift.encode(made)),
            project="p",
        )
        return models.register(self.store, model)

    def serve(self, model, start, end, n=1000, *, seed=1, shift=0.0, table=None, latency=2.0, route="live"):
        """Rows evenly between two moments; their keys, with the truth that goes with the scores."""
        rng = np.random.default_rng(seed)
        table = features(rng, n, shift=shift) if table is None else table
        n = len(table)
        score = scores(table)
        keys = [f"k{self.count + i}" for i in range(n)]
        at = np.linspace(start, end, n, endpoint=False)
        log = table.assign(
            _model=model.id,
            _request=[f"r{(self.count + i) // 10}" for i in range(n)],
            _row=[i % 10 for i in range(n)],
            _at=at,
            _served_at=at,
            _key=keys,
            _entity=None,
            _score=score,
            _latency_ms=np.full(n, latency),
            _route=route,
        )
        log["_entity"] = log["_entity"].astype(str)
        date = pd.Timestamp(start, unit="s").date()
        folder = self.folder / f"date={date}"
        folder.mkdir(parents=True, exist_ok=True)
        self.files += 1
        log.to_parquet(folder / f"abcdef.{self.files:08d}-{self.files:08d}.parquet", index=False)
        self.count += n
        return pd.DataFrame({"_key": keys, "label": (rng.random(n) < score).astype(int)})

    def label(self, table, at):
        inference_rows.add_labels(self.store.home, table.assign(_at=at))


@pytest.fixture
def served(store):
    return Served(store)


@pytest.fixture
def place(store, tmp_path):
    """`place(rules, **settings)`: a project with one monitor called `drift`."""

    def make(*rules, name="drift", **settings):
        settings = {"window": "1d", "min_rows": 200, "rules": rules, **settings}
        return Place(
            root=store.home.parent,
            project=Project(
                project=About(name="p"),
                release={"local": Target()},
                operate=Operate(),
                monitor={name: MonitorSpec(**settings)},
            ),
        )

    return make
