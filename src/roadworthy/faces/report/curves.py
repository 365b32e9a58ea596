"""How well a model ranks and how honest its probabilities are, on its hold-out: ROC, precision and recall, calibration.

In: a registered model. Out: curves of a few hundred points. The rows are scored by the code that serves. Called by
gather.py.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.data.formats.registry import load
from roadworthy.gates.measures import performance
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.model import Model
from roadworthy.serving import model as served
from roadworthy.serving.signature import as_frame
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import numpy as np

POINTS_MAX = 240
BINS = 10
SCORE_BINS = 40
_Z95 = 1.959963984540054  # the 97.5 % quantile of the normal distribution

Points = tuple[tuple[float, float], ...]


class Bin(msgspec.Struct, frozen=True):
    """Rows of about equal score: mean score, share of positives with its 95 % interval, and how many."""

    said: float
    seen: float
    low: float
    high: float
    rows: int


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model on its hold-out; for a regression only `scatter` is filled, for several classes only `confusion`.

    Args:
        roc: false positive rate to true positive rate.
        precision_recall: recall to precision.
        calibration: ten bins of equally many rows.
        negatives, positives: rows per score bin, from 0 to 1.
        scatter: predicted to true value, a sample.
        confusion: of a multi-class model, rows by true class and, in each, by the class it said.
    """

    model: str
    rows: int
    rate: float = 0.0
    threshold: float = 0.5
    auc: float = 0.0
    average_precision: float = 0.0
    roc: Points = ()
    precision_recall: Points = ()
    at_threshold: tuple[float, float, float] = (0.0, 0.0, 0.0)
    calibration: tuple[Bin, ...] = ()
    negatives: tuple[int, ...] = ()
    positives: tuple[int, ...] = ()
    scatter: Points = ()
    classes: tuple[str | float | bool, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()


def curves(store: Store, model: Model, root: Path) -> Curves:
    """Score a model's hold-out and draw its curves.

    Args:
        root: the project's folder, where the model's own classes are imported from, if it has any.

    Raises:
        Fault: when the hold-out or the model cannot be read, or do not fit together.
    """
    import numpy as np

    if model.holdout is None:
        raise invalid("the model has no hold-out rows", where=model.id)
    rows = as_frame(load(store.blobs, model.holdout, keys=store.keys))
    sys.path.insert(0, str(root))
    try:
        score = np.asarray(served.predictor(store.blobs, model, keys=store.keys).said(rows), dtype=float)
    finally:
        sys.path.remove(str(root))
    label = rows[model.label].to_numpy()
    if model.task == "regression":
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), 1500)).astype(int)
        points = tuple(zip(score[chosen].tolist(), label[chosen].astype(float).tolist(), strict=True))
        return Curves(model=model.id, rows=len(rows), scatter=points)
    if model.task == "multiclass":
        return Curves(model=model.id, rows=len(rows), classes=model.classes, confusion=_confusion(model, label, score))
    truth = performance.as_truth(label)
    measured = performance.measure(label, score, task=model.task, threshold=model.threshold)
    roc, precision_recall = _ranked(truth, score)
    false_alarms = float(np.mean(score[~truth] >= model.threshold)) if (~truth).any() else 0.0
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    return Curves(
        model=model.id,
        rows=len(rows),
        rate=float(truth.mean()),
        threshold=model.threshold,
        auc=measured.get("auc", 0.0),
        average_precision=measured.get("average_precision", 0.0),
        roc=roc,
        precision_recall=precision_recall,
        at_threshold=(false_alarms, measured.get("recall", 0.0), measured["precision"]),
        calibration=_calibration(truth, score),
        negatives=tuple(np.histogram(score[~truth], edges)[0].tolist()),
        positives=tuple(np.histogram(score[truth], edges)[0].tolist()),
    )


def _confusion(model: Model, label: Any, score: "np.ndarray[Any, Any]") -> tuple[tuple[int, ...], ...]:
    import numpy as np

    count = len(model.classes)
    said = performance.said_of(score, count)
    chosen = said if said.ndim == 1 else said.argmax(axis=1)
    cells = np.bincount(performance.places(label, model.classes) * count + chosen, minlength=count * count)
    return tuple(tuple(row) for row in cells.reshape(count, count).tolist())


def _ranked(truth: "np.ndarray[Any, Any]", score: "np.ndarray[Any, Any]") -> tuple[Points, Points]:
    """Both curves from one ranking; rows of equal score count together."""
    import numpy as np

    order = np.argsort(-score, kind="stable")
    last_of_score = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum(truth[order])[last_of_score]
    alarms = np.cumsum(~truth[order])[last_of_score]
    recall = hits / max(hits[-1], 1)
    roc = zip(np.append(0.0, alarms / max(alarms[-1], 1)).tolist(), np.append(0.0, recall).tolist(), strict=True)
    precision = zip(recall.tolist(), (hits / (hits + alarms)).tolist(), strict=True)
    return _thinned(tuple(roc)), _thinned(tuple(precision))


def _thinned(points: Points) -> Points:
    """At most `POINTS_MAX` of the points, evenly along the x axis, both ends among them."""
    if len(points) <= POINTS_MAX:
        return points
    kept, last = [points[0]], points[0]
    for point in points[1:-1]:
        if abs(point[0] - last[0]) + abs(point[1] - last[1]) >= 2.0 / POINTS_MAX:
            kept.append(point)
            last = point
    return (*kept, points[-1])


def _calibration(truth: "np.ndarray[Any, Any]", score: "np.ndarray[Any, Any]") -> tuple[Bin, ...]:
    """Bins of equally many rows, with Wilson's interval for each share (Wilson 1927, JASA 22(158))."""
    import numpy as np

    bins = []
    for part in np.array_split(np.argsort(score, kind="stable"), BINS):
        n = len(part)
        if not n:
            continue
        share = float(truth[part].mean())
        middle = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
        half = _Z95 / (1 + _Z95**2 / n) * float(np.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n)))
        bins.append(Bin(float(score[part].mean()), share, middle - half, middle + half, n))
    return tuple(bins)
