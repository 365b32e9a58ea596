"""Live evidence, from a real inference log and real labels, against NumPy and scikit-learn."""

from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Serving
from roadworthy.nouns.release import Release
from roadworthy.releases import evidence
from roadworthy.releases.targets.protocol import Counts, Observed, Server
from roadworthy.serving import inference_rows
from roadworthy.serving.bundle import Settings
from roadworthy.serving.inference_log import Entry, InferenceLog, folder_of
from roadworthy.store.clock import SystemClock
from roadworthy.store.store import Store
from tests.releases import garage

NOW = SystemClock().now()
SINCE = NOW - 100.0


def served(home: Path, model: Model, scores: np.ndarray, *, at: float = NOW, route: str = "live") -> None:
    """Rows as a model server logs them; latencies are 1, 2, 3… ms; keys `late@1-0`, `late@1-1`…"""
    log = InferenceLog(folder_of(home, "local"), model, Settings(serving=Serving(flush="1h")), SystemClock())
    table = garage.rows(len(scores))
    for i, score in enumerate(scores):
        columns = [[value] for value in table[garage.FEATURES].iloc[i].tolist()]
        log.offer(Entry(request=f"{route}{i}", rows=[0], columns=columns, scores=[float(score)], served_at=at,
                        latency_ms=float(i + 1), keys=[f"{model.id}-{i}"], route=route))  # fmt: skip
    log.close()


def pair(store: Store) -> tuple[Release, Release, Model, Model]:
    first, second = garage.certified(store, seed=1), garage.certified(store, seed=2)
    live = Release(id="a", model=first.id, target="local", certificate="c", status="live", share=0.9)
    canary = msgspec.structs.replace(
        live, id="b", model=second.id, status="canary", share=0.1, stage_served_since=SINCE,
        counted={"a": (1000, 10), "b": (0, 0)},
    )  # fmt: skip
    return canary, live, second, first


def observed(live: Counts, canary: Counts) -> Observed:
    servers = (
        Server(release="a", model="late@1", state="up", counts=live),
        Server(release="b", model="late@2", state="up", counts=canary),
    )
    return Observed(up=True, servers=servers)


def test_counts_are_those_of_the_stage_and_rows_those_served_since(store: Store) -> None:
    canary, live, second, first = pair(store)
    scores = np.random.default_rng(0).random(200)
    served(store.home, first, np.full(50, 0.9), at=SINCE - 1)
    served(store.home, first, scores)
    served(store.home, second, scores[:80], route="canary")
    served(store.home, second, np.full(40, 0.9), route="shadow")
    facts = evidence.gather(
        store, "local", canary, live, observed(Counts(requests=1200, errors=12), Counts(requests=85, errors=5))
    )
    assert facts["live"]["errors"] == {"count": 2, "share": 0.01}
    assert facts["canary"]["errors"] == {"count": 5, "share": pytest.approx(5 / 85)}
    assert (facts["live"]["rows"], facts["canary"]["rows"]) == (202, 85)
    assert facts["canary"]["score"]["mean"] == pytest.approx(scores[:80].mean())
    latency = np.arange(1, 201)
    assert facts["live"]["latency"]["p99_ms"] == pytest.approx(np.quantile(latency, 0.99))
    assert facts["live"]["latency"]["p50_ms"] == pytest.approx(np.quantile(latency, 0.5))
    assert facts["canary"]["score"]["psi"] < 0.25
    assert "performance" not in facts["canary"]


def test_another_distribution_of_scores_shows(store: Store) -> None:
    canary, live, second, first = pair(store)
    random = np.random.default_rng(0)
    served(store.home, first, random.beta(2, 5, 500))
    served(store.home, second, random.beta(5, 2, 100), route="canary")
    facts = evidence.gather(store, "local", canary, live, observed(Counts(), Counts()))
    assert facts["canary"]["score"]["psi"] > 1.0
    assert "psi" not in facts["live"]["score"]


def test_performance_comes_with_the_labels(store: Store) -> None:
    canary, live, second, first = pair(store)
    random = np.random.default_rng(0)
    scores, truth = random.random(100), random.integers(0, 2, 100)
    served(store.home, first, scores)
    served(store.home, second, scores, route="canary")
    keys = [f"{second.id}-{i}" for i in range(60)] + [f"{first.id}-{i}" for i in range(10)]
    labels = pd.DataFrame({"_key": keys, "label": [*truth[:60], *truth[:10]]})
    inference_rows.add_labels(store.home, labels)
    facts = evidence.gather(store, "local", canary, live, observed(Counts(), Counts()))
    assert facts["canary"]["labelled"] == 60
    assert facts["canary"]["performance"]["auc"] == pytest.approx(roc_auc_score(truth[:60], scores[:60]))
    assert facts["live"]["labelled"] == 10
    assert "performance" not in facts["live"], "ten labels say nothing"


def test_nothing_served_is_known_as_nothing(store: Store) -> None:
    canary, live, _, _ = pair(store)
    facts = evidence.gather(store, "local", canary, live, Observed())
    assert facts["canary"] == {
        "rows": 0, "requests": 0, "errors": {"count": 0, "share": 0.0}, "rejected": {"count": 0}, "latency": {},
        "score": {}, "labelled": 0,
    }  # fmt: skip


def test_a_router_that_was_started_again_counts_from_nothing(store: Store) -> None:
    canary, live, _, _ = pair(store)
    facts = evidence.gather(store, "local", canary, live, observed(Counts(requests=10, errors=1), Counts()))
    assert facts["live"]["errors"] == {"count": 1, "share": 0.1}
