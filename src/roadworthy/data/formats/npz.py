"""SciPy sparse matrices and arrays, as `.npz`."""

from pathlib import Path
from typing import Any

from roadworthy.data.formats.format import Context, Stored, Written, type_names

NAME = "sparse"
AUTOMATIC = True
_BASES = {"scipy._spbase", "scipy.spmatrix"}


def takes(value: Any) -> bool:
    return bool(_BASES & set(type_names(value))) and type(value).__module__.startswith("scipy.sparse")


def write(value: Any, path: Path, context: Context) -> Written:
    import scipy.sparse as sp

    del context
    stored = value.tocsr() if value.format in {"dok", "lil"} else value.copy()
    if hasattr(stored, "sum_duplicates"):
        stored.sum_duplicates()  # one order of the same entries
    with path.open("wb") as file:
        sp.save_npz(file, stored, compressed=False)
    return Written(type=f"scipy.sparse.{type(value).__name__}", meta={"layout": value.format})


def read(stored: Stored, context: Context) -> Any:
    import io

    import scipy.sparse as sp

    del context
    return sp.load_npz(io.BytesIO(stored.content())).asformat(stored.value.meta["layout"])
