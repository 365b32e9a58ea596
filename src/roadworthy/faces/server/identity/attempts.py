"""Attempts: how often a password may be tried, by address and by name.

In: who tried and failed. Out: whether they may try again yet. Tokens need none of this: nobody guesses 256 bits.
Called by door.py.
"""

import time
from collections.abc import Callable

WINDOW_S = 300.0
FROM_ADDRESS_MAX = 20  # failures in a window
OF_NAME_MAX = 50  # from wherever they come
KEYS_MAX = 50_000


class Throttled(Exception):
    """Too many attempts failed; `after_s` says when to try again."""

    def __init__(self, after_s: float) -> None:
        super().__init__("too many attempts to log in failed")
        self.after_s = after_s


class Attempts:
    """Counts failures in windows of time.

    Args:
        now: the time, in seconds from anywhere.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failed: dict[tuple[str, str], tuple[float, int]] = {}

    def check(self, address: str, name: str) -> None:
        """Refuse who failed too often.

        Raises:
            Throttled: before anything is computed.
        """
        for key, most in ((("address", address), FROM_ADDRESS_MAX), (("name", name), OF_NAME_MAX)):
            began, count = self._failed.get(key, (0.0, 0))
            left = began + WINDOW_S - self._now()
            if count >= most and left > 0:
                raise Throttled(left)

    def failed(self, address: str, name: str) -> None:
        """Count one failure."""
        now = self._now()
        if len(self._failed) >= KEYS_MAX:
            self._failed = {key: entry for key, entry in self._failed.items() if entry[0] + WINDOW_S > now}
            if len(self._failed) >= KEYS_MAX:
                self._failed.clear()  # a flood from everywhere must not fill the memory
        for key in (("address", address), ("name", name)):
            began, count = self._failed.get(key, (now, 0))
            self._failed[key] = (began, count + 1) if began + WINDOW_S > now else (now, 1)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address from which somebody came in."""
        self._failed.pop(("address", address), None)
