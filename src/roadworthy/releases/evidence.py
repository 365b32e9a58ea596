"""Live evidence about a canary and the live release beside it, over the same time: what the rules of a stage see.

In: what the target counted, and the rows of the inference log with the labels that have arrived. Out: `canary.*` and
`live.*` as plain numbers. Called by apply.py; what they come to is decided in rollout.py.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadworthy.gates.measures import drift, performance
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.model import Model
from roadworthy.nouns.release import Release
from roadworthy.registry import models
from roadworthy.releases.targets.protocol import Counts, Observed
from roadworthy.serving import inference_rows
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

# Fewer labels say nothing about performance: a rule over it waits.
LABELLED_MIN = 30
# As few scores make an index of stability that chance moves by more than any threshold.
SCORES_MIN = 30
ATTEMPTS = 5
# What a shadow answered, nobody saw.
_SERVED = """
SELECT _score, _latency_ms, newest.label
FROM read_parquet(?, union_by_name = true, hive_partitioning = false) AS served LEFT JOIN newest USING (_key)
WHERE _model = ? AND _served_at >= ? AND coalesce(_route, '') <> 'shadow'
"""


def gather(store: Store, target: str, canary: Release, live: Release, observed: Observed) -> dict[str, Any]:
    """The facts of a canary's present stage.

    Returns:
        For `canary` and `live` each: `rows` (answered, or failed through its fault), `requests`, `errors.share` and
        `errors.count`, `rejected.share` (the client's fault), `latency.p50_ms` and `latency.p99_ms`, `score.mean`,
        `labelled`, and once there are enough labels `performance.*`. `canary.score.psi` is the population stability
        index of its scores against those of the live release over the same time. What is not known is not there.
    """
    since = canary.stage_served_since
    sides = {"canary": canary, "live": live}
    tables = {side: _rows(store, target, release, since) for side, release in sides.items()}
    facts = {}
    for side, release in sides.items():
        model = models.get(store, release.model)
        server = observed.server(release.id)
        facts[side] = _facts(
            tables[side], model, server.counts if server else Counts(), canary.counted.get(release.id, (0, 0))
        )
    psi = _psi(tables["live"], tables["canary"])
    if psi is not None:
        facts["canary"]["score"]["psi"] = psi
    return facts


def _rows(store: Store, target: str, release: Release, since: float) -> "pd.DataFrame":
    """What a release answered since a moment of the machine's clock: score, latency, and label where there is one.

    Only files written since are opened, and few columns of them: a canary is looked at every few seconds beside a log
    of years.
    """
    import duckdb
    import pandas as pd

    for _ in range(ATTEMPTS):
        files = [str(path) for path in inference_rows.files_of(store.home, target) if _written(path) >= since]
        if not files:
            break
        try:
            with duckdb.connect() as connection:
                connection.register("newest", inference_rows.labels(store.home))
                served: pd.DataFrame = connection.execute(_SERVED, [files, release.model, since]).df()
            return served
        except duckdb.IOException:
            continue  # the server merged files meanwhile
    return pd.DataFrame({"_score": [], "_latency_ms": [], "label": []})


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return -math.inf


def _facts(table: "pd.DataFrame", model: Model, counts: Counts, before: tuple[int, int]) -> dict[str, Any]:
    # A router that was started again counts from nothing.
    requests = counts.requests - before[0] if counts.requests >= before[0] else counts.requests
    errors = counts.errors - before[1] if counts.errors >= before[1] else counts.errors
    facts: dict[str, Any] = {
        "rows": len(table) + errors,
        "requests": requests,
        "errors": {"count": errors, "share": errors / requests if requests else 0.0},
        "rejected": {"count": counts.rejected},
        "latency": {},
        "score": {},
    }
    if len(table):
        latency = table["_latency_ms"]
        facts["latency"] = {"p50_ms": float(latency.quantile(0.5)), "p99_ms": float(latency.quantile(0.99))}
        facts["score"] = {"mean": float(table["_score"].mean())}
    return facts | _performance(table, model)


def _performance(table: "pd.DataFrame", model: Model) -> dict[str, Any]:
    labelled = table[table["label"].notna()]
    facts: dict[str, Any] = {"labelled": len(labelled)}
    if len(labelled) >= LABELLED_MIN:
        try:
            measured = performance.measure(
                labelled["label"].to_numpy(),
                labelled["_score"].to_numpy(),
                task=model.task,
                threshold=model.threshold,
                classes=model.classes,
            )
        except Fault:
            return facts  # labels that are none are no evidence
        facts["performance"] = measured
    return facts


def _psi(live: "pd.DataFrame", canary: "pd.DataFrame") -> float | None:
    """How far the canary's scores are from the live one's: ten bins of equal count of the live scores."""
    if min(len(live), len(canary)) < SCORES_MIN:
        return None
    reference = drift.profile(live[[]], (), score=live["_score"].to_numpy()).score
    if reference is None:
        return None
    return drift.psi(reference.counts, drift.bin_counts(reference, canary["_score"].to_numpy()).tolist())
