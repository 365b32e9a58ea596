"""API tokens: `rwt_` and 256 random bits, shown once; what is kept is their hash. This file owns the table `tokens`.

In: who makes one, for which roles and how long. Out: the secret, once; a token by its secret, if it is valid. Called by
the command line, the API and authentication.py.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping

import msgspec

from roadworthy.faces.server.identity.who import Role
from roadworthy.nouns.errors import invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.store.sql import Reader, Row
from roadworthy.store.store import Store

PREFIX = "rwt_"
_SECRET = re.compile(r"rwt_[A-Za-z0-9_-]{43}")
NAME_LENGTH_MAX = 100
SHOWN_MAX = 10_000
DAYS_MAX = 3_650
# A token's last use is written at most this often.
USED_EVERY_S = 60.0

_INSERT = """
INSERT INTO tokens (id, hash, name, owner, roles, created_at, expires_at, used_at, revoked_at)
VALUES (:id, :hash, :name, :owner, :roles, :created_at, :expires_at, NULL, NULL)
"""
_COLUMNS = "id, name, owner, roles, created_at, expires_at, used_at, revoked_at"
_BY_HASH = f"SELECT {_COLUMNS} FROM tokens WHERE hash = :hash"
_LISTING = f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at DESC, id LIMIT :limit"
_REVOKE = "UPDATE tokens SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL"
_EXISTS = "SELECT revoked_at FROM tokens WHERE id = :id"
_USED = "UPDATE tokens SET used_at = :at WHERE id = :id"
_ANY = "SELECT 1 FROM tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now) LIMIT 1"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token; not the token itself.

    Args:
        id: by which it is revoked.
        name: what it is for.
        owner: the user who made it and whose roles cap its own; empty when the operator made it.
        roles: project to role.
        expires_at: None for never.
        used_at: the last use, to the minute.
    """

    id: str
    name: str
    owner: str
    roles: dict[str, Role]
    created_at: float
    expires_at: float | None = None
    used_at: float | None = None
    revoked_at: float | None = None

    def valid(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create(
    store: Store, name: str, roles: Mapping[str, Role], *, days: float | None, owner: str = ""
) -> tuple[str, Token]:
    """Make a token; its secret, which is not kept, and what is known of it.

    Args:
        days: after how many it expires; None for never.

    Raises:
        Fault: invalid for a token without a name or a role, or of a time that is none.
    """
    if not name.strip() or len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise invalid("a token has a name that says what it is for", fix=f"of 1 to {NAME_LENGTH_MAX} characters")
    if not roles:
        raise invalid("a token without a role may nothing", fix="name one, such as editor, or viewer@PROJECT")
    if days is not None and not 0 < days <= DAYS_MAX:
        raise invalid(f"a token expires after 1 to {DAYS_MAX} days")
    secret = PREFIX + secrets.token_urlsafe(32)
    now = store.clock.now()
    token = Token(
        id=store.ids.new()[:16],
        name=name,
        owner=owner,
        roles=dict(roles),
        created_at=now,
        expires_at=None if days is None else now + days * 86_400,
    )
    detail = {"name": name, "owner": owner, "roles": token.roles, "expires_at": token.expires_at}
    with store.change(Event(kind="token.created", subject=token.id, detail=detail)) as tx:
        tx.execute(
            _INSERT,
            id=token.id,
            hash=_hash(secret),
            name=name,
            owner=owner,
            roles=msgspec.json.encode(token.roles).decode(),
            created_at=now,
            expires_at=token.expires_at,
        )
    return secret, token


def revoke(store: Store, token_id: str) -> None:
    """End a token; a second time changes nothing.

    Raises:
        Fault: not found when there is none of this id.
    """
    with store.read() as reader:
        row = reader.row(_EXISTS, id=token_id)
    if row is None:
        raise not_found("no such token", where=token_id[:80], fix="`rw server token list` shows them")
    if row[0] is None:
        with store.change(Event(kind="token.revoked", subject=token_id)) as tx:
            tx.execute(_REVOKE, id=token_id, at=store.clock.now())


def listing(store: Store, *, limit: int = SHOWN_MAX) -> list[Token]:
    """All there are, the newest first."""
    with store.read() as reader:
        return [_token(row) for row in reader.rows(_LISTING, limit=limit)]


def looks_like(secret: str) -> bool:
    """Whether it has the form of a token."""
    return _SECRET.fullmatch(secret) is not None


def find(reader: Reader, secret: str) -> Token | None:
    """The token of this secret, valid or not."""
    row = reader.row(_BY_HASH, hash=_hash(secret)) if looks_like(secret) else None
    return None if row is None else _token(row)


def used(store: Store, token_id: str) -> None:
    """Note that a token was used now."""
    with store.append() as tx:
        tx.execute(_USED, id=token_id, at=store.clock.now())


def any_valid(reader: Reader, now: float) -> bool:
    """Whether anybody could come in with a token."""
    return reader.row(_ANY, now=now) is not None


def _hash(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Row) -> Token:
    token_id, name, owner, roles, created_at, expires_at, used_at, revoked_at = row
    return Token(
        id=str(token_id),
        name=str(name),
        owner=str(owner),
        roles=msgspec.json.decode(str(roles), type=dict[str, Role]),
        created_at=float(created_at),
        expires_at=expires_at,
        used_at=used_at,
        revoked_at=revoked_at,
    )
