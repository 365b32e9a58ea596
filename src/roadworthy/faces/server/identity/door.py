"""The door: who somebody is, by what they show.

In: an Authorization header or a session's cookie, and the address it came from. Out: an identity, or none. What was
found is remembered for two seconds, so that a client's thousand requests ask the store once; a token that is revoked or
a user who is disabled is out after that. A password is computed once a minute and client at most, in a thread.
Called by access.py for each request that needs somebody.
"""

import asyncio
import base64
import binascii
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import msgspec

from roadworthy.faces.server.identity import passwords, roles, sessions, tokens, users
from roadworthy.faces.server.identity.attempts import Attempts, Throttled
from roadworthy.faces.server.identity.who import Identity
from roadworthy.store.store import Store

T = TypeVar("T")
REMEMBERED_S = 2.0
PROVEN_S = 600.0
REMEMBERED_MAX = 10_000
HEADER_LENGTH_MAX = 16_384
# Passwords that may wait to be computed; more are refused, as the processors would do nothing else.
WAITING_MAX = 32
COOKIE = "rw_session"

# Vouches for a bearer token that is none of ours (identity/workloads.py), or says None.
Voucher = Callable[[str], Awaitable[Identity | None]]
Write = Callable[[Callable[[Store], None]], object]


class _Known(NamedTuple):
    identity: Identity
    until: float


class Door:
    """Finds out who asks.

    Args:
        store: where users, tokens and sessions are.
        write: does a piece of work some time, in nobody's name.
        vouchers: asked in turn about bearer tokens that are none of ours.
    """

    def __init__(self, store: Store, write: Write, vouchers: Sequence[Voucher] = ()) -> None:
        self._store = store
        self._write = write
        self._vouchers = tuple(vouchers)
        self._known: dict[bytes, _Known] = {}
        self._proven: dict[bytes, tuple[str, float]] = {}
        self._attempts = Attempts()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting = 0
        self.failed = 0

    def recall(self, shown: str, source: str) -> Identity | None:
        """Somebody who showed the same from the same address a moment ago."""
        known = self._known.get(_key(shown, source))
        return known.identity if known is not None and known.until > time.monotonic() else None

    async def find(self, authorization: str, cookie: str, source: str) -> Identity | None:
        """Who shows this; None for nobody we know.

        Raises:
            Throttled: when too many passwords were wrong.
        """
        shown = authorization or cookie
        if not shown or len(shown) > HEADER_LENGTH_MAX:
            return None
        identity = await self._by_header(authorization, source) if authorization else self._by_session(cookie)
        if identity is None:
            return None
        identity = msgspec.structs.replace(identity, source=source)
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
        self._known[_key(shown, source)] = _Known(identity, time.monotonic() + REMEMBERED_S)
        return identity

    def forget(self) -> None:
        """Ask the store again about everybody, after a change of users or tokens made here."""
        self._known.clear()

    async def password(self, name: str, password: str, source: str) -> users.User | None:
        """The user with this name and password.

        Raises:
            Throttled: when too many were wrong, or too many wait.
        """
        with self._store.read() as reader:
            user = users.find(reader, name)
        kept = user.password if user is not None and user.active else ""
        key = _key(password, name)
        proven, until = self._proven.get(key, ("", 0.0))
        if user is not None and kept and proven == kept and until > time.monotonic():
            return user
        self._attempts.check(source, name)
        right = await self._computed(passwords.matches, password, kept or passwords.nobodys())
        if not right or not kept or user is None:
            self.failed += 1
            self._attempts.failed(source, name)
            return None
        self._attempts.succeeded(source)
        if len(self._proven) >= REMEMBERED_MAX:
            self._proven.clear()
        self._proven[key] = (kept, time.monotonic() + PROVEN_S)
        return user

    async def hashed(self, password: str) -> str:
        """What is kept of a password, computed beside the loop."""
        return await self._computed(passwords.hashed, password)

    async def _computed(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= WAITING_MAX:
            raise Throttled(1.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            self._waiting -= 1

    async def _by_header(self, authorization: str, source: str) -> Identity | None:
        scheme, _, value = authorization.partition(" ")
        value = value.strip()
        if scheme.lower() == "bearer":
            if tokens.looks_like(value):
                return self._by_token(value)
            for voucher in self._vouchers:
                identity = await voucher(value)
                if identity is not None:
                    return identity
            return None
        name, password = _basic(value) if scheme.lower() == "basic" else ("", "")
        for secret in (password, name):
            if tokens.looks_like(secret):
                return self._by_token(secret)
        user = await self.password(name, password, source) if name and password else None
        return None if user is None else Identity(name=user.name, roles=user.roles)

    def _by_token(self, secret: str) -> Identity | None:
        now = self._store.clock.now()
        with self._store.read() as reader:
            token = tokens.find(reader, secret)
            if token is None or not token.valid(now):
                return None
            given = token.roles
            if token.owner:
                owner = users.find(reader, token.owner)
                if owner is None or not owner.active:
                    return None
                given = roles.capped(given, owner.roles)
        if token.used_at is None or now - token.used_at > tokens.USED_EVERY_S:
            token_id = token.id
            self._write(lambda store: tokens.used(store, token_id))
        return Identity(name=token.owner or f"token:{token.name}", roles=given)

    def _by_session(self, cookie: str) -> Identity | None:
        with self._store.read() as reader:
            session = sessions.find(reader, cookie)
            if session is None or session.expires_at <= self._store.clock.now():
                return None
            user = users.find(reader, session.name)
        if user is None or not user.active:
            return None
        return Identity(name=user.name, roles={**session.roles, **user.roles})


def _basic(value: str) -> tuple[str, str]:
    """Name and password of basic authentication (RFC 7617)."""
    try:
        name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def _key(shown: str, by: str) -> bytes:
    # What is remembered is no secret; no two pairs are written the same.
    return hashlib.sha256(f"{len(by)}:{by}{shown}".encode("utf-8", "surrogatepass")).digest()
