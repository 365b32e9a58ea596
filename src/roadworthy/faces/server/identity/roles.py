"""Roles as people write them: `editor` (everywhere) or `viewer@churn` (in one project).

In: words of a command, a file or a claim. Out: project to role, as `Identity` has them.
"""

from collections.abc import Iterable, Mapping
from typing import get_args

from roadworthy.faces.server.identity.who import EVERYWHERE, RANK, Role
from roadworthy.nouns.errors import invalid

ROLES: tuple[Role, ...] = get_args(Role)
PROJECT_LENGTH_MAX = 200


def parse(words: Iterable[str]) -> dict[str, Role]:
    """Project to role.

    Args:
        words: `ROLE` or `ROLE@PROJECT`; of two for one project the later counts.

    Raises:
        Fault: invalid for a role that there is not.
    """
    found: dict[str, Role] = {}
    for word in words:
        role, at, project = word.partition("@")
        found[check_project(project) if at else EVERYWHERE] = check(role)
    return found


def highest(words: Iterable[str]) -> dict[str, Role]:
    """As `parse`, but of two for one project the higher counts: what somebody may who is in several groups."""
    found: dict[str, Role] = {}
    for word in words:
        for project, role in parse([word]).items():
            if RANK[role] > RANK[found.get(project, "public")]:
                found[project] = role
    return found


def check(role: object) -> Role:
    """A role's name.

    Raises:
        Fault: invalid when there is no such role.
    """
    for known in ROLES:
        if role == known:
            return known
    raise invalid(f"no such role: {str(role)[:40]!r}", fix=f"one of {', '.join(ROLES)}; of one project, ROLE@PROJECT")


def check_project(project: str) -> str:
    """A project's name in a role.

    Raises:
        Fault: invalid for an empty one or one with control characters.
    """
    if not project or len(project) > PROJECT_LENGTH_MAX or not project.isprintable():
        raise invalid("a role names a project: ROLE@PROJECT", where=repr(project)[:80], fix="* stands for all")
    return project


def written(roles: Mapping[str, Role]) -> list[str]:
    """The words that `parse` reads."""
    return [role if project == EVERYWHERE else f"{role}@{project}" for project, role in sorted(roles.items())]


def capped(roles: Mapping[str, Role], by: Mapping[str, Role]) -> dict[str, Role]:
    """The roles of `roles` as far as `by` has them too: what a token may that is somebody's."""
    found: dict[str, Role] = {}
    for project in {*roles, *by}:
        rank = min(_rank(roles, project), _rank(by, project))
        if rank:
            found[project] = ROLES[rank - 1]
    return found


def covers(roles: Mapping[str, Role], wanted: Mapping[str, Role]) -> bool:
    """Whether somebody with `roles` may hand out `wanted`: nobody gives what they have not."""
    return all(_rank(roles, project) >= RANK[role] for project, role in wanted.items())


def _rank(roles: Mapping[str, Role], project: str) -> int:
    return max(RANK[roles.get(EVERYWHERE, "public")], RANK[roles.get(project, "public")])
