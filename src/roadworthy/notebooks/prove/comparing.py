"""A process of its own that holds the original's values against the pipeline's.

In: an order: pairs of a pickle that the kernel wrote and a value that a step returned. Out: a verdict on each, as JSON.
It imports the pipeline, so that classes of the notebook are found again in its module. Started by `proving.py`.
"""

import builtins
import importlib
import os
import pickle
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.data import snapshots
from roadworthy.data.formats import registry as formats
from roadworthy.gates.measures import performance
from roadworthy.notebooks.prove import alike
from roadworthy.notebooks.prove.alike import Likeness
from roadworthy.nouns.step import Value
from roadworthy.store.store import Store, open_store

# Rows on which a model of the original and of the pipeline are asked the same.
TABLES_ASKED_MAX = 4
ROWS_ASKED_MAX = 5_000


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One value on both sides.

    Args:
        what: how it is called in the report, such as `split["train"]`.
        file: the original's pickle.
        value: the pipeline's, with `key` in it; or `snapshot`, the id of a data set's.
    """

    what: str
    file: str
    value: Value | None = None
    key: str = ""
    snapshot: str = ""


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """The model and the rows it is judged on, to measure it as the gate will."""

    model: Value
    holdout: Value | None
    snapshot: str
    label: str
    features: tuple[str, ...]
    task: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to compare."""

    root: str
    home: str
    entry: str
    pairs: tuple[Pair, ...]
    tolerance: float
    judge: Judge | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one pair.

    Args:
        likeness: None when it could not be compared, and `why`.
        answers: of models, on how many rows their answers were compared.
    """

    what: str
    type: str = ""
    size: str = ""
    likeness: Likeness | None = None
    why: str = ""
    answers: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found, and how good the model is on its hold-out."""

    found: tuple[Found, ...]
    measured: dict[str, float] = msgspec.field(default_factory=dict)


def main() -> None:
    """Compare what the order names."""
    warnings.simplefilter("ignore")
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    os.chdir(order.root)
    sys.path.insert(0, order.root)
    os.environ.setdefault("MPLBACKEND", "Agg")
    module: types.ModuleType | None = None
    try:
        module = importlib.import_module(order.entry)
    except Exception as problem:
        sys.stderr.write(f"the pipeline cannot be imported: {problem}\n")
    if module is not None:
        _let_formulas_see(module)
    with open_store(Path(order.home)) as store:
        work = _Work(order, store, module)
        answer = Answer(found=tuple(work.pair(pair) for pair in order.pairs), measured=work.measured())
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(answer))


