"""How good scores are: labels and scores in, named numbers out.

Called by the gate (hold-out rows), by slices, and by monitors once labels arrive. A number that is not defined (an AUC
when all labels are equal) is left out rather than made up.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from roadworthy.nouns.errors import invalid
from roadworthy.nouns.model import Task

if TYPE_CHECKING:
    import numpy as np

CLASSIFICATION = (
    "auc", "average_precision", "log_loss", "brier", "accuracy", "precision", "recall", "f1", "positive_rate",
)  # fmt: skip
MULTICLASS = ("accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss", "auc_ovr")
REGRESSION = ("rmse", "mae", "r2")
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})
# says how a model decides, not how well
NEITHER = frozenset({"positive_rate"})


def measure(
    label: Any,
    score: Any,
    *,
    task: Task = "classification",
    threshold: float = 0.5,
    classes: Sequence[str | float | bool] = (),
) -> dict[str, float]:
    """The measures of a task.

    Args:
        label: what was true, one per row; for a classification two values, of which the larger is the positive one
            (0 and 1, false and true, or two texts); for several classes one of `classes`.
        score: what the model said: the probability of the positive class, 0 to 1, or the value; for several classes a
            matrix with the probability of each, or the place of the class in `classes` that was said.
        task: `classification`, `multiclass` or `regression`.
        threshold: score from which a classification says yes.
        classes: of a multi-class model, in the order of its probabilities.

    Returns:
        `auc`, `average_precision` (both with ties as scikit-learn has them), `log_loss`, `brier`, `accuracy`,
        `precision`, `recall`, `f1`, `positive_rate` (share of rows said yes to); or `rmse`, `mae`, `r2`; or `accuracy`,
        the means over classes `f1_macro`, `precision_macro`, `recall_macro` (as scikit-learn has them), and from
        probabilities `log_loss` and `auc_ovr` (each class against the rest, mean). Empty for no rows.

    Raises:
        Fault: invalid when lengths differ, a score is not finite, or labels are not of two values.
    """
    import numpy as np

    if task == "multiclass":
        return _multiclass(places(label, classes), said_of(score, len(classes)), len(classes))
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


def places(label: Any, classes: Sequence[str | float | bool]) -> "np.ndarray[Any, Any]":
    """The place of each label among a model's classes.

    Raises:
        Fault: invalid when a label is missing, or is none of the classes.
    """
    import numpy as np

    known = {value: place for place, value in enumerate(classes)}
    values = np.asarray(label).tolist()
    found = [known.get(value, -1) if value is not None else -1 for value in values]
    if -1 in found:
        strange = values[found.index(-1)]
        raise invalid(
            f"the label {strange!r} is none of the model's {len(classes)} classes",
            fix="train on rows of every class, or leave out those without a label",
        )
    return np.asarray(found, dtype=np.intp)


def said_of(score: Any, count: int) -> "np.ndarray[Any, Any]":
    """What a multi-class model said, checked: probabilities, a column per class, or places of classes.

    Raises:
        Fault: invalid when it has another shape, or is not finite.
    """
    import numpy as np

    if np.ndim(score) != 2:
        numbers = finite(score, what="score")
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < count):
            raise invalid(f"a score is no place among {count} classes")
        return numbers.astype(np.intp)
    matrix = np.asarray(score, dtype=np.float64)
    if matrix.shape[1] != count:
        raise invalid(f"the model gives {matrix.shape[1]} probabilities a row for {count} classes")
    if not np.isfinite(matrix).all():
        raise invalid("some probabilities are missing or infinite")
    return matrix


def of_confusion(confusion: "np.ndarray[Any, Any]") -> dict[str, float]:
    """Measures of a table of counts: rows by what was true, columns by what was said."""
    import numpy as np

    right = np.diag(confusion)
    true, said = confusion.sum(axis=1), confusion.sum(axis=0)
    there = (true + said) > 0  # a class that is neither true nor said counts nowhere
    precision, recall = (right / np.maximum(of, 1) for of in (said, true))
    f1 = 2 * right / np.maximum(true + said, 1)
    means = {"f1_macro": f1, "precision_macro": precision, "recall_macro": recall}
    return {"accuracy": float(right.sum() / confusion.sum())} | {
        name: float(values[there].mean()) for name, values in means.items()
    }


def surprise(truth: "np.ndarray[Any, Any]", probabilities: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Of each row, minus the logarithm of the probability given to the class that was true."""
    import numpy as np

    tiny = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(probabilities[np.arange(len(truth)), truth], tiny, 1 - tiny)))


def _multiclass(truth: "np.ndarray[Any, Any]", said: "np.ndarray[Any, Any]", count: int) -> dict[str, float]:
    import numpy as np

    if len(truth) != len(said):
        raise invalid(f"there are {len(truth)} labels and {len(said)} scores")
    if not len(truth):
        return {}
    chosen = said if said.ndim == 1 else said.argmax(axis=1)
    measured = of_confusion(np.bincount(truth * count + chosen, minlength=count * count).reshape(count, count))
    if said.ndim == 2:
        measured["log_loss"] = float(surprise(truth, said).mean())
        if len(np.unique(truth)) == count > 1:
            measured["auc_ovr"] = float(np.mean([auc(truth == each, said[:, each]) for each in range(count)]))
    return {name: measured[name] for name in MULTICLASS if name in measured}


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
        raise invalid(
            f"labels have {len(kinds)} values; a classification is judged on two",
            fix='label rows 0 and 1, or set task = "multiclass" in [model]')  # fmt: skip
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
