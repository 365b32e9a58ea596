"""NumPy arrays as `.npy`, never with pickled objects inside."""

from pathlib import Path
from typing import Any

from blake3 import blake3

from roadworthy.data.formats.format import Context, Stored, Written, type_names
from roadworthy.nouns.errors import invalid

NAME = "numpy"
AUTOMATIC = True


def takes(value: Any) -> bool:
    return type_names(value)[0] == "numpy.ndarray"


def write(value: Any, path: Path, context: Context) -> Written:
    import numpy as np

    del context
    if value.dtype.hasobject:
        raise invalid(
            "an array of Python objects cannot be stored as NumPy data",
            fix="give it a dtype, such as array.astype(float) or astype(str), or return a list",
        )
    if value.dtype.names:
        value = without_padding(value)
    with path.open("wb") as file:
        np.save(file, value, allow_pickle=False)
    return Written(type="numpy.ndarray", content=content_of(value))


def read(stored: Stored, context: Context) -> Any:
    import io

    import numpy as np

    del context
    return np.load(io.BytesIO(stored.content()), allow_pickle=False)


def content_of(array: Any) -> str:
    """BLAKE3 of an array's type, shape and values, whatever its memory order."""
    import numpy as np

    hasher = blake3(f"{np.lib.format.dtype_to_descr(array.dtype)}|{array.shape}|".encode())
    hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()


def without_padding(array: Any) -> Any:
    """A structured array whose bytes between fields are zero rather than whatever lay there."""
    import numpy as np

    clean = np.zeros(array.shape, array.dtype, order="F" if array.flags.fnc else "C")
    for name in array.dtype.names:
        clean[name] = array[name]
    return clean
