"""Time and chance: the only door to both, so that a test or a replay can hold them still."""

import datetime as dt
import os
import time
from typing import Protocol

from roadworthy.nouns.errors import invalid

NOW_ENVIRONMENT = "ROADWORTHY_NOW"


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


class ShiftedClock:
    """A clock that starts at a moment of one's choice and goes on as the machine's does."""

    def __init__(self, start: float) -> None:
        self._shift_s = start - time.time()

    def now(self) -> float:
        return time.time() + self._shift_s

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


def from_environment() -> Clock:
    """The machine's clock, or one that starts at the moment that ROADWORTHY_NOW names, to go over history again.

    Raises:
        Fault: invalid when the variable holds no moment with its offset from UTC.
    """
    written = os.environ.get(NOW_ENVIRONMENT)
    if not written:
        return SystemClock()
    try:
        moment = dt.datetime.fromisoformat(written)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid(
            f"{written!r} is not a moment",
            where=NOW_ENVIRONMENT,
            fix="write it with its offset, such as 2013-04-01T09:00:00+00:00",
        )
    return ShiftedClock(moment.timestamp())


class Ids(Protocol):
    """Makes identifiers: 32 hex digits, unique."""

    def new(self) -> str: ...


class RandomIds:
    """128 bits from the operating system."""

    def new(self) -> str:
        return os.urandom(16).hex()


class SeededIds:
    """Repeatable identifiers, for simulations that own their seed."""

    def __init__(self, seed: int) -> None:
        import random  # it loads much, and commands need none of it

        self._random = random.Random(seed)

    def new(self) -> str:
        return f"{self._random.getrandbits(128):032x}"
