"""Challenger against champion on the same rows: is the difference more than luck?

In: labels and both models' scores, row by row. Out: a `Comparison` for each metric, by paired bootstrap: rows are drawn
with replacement, both models are measured on each draw, and the differences show how far chance alone could go
(Efron and Tibshirani 1993, chapters 13 and 16; percentile interval).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.gates.measures import performance
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.evidence import Comparison
from roadworthy.nouns.model import Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# the least share of draws in which a metric must be defined (a draw may hold no positive row)
DEFINED_MIN = 0.5


def paired_bootstrap(
    label: Any,
    challenger: Any,
    champion: Any,
    *,
    task: Task = "classification",
    threshold: float = 0.5,
    champion_threshold: float | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    classes: Sequence[str | float | bool] = (),
) -> tuple[Comparison, ...]:
    """Compare two models on the same rows.

    Time grows with rows times resamples: 1,000 resamples of 30,000 rows take about two seconds.

    Args:
        label: what was true, as `performance.measure` takes it.
        challenger, champion: their scores for the same rows.
        task: `classification`, `multiclass` or `regression`; with several classes, what `performance.measure` takes.
        threshold, champion_threshold: score from which each says yes; the champion's is the challenger's unless given.
        resamples: how many draws, 100 or more for an interval that means something.
        confidence: of the interval, 0.5 to 1.
        seed: of the draws; the same seed gives the same intervals.
        classes: of both models, when there are several.

    Returns:
        One comparison per metric that says how good a model is, in the order of `performance`. `probability_better` is
        the share of draws in which the challenger is better (higher, or lower for losses and errors), ties counting
        half.

    Raises:
        Fault: invalid when lengths differ or values are missing.
    """
    import numpy as np

    if task == "multiclass":
        a, b = (performance.said_of(score, len(classes)) for score in (challenger, champion))
    else:
        a, b = performance.finite(challenger, what="score"), performance.finite(champion, what="score")
    if not len(label) == len(a) == len(b):
        raise invalid(f"there are {len(label)} labels, {len(a)} scores of the challenger and {len(b)} of the champion")
    other = threshold if champion_threshold is None else champion_threshold
    measured = (
        performance.measure(label, a, task=task, threshold=threshold, classes=classes),
        performance.measure(label, b, task=task, threshold=other, classes=classes),
    )
    draws_of: tuple[_Draws, _Draws]
    if task == "multiclass":
        right = performance.places(label, classes)
        draws_of = (_Multiclass(right, a, len(classes)), _Multiclass(right, b, len(classes)))
    elif task == "classification":
        truth = performance.as_truth(label)
        draws_of = (_Classification(truth, a, threshold), _Classification(truth, b, other))
    else:
        values = performance.finite(label, what="label")
        draws_of = (_Regression(values, a), _Regression(values, b))
    names = [n for n in measured[0] if n in measured[1] and n not in performance.NEITHER]
    if not names:
        return ()
    drawn = np.full((2, resamples, len(names)), np.nan)
    random = np.random.default_rng(seed)
    for i in range(resamples):
        picked = random.integers(0, len(a), len(a))
        for which in (0, 1):
            draw = draws_of[which].measure(picked)
            drawn[which, i] = [draw.get(name, math.nan) for name in names]
    compared = []
    for j, name in enumerate(names):
        values_of = _Values(name, measured[0][name], measured[1][name], len(a))
        made = _compare(values_of, drawn[0, :, j] - drawn[1, :, j], confidence)
        compared += [] if made is None else [made]
    return tuple(compared)


def in_words(comparison: Comparison) -> str:
    """A comparison as a sentence: `0.012 better, 95 % interval 0.008 to 0.016, probability better 1.00`.

    Losses and errors are turned round, so that a positive number is always an improvement.
    """
    turn = -1.0 if comparison.metric in performance.LOWER_IS_BETTER else 1.0
    gain = turn * comparison.difference
    low, high = sorted((turn * comparison.low, turn * comparison.high))
    digits = _digits(max(abs(low), abs(high), abs(gain)))
    said = f"{abs(gain):.{digits}f} {'better' if gain > 0 else 'worse'}" if gain else "equal"
    return (
        f"{said}, {100 * comparison.confidence:g} % interval {low:.{digits}f} to {high:.{digits}f}, "
        f"probability better {comparison.probability_better:.2f}"
    )


class _Values(msgspec.Struct, frozen=True):
    metric: str
    challenger: float
    champion: float
    rows: int


class _Draws:
    """One model's scores, prepared so that measuring a draw of rows is a few counts."""

    def measure(self, picked: "Array") -> dict[str, float]:
        raise NotImplementedError


