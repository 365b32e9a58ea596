"""Users: added, given roles, kept out, forgotten; each an event, none with a password in it."""

import pytest

from roadworthy.faces.server.identity import passwords, sessions, users
from roadworthy.nouns.errors import Code, Fault
from roadworthy.store import log
from roadworthy.store.store import Store

GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", 1 << 10)


def test_a_users_life(any_store: Store) -> None:
    users.add(any_store, "ada", {"*": "viewer"}, password=GOOD)
    users.set_role(any_store, "ada", "churn", "editor")
    users.set_role(any_store, "ada", "*", None)
    assert users.get(any_store, "ada").roles == {"churn": "editor"}
    users.set_password(any_store, "ada", "another horse battery")
    assert passwords.matches("another horse battery", users.get(any_store, "ada").password)
    users.set_active(any_store, "ada", active=False)
    with any_store.read() as reader:
        assert not users.any_active(reader)
    assert [(u.name, u.active, u.roles) for u in users.listing(any_store)] == [("ada", False, {"churn": "editor"})]
    users.remove(any_store, "ada")
    assert users.listing(any_store) == []
    with any_store.read() as reader:
        records = "".join(str(event) for event in log.newest(reader))
    assert "horse" not in records
    assert "scrypt" not in records


def test_a_name_is_taken_once(store: Store) -> None:
    users.add(store, "ada", {})
    with pytest.raises(Fault) as fault:
        users.add(store, "ada", {})
    assert fault.value.code is Code.CONFLICT


@pytest.mark.parametrize("name", ["", " ada", "ada ", "a:b", "a\nb", "a/b", "<a>", "x" * 101, "a\u2028b"])
def test_what_is_no_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(Fault):
        users.add(store, name, {})


def test_who_is_not_there_cannot_be_changed(store: Store) -> None:
    for change in (
        lambda: users.remove(store, "x"),
        lambda: users.set_role(store, "x", "*", "admin"),
        lambda: users.set_active(store, "x", active=True),
        lambda: users.set_password(store, "x", GOOD),
        lambda: users.get(store, "x"),
    ):
        with pytest.raises(Fault) as fault:
            change()
        assert fault.value.code is Code.NOT_FOUND


def test_another_password_ends_sessions(store: Store) -> None:
    users.add(store, "ada", {}, password=GOOD)
    value = sessions.begin(store, "ada", {}, how="password")
    users.set_password(store, "ada", "another horse battery")
    with store.read() as reader:
        assert sessions.find(reader, value) is None
