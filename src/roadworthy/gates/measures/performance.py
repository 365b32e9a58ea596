"""How good scores are: labels and scores in, named numbers out.

Called by the gate (hold-out rows), by slices, and by monitors once labels arrive. A number that is not defined (an AUC
when all labels are equal) is left out rather than made up.
"""

from typing import TYPE_CHECKING, Any

from roadworthy.nouns.errors import invalid
from roadworthy.nouns.model import Task

if TYPE_CHECKING:
    import numpy as np

CLASSIFICATION = (
    "auc", "average_precision", "log_loss", "brier", "accuracy", "precision", "recall", "f1", "positive_rate",
)  # fmt: skip
REGRESSION = ("rmse", "mae", "r2")
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})
# says how a model decides, not how well
NEITHER = frozenset({"positive_rate"})


def measure(label: Any, score: Any, *, task: Task = "classification", threshold: float = 0.5) -> dict[str, float]:
    """The measures of a task.

    Args:
        label: what was true, one per row; for a classification two values, of which the larger is the positive one
            (0 and 1, false and true, or two texts).
        score: what the model said: the probability of the positive class, 0 to 1, or the value.
        task: `classification` or `regression`.
        threshold: score from which a classification says yes.

    Returns:
        `auc`, `average_precision` (both with ties as scikit-learn has them), `log_loss`, `brier`, `accuracy`,
        `precision`, `recall`, `f1`, `positive_rate` (share of rows said yes to); or `rmse`, `mae`, `r2`.
        Empty for no rows.

    Raises:
        Fault: invalid when lengths differ, a score is not finite, or labels are not of two values.
    """
    import numpy as np

    scores = finite(score, what="score")
    if task == "regression":
        return _regression(finite(label, what="label"), scores)
    truth = as_truth(label)
    if len(truth) != len(scores):
        raise invalid(f"there are {len(truth)} labels and {len(scores)} scores")
    if not len(truth):
        return {}
    said = scores >= threshold
    right_yes, yes, positives = float(np.sum(said & truth)), float(np.sum(said)), float(np.sum(truth))
    precision = right_yes / yes if yes else 0.0
    measured = {
        "log_loss": _log_loss(truth, scores),
        "brier": float(np.mean((scores - truth) ** 2)),
        "accuracy": float(np.mean(said == truth)),
        "precision": precision,
        "positive_rate": yes / len(truth),
    }
    if positives:
        recall = right_yes / positives
        measured["recall"] = recall
        measured["f1"] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        measured["average_precision"] = _average_precision(truth, scores)
    if 0 < positives < len(truth):
        measured["auc"] = auc(truth, scores)
    return {name: measured[name] for name in CLASSIFICATION if name in measured}


def auc(truth: "np.ndarray[Any, Any]", score: "np.ndarray[Any, Any]") -> float:
    """Area under the ROC curve by ranks: how probably a positive scores above a negative, ties counting half."""
    import numpy as np

    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    positives = float(truth.sum())
    negatives = len(truth) - positives
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def as_truth(label: Any) -> "np.ndarray[Any, Any]":
    """Labels of two values as booleans, the larger value being true."""
    import numpy as np

    values = np.asarray(label)
    if values.dtype == bool:
        return values
    if values.dtype.kind in "iuf":
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise invalid("some labels are missing", fix="drop the rows without a label")
        kinds = np.unique(values)
        if np.isin(kinds, (0, 1)).all():
            return np.asarray(values == 1)
    else:
        values = np.asarray([None if v is None or v != v else v for v in values.tolist()], dtype=object)  # noqa: PLR0124 - NaN
        if any(v is None for v in values):
            raise invalid("some labels are missing", fix="drop the rows without a label")
        kinds = np.asarray(sorted(set(values), key=lambda v: (isinstance(v, str), v)), dtype=object)
    if len(kinds) != 2:
        raise invalid(f"labels have {len(kinds)} values; a classification is judged on two", fix="label rows 0 and 1")
    return np.asarray(values == kinds[1])


def finite(values: Any, *, what: str) -> "np.ndarray[Any, Any]":
    """Numbers as doubles.

    Raises:
        Fault: invalid when one is missing or infinite.
    """
    import numpy as np

    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise invalid(f"a {what} is not a number") from None
    if numbers.ndim != 1:
        raise invalid(f"there must be one {what} per row; these have the shape {numbers.shape}")
    bad = int(np.sum(~np.isfinite(numbers)))
    if bad:
        raise invalid(f"{bad} of {len(numbers)} {what}s are missing or infinite")
    return numbers


def _regression(label: "np.ndarray[Any, Any]", score: "np.ndarray[Any, Any]") -> dict[str, float]:
    import numpy as np

    if len(label) != len(score):
        raise invalid(f"there are {len(label)} labels and {len(score)} scores")
    if not len(label):
        return {}
    error = score - label
    measured = {"rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.mean(np.abs(error)))}
    spread = float(np.sum((label - label.mean()) ** 2))
    if spread > 0:
        measured["r2"] = 1.0 - float(np.sum(error**2)) / spread
    return measured


def _log_loss(truth: "np.ndarray[Any, Any]", score: "np.ndarray[Any, Any]") -> float:
    import numpy as np

    # a certain and wrong answer costs 36 rather than infinity
    tiny = np.finfo(np.float64).eps
    sure = np.clip(score, tiny, 1 - tiny)
    return float(-np.mean(np.where(truth, np.log(sure), np.log1p(-sure))))


def _average_precision(truth: "np.ndarray[Any, Any]", score: "np.ndarray[Any, Any]") -> float:
    """The sum over thresholds of precision times the recall gained there."""
    import numpy as np

    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, np.True_)
    hits = np.cumsum(truth[order])[last_of_tie]
    said = np.flatnonzero(last_of_tie) + 1
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gained * hits / said))
