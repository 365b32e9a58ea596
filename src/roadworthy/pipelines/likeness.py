"""Whether two stored values are the same, and if not, how far apart.

In: two `Value`s. Out: a verdict and what was found. Equal content is identical without being read; otherwise both are
loaded and compared: tables and arrays number by number, models by what they answer. Called by `reproduce.py`.
"""

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from roadworthy.data.formats import registry as formats
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.step import Value
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["identical", "within tolerance", "different"]


class Likeness(NamedTuple):
    """How alike: a verdict, and what was found in words."""

    verdict: Verdict
    found: str = ""


class Judge:
    """Compares the outputs of two runs.

    Args:
        store: where both are kept.
        tolerance: the largest difference of two floating-point numbers that is not one, relative to the greater of 1
            and their size.
        rows: rows on which two models are asked, with the model's columns.
    """

    def __init__(self, store: Store, *, tolerance: float, rows: "pd.DataFrame | None" = None) -> None:
        self._store = store
        self._tolerance = tolerance
        self._rows = rows

    def values(self, before: Value, now: Value) -> Likeness:
        """Compare two outputs of one step."""
        if (before.content or before.digest) == (now.content or now.digest) and before.type == now.type:
            return Likeness("identical")
        if before.type != now.type:
            return Likeness("different", f"a {before.type} before, a {now.type} now")
        try:
            one = formats.load(self._store.blobs, before, keys=self._store.keys)
            two = formats.load(self._store.blobs, now, keys=self._store.keys)
        except Fault as fault:
            return Likeness("different", f"their bytes differ, and they cannot be loaded here: {fault.what}")
        return self._judge(one, two)

    def _judge(self, one: Any, two: Any) -> Likeness:
        if hasattr(one, "predict"):
            return self._models(one, two)
        differing, largest = self._differ(one, two)
        if differing:
            return Likeness("different", differing)
        return Likeness("within tolerance", f"largest difference {largest:.2g}" if largest else "equal when read")

    def _models(self, one: Any, two: Any) -> Likeness:
        if self._rows is None:
            return Likeness("different", "the models' bytes differ, and there are no rows to ask them about")
        import numpy as np

        ask = "predict_proba" if hasattr(one, "predict_proba") else "predict"
        try:
            answers = [np.asarray(getattr(model, ask)(self._rows)) for model in (one, two)]
        except Exception as problem:
            return Likeness("different", f"the models' bytes differ, and they do not answer: {problem}")
        differing, largest = self._differ(*answers)
        asked = f"answers to {len(self._rows):,} rows"
        if differing:
            return Likeness("different", f"{asked}: {differing}")
        return Likeness("within tolerance", f"{asked}: largest difference {largest:.2g}")

    def _differ(self, one: Any, two: Any) -> tuple[str, float]:
        """What differs (empty when nothing beyond tolerance does), and the largest difference of numbers."""
        if type(one) is not type(two):
            return f"{type(one).__name__} before, {type(two).__name__} now", math.inf
        if isinstance(one, dict):
            if one.keys() != two.keys():
                return f"keys {sorted(map(str, one.keys() ^ two.keys()))[:5]} are in one only", math.inf
            return self._worst((f"{key}: ", one[key], two[key]) for key in one)
        if isinstance(one, list | tuple):
            if len(one) != len(two):
                return f"{len(one)} items before, {len(two)} now", math.inf
            return self._worst((f"[{n}]: ", a, b) for n, (a, b) in enumerate(zip(one, two, strict=True)))
        if isinstance(one, float):
            return self._numbers(one, two)
        if isinstance(one, int):
            return ("", 0.0) if one == two else (f"{one} before, {two} now", math.inf)
        return self._tables(one, two)

    def _worst(self, pairs: Any) -> tuple[str, float]:
        largest = 0.0
        for where, a, b in pairs:
            differing, size = self._differ(a, b)
            if differing:
                return f"{where}{differing}", size
            largest = max(largest, size)
        return "", largest

    def _numbers(self, one: float, two: float) -> tuple[str, float]:
        if one == two or (math.isnan(one) and math.isnan(two)):
            return "", 0.0
        size = abs(one - two)
        if not size <= self._tolerance * max(1.0, abs(one)):
            return f"{one:.6g} before, {two:.6g} now", size
        return "", size

    def _tables(self, one: Any, two: Any) -> tuple[str, float]:
        import numpy as np

        kind = type(one).__module__.partition(".")[0]
        if kind == "duckdb":
            one, two = one.df(), two.df()
        elif kind == "pyarrow" and hasattr(one, "to_pandas"):
            one, two = one.to_pandas(), two.to_pandas()
        if hasattr(one, "columns"):
            if list(one.columns) != list(two.columns):
                return f"columns {list(two.columns)[:8]}, before {list(one.columns)[:8]}", math.inf
            if len(one) != len(two):
                return f"{len(one):,} rows before, {len(two):,} now", math.inf
            return self._worst((f"column {name}: ", one[name].to_numpy(), two[name].to_numpy()) for name in one.columns)
        if hasattr(one, "to_numpy") and not isinstance(one, np.ndarray):
            one, two = one.to_numpy(), two.to_numpy()
        if isinstance(one, np.ndarray):
            return self._arrays(one, two)
        return ("", 0.0) if bool(one == two) else (f"{one!r:.60} before, {two!r:.60} now", math.inf)

    def _arrays(self, one: Any, two: Any) -> tuple[str, float]:
        import numpy as np
        import pandas as pd

        if one.shape != two.shape:
            return f"shape {one.shape} before, {two.shape} now", math.inf
        if one.size == 0:
            return "", 0.0
        # Whole numbers count or name something: one that differs at all differs.
        if not all(np.issubdtype(each.dtype, np.inexact) for each in (one, two)):
            unlike = ~((one == two) | (pd.isna(one) & pd.isna(two)))
            count = int(np.count_nonzero(unlike))
            return (f"{count:,} of {one.size:,} values differ", math.inf) if count else ("", 0.0)
        wide = np.complex128 if any(np.iscomplexobj(each) for each in (one, two)) else np.float64
        a, b = one.astype(wide), two.astype(wide)
        size = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        beyond = ~(size <= self._tolerance * np.fmax(1.0, np.abs(a)))
        largest = float(np.nanmax(size)) if not np.all(np.isnan(size)) else math.inf
        count = int(np.count_nonzero(beyond))
        if count:
            return f"{count:,} of {one.size:,} values differ, by up to {largest:.3g}", largest
        return "", largest
