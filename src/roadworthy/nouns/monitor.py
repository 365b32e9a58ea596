"""Monitor: a standing question about served traffic, asked by the clock; a breach opens an `Alert`."""

from typing import Any, Literal

import msgspec

from roadworthy.nouns.rule import Outcome

Verdict = Literal["none", "small", "large"]


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How far one column of a window is from its reference.

    Args:
        column: the feature, or `score`.
        kind: `number` or `category`.
        psi: population stability index.
        jensen_shannon: distance, base 2, 0 to 1.
        statistic: name of the test, `kolmogorov-smirnov` or `chi-squared`.
        value: the test's statistic.
        p_value: of that test.
        p_adjusted: after Benjamini-Hochberg over all columns of the window.
        effect: effect size: the KS distance for numbers, Cramer's V for categories, 0 to 1.
        wasserstein: first Wasserstein distance in units of the reference's standard deviation, numbers only.
        missing, missing_reference: share of nulls, 0 to 1.
        new_values: categories that the reference never saw, with their share.
        verdict: `large` only when both significant after correction and over the effect-size threshold.
    """

    column: str
    kind: Literal["number", "category"]
    psi: float = 0.0
    jensen_shannon: float = 0.0
    statistic: str = ""
    value: float = 0.0
    p_value: float = 1.0
    p_adjusted: float = 1.0
    effect: float = 0.0
    wasserstein: float | None = None
    missing: float = 0.0
    missing_reference: float = 0.0
    new_values: dict[str, float] = msgspec.field(default_factory=dict)
    verdict: Verdict = "none"


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one model between two moments.

    Args:
        model: `name@version`.
        start, end: seconds since the epoch, end exclusive.
        facts: what rules see: `volume`, `latency`, `missing`, `drift`, `performance`, `errors`.
        drift: per column.
        outcomes: every monitor rule that could be judged, with its outcome.
        waiting: rules that cannot be judged yet (no labels have arrived, say), each with the reason.
        monitor: the monitor's name in the project file.
        judged_at: when it was last judged, seconds since the epoch.
        digest: BLAKE3 over the rows' requests, places and scores.
    """

    model: str
    start: float
    end: float
    rows: int = 0
    labelled: int = 0
    facts: dict[str, Any] = msgspec.field(default_factory=dict)
    drift: tuple[Drift, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    waiting: dict[str, str] = msgspec.field(default_factory=dict)
    monitor: str = ""
    judged_at: float = 0.0
    digest: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A breach that someone should know of; open until a later window passes.

    Args:
        id: 32 hex digits.
        monitor: the monitor's name in the project file.
        model: `name@version`.
        window_start, window_end: seconds since the epoch.
        outcomes: the rules that did not hold.
        opened_at, closed_at: seconds since the epoch.
        action: what the monitor asked for, such as `retrain`.
        told: what the webhook has been told of it: `opened`, `closed`.
        attempts: deliveries to the webhook that failed.
    """

    id: str
    monitor: str
    model: str
    window_start: float
    window_end: float
    outcomes: tuple[Outcome, ...]
    opened_at: float
    closed_at: float | None = None
    action: str = ""
    summary: str = ""
    project: str = ""
    told: tuple[str, ...] = ()
    attempts: int = 0
