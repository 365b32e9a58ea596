"""What was seen in one window of one model: facts for rules.

In: the window's served rows with labels where they have arrived, the model's reference profile. Out: nested facts
(`volume`, `errors`, `latency`, `missing`, `new_values`, `drift`, `performance`) and the drift per column. Called by
monitors.py.
"""

from typing import TYPE_CHECKING, Any

from blake3 import blake3

from roadworthy.gates.measures import drift as drifts
from roadworthy.gates.measures import performance
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.model import Model
from roadworthy.nouns.monitor import Drift

if TYPE_CHECKING:
    import pandas as pd

KNOWN = frozenset({"volume", "errors", "latency", "missing", "new_values", "drift", "performance"})


def measure(
    rows: "pd.DataFrame", model: Model, profile: drifts.Profile | None, columns: tuple[str, ...], labelled_min: int
) -> tuple[dict[str, Any], tuple[Drift, ...]]:
    """The facts of a window, all but its volume, which needs the window before.

    Args:
        rows: as served, with `_score`, `_latency_ms`, `_request`, and `label` (null while unknown).
        profile: what the model was made with; None leaves drift unmeasured.
        columns: which to compare; all in the profile when empty.
        labelled_min: rows with labels from which performance is measured.
    """
    facts: dict[str, Any] = {
        "latency": latency(rows),
        "missing": missing(rows, profile),
        "performance": measured_performance(rows, model, labelled_min),
    }
    if profile is None:
        return facts, ()
    found = drifts.drift(profile, rows, score=rows["_score"].to_numpy(dtype=float), columns=columns)
    facts["drift"] = _drift_facts(found, scored=profile.score is not None)
    facts["new_values"] = _new_values(found)
    return facts, found


def latency(rows: "pd.DataFrame") -> dict[str, float]:
    """Quantiles of the milliseconds a request took, each request once; empty when none was timed."""
    if "_latency_ms" not in rows:
        return {}
    took = rows.groupby("_request", sort=False)["_latency_ms"].first() if "_request" in rows else rows["_latency_ms"]
    took = took.dropna()
    if took.empty:
        return {}
    return {
        "p50_ms": float(took.quantile(0.5)),
        "p99_ms": float(took.quantile(0.99)),
        "mean_ms": float(took.mean()),
        "max_ms": float(took.max()),
    }


def missing(rows: "pd.DataFrame", profile: drifts.Profile | None) -> dict[str, Any]:
    """The share of nulls per feature, 0 to 1, the highest, and the largest rise over the profile."""
    names = [c.name for c in profile.columns] if profile else [c for c in rows.columns if not c.startswith("_")]
    before = {c.name: c.missing for c in profile.columns} if profile else {}
    shares = {
        name: float(rows[name].isna().mean()) if name in rows else 1.0
        for name in names
        if name != "label" and len(rows)
    }
    rise = max((share - before.get(name, 0.0) for name, share in shares.items()), default=0.0)
    return {"max": max(shares.values(), default=0.0), "rise_max": max(rise, 0.0), "columns": shares}


def measured_performance(rows: "pd.DataFrame", model: Model, labelled_min: int) -> dict[str, Any]:
    """How good the answers were, on the rows whose labels have arrived, once there are enough of them."""
    known = rows[rows["label"].notna()] if "label" in rows else rows.iloc[:0]
    facts: dict[str, Any] = {"labelled": len(known), "labelled_share": len(known) / len(rows) if len(rows) else 0.0}
    if not len(known) or len(known) < labelled_min:
        return facts
    label = known["label"].infer_objects().to_numpy()
    if model.task == "classification":
        facts["label_rate"] = _rate(label)
    try:
        facts |= performance.measure(
            label,
            known["_score"].to_numpy(dtype=float),
            task=model.task,
            threshold=model.threshold,
            classes=model.classes,
        )
    except Fault as problem:
        facts["problem"] = problem.what
    return facts


def digest(rows: "pd.DataFrame") -> str:
    """BLAKE3 over which rows were served and what was answered: what the audit log keeps of a window."""
    kept = [name for name in ("_request", "_row", "_score") if name in rows]
    ordered = rows[kept].sort_values(kept[:2]) if len(rows) else rows[kept]
    return blake3(ordered.to_csv(index=False).encode()).hexdigest()


def _rate(label: Any) -> float | None:
    """The share of positives: of two values the larger is the positive one."""
    values = sorted(set(label.tolist()))
    if not values or len(values) > 2:
        return None
    if len(values) == 1:
        return float(bool(values[0])) if isinstance(values[0], int | float) else None
    return float((label == values[1]).mean())


def _drift_facts(found: tuple[Drift, ...], *, scored: bool) -> dict[str, Any]:
    # The score comes last; a feature may well have the same name.
    features, score = (found[:-1], found[-1]) if scored and found else (found, None)
    facts: dict[str, Any] = {"columns": {d.column: _one(d) for d in features}}
    for verdict in ("large", "small"):
        names = [d.column for d in features if d.verdict == verdict]
        facts[verdict] = {"count": len(names), "columns": names, "share": len(names) / len(features) if features else 0}
    facts["psi_max"] = max((d.psi for d in features), default=0.0)
    if score is not None:
        facts["score"] = _one(score)
    return facts


def _one(found: Drift) -> dict[str, Any]:
    return {
        "psi": found.psi,
        "jensen_shannon": found.jensen_shannon,
        "effect": found.effect,
        "value": found.value,
        "p_value": found.p_value,
        "p_adjusted": found.p_adjusted,
        "wasserstein": found.wasserstein,
        "missing": found.missing,
        "verdict": found.verdict,
    }


def _new_values(found: tuple[Drift, ...]) -> dict[str, Any]:
    """The share of rows with a value the profile never saw, per column that has any, and the highest."""
    shares = {d.column: sum(d.new_values.values()) for d in found if d.new_values}
    return {"max": max(shares.values(), default=0.0), "columns": shares}
