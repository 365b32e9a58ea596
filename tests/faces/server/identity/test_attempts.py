"""Attempts: a guesser is stopped, and others are not."""

import pytest

from roadworthy.faces.server.identity import attempts
from roadworthy.faces.server.identity.attempts import Attempts, Throttled


class Held:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_that_fails_too_often_waits() -> None:
    time = Held()
    seen = Attempts(time)
    for n in range(attempts.FROM_ADDRESS_MAX):
        seen.check("10.0.0.1", f"user{n}")
        seen.failed("10.0.0.1", f"user{n}")
    with pytest.raises(Throttled) as stopped:
        seen.check("10.0.0.1", "somebody")
    assert stopped.value.after_s == attempts.WINDOW_S
    seen.check("10.0.0.2", "somebody")
    time.now += attempts.WINDOW_S
    seen.check("10.0.0.1", "somebody")


def test_a_name_that_many_try_waits() -> None:
    seen = Attempts(Held())
    for n in range(attempts.OF_NAME_MAX):
        seen.failed(f"10.0.0.{n}", "ada")
    with pytest.raises(Throttled):
        seen.check("10.0.1.1", "ada")
    seen.check("10.0.1.1", "bob")


def test_success_forgives_the_address() -> None:
    seen = Attempts(Held())
    for _ in range(attempts.FROM_ADDRESS_MAX):
        seen.failed("10.0.0.1", "ada")
    seen.succeeded("10.0.0.1")
    seen.check("10.0.0.1", "ada")


def test_a_flood_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "KEYS_MAX", 100)
    seen = Attempts(Held())
    for n in range(1_000):
        seen.failed(f"a{n}", f"u{n}")
    assert len(seen._failed) <= 102
