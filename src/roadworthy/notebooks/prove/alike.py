"""Whether two values are the same: tables, arrays, models, containers, scalars; and if not, where they first differ.

In: the original's value and the pipeline's. Out: a `Likeness`. Exact first: every bit of a number, every label, every
type. Floating-point numbers that differ by no more than the tolerance are told as such. Called by `comparing.py`, and
by `watching.py` to see whether a value comes back from storage as it went.
"""

import datetime as dt
import functools
import inspect
import math
import numbers
import pickle
import types
from typing import Any, Literal

import msgspec

Verdict = Literal["identical", "within tolerance", "different"]

DEPTH_MAX = 60
SHOWN = 60
# Where libraries keep arrays that are written over at each use, so that what is in them means nothing.
SCRATCH = "_tmp"
CACHE = "cache"
MOMENT = "the moment"


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """How alike two values are.

    Args:
        where: in the value they first differ, such as `column age` or `.coef_`.
        found: what differs, in words.
        largest: the largest difference of two floating-point numbers, relative to the greater of 1 and their size.
    """

    verdict: Verdict
    where: str = ""
    found: str = ""
    largest: float = 0.0


class _Unlike(Exception):
    def __init__(self, where: str, found: str) -> None:
        super().__init__(found)
        self.where = where
        self.found = found


def compare(one: Any, two: Any, *, tolerance: float = 0.0, later: bool = False) -> Likeness:
    """Compare two values.

    Args:
        one, two: of any type.
        tolerance: the largest difference of two floating-point numbers that is not one, relative to the greater of 1
            and their size.
        later: the second is the first at a later moment; what was only computed on demand since is no difference.

    >>> compare([1.0, {"a": "x"}], [1.0, {"a": "x"}]).verdict
    'identical'
    >>> compare({"auc": 0.7}, {"auc": 0.8}).where
    "['auc']"
    """
    comparing = _Comparing(tolerance, later=later)
    try:
        comparing.any(one, two, "", 0)
    except _Unlike as unlike:
        return Likeness(verdict="different", where=unlike.where, found=unlike.found, largest=comparing.largest)
    verdict: Verdict = "within tolerance" if comparing.largest > 0 else "identical"
    return Likeness(verdict=verdict, largest=comparing.largest)


