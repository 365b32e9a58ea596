"""Passwords: kept as hashes that only the password matches."""

import pytest

from roadworthy.faces.server.identity import passwords
from roadworthy.nouns.errors import Fault

GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", 1 << 10)


def test_only_the_password_matches() -> None:
    kept = passwords.hashed(GOOD)
    assert GOOD not in kept
    assert passwords.matches(GOOD, kept)
    assert not passwords.matches(GOOD + " ", kept)
    assert not passwords.matches("", kept)
    assert passwords.hashed(GOOD) != kept


@pytest.mark.parametrize(
    "kept", ["", "x", "scrypt$", "scrypt$a$b$c$d$e", "plain$1$1$1$YQ==$YQ==", "scrypt$0$8$1$YQ==$YQ=="]
)
def test_what_is_no_hash_matches_nothing(kept: str) -> None:
    assert not passwords.matches("", kept)
    assert not passwords.matches(GOOD, kept)


@pytest.mark.parametrize("password", ["", "short", "x" * 12, "ababababababab", "ada likes horses", "y" * 2000])
def test_what_is_soon_guessed_is_refused(password: str) -> None:
    with pytest.raises(Fault):
        passwords.check(password, "ada")
    passwords.check(GOOD, "ada")
