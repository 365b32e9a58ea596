"""ONNX: an estimator out of an ONNX graph, run by onnxruntime.

In: the graph as stored, and tables for the model. Out: probabilities or values as scikit-learn's estimators give them.
A graph takes either one matrix of numbers, or each column by its name, as skl2onnx writes both. Called by model.py.
"""

from typing import TYPE_CHECKING, Any

from roadworthy.nouns.errors import Fault, invalid, refused
from roadworthy.nouns.model import Model

if TYPE_CHECKING:
    import pandas as pd

_NUMPY = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}


def classes_in(graph: Any) -> tuple[str | int, ...]:
    """The classes that a graph (an `onnx.ModelProto`) says it tells apart, in order; empty when it does not say.

    A classifier of one node names them, and so does the node that makes mappings of probabilities. Where there are
    several classifiers, as one for each class, what they name are not the classes of the whole.
    """
    named = [
        (node.op_type, tuple(text.decode() for text in said.strings) or tuple(said.ints))
        for node in graph.graph.node
        for said in node.attribute
        if said.name.startswith("classlabels") and (said.strings or said.ints)
    ]
    mapped = [classes for kind, classes in named if kind == "ZipMap"]
    found = mapped or [classes for _, classes in named]
    return found[0] if len(found) == 1 else ()


class OnnxEstimator:
    """Answers as a scikit-learn estimator does.

    Args:
        graph: an `onnx.ModelProto`.
        model: for its columns and task.

    Raises:
        Fault: refused, when the graph reads files; invalid, when its inputs are not the model's columns.
    """

    def __init__(self, graph: Any, model: Model) -> None:
        if any(tensor.data_location for tensor in graph.graph.initializer):
            raise refused("the ONNX graph reads its weights from other files", where=model.id, fix="store them in it")
        try:
            import onnxruntime
        except ImportError:
            raise invalid("an ONNX model needs onnxruntime", fix="pip install 'roadworthy[onnx]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # onnxruntime's have no common type
            raise invalid(f"the ONNX graph cannot be loaded: {problem}", where=model.id) from None
        self._id = model.id
        self.classes_ = model.classes or (0, 1)
        self._names = [field.name for field in model.signature.inputs]
        self._inputs = [(given.name, given.type) for given in self._session.get_inputs()]
        unknown = [name for name, _ in self._inputs if name not in self._names]
        if unknown and len(self._inputs) > 1:
            raise invalid(f"the ONNX graph has an input {unknown[0]!r} that is no column", where=model.id)
        self._matrix = bool(unknown) or (len(self._inputs) == 1 and len(self._names) > 1)

    def predict(self, table: "pd.DataFrame") -> Any:
        return self._run(table)[0]

    def predict_proba(self, table: "pd.DataFrame") -> Any:
        """The last output: probabilities as a matrix, or as one mapping of class to probability per row."""
        import numpy as np

        found = self._run(table)[-1]
        if isinstance(found, list):
            found = np.array([[row[key] for key in sorted(row)] for row in found])
        columns = found.shape[1] if found.ndim > 1 else 1
        if columns != len(self.classes_):
            raise invalid(
                f"the ONNX graph answers with {columns} numbers a row, and the model has {len(self.classes_)} classes",
                where=self._id,
                fix="give it a hold-out with rows of every class, and a graph whose last output is their probabilities",
            )
        return found

    def _run(self, table: "pd.DataFrame") -> Any:
        name, kind = self._inputs[0]
        if self._matrix:
            given = {name: table.to_numpy(dtype=_numpy(kind))}
        else:
            given = {
                name: table[name].to_numpy(dtype=_numpy(kind), copy=True).reshape(-1, 1) for name, kind in self._inputs
            }
        try:
            return self._session.run(None, given)
        except Exception as problem:
            raise invalid(f"the ONNX graph cannot answer: {problem}") from None


def _numpy(kind: str) -> str:
    if kind not in _NUMPY:
        raise _unknown(kind)
    return _NUMPY[kind]


def _unknown(kind: str) -> Fault:
    return invalid(f"the ONNX graph takes {kind}, which no column gives", fix=f"use {', '.join(_NUMPY)}")
