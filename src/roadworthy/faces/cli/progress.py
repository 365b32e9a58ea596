"""Progress of one long task on one line of a terminal, redrawn a few times a second; nothing when piped.

In: calls `(what, done, total)` from a room. Out: stderr. Used by the verbs that copy much.
"""

import sys
import time
from typing import Self

EVERY_S = 0.2


class Progress:
    """Used as a context, which takes the line away at its end.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._last_s = 0.0
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __call__(self, what: str, done: int, total: int) -> None:
        now_s = time.monotonic()
        if self._shown and now_s - self._last_s >= EVERY_S:
            self._last_s, self._drawn = now_s, True
            sys.stderr.write(f"\r\x1b[K{what}: {done:,} of {total:,}")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
