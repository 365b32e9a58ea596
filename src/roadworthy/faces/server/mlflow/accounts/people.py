"""Users as MLflow's client of basic authentication makes, changes and removes them (`mlflow.server.auth.client`).

In: requests of an admin's client, and of MLflow's pages. Out: our users, by name; an admin is an admin everywhere.
"""

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity import passwords, users
from roadworthy.faces.server.identity.users import User
from roadworthy.faces.server.identity.who import EVERYWHERE, Identity
from roadworthy.faces.server.mlflow.accounts import shown
from roadworthy.faces.server.mlflow.wire import (
    SHOWN,
    Message,
    answer,
    endpoint,
    exists,
    invalid,
    missing,
    read,
    required,
)
from roadworthy.faces.server.server import Server
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store


class OfUser(Message):
    username: str = ""


class NewUser(OfUser):
    password: str = ""


class NewPassword(NewUser):
    current_password: str = ""


class NewAdmin(OfUser):
    is_admin: bool | UnsetType = UNSET


async def create(server: Server, request: Request) -> Reply:
    """A new user, who may nothing until a role is assigned."""
    message = read(request, NewUser)
    required(message.username, "username")
    required(message.password, "password")
    users.check_name(message.username)
    passwords.check(message.password, message.username)
    kept = await server.door.hashed(message.password)

    def work(store: Store) -> User:
        with store.read() as reader:
            if users.find(reader, message.username) is not None:
                raise exists(f"User (username={message.username}) already exists.")
        return users.add_hashed(store, message.username, {}, kept=kept)

    return answer({"user": shown.user(await server.write(work, request.identity))})


async def get(server: Server, request: Request) -> Reply:
    message = read(request, OfUser)
    with server.store.read() as reader:
        return answer({"user": shown.user(asked(reader, message, request.identity))})


async def listing(server: Server, request: Request) -> Reply:  # noqa: ARG001
    everybody = await server.read(users.listing)
    return answer({"users": [{**shown.user(user), "roles": shown.roles_of(user)} for user in everybody]})


async def current(server: Server, request: Request) -> Reply:
    """Who asks; as with MLflow's server that asks nobody, nothing where nobody is asked."""
    if not server.settings.login:
        raise WireError("ENDPOINT_NOT_FOUND", "this server asks nobody who they are", 404)
    who = User(name=request.identity.name, roles=request.identity.roles)
    return answer({"user": shown.user(who), "is_basic_auth": False})


async def set_password(server: Server, request: Request) -> Reply:
    """Another password: an admin's word suffices for others; who changes their own must know it."""
    message = read(request, NewPassword)
    required(message.username, "username")
    required(message.password, "password")
    own = message.username == request.identity.name
    if not own:
        request.identity.require("admin", EVERYWHERE)
    else:
        if not message.current_password:
            raise invalid("Current password is required when changing your own password.")
        if await server.door.password(message.username, message.current_password, request.source) is None:
            raise invalid("Current password does not match.")
        if message.password == message.current_password:
            raise invalid("New password must differ from the current password.")
    passwords.check(message.password, message.username)
    kept = await server.door.hashed(message.password)

    def work(store: Store) -> None:
        of_name(store, message.username)
        users.set_hashed(store, message.username, kept)

    await server.write_access(work, request.identity)
    return answer()


async def set_admin(server: Server, request: Request) -> Reply:
    message = read(request, NewAdmin)
    required(message.username, "username")
    required(message.is_admin, "is_admin")

    def work(store: Store) -> None:
        user = of_name(store, message.username)
        if message.is_admin or user.roles.get(EVERYWHERE) == "admin":
            users.set_role(store, user.name, EVERYWHERE, "admin" if message.is_admin else None)

    await server.write_access(work, request.identity)
    return answer()


async def delete(server: Server, request: Request) -> Reply:
    message = read(request, OfUser)
    required(message.username, "username")
    if message.username == request.identity.name:
        what = "Users cannot delete their own account. Ask another admin to delete this user instead."
        raise WireError("BAD_REQUEST", what, 400)

    def work(store: Store) -> None:
        users.remove(store, of_name(store, message.username).name)

    await server.write_access(work, request.identity)
    return answer()


def of_name(store: Store, name: str) -> User:
    """As `found`."""
    with store.read() as reader:
        return found(reader, name)


def found(reader: Reader, name: str) -> User:
    """Somebody by name.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST.
    """
    user = users.find(reader, name)
    if user is None:
        raise missing(f"User with username={name[:SHOWN]} not found")
    return user


def asked(reader: Reader, message: OfUser, identity: Identity) -> User:
    """The user asked about, by an admin or by themselves.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST; Fault: refused.
    """
    required(message.username, "username")
    if message.username != identity.name:
        identity.require("admin", EVERYWHERE)
    return found(reader, message.username)


ROUTES: tuple[Route, ...] = (
    *endpoint("POST", "/users/create", create, "admin", everywhere=True),
    *endpoint("GET", "/users/get", get, "viewer"),
    *endpoint("GET", "/users/list", listing, "admin", everywhere=True),
    *endpoint("GET", "/users/current", current, "viewer"),
    *endpoint("PATCH", "/users/update-password", set_password, "viewer"),
    *endpoint("PATCH", "/users/update-admin", set_admin, "admin", everywhere=True),
    *endpoint("DELETE", "/users/delete", delete, "admin", everywhere=True),
)