class _Comparing:
    def __init__(self, tolerance: float, *, later: bool = False) -> None:
        self.tolerance = tolerance
        self.later = later
        self.largest = 0.0
        self._met: set[tuple[int, int]] = set()
        self._kept: list[Any] = []

    def any(self, one: Any, two: Any, where: str, depth: int) -> None:
        if one is two:
            return
        if depth > DEPTH_MAX:
            raise _Unlike(where, f"nested deeper than {DEPTH_MAX}, so not compared to the end")
        if isinstance(one, numbers.Number) and isinstance(two, numbers.Number):
            self._numbers(one, two, where)
            return
        if _kind(one) != _kind(two):
            raise _Unlike(where, f"a {_kind(one)} in the notebook, a {_kind(two)} in the pipeline")
        if isinstance(one, str | bytes | type(None)):
            if one != two:
                raise _Unlike(where, f"{one!r:.{SHOWN}} in the notebook, {two!r:.{SHOWN}} in the pipeline")
            return
        if (id(one), id(two)) in self._met:
            return
        self._met.add((id(one), id(two)))
        self._kept += [one, two]  # an id is only one's own while its object lives
        self._compound(one, two, where, depth)

    def _compound(self, one: Any, two: Any, where: str, depth: int) -> None:
        module = type(one).__module__.partition(".")[0]
        if isinstance(one, dt.date | dt.time):
            if one != two:
                raise _Unlike(where, f"{MOMENT} {one} in the notebook, {two} in the pipeline")
        elif isinstance(one, functools.partial | types.MethodType):
            self.any(_bound(one), _bound(two), where, depth + 1)
        elif isinstance(one, dict):
            self._mapping(one, two, where, depth)
        elif isinstance(one, list | tuple):
            self._sequence(one, two, where, depth)
        elif isinstance(one, set | frozenset):
            if one != two:
                raise _Unlike(
                    where, f"{len(one ^ two)} items are in one only, such as {min(map(repr, one ^ two)):.{SHOWN}}"
                )
        elif module == "pandas":
            self._pandas(one, two, where, depth)
        elif module == "numpy" and hasattr(one, "dtype"):
            self._array(one, two, where, depth)
        elif module == "numpy":
            self._state(one, two, where, depth)
        elif module == "scipy" and hasattr(one, "tocsr"):
            self._sparse(one, two, where, depth)
        elif module in {"builtins", "functools", "types"} or isinstance(one, type):
            self._by_bytes(one, two, where)
        else:
            self._state(one, two, where, depth)

    def _numbers(self, one: Any, two: Any, where: str) -> None:
        whole = isinstance(one, numbers.Integral) and isinstance(two, numbers.Integral)
        if isinstance(one, bool) != isinstance(two, bool) and _kind(one) != _kind(two):
            raise _Unlike(where, f"{one!r} in the notebook, {two!r} in the pipeline")
        if one == two or (one != one and two != two):  # noqa: PLR0124 - not a number
            return
        size = abs(one - two) / max(1.0, abs(one)) if not whole else math.inf
        if not size <= self.tolerance:
            raise _Unlike(where, f"{one!r} in the notebook, {two!r} in the pipeline")
        self.largest = max(self.largest, float(size))

    def _mapping(self, one: Any, two: Any, where: str, depth: int) -> None:
        if one.keys() != two.keys():
            only = sorted(map(repr, one.keys() ^ two.keys()))
            raise _Unlike(where, f"keys {', '.join(only)[:SHOWN]} are in one only")
        for key in one:
            self.any(one[key], two[key], f"{where}[{key!r:.40}]", depth + 1)
        if type(one) is dict and list(one) != list(two):
            raise _Unlike(where, "the keys are in another order")

    def _sequence(self, one: Any, two: Any, where: str, depth: int) -> None:
        if len(one) != len(two):
            raise _Unlike(where, f"{len(one):,} items in the notebook, {len(two):,} in the pipeline")
        for place, (a, b) in enumerate(zip(one, two, strict=True)):
            self.any(a, b, f"{where}[{place}]", depth + 1)

    def _pandas(self, one: Any, two: Any, where: str, depth: int) -> None:
        if hasattr(one, "columns"):
            if list(one.columns) != list(two.columns):
                raise _Unlike(
                    where, f"columns {list(one.columns)!r:.{SHOWN}} in the notebook, {list(two.columns)!r:.{SHOWN}}"
                )
            self._rows(one, two, where)
            self._pandas(one.index, two.index, f"{where} index", depth)
            for place, name in enumerate(one.columns):
                self._column(one.iloc[:, place], two.iloc[:, place], f"{where} column {name}".strip(), depth)
        elif hasattr(one, "index") and hasattr(one, "iloc"):
            self._rows(one, two, where)
            if one.name != two.name:
                raise _Unlike(where, f"called {one.name!r} in the notebook, {two.name!r} in the pipeline")
            self._pandas(one.index, two.index, f"{where} index", depth)
            self._column(one, two, where, depth)
        elif hasattr(one, "dtype") and hasattr(one, "to_numpy"):
            self._rows(one, two, where)
            if getattr(one, "names", None) != getattr(two, "names", None):
                raise _Unlike(where, f"names {one.names} in the notebook, {two.names} in the pipeline")
            self._column(one, two, where, depth)
        else:
            self._state(one, two, where, depth)

    def _rows(self, one: Any, two: Any, where: str) -> None:
        if len(one) != len(two):
            raise _Unlike(where, f"{len(one):,} rows in the notebook, {len(two):,} in the pipeline")

    def _column(self, one: Any, two: Any, where: str, depth: int) -> None:
        if str(one.dtype) != str(two.dtype):
            raise _Unlike(where, f"of dtype {one.dtype} in the notebook, {two.dtype} in the pipeline")
        if str(one.dtype) == "category" and list(one.dtype.categories) != list(two.dtype.categories):
            raise _Unlike(where, "other categories, or another order of them")
        if getattr(one, "freqstr", None) != getattr(two, "freqstr", None) and hasattr(one, "freqstr"):
            raise _Unlike(where, f"of frequency {one.freqstr} in the notebook, {two.freqstr} in the pipeline")
        if getattr(one, "nlevels", 1) > 1 and not hasattr(one, "iloc"):  # an index of several levels: each by itself
            for level in range(one.nlevels):
                if len(one.levels[level]) != len(two.levels[level]):  # such as those of rows that were dropped
                    raise _Unlike(where, f"level {level} knows other values that no row has")
                a, b = (index.get_level_values(level) for index in (one, two))
                self._column(a, b, f"{where} level {level}", depth)
            return
        a, b = (getattr(each, "array", each) for each in (one, two))
        if hasattr(a, "asi8"):  # moments: the zone is part of the dtype, whatever object stands for it
            self._array(a.asi8, b.asi8, where, depth)
            return
        self._array(one.to_numpy(), two.to_numpy(), where, depth)

    def _array(self, one: Any, two: Any, where: str, depth: int) -> None:
        import numpy as np

        if one.shape != two.shape or one.dtype != two.dtype:
            raise _Unlike(where, f"{one.dtype}{one.shape} in the notebook, {two.dtype}{two.shape} in the pipeline")
        if one.dtype.hasobject:
            for a, b in zip(one.ravel().tolist(), two.ravel().tolist(), strict=True):
                if not (a is b or _both_missing(a, b)):
                    self.any(a, b, where, depth + 1)
            return
        if one.dtype.names:
            for name in one.dtype.names:
                self._array(one[name], two[name], f"{where}.{name}", depth)
            return
        same = one == two
        if one.dtype.kind in "fcmM":
            same = same | ((one != one) & (two != two))  # noqa: PLR0124 - not a number
        if np.all(same):
            return
        count = int(np.count_nonzero(~same))
        if one.dtype.kind not in "fc":
            raise _Unlike(where, f"{count:,} of {one.size:,} values differ; the first is {_first(one, two, same)}")
        wide = np.where(same, 0.0, np.abs(one - two) / np.fmax(1.0, np.abs(one)))
        largest = math.inf if np.isnan(wide).any() else float(wide.max())
        if not largest <= self.tolerance:
            raise _Unlike(
                where,
                f"{count:,} of {one.size:,} values differ, by up to {largest:.3g}; the first is "
                f"{_first(one, two, same)}",
            )
        self.largest = max(self.largest, largest)

    def _sparse(self, one: Any, two: Any, where: str, depth: int) -> None:
        if one.shape != two.shape:
            raise _Unlike(where, f"shape {one.shape} in the notebook, {two.shape} in the pipeline")
        a, b = one.tocsr().copy(), two.tocsr().copy()
        for matrix in (a, b):
            matrix.sum_duplicates()
        for name in ("indptr", "indices", "data"):
            left, right = getattr(a, name), getattr(b, name)
            if name != "data":
                left, right = left.astype("int64"), right.astype("int64")
            self._array(left, right, f"{where}.{name}", depth)

    def _state(self, one: Any, two: Any, where: str, depth: int) -> None:
        """Objects by what they hold: an estimator's parameters and what it learned, a result's fields."""
        left, right = _held(one), _held(two)
        if left is None or right is None:
            self._by_bytes(one, two, where)
            return
        if self.later:
            right = {n: held for n, held in right.items() if n in left or not _is_on_demand(two, n)}
            left = {n: held for n, held in left.items() if CACHE not in n.lower() or n not in right}
            right = {n: held for n, held in right.items() if CACHE not in n.lower() or n in left}
        if left.keys() != right.keys():
            only = sorted(left.keys() ^ right.keys())
            raise _Unlike(where, f"attributes {', '.join(only)[:SHOWN]} are in one only")
        # A distribution of SciPy holds the generator that all of NumPy shares; where that stands is not its value.
        aside = {"_random_state"} if type(one).__module__.startswith("scipy.stats") else set()
        for name in left:
            a, b = left[name], right[name]
            if name in aside or name.startswith(SCRATCH):
                continue
            if name == "_cache" and isinstance(a, dict) and isinstance(b, dict):
                # What was computed on demand is compared where both sides did so.
                a, b = ({key: kept[key] for key in a if key in b} for kept in (a, b))
            self.any(a, b, f"{where}.{name}", depth + 1)

    def _by_bytes(self, one: Any, two: Any, where: str) -> None:
        try:
            if bool(one == two) or pickle.dumps(one) == pickle.dumps(two):
                return
        except Exception as problem:
            raise _Unlike(where, f"two {_kind(one)} that cannot be compared: {problem}") from None
        raise _Unlike(where, f"two {_kind(one)} that are not equal")


