"""Looking into the values of a notebook: what a value says now, and which objects it is made of.

In: values, in the kernel. Out: fingerprints, which tell a value that was changed in place, and the ids of the objects
that a value reaches, which tell two names that share one. Called by `inside.py`. When in doubt a value counts as
changed or shared: that costs time, and never a wrong result.
"""

import enum
import gc
import pickle
import sys
import types
from typing import Any

from blake3 import blake3

OBJECTS_MAX = 50_000
CODE = "code"
_ATOMS = (int, float, complex, str, bytes, bool, type(None), enum.Enum, range, slice, type(...))
_CODE_TYPES = (
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.CodeType,
    types.MappingProxyType,
    types.GetSetDescriptorType,
    property,
)
_LEAVES = frozenset({"pandas.DataFrame", "pandas.Series", "pandas.Index", "numpy.dtype", "pyarrow.Table"})


class TooMany(Exception):
    """A value is made of more objects than are followed."""


def fingerprint(value: Any) -> str | None:
    """A text that changes when the value does; None when it cannot be looked into."""
    if isinstance(value, (*_CODE_TYPES, types.FunctionType)):
        return CODE
    try:
        return _digest(value)
    except Exception:  # of any library
        return None


def is_atom(value: Any) -> bool:
    """Whether it cannot be changed in place, all the way down."""
    if isinstance(value, _ATOMS):
        return True
    if type(value) in (tuple, frozenset):
        return all(is_atom(part) for part in value)
    return "numpy.generic" in {_name(base) for base in type(value).__mro__}


def is_code(value: Any) -> bool:
    """Whether it is a module, a function, a class: made anew by running its cell."""
    return isinstance(value, (*_CODE_TYPES, types.FunctionType, types.MethodType))


def is_of_notebook(value: Any) -> bool:
    """Whether an object is of a class that a cell defines, so that it could not come back without that cell."""
    return getattr(type(value), "__module__", "") == "__main__"


def reached(value: Any, apart: int) -> set[int]:
    """Ids of the changeable objects that a value is made of.

    Args:
        apart: id of the notebook's names themselves, which every function reaches.

    Raises:
        TooMany: when there are more than are followed.
    """
    found: set[int] = set()
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (*_ATOMS, *_CODE_TYPES)) or id(one) in found or id(one) == apart:
            continue
        if type(one) in (tuple, frozenset) and is_atom(one):
            continue
        found.add(id(one))
        if len(found) > OBJECTS_MAX:
            raise TooMany
        waiting += _parts(one)
    return found


def _parts(one: Any) -> list[Any]:
    if isinstance(one, types.FunctionType):
        return [*(one.__closure__ or ()), *(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
    name = _name(type(one))
    if any(_name(base) in _LEAVES for base in type(one).__mro__):
        return _memory_of_table(one)
    if name.startswith("numpy.") and hasattr(one, "base"):
        # Views of one array share its memory.
        return [one.base] if one.base is not None else [] if one.dtype != object else list(one.flat)
    return [part for part in gc.get_referents(one) if not isinstance(part, _ATOMS)]


def _memory_of_table(table: Any) -> list[Any]:
    """Before pandas 3 a column taken from a table was the table's own memory."""
    pandas = sys.modules.get("pandas")
    if pandas is None or int(pandas.__version__.partition(".")[0]) >= 3:
        return []
    manager = getattr(table, "_mgr", None)
    blocks = getattr(manager, "blocks", ())
    return [_root(block.values) for block in blocks]


def _root(array: Any) -> Any:
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def _digest(value: Any) -> str:
    kind = _name(type(value))
    if kind in {"pandas.DataFrame", "pandas.Series"}:
        try:
            return _of_table(value)
        except TypeError:  # cells that are lists, say
            pass
    if kind == "numpy.ndarray" and value.dtype != object:
        import numpy as np

        content = np.ascontiguousarray(value)
        return blake3(f"{content.dtype} {content.shape}".encode() + content.view(np.uint8).tobytes()).hexdigest()
    return blake3(pickle.dumps(value, 5)).hexdigest()


def _of_table(table: Any) -> str:
    import pandas as pd

    frame = table.to_frame() if isinstance(table, pd.Series) else table
    rows = pd.util.hash_pandas_object(frame, index=True).to_numpy().tobytes()
    heads = f"{list(frame.columns)!r} {list(map(str, frame.dtypes))!r} {frame.index.names!r} {table.attrs!r}"
    return blake3(heads.encode("utf-8", "replace") + rows).hexdigest()


def _name(kind: type) -> str:
    return f"{(kind.__module__ or '').partition('.')[0]}.{kind.__qualname__}"
