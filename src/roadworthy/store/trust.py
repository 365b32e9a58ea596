"""Trust: whether to go on with what one remembers, when others may have changed it.

In: how it went each time. Out: whether to dare again. Called by store/log.py and registry/read_ahead.py, where to trust
in vain costs as much as five times well gains. So each time in vain makes fourfold how often nobody dares after the
next, and each time well takes a quarter off: who is right less often than that soon hardly dares at all.
"""

WARY_MAX = 1_024


class Trust:
    """What was learned so far; at first there is trust."""

    def __init__(self) -> None:
        self._wary = 0  # for so many times more
        self._next = 1

    def dares(self) -> bool:
        """Whether to go on with what is remembered this time."""
        if self._wary:
            self._wary -= 1
            return False
        return True

    def came(self, *, well: bool) -> None:
        """It was so, or it was not."""
        if well:
            self._next = max(1, self._next * 3 // 4)
        else:
            self._wary = self._next
            self._next = min(WARY_MAX, self._next * 4)
