"""Roles and permissions as MLflow's client of basic authentication speaks of them (`mlflow.server.auth.client`).

In: requests of an admin's client, and of MLflow's pages. Out: our four roles, everywhere (workspace `default`). What
somebody may do with one experiment or model is what they may in its project; MLflow's grants on one of them are
refused, since a role of ours counts in all of a project: who asks for one experiment shall not be given ten.
"""

from typing import Literal

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Handler, Reply, Request, Route
from roadworthy.faces.server.identity import roles, users
from roadworthy.faces.server.identity.users import User
from roadworthy.faces.server.identity.who import EVERYWHERE, RANK, Role
from roadworthy.faces.server.mlflow import run_rules
from roadworthy.faces.server.mlflow.accounts import people, shown
from roadworthy.faces.server.mlflow.wire import SHOWN, V3, Message, answer, endpoint, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import Fault
from roadworthy.registry import groups, model_names
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

Method = Literal["GET", "POST", "PATCH", "DELETE"]


class OfRole(Message):
    role_id: int | UnsetType = UNSET


class Given(people.OfUser):
    role_id: int | UnsetType = UNSET


class Listed(Message):
    workspace: tuple[str, ...] = ()


class OfResource(people.OfUser):
    resource_type: str = ""
    resource_id: str = ""
    permission: str = ""


