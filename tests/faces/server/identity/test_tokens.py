"""Tokens: shown once, kept as hashes, ended by time or by hand."""

import pytest

from roadworthy.faces.server.identity import tokens
from roadworthy.nouns.errors import Code, Fault
from roadworthy.store import log
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store

DAY = 86_400


def test_a_token_is_found_by_its_secret_alone(any_store: Store) -> None:
    secret, made = tokens.create(any_store, "laptop", {"*": "editor"}, days=90)
    assert tokens.looks_like(secret)
    with any_store.read() as reader:
        found = tokens.find(reader, secret)
        assert found == made
        assert tokens.find(reader, secret[:-1] + ("A" if secret[-1] != "A" else "B")) is None
        assert tokens.find(reader, made.id) is None
        assert tokens.find(reader, "") is None
    assert tokens.listing(any_store) == [made]


def test_nothing_that_is_kept_gives_the_secret(store: Store) -> None:
    secret, _ = tokens.create(store, "laptop", {"*": "editor"}, days=None)
    store.close()
    kept = b"".join(path.read_bytes() for path in store.home.rglob("*") if path.is_file())
    assert secret.encode() not in kept
    assert secret[4:].encode() not in kept


def test_a_token_ends_by_time(store: Store, clock: SimulatedClock) -> None:
    _, made = tokens.create(store, "ci", {"p": "viewer"}, days=2)
    assert made.valid(clock.now())
    clock.sleep(2 * DAY)
    assert not made.valid(clock.now())
    with store.read() as reader:
        assert not tokens.any_valid(reader, clock.now())


def test_a_token_ends_by_hand_once(store: Store) -> None:
    secret, made = tokens.create(store, "ci", {"p": "viewer"}, days=None)
    tokens.revoke(store, made.id)
    tokens.revoke(store, made.id)
    with store.read() as reader:
        found = tokens.find(reader, secret)
        assert found is not None
        assert not found.valid(store.clock.now())
        kinds = [event.kind for event in log.newest(reader)]
    assert kinds == ["token.revoked", "token.created"]
    with pytest.raises(Fault) as fault:
        tokens.revoke(store, "nothing")
    assert fault.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(("name", "given", "days"), [("", {"*": "viewer"}, 1), ("a\nb", {"*": "viewer"}, 1), ("a", {}, 1), ("a", {"*": "viewer"}, -1), ("a", {"*": "viewer"}, 9e9)])  # fmt: skip
def test_what_makes_no_sense_is_refused(store: Store, name: str, given: dict, days: float) -> None:
    with pytest.raises(Fault):
        tokens.create(store, name, given, days=days)
    assert tokens.listing(store) == []
