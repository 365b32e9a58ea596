"""Garbage: when Python is not to look for it, as looking takes as long as the work itself.

Used where very many values are made that stay, or that hold no circles and go when nobody holds them any more.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage until the block ends."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
