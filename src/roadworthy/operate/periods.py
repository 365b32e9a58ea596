"""What happened in each period of a loop's life: the table that a replay ends with, and that a report shows.

In: the inference log with labels, the stored windows, alerts and the journal. Out: one `Period` per stretch of time.
Called by replay.py and by the commands and reports.
"""

from typing import TYPE_CHECKING

import msgspec

from roadworthy.gates.measures import performance
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.project import Place
from roadworthy.operate import alerts, journal, served, windows
from roadworthy.operate.monitors import primary
from roadworthy.operate.windows import Grid
from roadworthy.registry import models
from roadworthy.releases import grounds
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

QUIET = frozenset({"watched", "breached"})


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of time.

    Args:
        start, end: seconds since the epoch, end exclusive.
        models: rows served by each version.
        rows, labelled: how many, by all versions.
        metric, value: the AUC (or the root mean squared error) over the labelled rows.
        label_rate: share of positives among the labels; classification only.
        drifted: columns with large drift in a window of this period.
        alerts: monitors that opened an alert at its windows.
        actions: what the loop did at its end, in words.
    """

    start: float
    end: float
    models: dict[str, int] = msgspec.field(default_factory=dict)
    rows: int = 0
    labelled: int = 0
    metric: str = ""
    value: float | None = None
    label_rate: float | None = None
    drifted: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


def listing(store: Store, place: Place, grid: Grid, first: int, end: int) -> list[Period]:
    """The periods from the first up to, without, the end, by their index in the grid."""
    return [one(store, place, grid, k) for k in range(first, end)]


def one(store: Store, place: Place, grid: Grid, k: int) -> Period:
    """What happened in period `k` of a grid; the turn at its end counts as its own."""
    project = place.project
    start, end = grid.start(k), grid.end(k)
    rows = served.scores(store.home, grounds.default(place), start, end)
    metric, value, rate = _performance(store, rows)
    seen = [w for w in windows.listing(store, project.name, since=start) if w.start < end]
    drifted = {d.column: None for w in seen for d in w.drift if d.verdict == "large"}
    opened = [a.monitor for a in alerts.listing(store, project.name, most=1000) if start <= a.window_start < end]
    actions = [
        f"{action.kind.replace('_', ' ')} {action.subject}".strip()
        for action in journal.load(store, project.name).actions
        if action.kind not in QUIET and (start < action.at <= end or (k == 0 and action.at == start))
    ]
    return Period(
        start=start,
        end=end,
        models={str(name): int(n) for name, n in sorted(rows["_model"].value_counts().items())} if len(rows) else {},
        rows=len(rows),
        labelled=int(rows["label"].notna().sum()) if len(rows) else 0,
        metric=metric,
        value=value,
        label_rate=rate,
        drifted=tuple(drifted),
        alerts=tuple(dict.fromkeys(opened)),
        actions=tuple(actions),
    )


def _performance(store: Store, rows: "pd.DataFrame") -> tuple[str, float | None, float | None]:
    known = rows[rows["label"].notna()] if len(rows) else rows
    if not len(known):
        return "", None, None
    label = known["label"].infer_objects()
    try:
        model = models.get(store, str(known["_model"].iloc[-1]))
        measured = performance.measure(
            label.to_numpy(),
            known["_score"].to_numpy(dtype=float),
            task=model.task,
            threshold=model.threshold,
            classes=model.classes,
        )
    except Fault:
        return "", None, None
    found = primary(measured)
    values = sorted(label.unique().tolist())
    rate = float((label == values[-1]).mean()) if model.task == "classification" and len(values) == 2 else None
    return (*found, rate) if found else ("", None, rate)
