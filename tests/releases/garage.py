"""Models with certificates for tests of releases, made without a pipeline; requests over real HTTP."""

import functools
import http.client
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from roadworthy.data.formats import registry as formats
from roadworthy.gates import certificate, rules
from roadworthy.nouns.evidence import Evidence
from roadworthy.nouns.model import Model
from roadworthy.registry import models
from roadworthy.serving import signature
from roadworthy.store.store import Store

FEATURES = ["distance", "carrier"]
TOML = """
[project]
name = "flights"

[model]
name = "late"
step = "model"
holdout = "holdout"
label = "late"

[release.local]
port = {port}

[release.local.canary]
shares = ["30%"]
min_rows = 60
patience = "1h"
rules = [
    "canary.errors.share <= live.errors.share + 0.05",
    "canary.score.psi <= 0.5",
]

[serving]
entity = "tailnum"
key = "id"
flush = "100ms"
"""


def rows(count: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({
        "distance": random.normal(1000.0, 300.0, count),
        "carrier": random.choice(["AA", "B6", "DL"], count),
        "tailnum": [f"N{n}" for n in random.integers(0, 500, count)],
        "id": [f"{seed}-{n}" for n in range(count)],
    })  # fmt: skip


def late(table: pd.DataFrame, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed + 1).normal(0, 150, len(table))
    return (table["distance"] + 200 * (table["carrier"] == "B6") + noise > 1100).astype(int).to_numpy()


def certified(store: Store, *, seed: int = 0, kind: str = "good", passed: bool = True) -> Model:
    """Train, register and certify a version of the model `late`.

    Args:
        kind: `good`; `drifting`, which says late far more often; `erring`, which knows no carrier but AA and fails; `unloadable`,
            which is no model at all.
    """
    made: Any = {"not": "an estimator"} if kind == "unloadable" else _trained(seed, kind)
    model = models.register(
        store,
        Model(
            name="late", version=0, run=store.ids.new(), value=formats.save(store.blobs, made, format="skops"),
            signature=signature.infer(rows(10)[FEATURES]), label="late", project="flights",
        ),
    )  # fmt: skip
    facts = {"metrics": {"auc": 0.8}}
    evidence = Evidence(model=model.id, model_digest=model.value.digest, facts=facts)
    limit = 0.7 if passed else 0.9
    certificate.issue(store, evidence, rules.judge([f"metrics.auc >= {limit}"], facts), project="flights")
    return model


@functools.cache
def _trained(seed: int, kind: str) -> Any:
    table = rows(400, seed)
    label = late(table, seed)
    if kind == "drifting":
        label = np.where(np.random.default_rng(seed).random(400) < 0.95, 1, label)
    training = table[FEATURES]
    if kind == "erring":
        keep = (training["carrier"] == "AA").to_numpy()
        training, label = training[keep], label[keep]
    encode = ColumnTransformer(
        [("carrier", OneHotEncoder(handle_unknown="error"), ["carrier"])], remainder="passthrough"
    )
    return make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(training, label)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(
    port: int, table: pd.DataFrame, *, kept: http.client.HTTPConnection | None = None
) -> tuple[int, Any, dict[str, str]]:
    """Score rows: status, body and headers; over a connection of its own, or one that is kept."""
    connection = kept or http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    try:
        body = json.dumps({"dataframe_records": table.to_dict("records")})
        connection.request("POST", "/invocations", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None, {k.lower(): v for k, v in answer.getheaders()}
    finally:
        if kept is None:
            connection.close()


def project(root: Path, port: int, more: str = "") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "roadworthy.toml").write_text(TOML.format(port=port) + more, "utf-8")
    return root
