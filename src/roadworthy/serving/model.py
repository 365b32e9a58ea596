"""The code that scores: in the gate, in monitors and in production, the same few lines.

In: a stored estimator with its signature, and a table. Out: one number per row: the probability of the positive class,
the value of a regression, or the place of the class among the model's. Called by serving/app.py on a bundle, and by
gates and pipelines on a store's blobs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadworthy.data.formats import onnx
from roadworthy.data.formats.registry import load as load_value
from roadworthy.nouns.errors import Fault, invalid, refused
from roadworthy.nouns.model import Model
from roadworthy.serving.bundle import SERVED_FORMATS, Bundle
from roadworthy.serving.onnx_model import OnnxEstimator, classes_in
from roadworthy.serving.signature import align
from roadworthy.store.blobs import Blobs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from roadworthy.store.keys import Keys


class Predictor:
    """A loaded estimator that answers with one number per row.

    Args:
        estimator: has `predict_proba` (classification) or `predict` (regression); one of them for several classes.
        model: the registered version, for its signature and task.
    """

    def __init__(self, estimator: Any, model: Model) -> None:
        self.model = model
        self._estimator = estimator
        self._positive = _positive_column(estimator, model)

    def predict(self, table: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """One float64 per row of `table`, whose columns may be more than, and in another order than, the model takes.

        Raises:
            Fault: invalid, when a column is missing or of a type the model cannot take.
        """
        return self.predict_aligned(align(table, self.model.signature))

    def predict_aligned(self, table: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """As `predict`, of a table that already has the model's columns and types (see signature.convert_columns)."""
        import numpy as np

        if not len(table):
            return np.empty(0, dtype=np.float64)
        if self.model.task == "multiclass":
            said = self.said_aligned(table)
            return np.asarray(said if said.ndim == 1 else said.argmax(axis=1), dtype=np.float64)
        if self.model.task == "regression":
            answer = self._estimator.predict(table)
        elif self._positive is None:
            answer = np.full(len(table), float(bool(self._estimator.classes_[0])))
        else:
            answer = self._estimator.predict_proba(table)[:, self._positive]
        return np.asarray(answer, dtype=np.float64).reshape(-1)

    def said(self, table: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """What measures of a task are taken of: as `predict`, but of several classes the probability of each."""
        if self.model.task != "multiclass" or not len(table):
            return self.predict(table)
        return self.said_aligned(align(table, self.model.signature))

    def said_aligned(self, table: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """Of several classes: probabilities, a column for each, where the estimator has them; else the places said."""
        import numpy as np

        if hasattr(self._estimator, "predict_proba"):
            return np.asarray(self._estimator.predict_proba(table), dtype=np.float64)
        place = {value: at for at, value in enumerate(self.model.classes)}
        return np.asarray([place[value] for value in np.asarray(self._estimator.predict(table)).tolist()], dtype=float)


def classes_of(estimator: Any) -> tuple[str | int | float | bool, ...]:
    """The classes that an estimator tells apart, in the order of its probabilities; empty when it does not say."""
    import numpy as np

    if onnx.takes(estimator):
        return classes_in(estimator)
    return tuple(np.asarray(getattr(estimator, "classes_", ())).tolist())


def load(bundle: Bundle) -> Predictor:
    """The model of a bundle, ready to answer.

    Raises:
        Fault: refused, when the format is one that a server does not load; invalid, when the bytes are not the model's.
    """
    model = bundle.model
    if model.value.format not in SERVED_FORMATS:
        raise refused(
            f"a server does not load models stored as {model.value.format}: loading one runs whatever is in it",
            where=model.id,
            fix=f"store the model as {' or '.join(SERVED_FORMATS)}",
        )
    return predictor(Blobs(bundle.folder / "blobs"), model)


def predictor(blobs: Blobs, model: Model, *, keys: "Keys | None" = None) -> Predictor:
    """A registered model out of a store's blobs; `keys` verify the signature of a pickle, where the user chose one."""
    trusted = tuple(model.value.meta.get("trusted", ()))
    estimator = load_value(blobs, model.value, trusted=trusted, keys=keys)
    if model.value.format == "onnx":
        estimator = OnnxEstimator(estimator, model)
    if isinstance(estimator, bytes | str | Path) or not (
        hasattr(estimator, "predict") or hasattr(estimator, "predict_proba")
    ):
        raise _not_an_estimator(model, estimator)
    return Predictor(estimator, model)


def score(blobs: Blobs, model: Model, table: Any, *, keys: "Keys | None" = None) -> "np.ndarray[Any, Any]":
    """What the model answers for each row of a table: probabilities of the positive class, or values.

    Args:
        blobs: where the model is stored.
        model: the registered version.
        table: a `pandas.DataFrame` or `pyarrow.Table` that holds at least the model's columns.
        keys: needed for a model stored as a signed pickle only.

    Raises:
        Fault: invalid, when a column is missing or the estimator cannot answer.
    """
    return predictor(blobs, model, keys=keys).predict(table)


def _positive_column(estimator: Any, model: Model) -> int | None:
    """Which column of `predict_proba` is the positive class: the greater of two; None when it knows only one class."""
    if model.task == "regression":
        return 0
    if model.task == "multiclass":
        known = classes_of(estimator)
        if known and known != model.classes:
            raise invalid(f"the model tells {len(known)} classes apart, not {len(model.classes)}", where=model.id)
        return None
    if not hasattr(estimator, "predict_proba"):
        raise invalid(
            f"{type(estimator).__name__} gives no probabilities",
            where=model.id,
            fix='wrap it in sklearn.calibration.CalibratedClassifierCV, or set task = "regression"',
        )
    classes = getattr(estimator, "classes_", None)
    if classes is None or len(classes) == 2:
        return 1
    if len(classes) == 1:
        return None
    raise invalid(
        f"the model tells {len(classes)} classes apart, and a classification two",
        where=model.id,
        fix='set task = "multiclass" in [model]',
    )


def _not_an_estimator(model: Model, found: Any) -> Fault:
    return invalid(
        f"what the step returned cannot predict: it is a {type(found).__name__}",
        where=model.id,
        fix="return a fitted scikit-learn estimator from the step named in [model]",
    )