class _Classification(_Draws):
    """Rows fall into cells (one for each score and label), and a draw is how often each cell came up.

    The scores are sorted once; the area under the curve of a draw is then two cumulative sums over its counts.
    """

    def __init__(self, truth: "Array", score: "Array", threshold: float) -> None:
        import numpy as np

        scores, place = np.unique(score, return_inverse=True)
        tiny = np.finfo(np.float64).eps
        sure = np.clip(scores, tiny, 1 - tiny)
        # negatives first, then positives, each by rising score
        self._cell = place + len(scores) * truth
        self._scores = len(scores)
        self._with_positive = np.flatnonzero(np.bincount(place[truth], minlength=len(scores)))
        self._first_yes = int(np.searchsorted(scores, threshold, side="left"))
        self._loss = (-np.log1p(-sure), -np.log(sure))
        self._brier = (scores**2, (scores - 1) ** 2)

    def measure(self, picked: "Array") -> dict[str, float]:
        import numpy as np

        counts = np.bincount(self._cell[picked], minlength=2 * self._scores).astype(np.float64)
        negative, positive = counts[: self._scores], counts[self._scores :]
        rows, positives = float(len(picked)), float(positive.sum())
        hits, false_alarms = float(positive[self._first_yes :].sum()), float(negative[self._first_yes :].sum())
        precision = hits / (hits + false_alarms) if hits + false_alarms else 0.0
        found = {
            "log_loss": (_dot(negative, self._loss[0]) + _dot(positive, self._loss[1])) / rows,
            "brier": (_dot(negative, self._brier[0]) + _dot(positive, self._brier[1])) / rows,
            "accuracy": (hits + rows - positives - false_alarms) / rows,
            "precision": precision,
        }
        if positives:
            recall = hits / positives
            found["recall"] = recall
            found["f1"] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            # only scores that some positive row has add to either area
            here = self._with_positive
            own, others = positive[here], negative[here]
            up_to = np.cumsum(negative)[here]
            above = positives - np.cumsum(own) + own
            said = above + (rows - positives) - up_to + others
            found["average_precision"] = float(np.sum(own * above / np.maximum(said, 1.0))) / positives
            if positives < rows:
                found["auc"] = _dot(own, up_to - others / 2) / (positives * (rows - positives))
        return found


class _Multiclass(_Draws):
    """Counts of what was true and said; each class against the rest as a classification of its own."""

    def __init__(self, truth: "Array", said: "Array", count: int) -> None:
        chosen = said if said.ndim == 1 else said.argmax(axis=1)
        self._cell = truth * count + chosen
        self._count = count
        self._loss = performance.surprise(truth, said) if said.ndim == 2 else None
        apart = range(count) if said.ndim == 2 else ()
        self._apart = [_Classification(truth == each, said[:, each], 0.5) for each in apart]

    def measure(self, picked: "Array") -> dict[str, float]:
        import numpy as np

        counts = np.bincount(self._cell[picked], minlength=self._count**2)
        found = performance.of_confusion(counts.reshape(self._count, self._count))
        if self._loss is not None:
            found["log_loss"] = float(self._loss[picked].mean())
            areas = [each.measure(picked).get("auc", math.nan) for each in self._apart]
            found["auc_ovr"] = sum(areas) / len(areas)
        return found


class _Regression(_Draws):
    def __init__(self, label: "Array", score: "Array") -> None:
        self._label = label
        self._error = score - label

    def measure(self, picked: "Array") -> dict[str, float]:
        import numpy as np

        error, label = self._error[picked], self._label[picked]
        square = _dot(error, error)
        found = {"rmse": math.sqrt(square / len(error)), "mae": float(np.abs(error).mean())}
        around = label - label.mean()
        spread = _dot(around, around)
        if spread > 0:
            found["r2"] = 1.0 - square / spread
        return found


def _dot(a: "Array", b: "Array") -> float:
    """The inner product on one thread: BLAS would wake all of them for each of some thousand short sums."""
    return float((a * b).sum())


def _compare(values: _Values, differences: "Array", confidence: float) -> Comparison | None:
    import numpy as np

    known = differences[np.isfinite(differences)]
    if len(known) < DEFINED_MIN * len(differences):
        return None
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(known, [tail, 100.0 - tail])
    gains = -known if values.metric in performance.LOWER_IS_BETTER else known
    return Comparison(
        metric=values.metric, challenger=values.challenger, champion=values.champion,
        difference=values.challenger - values.champion, low=float(low), high=float(high),
        probability_better=float(np.mean(gains > 0) + 0.5 * np.mean(gains == 0)),
        confidence=confidence, resamples=len(known), rows=values.rows,
    )  # fmt: skip


def _digits(size: float) -> int:
    """Decimals that show two or three digits of a number of this size."""
    return 3 if size >= 0.01 or size == 0 else min(12, 2 - math.floor(math.log10(size)))
