"""Users: people with a password, or known by an identity provider, and their roles. This file owns `users` and
`user_roles`.

In: what an admin or the operator says. Out: a user by name or by the provider's subject. Called by the command line,
the API, MLflow's user endpoints, and authentication.py.
"""

import re
from collections.abc import Mapping

import msgspec

from roadworthy.faces.server.identity import passwords, roles, sessions
from roadworthy.faces.server.identity.who import Role
from roadworthy.nouns.errors import conflict, invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

# A colon would end the name in basic authentication.
_NAME = re.compile(r"[^\x00-\x20\x7f:/\\\"'<>\u2028\u2029](?:[^\x00-\x1f\x7f:/\\\"'<>\u2028\u2029]{0,98}\S)?")
SHOWN_MAX = 10_000

_ONE = "SELECT name, password, subject, active, created_at FROM users WHERE name = :name"
_BY_SUBJECT = "SELECT name, password, subject, active, created_at FROM users WHERE subject = :subject"
_ALL = "SELECT name, password, subject, active, created_at FROM users ORDER BY name LIMIT :limit"
_INSERT = """
INSERT INTO users (name, password, subject, active, created_at) VALUES (:name, :password, :subject, 1, :at)
"""
_SET_PASSWORD = "UPDATE users SET password = :password WHERE name = :name"  # noqa: S105 - a statement
_SET_ACTIVE = "UPDATE users SET active = :active WHERE name = :name"
_DELETE = "DELETE FROM users WHERE name = :name"
_ROLES = "SELECT project, role FROM user_roles WHERE name = :name"
_ALL_ROLES = "SELECT name, project, role FROM user_roles"
_PUT_ROLE = """
INSERT INTO user_roles (name, project, role) VALUES (:name, :project, :role)
ON CONFLICT (name, project) DO UPDATE SET role = excluded.role
"""
_DELETE_ROLE = "DELETE FROM user_roles WHERE name = :name AND project = :project"
_DELETE_ROLES = "DELETE FROM user_roles WHERE name = :name"
_ANY = "SELECT 1 FROM users WHERE active = 1 AND password <> '' LIMIT 1"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody.

    Args:
        name: by which the log knows them.
        roles: project to role.
        password: what is kept of it, empty for none; never shown.
        subject: the provider's issuer and subject, empty for none.
        active: whether they may come in.
    """

    name: str
    roles: dict[str, Role]
    password: str = ""
    subject: str = ""
    active: bool = True
    created_at: float = 0.0


def add(store: Store, name: str, given: Mapping[str, Role], *, password: str = "", subject: str = "") -> User:
    """Let somebody in.

    Raises:
        Fault: invalid for a name that is none or a password that is soon guessed, conflict when the name is taken.
    """
    check_name(name)
    if password:
        passwords.check(password, name)
    kept = passwords.hashed(password) if password else ""
    return add_hashed(store, name, given, kept=kept, subject=subject)


def add_hashed(store: Store, name: str, given: Mapping[str, Role], *, kept: str, subject: str = "") -> User:
    """As `add`, with what is kept of the password made already: that takes longer than a transaction may."""
    now = store.clock.now()
    with store.change(Event(kind="user.added", subject=name, detail={"roles": dict(given)})) as tx:
        if tx.row(_ONE, name=name) is not None:
            raise conflict("there is a user of this name", where=name)
        tx.execute(_INSERT, name=name, password=kept, subject=subject, at=now)
        for project, role in given.items():
            tx.execute(_PUT_ROLE, name=name, project=project, role=role)
    return User(name=name, roles=dict(given), password=kept, subject=subject, created_at=now)


def check_name(name: str) -> None:
    """Refuse what cannot be a user's name.

    Raises:
        Fault: invalid.
    """
    if not _NAME.fullmatch(name):
        raise invalid("not a user's name", where=repr(name)[:80], fix="1 to 100 characters, none of : / \\ \" ' < >")


def set_password(store: Store, name: str, password: str) -> None:
    """Give somebody another password; sessions and cached logins with the old one end."""
    passwords.check(password, name)
    set_hashed(store, name, passwords.hashed(password))


def set_hashed(store: Store, name: str, kept: str) -> None:
    """As `set_password`, with what is kept of it made already."""
    sessions.end_all(store, name)
    with store.change(Event(kind="user.password_changed", subject=name)) as tx:
        if tx.changed(_SET_PASSWORD, name=name, password=kept) == 0:
            raise _nobody(name)


def set_role(store: Store, name: str, project: str, role: Role | None) -> None:
    """Give somebody a role in a project (`*` for all), or take it away."""
    detail = {"project": project, "role": role}
    with store.change(Event(kind="user.role_changed", subject=name, detail=detail)) as tx:
        if tx.row(_ONE, name=name) is None:
            raise _nobody(name)
        if role is None:
            tx.execute(_DELETE_ROLE, name=name, project=project)
        else:
            tx.execute(_PUT_ROLE, name=name, project=project, role=role)


def set_active(store: Store, name: str, *, active: bool) -> None:
    """Keep somebody out, or let them in again."""
    sessions.end_all(store, name)
    kind = "user.enabled" if active else "user.disabled"
    with store.change(Event(kind=kind, subject=name)) as tx:
        if tx.changed(_SET_ACTIVE, name=name, active=int(active)) == 0:
            raise _nobody(name)


def remove(store: Store, name: str) -> None:
    """Forget somebody; what they did stays in the log under their name."""
    sessions.end_all(store, name)
    with store.change(Event(kind="user.removed", subject=name)) as tx:
        if tx.changed(_DELETE, name=name) == 0:
            raise _nobody(name)
        tx.execute(_DELETE_ROLES, name=name)


def get(store: Store, name: str) -> User:
    """Somebody by name.

    Raises:
        Fault: not found.
    """
    with store.read() as reader:
        user = find(reader, name)
    if user is None:
        raise _nobody(name)
    return user


def find(reader: Reader, name: str) -> User | None:
    """Somebody by name, if they are known."""
    return _user(reader, reader.row(_ONE, name=name))


def find_subject(reader: Reader, subject: str) -> User | None:
    """Somebody by what their provider calls them."""
    return _user(reader, reader.row(_BY_SUBJECT, subject=subject)) if subject else None


def listing(store: Store, *, limit: int = SHOWN_MAX) -> list[User]:
    """Everybody, by name."""
    with store.read() as reader:
        given: dict[str, dict[str, Role]] = {}
        for name, project, role in reader.rows(_ALL_ROLES):
            given.setdefault(str(name), {})[str(project)] = roles.check(role)
        rows = reader.rows(_ALL, limit=limit)
    return [_made(row, given.get(str(row[0]), {})) for row in rows]


def any_active(reader: Reader) -> bool:
    """Whether anybody could come in with a password."""
    return reader.row(_ANY) is not None


def _user(reader: Reader, row: tuple[object, ...] | None) -> User | None:
    if row is None:
        return None
    return _made(row, {str(p): roles.check(r) for p, r in reader.rows(_ROLES, name=row[0])})


def _made(row: tuple[object, ...], given: dict[str, Role]) -> User:
    return User(
        name=str(row[0]),
        roles=given,
        password=str(row[1]),
        subject=str(row[2]),
        active=bool(row[3]),
        created_at=float(str(row[4])),
    )


def _nobody(name: str) -> Exception:
    return not_found("no such user", where=name[:80], fix="`rw server user list` shows them")
