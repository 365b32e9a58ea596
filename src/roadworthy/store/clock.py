"""Time and chance: the only door to both, so that a test or a replay can hold them still."""

import random
import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, in seconds since 1970-01-01 UTC, and how to wait."""

    def now(self) -> float: ...

    def sleep(self, duration_s: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)


class SimulatedClock:
    """A clock that moves only when told; sleeping moves it."""

    def __init__(self, start: float) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def sleep(self, duration_s: float) -> None:
        self._now += duration_s

    def set(self, now: float) -> None:
        """Move to a moment; time never goes back."""
        self._now = max(self._now, now)


class Ids(Protocol):
    """Makes identifiers: 32 hex digits, unique."""

    def new(self) -> str: ...


class RandomIds:
    """128 bits from the operating system."""

    def new(self) -> str:
        return secrets.token_hex(16)


class SeededIds:
    """Repeatable identifiers, for simulations that own their seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def new(self) -> str:
        return f"{self._random.getrandbits(128):032x}"
