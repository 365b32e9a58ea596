"""The door: who is let in, as what, and for how long that is remembered."""

import asyncio
import base64
import time

import pytest

from roadworthy.faces.server.identity import attempts, door, passwords, sessions, tokens, users
from roadworthy.faces.server.identity.attempts import Throttled
from roadworthy.faces.server.identity.door import Door
from roadworthy.faces.server.identity.who import Identity
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store

GOOD = "correct horse battery"
HERE = "10.0.0.1"


@pytest.fixture
def opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> Door:
    monkeypatch.setattr(passwords, "N", 1 << 10)
    return Door(store, lambda work: work(store))


def ask(opened: Door, authorization: str = "", cookie: str = "", source: str = HERE) -> Identity | None:
    return asyncio.run(opened.find(authorization, cookie, source))


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_a_token_comes_in_three_ways(store: Store, opened: Door) -> None:
    secret, _ = tokens.create(store, "ci", {"p": "editor"}, days=1)
    for shown in (f"Bearer {secret}", f"bearer  {secret}", basic("anyone", secret), basic(secret, "")):
        found = ask(opened, shown)
        assert found == Identity(name="token:ci", roles={"p": "editor"}, source=HERE)
    assert tokens.listing(store)[0].used_at == store.clock.now()


def test_a_token_may_no_more_than_its_owner(store: Store, opened: Door) -> None:
    users.add(store, "ada", {"*": "viewer"}, password=GOOD)
    secret, _ = tokens.create(store, "mine", {"*": "admin"}, days=1, owner="ada")
    assert ask(opened, f"Bearer {secret}") == Identity(name="ada", roles={"*": "viewer"}, source=HERE)
    users.set_active(store, "ada", active=False)
    assert ask(opened, f"Bearer {secret}") is None
    users.remove(store, "ada")
    assert ask(opened, f"Bearer {secret}") is None


def test_what_ended_is_nobody(store: Store, opened: Door, clock: SimulatedClock) -> None:
    secret, made = tokens.create(store, "a", {"*": "viewer"}, days=1)
    other, _ = tokens.create(store, "b", {"*": "viewer"}, days=1)
    tokens.revoke(store, made.id)
    assert ask(opened, f"Bearer {secret}") is None
    clock.sleep(86_401)
    assert ask(opened, f"Bearer {other}") is None


def test_a_user_comes_in_by_password(store: Store, opened: Door) -> None:
    users.add(store, "ada", {"*": "admin"}, password=GOOD)
    assert ask(opened, basic("ada", GOOD)) == Identity(name="ada", roles={"*": "admin"}, source=HERE)
    assert ask(opened, basic("ada", GOOD + "x")) is None
    assert ask(opened, basic("bob", GOOD)) is None
    users.set_password(store, "ada", "another horse battery")
    assert ask(opened, basic("ada", GOOD)) is None
    users.set_active(store, "ada", active=False)
    assert ask(opened, basic("ada", "another horse battery")) is None


def test_a_user_of_a_provider_has_no_password(store: Store, opened: Door) -> None:
    users.add(store, "eve", {"*": "admin"}, subject="issuer 1")
    for password in ("", " ", "x"):
        assert ask(opened, basic("eve", password)) is None


def test_a_password_that_was_right_is_not_computed_again(
    store: Store, opened: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.add(store, "ada", {"*": "admin"}, password=GOOD)
    assert ask(opened, basic("ada", GOOD)) is not None

    def never(*_: object) -> bool:
        raise AssertionError("computed again")

    monkeypatch.setattr(passwords, "matches", never)
    assert ask(opened, basic("ada", GOOD)) is not None


def test_passwords_that_look_alike_are_not_taken_for_each_other(store: Store, opened: Door) -> None:
    users.add(store, "ada", {"*": "admin"}, password="größe-ist-ÄÖÜ-nicht-alles")
    assert ask(opened, basic("ada", "größe-ist-ÄÖÜ-nicht-alles")) is not None
    assert ask(opened, basic("ada", "grüße-ist-ÄÖÜ-nicht-alles")) is None
    assert ask(opened, basic("ada", "gr??e-ist-???-nicht-alles")) is None


@pytest.mark.parametrize(
    "shown",
    ["", "x", "Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe:x").decode(), "Basic Og==", "Bearer", "Bearer a.b.c",
     "Bearer rwt_", "Digest x", "Bearer " + "x" * 20_000, "Basic " + base64.b64encode(b"nocolon").decode()],
)  # fmt: skip
def test_what_is_no_credential_is_nobody(opened: Door, shown: str) -> None:
    assert ask(opened, shown) is None


def test_guessing_is_stopped_before_it_costs(store: Store, opened: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FROM_ADDRESS_MAX", 3)
    users.add(store, "ada", {"*": "admin"}, password=GOOD)
    for n in range(3):
        assert ask(opened, basic("ada", f"wrong password {n}")) is None
    with pytest.raises(Throttled):
        ask(opened, basic("ada", GOOD))
    assert ask(opened, basic("ada", GOOD), source="10.0.0.2") is not None
    secret, _ = tokens.create(store, "ci", {"p": "editor"}, days=1)
    assert ask(opened, f"Bearer {secret}") is not None  # a token cannot be guessed, so it need not wait


def test_what_was_found_is_remembered_for_a_moment(store: Store, opened: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, made = tokens.create(store, "ci", {"p": "editor"}, days=1)
    found = ask(opened, f"Bearer {secret}")
    assert opened.recall(f"Bearer {secret}", HERE) == found
    assert opened.recall(f"Bearer {secret}", "10.0.0.2") is None
    assert opened.recall("Bearer x", HERE) is None
    tokens.revoke(store, made.id)
    later = time.monotonic() + door.REMEMBERED_S
    monkeypatch.setattr(door.time, "monotonic", lambda: later)
    assert opened.recall(f"Bearer {secret}", HERE) is None
    assert ask(opened, f"Bearer {secret}") is None


def test_a_session_is_somebody_until_it_ends(store: Store, opened: Door, clock: SimulatedClock) -> None:
    users.add(store, "ada", {"p": "editor"}, password=GOOD)
    value = sessions.begin(store, "ada", {"q": "viewer"}, how="provider")
    assert ask(opened, cookie=value) == Identity(name="ada", roles={"p": "editor", "q": "viewer"}, source=HERE)
    assert ask(opened, cookie=value[:-1]) is None
    clock.sleep(sessions.SESSION_S_MAX)
    assert ask(opened, cookie=value) is None
    value = sessions.begin(store, "ada", {}, how="password")
    users.set_active(store, "ada", active=False)
    assert ask(opened, cookie=value) is None
