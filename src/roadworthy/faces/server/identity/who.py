"""Who asks, and what they may: the record that every handler is given.

In: what identity/ found out about a request. Out: yes, or a refusal that names the role that would pass. Roles are
per project; each includes those before it: a viewer reads, an editor writes runs and models, a releaser moves aliases
and stages and releases, an admin manages users and deletes for good.
"""

from typing import Literal

import msgspec

from roadworthy.nouns.errors import refused

Role = Literal["viewer", "editor", "releaser", "admin"]
Need = Literal["public", "viewer", "editor", "releaser", "admin"]
RANK: dict[str, int] = {"public": 0, "viewer": 1, "editor": 2, "releaser": 3, "admin": 4}
# The project of what belongs to none, and the role that counts in every project.
EVERYWHERE = "*"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks.

    Args:
        name: what the log says of the actor.
        roles: project to role; `*` counts everywhere.
        source: the address they ask from.
    """

    name: str
    roles: dict[str, Role] = msgspec.field(default_factory=dict)
    source: str = ""

    def may(self, need: Need, project: str = "") -> bool:
        """Whether the role in `project` (or everywhere) suffices."""
        rank = max(RANK[self.roles.get(EVERYWHERE, "public")], RANK[self.roles.get(project, "public")])
        return rank >= RANK[need]

    def require(self, need: Need, project: str = "") -> None:
        """As `may`.

        Raises:
            Fault: refused, with the role that would pass.
        """
        if not self.may(need, project):
            where = f"project {project!r}" if project else "this server"
            raise refused(f"{self.name or 'anyone'} is no {need} of {where}", fix=f"ask an admin for the role {need}")

    def projects(self, need: Need) -> frozenset[str] | None:
        """The projects in which the role suffices; None for all of them. Searches are narrowed to these."""
        if RANK[self.roles.get(EVERYWHERE, "public")] >= RANK[need]:
            return None
        return frozenset(project for project, role in self.roles.items() if RANK[role] >= RANK[need])

    def somewhere(self, need: Need) -> bool:
        """Whether the role suffices anywhere at all: what a route asks before its handler knows the project."""
        return max(map(RANK.__getitem__, self.roles.values()), default=-1) >= RANK[need]


# Whoever reaches a server that listens on the loopback address alone is the user who started it.
OWNER = Identity(name="", roles={EVERYWHERE: "admin"})
NOBODY = Identity(name="")
