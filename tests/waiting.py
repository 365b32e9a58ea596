"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable
from typing import Any


def until(what: Callable[[], Any], *, patience_s: float = 60.0) -> Any:
    """Wait for something to become true; what it was then."""
    end = time.monotonic() + patience_s
    while True:
        found = what()
        if found or time.monotonic() > end:
            assert found, "it did not come true"
            return found
        time.sleep(0.02)
