"""Sessions: people who logged in with a browser, known by a cookie. This file owns the table `sessions`.

In: somebody whose password or provider vouched for them. Out: the cookie's value, of which only a hash is kept; a
session by it. Called by faces/server/login.py and door.py.
"""

import hashlib
import secrets
from collections.abc import Mapping

import msgspec

from roadworthy.faces.server.identity.who import Role
from roadworthy.nouns.event import Event
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

PREFIX = "rws_"
SESSION_S_MAX = 12 * 3_600.0
_LENGTH = len(PREFIX) + 43

_INSERT = """
INSERT INTO sessions (hash, name, roles, created_at, expires_at) VALUES (:hash, :name, :roles, :now, :expires_at)
"""
_FIND = "SELECT name, roles, expires_at FROM sessions WHERE hash = :hash"
_END = "DELETE FROM sessions WHERE hash = :hash"
_END_ALL = "DELETE FROM sessions WHERE name = :name"
_SWEEP = "DELETE FROM sessions WHERE expires_at < :now"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who logged in, the roles that their provider gave them, and until when it counts."""

    name: str
    roles: dict[str, Role]
    expires_at: float


def begin(store: Store, name: str, roles: Mapping[str, Role], *, how: str) -> str:
    """Begin a session; the cookie's value."""
    value = PREFIX + secrets.token_urlsafe(32)
    now = store.clock.now()
    with store.change(Event(kind="user.logged_in", subject=name, actor=name, detail={"how": how})) as tx:
        tx.execute(_SWEEP, now=now)
        tx.execute(
            _INSERT,
            hash=_hash(value),
            name=name,
            roles=msgspec.json.encode(dict(roles)).decode(),
            now=now,
            expires_at=now + SESSION_S_MAX,
        )
    return value


def end(store: Store, value: str) -> None:
    """End a session."""
    with store.append() as tx:
        tx.execute(_END, hash=_hash(value))


def end_all(store: Store, name: str) -> None:
    """End everything somebody is logged in with."""
    with store.append() as tx:
        tx.execute(_END_ALL, name=name)


def find(reader: Reader, value: str) -> Session | None:
    """The session of a cookie, over or not."""
    if len(value) != _LENGTH or not value.startswith(PREFIX):
        return None
    row = reader.row(_FIND, hash=_hash(value))
    if row is None:
        return None
    roles = msgspec.json.decode(str(row[1]), type=dict[str, Role])
    return Session(name=str(row[0]), roles=roles, expires_at=float(row[2]))


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
