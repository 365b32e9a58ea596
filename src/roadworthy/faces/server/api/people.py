"""Tokens and users over the API, and who one is oneself. Nobody hands out a role that they have not."""

from typing import Annotated

import msgspec

from roadworthy.faces.server.api.described import body, describe
from roadworthy.faces.server.api.paging import Page
from roadworthy.faces.server.http import Request
from roadworthy.faces.server.identity import passwords, roles, tokens, users
from roadworthy.faces.server.identity.tokens import Token
from roadworthy.faces.server.identity.who import Role
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import refused
from roadworthy.store.store import Store

Words = Annotated[list[str], msgspec.Meta(min_length=1, max_length=100, description="ROLE, or ROLE@PROJECT.")]

Password = Annotated[str, msgspec.Meta(min_length=passwords.LENGTH_MIN, max_length=passwords.LENGTH_MAX)]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks; no name on the loopback address, where nobody is asked."""

    name: str
    roles: dict[str, Role]


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=tokens.NAME_LENGTH_MAX)]
    roles: Words
    days: Annotated[float, msgspec.Meta(gt=0, le=tokens.DAYS_MAX)] | None = 90.0


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A token, which is not shown again, and what is known of it."""

    secret: str
    token: Token


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody; nothing is told of their password."""

    name: str
    roles: dict[str, Role]
    active: bool
    created_at: float


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    password: Password
    roles: Words


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a user; what is left out stays."""

    active: bool | None = None
    password: Annotated[str, msgspec.Meta(min_length=passwords.LENGTH_MIN, max_length=passwords.LENGTH_MAX)] | None = (
        None
    )
    give: list[str] = []
    take: list[str] = []


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """That it was done."""

    done: bool = True


async def me(server: Server, request: Request) -> Me:  # noqa: ARG001
    """Who one is, and what one may."""
    return Me(name=request.identity.name, roles=dict(request.identity.roles))


async def token_list(server: Server, request: Request) -> Page[Token]:  # noqa: ARG001
    """The tokens there are, newest first; not their secrets, which are not kept."""
    return Page(items=await server.read(tokens.listing))


async def token_create(server: Server, request: Request) -> Made:
    """Make a token with roles that one has oneself; its secret is shown once."""
    asked = body(request, NewToken)
    given = _own(request, asked.roles)

    def work(store: Store) -> tuple[str, Token]:
        with store.read() as reader:  # a user's token ends with the user
            owner = request.identity.name if users.find(reader, request.identity.name) is not None else ""
        return tokens.create(store, asked.name, given, days=asked.days, owner=owner)

    secret, made = await server.write(work, request.identity)
    return Made(secret=secret, token=made)


async def token_revoke(server: Server, request: Request) -> Done:
    """End a token."""
    await server.write_access(lambda store: tokens.revoke(store, request.args["token"]), request.identity)
    return Done()


async def user_list(server: Server, request: Request) -> Page[Person]:  # noqa: ARG001
    """The users there are."""
    return Page(items=[_person(user) for user in await server.read(users.listing)])


async def user_create(server: Server, request: Request) -> Person:
    """Let somebody in with a password."""
    asked = body(request, NewUser)
    given = _own(request, asked.roles)
    users.check_name(asked.name)
    passwords.check(asked.password, asked.name)
    kept = await server.door.hashed(asked.password)
    made = await server.write(lambda store: users.add_hashed(store, asked.name, given, kept=kept), request.identity)
    return _person(made)


async def user_change(server: Server, request: Request) -> Person:
    """Give a user roles or another password, take roles away, keep them out or let them in again."""
    asked, name = body(request, Change), request.args["user"]
    give, take = _own(request, asked.give), roles.parse(asked.take)
    kept = ""
    if asked.password is not None:
        passwords.check(asked.password, name)
        kept = await server.door.hashed(asked.password)

    def work(store: Store) -> users.User:
        users.get(store, name)
        if kept:
            users.set_hashed(store, name, kept)
        if asked.active is not None:
            users.set_active(store, name, active=asked.active)
        for project, role in give.items():
            users.set_role(store, name, project, role)
        for project in take:
            users.set_role(store, name, project, None)
        return users.get(store, name)

    changed = await server.write_access(work, request.identity)
    return _person(changed)


async def user_remove(server: Server, request: Request) -> Done:
    """Forget a user; what they did stays in the log."""
    await server.write_access(lambda store: users.remove(store, request.args["user"]), request.identity)
    return Done()


def _own(request: Request, words: list[str]) -> dict[str, Role]:
    given = roles.parse(words)
    if not roles.covers(request.identity.roles, given):
        raise refused("nobody hands out a role that they have not", where=", ".join(words)[:200])
    return given


def _person(user: users.User) -> Person:
    return Person(name=user.name, roles=user.roles, active=user.active, created_at=user.created_at)


ROUTES = (
    describe("GET", "/me", me, "viewer", Me),
    describe("GET", "/tokens", token_list, "admin", Page[Token], everywhere=True),
    describe("POST", "/tokens", token_create, "admin", Made, body=NewToken, status=201, everywhere=True),
    describe("DELETE", "/tokens/{token}", token_revoke, "admin", Done, everywhere=True),
    describe("GET", "/users", user_list, "admin", Page[Person], everywhere=True),
    describe("POST", "/users", user_create, "admin", Person, body=NewUser, status=201, everywhere=True),
    describe("PATCH", "/users/{user}", user_change, "admin", Person, body=Change, everywhere=True),
    describe("DELETE", "/users/{user}", user_remove, "admin", Done, everywhere=True),
)