class _Work:
    def __init__(self, order: Order, store: Store, module: types.ModuleType | None) -> None:
        self.order = order
        self.store = store
        self.module = module
        self._outputs: dict[bytes, Any] = {}
        self._tables: list[Any] = []

    def pair(self, pair: Pair) -> Found:
        try:
            one = _unpickled(Path(pair.file), self.module)
        except Exception as problem:
            return Found(what=pair.what, why=f"the original's value cannot be read back: {_words(problem)}")
        try:
            two = self._theirs(pair)
        except Exception as problem:
            return Found(what=pair.what, why=f"the pipeline's value cannot be read back: {_words(problem)}")
        kind = type(one)
        if hasattr(one, "shape") and len(one.shape) == 2 and len(self._tables) < TABLES_ASKED_MAX:
            self._tables.append(one)
        try:
            likeness = alike.compare(one, two, tolerance=self.order.tolerance)
        except Exception as problem:
            return Found(what=pair.what, why=f"comparing it failed: {_words(problem)}")
        answers = ""
        if hasattr(one, "predict"):
            likeness, answers = self._models(one, two, likeness)
        name = (
            kind.__qualname__
            if kind.__module__ == "builtins"
            else f"{kind.__module__.partition('.')[0]} {kind.__qualname__}"
        )
        return Found(what=pair.what, type=name, size=_size(one), likeness=likeness, answers=answers)

    def measured(self) -> dict[str, float]:
        """How good the model is on its hold-out, by the gate's own measures."""
        judge = self.order.judge
        if judge is None:
            return {}
        try:
            import numpy as np

            model = formats.load(self.store.blobs, judge.model, keys=self.store.keys)
            rows = self._rows(judge)
            columns = list(judge.features) or [c for c in rows.columns if c != judge.label]
            if judge.task == "regression":
                scores = np.asarray(model.predict(rows[columns]), dtype=float).reshape(-1)
            elif judge.task == "multiclass":
                return performance.measure(
                    rows[judge.label].to_numpy(), _said(model, rows[columns]), task="multiclass",
                    classes=np.asarray(model.classes_).tolist(),
                )  # fmt: skip
            else:
                scores = np.asarray(model.predict_proba(rows[columns]))[:, 1]
            return performance.measure(rows[judge.label].to_numpy(), scores, task=judge.task)  # type: ignore[arg-type]
        except Exception as problem:
            sys.stderr.write(f"the model cannot be measured as the gate does: {_words(problem)}\n")
            return {}

    def _rows(self, judge: Judge) -> Any:
        if judge.holdout is not None:
            return formats.load(self.store.blobs, judge.holdout, keys=self.store.keys)
        import pandas as pd

        return snapshots.read(self.store, snapshots.get(self.store, judge.snapshot), pd.DataFrame)

    def _theirs(self, pair: Pair) -> Any:
        if pair.snapshot:
            import pandas as pd

            return snapshots.read(self.store, snapshots.get(self.store, pair.snapshot), pd.DataFrame)
        assert pair.value is not None
        # Not by the digest: that of a container is the same whatever its parts are.
        which = msgspec.json.encode(pair.value)
        if which not in self._outputs:
            self._outputs[which] = formats.load(self.store.blobs, pair.value, keys=self.store.keys)
        value = self._outputs[which]
        return value[pair.key] if pair.key else value

    def _models(self, one: Any, two: Any, likeness: Likeness) -> tuple[Likeness, str]:
        """Ask both models about the tables at hand; what they answer counts as what they hold."""
        asked = 0
        for table in self._tables:
            for way in ("predict", "predict_proba", "decision_function"):
                rows = table[:ROWS_ASKED_MAX]
                try:
                    rows = rows[list(one.feature_names_in_)] if hasattr(rows, "columns") else rows
                    answers = [getattr(model, way)(rows) for model in (one, two)]
                except Exception:  # noqa: S112 - not a table that this model takes
                    continue
                found = alike.compare(*answers, tolerance=self.order.tolerance)
                asked += rows.shape[0] if way == "predict" else 0
                if found.verdict == "different":
                    where = f"its {way} on {rows.shape[0]:,} rows"
                    return Likeness(verdict="different", where=where, found=found.found, largest=found.largest), ""
        return likeness, f"answers to {asked:,} rows" if asked else ""


def _let_formulas_see(module: types.ModuleType) -> None:
    """A formula that calls a function of the notebook is evaluated when its model is read back, wherever that is."""
    for name, value in vars(module).items():
        own = isinstance(value, types.FunctionType | type) and value.__module__ == module.__name__
        if own and not hasattr(builtins, name):
            setattr(builtins, name, value)


def _said(model: Any, rows: Any) -> Any:
    """Probabilities, or the places of the classes said, as the gate will take them."""
    import numpy as np

    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(rows))
    return performance.places(model.predict(rows), np.asarray(model.classes_).tolist())


class _Unpickler(pickle.Unpickler):
    """Finds what the notebook defined in the pipeline's module."""

    def __init__(self, file: Any, module: types.ModuleType | None) -> None:
        super().__init__(file)
        self._module = module

    def find_class(self, module_name: str, name: str) -> Any:
        if module_name == "__main__" and self._module is not None:
            found: Any = self._module
            for part in name.split("."):
                found = getattr(found, part)
            return found
        return super().find_class(module_name, name)


def _unpickled(path: Path, module: types.ModuleType | None) -> Any:
    with path.open("rb") as file:
        return _Unpickler(file, module).load()


def _size(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return " x ".join(f"{n:,}" for n in shape)
    if isinstance(value, dict | list | tuple | set):
        return f"{len(value):,} items"
    return ""


def _words(problem: BaseException) -> str:
    said = str(problem).splitlines()
    return f"{type(problem).__name__}: {said[0] if said else ''}"[:200]


if __name__ == "__main__":
    main()
