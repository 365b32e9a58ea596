"""Users and roles as MLflow's client of basic authentication reads them.

In: our users, our roles. Out: messages. Called by people.py and permits.py.
"""

from typing import Any

from blake3 import blake3

from roadworthy.faces.server.identity.users import User
from roadworthy.faces.server.identity.who import EVERYWHERE, RANK, Role

WORKSPACE = "default"
# What each role may, in MLflow's words: a resource's type to a permission on all of them.
MAY: dict[Role, dict[str, str]] = {
    "viewer": {"experiment": "READ", "registered_model": "READ", "prompt": "READ", "scorer": "READ"},
    "editor": {"experiment": "EDIT", "registered_model": "EDIT", "prompt": "EDIT", "scorer": "EDIT"},
    "releaser": {"experiment": "EDIT", "registered_model": "MANAGE", "prompt": "MANAGE", "scorer": "EDIT"},
    "admin": {"experiment": "MANAGE", "registered_model": "MANAGE", "prompt": "MANAGE", "scorer": "MANAGE"},
}
ABOUT: dict[Role, str] = {
    "viewer": "reads",
    "editor": "writes runs and models",
    "releaser": "moves aliases and stages, and releases",
    "admin": "manages users and deletes for good",
}


def number(name: str) -> int:
    """A user's number: MLflow's clients want one, ours have a name."""
    return int.from_bytes(blake3(name.encode()).digest(length=6))


def is_admin(of: User) -> bool:
    """Whether they are an admin everywhere."""
    return of.roles.get(EVERYWHERE) == "admin"


def user(of: User) -> dict[str, Any]:
    """A user as a message."""
    return {"id": number(of.name), "username": of.name, "is_admin": is_admin(of)}


def roles_of(of: User) -> list[dict[str, Any]]:
    """The role they have everywhere, if they have one."""
    given = of.roles.get(EVERYWHERE)
    return [role(given)] if given is not None else []


def role(given: Role) -> dict[str, Any]:
    """A role of ours as a message."""
    return {
        "id": RANK[given],
        "name": given,
        "workspace": WORKSPACE,
        "description": ABOUT[given],
        "permissions": permissions(given),
    }


def permissions(given: Role) -> list[dict[str, Any]]:
    """What a role may, one line for each type of resource."""
    return [
        {
            "id": 10 * RANK[given] + place,
            "role_id": RANK[given],
            "resource_type": kind,
            "resource_pattern": "*",
            "permission": may,
        }
        for place, (kind, may) in enumerate(MAY[given].items())
    ]


def rows(of: User) -> list[dict[str, Any]]:
    """What somebody may by their role, with the role."""
    return [
        {
            "role_id": held["id"],
            "role_name": held["name"],
            "workspace": WORKSPACE,
            **{field: each[field] for field in ("resource_type", "resource_pattern", "permission")},
        }
        for held in roles_of(of)
        for each in held["permissions"]
    ]


def assignment(name: str, given: Role) -> dict[str, int]:
    """That somebody has a role."""
    return {"id": number(f"{name}:{given}"), "user_id": number(name), "role_id": RANK[given]}
