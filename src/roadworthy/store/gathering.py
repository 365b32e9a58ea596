"""Gathering: whether a group that could be committed now waits a moment for those who are about to ask.

In: how many wait, how large groups were, how long commits took. Out: seconds to wait, 0 to begin at once. Called by
store/group.py.

Clients that ask one thing after another, eight of them, would otherwise fall into two halves that never meet: while the
one half's commit is synced the other half asks. So a group waits until it is as large as the one before it, but never
for longer than a commit takes, which is what waiting for its own commit instead would cost; now and then one waits for
more than that, and learns whether there are more. Whoever is alone waits for nobody.
"""

WAIT_S_LEAST = 0.001  # finer than what event loops keep time by
WAIT_S_MAX = 0.004
PROBE_EVERY_LEAST = 16
PROBE_EVERY_MAX = 256


class Gathering:
    """What was learned of the clients from the groups so far."""

    def __init__(self) -> None:
        self.expected = 1
        self._took_s = 0.0
        self._waited_with = 0  # how many there were when the waiting began; 0 when none began
        self._until_probe = PROBE_EVERY_LEAST
        self._probe_every = PROBE_EVERY_LEAST

    def wait_s(self, waiting: int) -> float:
        """How long to wait at most, with so many waiting already."""
        if self.enough(waiting):
            return 0.0
        self._waited_with = waiting
        return min(WAIT_S_MAX, max(WAIT_S_LEAST, self._took_s))

    def enough(self, waiting: int) -> bool:
        """Whether a group need not wait any longer."""
        return waiting >= self.expected and self._until_probe > 0

    def committed(self, size: int, took_s: float) -> None:
        """A group of `size` was committed."""
        if self._until_probe > 0:
            self._until_probe -= 1
        elif self._waited_with:
            more = size > max(self._waited_with, self.expected)
            self._probe_every = PROBE_EVERY_LEAST if more else min(PROBE_EVERY_MAX, self._probe_every * 2)
            self._until_probe = self._probe_every
        self._waited_with = 0
        # Falls by degrees: one who was late once is not gone.
        self.expected = max(size, self.expected - max(1, self.expected // 4))
        self._took_s = took_s