def _held(value: Any) -> dict[str, Any] | None:
    """What an object holds, by name."""
    get_state = getattr(value, "get_state", None)  # NumPy's generators
    if callable(get_state) and type(value).__module__.startswith("numpy"):
        return {"state": get_state(legacy=False)}
    if type(value).__module__.startswith("numpy.random") and hasattr(value, "bit_generator"):
        return {"state": value.bit_generator.state}
    try:
        state = value.__reduce_ex__(4)
    except Exception:
        return getattr(value, "__dict__", None)
    held: dict[str, Any] = {}
    if len(state) > 2 and isinstance(state[2], dict):
        held = {str(k): v for k, v in state[2].items()}
    elif len(state) > 2 and state[2] is not None:
        held = {"state": state[2]}
    elif not getattr(value, "__dict__", None):
        return (
            {"made by": state[0], "from": list(state[1])} if len(state) > 1 and state[1] and _is_plain(state) else None
        )
    arguments = state[1] if len(state) > 1 and isinstance(state[1], tuple) else ()
    extra = [a for a in arguments if not isinstance(a, type) and a is not None]
    return held | ({"arguments": extra} if extra else {})


def _bound(call: Any) -> list[Any]:
    """What a partial function, or a method of an object, is bound to."""
    if isinstance(call, functools.partial):
        return [call.func, list(call.args), call.keywords]
    return [call.__name__, call.__self__]


def _is_on_demand(value: Any, name: str) -> bool:
    """Whether an attribute is what its class computes when it is first asked, as `functools.cached_property` does."""
    return CACHE in name.lower() or hasattr(inspect.getattr_static(type(value), name, None), "__get__")


def _is_plain(state: Any) -> bool:
    return callable(state[0]) and isinstance(state[1], tuple)


def _kind(value: Any) -> str:
    """A type's name; a class of the notebook is the same class in the pipeline's module."""
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module in {"builtins", "__main__", "pipeline"} else f"{module}.{kind.__qualname__}"


def _both_missing(one: Any, two: Any) -> bool:
    return isinstance(one, float) and isinstance(two, float) and math.isnan(one) and math.isnan(two)


def _first(one: Any, two: Any, same: Any) -> str:
    import numpy as np

    place = tuple(int(i[0]) for i in np.nonzero(~np.atleast_1d(same)))
    at = ", ".join(map(str, place))
    return f"[{at}]: {np.atleast_1d(one)[place]!r} in the notebook, {np.atleast_1d(two)[place]!r} in the pipeline"