async def role_get(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return answer({"role": shown.role(_known(read(request, OfRole).role_id))})


async def role_list(server: Server, request: Request) -> Reply:  # noqa: ARG001
    asked = read(request, Listed).workspace
    return answer(
        {"roles": [shown.role(role) for role in roles.ROLES] if not asked or shown.WORKSPACE in asked else []}
    )


async def role_permissions(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return answer({"role_permissions": shown.permissions(_known(read(request, OfRole).role_id))})


async def role_users(server: Server, request: Request) -> Reply:
    role = _known(read(request, OfRole).role_id)
    found = await server.read(users.listing)
    return answer(
        {"assignments": [shown.assignment(user.name, role) for user in found if user.roles.get(EVERYWHERE) == role]}
    )


async def user_roles(server: Server, request: Request) -> Reply:
    message = read(request, people.OfUser)
    with server.store.read() as reader:
        return answer({"roles": shown.roles_of(people.asked(reader, message, request.identity))})


async def assign(server: Server, request: Request) -> Reply:
    """Give somebody one of our roles everywhere, in place of the one they had."""
    message = read(request, Given)
    required(message.username, "username")
    role = _known(message.role_id)
    if not roles.covers(request.identity.roles, {EVERYWHERE: role}):
        raise WireError("PERMISSION_DENIED", "nobody hands out a role that they have not", 403)

    def work(store: Store) -> None:
        users.set_role(store, people.of_name(store, message.username).name, EVERYWHERE, role)

    await server.write_access(work, request.identity)
    return answer({"assignment": shown.assignment(message.username, role)})


async def unassign(server: Server, request: Request) -> Reply:
    message = read(request, Given)
    required(message.username, "username")
    role = _known(message.role_id)

    def work(store: Store) -> None:
        user = people.of_name(store, message.username)
        if user.roles.get(EVERYWHERE) != role:
            raise missing(f"{user.name} has not the role {role}")
        users.set_role(store, user.name, EVERYWHERE, None)

    await server.write_access(work, request.identity)
    return answer()


async def permission(server: Server, request: Request) -> Reply:
    """What somebody may do with one experiment or model: what their role in its project allows."""
    message = read(request, OfResource)
    for field in ("username", "resource_type", "resource_id"):
        required(getattr(message, field), field)
    with server.store.read() as reader:
        user = people.asked(reader, message, request.identity)
        project = _project(reader, message)
    may = "NO_PERMISSIONS"
    if project is not None:
        rank = max(RANK[user.roles.get(each, "public")] for each in (EVERYWHERE, project))
        may = shown.MAY[roles.ROLES[rank - 1]][message.resource_type] if rank else may
    return answer({"allowed": may in ("EDIT", "MANAGE"), "permission": may})


async def permissions(server: Server, request: Request) -> Reply:
    """All that somebody may by roles that count everywhere."""
    message = read(request, people.OfUser)
    with server.store.read() as reader:
        user = people.asked(reader, message, request.identity)
    return answer({"is_admin": shown.is_admin(user), "permissions": shown.rows(user)})


async def own_permissions(server: Server, request: Request) -> Reply:  # noqa: ARG001
    user = User(name=request.identity.name, roles=request.identity.roles)
    return answer({"is_admin": shown.is_admin(user), "permissions": shown.rows(user)})


async def fixed(server: Server, request: Request) -> Reply:  # noqa: ARG001
    raise WireError(
        "NOT_IMPLEMENTED", f"the roles of this server are {', '.join(roles.ROLES)}; they are assigned, not changed", 501
    )


async def by_project(server: Server, request: Request) -> Reply:
    """Where a role for one experiment or model would count in all of its project."""
    message = read(request, OfResource)
    for field in ("username", "resource_type", "resource_id"):
        required(getattr(message, field), field)
    with server.store.read() as reader:
        people.asked(reader, message, request.identity)
        project = _project(reader, message)
    where = f"in the project {project!r}" if project else "everywhere, as this one is in no project"
    raise WireError(
        "NOT_IMPLEMENTED",
        f"this server has no permissions on a single {message.resource_type}: give or take a role {where}, with "
        f"`rw server user role {message.username[:SHOWN]} ...` or PATCH /api/users",
        501,
    )


def _project(reader: Reader, message: OfResource) -> str | None:
    """The project of an experiment or a model; None when there is no such thing."""
    if message.resource_type not in shown.MAY["viewer"]:
        raise invalid(f"Invalid resource_type '{message.resource_type[:SHOWN]}': one of {sorted(shown.MAY['viewer'])}")
    if message.resource_type in ("registered_model", "prompt"):
        named = model_names.find(reader, message.resource_id)
        return None if named is None else named.project
    try:
        number = run_rules.experiment_id(message.resource_id.partition("/")[0])
    except (WireError, Fault):
        return None
    group = groups.find(reader, number, tags=False)
    return None if group is None else group.project


def _known(number: int | UnsetType) -> Role:
    required(number, "role_id")
    assert number is not UNSET
    if not 1 <= number <= len(roles.ROLES):
        raise missing(f"Role with id={number} not found")
    return roles.ROLES[number - 1]


def _admins(method: Method, path: str, handler: Handler) -> tuple[Route, ...]:
    return endpoint(method, path, handler, "admin", versions=(V3,), everywhere=True)


REFUSED: tuple[Route, ...] = (
    *_admins("POST", "/roles/create", fixed),
    *_admins("PATCH", "/roles/update", fixed),
    *_admins("DELETE", "/roles/delete", fixed),
    *_admins("POST", "/roles/permissions/add", fixed),
    *_admins("DELETE", "/roles/permissions/remove", fixed),
    *_admins("PATCH", "/roles/permissions/update", fixed),
    *_admins("POST", "/users/permissions/grant", by_project),
    *_admins("POST", "/users/permissions/revoke", by_project),
)
ROUTES: tuple[Route, ...] = (
    *_admins("GET", "/roles/get", role_get),
    *_admins("GET", "/roles/list", role_list),
    *_admins("GET", "/roles/permissions/list", role_permissions),
    *_admins("GET", "/roles/users/list", role_users),
    *_admins("POST", "/roles/assign", assign),
    *_admins("DELETE", "/roles/unassign", unassign),
    *endpoint("GET", "/users/roles/list", user_roles, "viewer", versions=(V3,)),
    *endpoint("GET", "/users/permissions/get", permission, "viewer", versions=(V3,)),
    *endpoint("GET", "/users/permissions/list", permissions, "viewer", versions=(V3,)),
    *endpoint("GET", "/users/current/permissions", own_permissions, "viewer", versions=(V3,)),
    *REFUSED,
)
