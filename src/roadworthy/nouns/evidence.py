"""Evidence: what was measured, handed to rules."""

from typing import Any

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule of a data contract found.

    Args:
        rule: such as `carrier: allowed values`.
        column: the column it is about, empty for the whole table.
        passed: whether no row broke it.
        level: `error` stops the run, `warn` does not.
        failed: how many rows (or groups) broke it.
        total: how many were looked at.
        measured: what was found, in words, such as `lowest -3.0`.
        allowed: what would pass, in words.
        examples: up to five rows that broke it, sensitive columns masked.
    """

    rule: str
    passed: bool
    column: str = ""
    level: str = "error"
    failed: int = 0
    total: int = 0
    measured: str = ""
    allowed: str = ""
    examples: tuple[dict[str, Any], ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Challenger against champion on the same rows (paired bootstrap, Efron and Tibshirani 1993, ch. 13 and 16).

    Args:
        metric: which.
        challenger, champion: the two values on all rows.
        difference: challenger minus champion.
        low, high: percentile interval of the difference at `confidence`.
        probability_better: share of resamples in which the challenger is better, 0 to 1.
        resamples: how many.
        rows: how many rows both were scored on.
    """

    metric: str
    challenger: float
    champion: float
    difference: float
    low: float
    high: float
    probability_better: float
    confidence: float = 0.95
    resamples: int = 0
    rows: int = 0


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about one model at the gate. `facts` is what rules see.

    Args:
        model: `name@version`.
        model_digest: BLAKE3 of the model's bytes.
        champion: `name@version` it was compared with, empty for the first.
        facts: nested mapping: `metrics`, `champion`, `compare`, `cost`, `data`, `slices`, `run`, `approvals`.
        comparisons: one per metric.
        digests: what the evidence rests on: name to digest (holdout, snapshots, lock, code).
        measured_at: seconds since the epoch.
    """

    model: str
    model_digest: str
    facts: dict[str, Any]
    champion: str = ""
    comparisons: tuple[Comparison, ...] = ()
    digests: dict[str, str] = msgspec.field(default_factory=dict)
    measured_at: float = 0.0
