"""Workloads: machines with an identity of their own, such as CI jobs, known by the tokens that their platform signs.

In: what the operator wrote of each: issuer, audience, claims that must be so, roles. Out: an identity for a bearer
token, or none. No secret is kept anywhere. Called by door.py as a voucher.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from roadworthy.faces.server.identity import roles
from roadworthy.faces.server.identity.issuers import TOKEN_LENGTH_MAX, Issuer
from roadworthy.faces.server.identity.who import Identity
from roadworthy.nouns.errors import Code, Fault, invalid


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs of one kind.

    Args:
        name: what the log calls them, before their subject.
        issuer: whose tokens they show.
        audience: whom the tokens must be for.
        claims: what their tokens must say, such as `{ repository = "town/flights" }`; at least one.
        roles: what they may, such as `["editor@flights"]`.
    """

    name: str
    issuer: str
    audience: str
    claims: dict[str, str]
    roles: list[str]


class Workloads:
    """All kinds that are known.

    Raises:
        Fault: invalid for one that would let every job of the issuer in.
    """

    def __init__(self, known: Sequence[Workload]) -> None:
        for one in known:
            if not one.claims:
                raise invalid("without claims every job of the issuer would come in", where=f"workload {one.name}")
            roles.parse(one.roles)
        self._known = tuple(known)
        self._issuers = {one.issuer: Issuer(one.issuer) for one in known}

    async def vouch(self, token: str) -> Identity | None:
        """Whose token it is."""
        said = _unverified(token)
        issuer = self._issuers.get(str(said.get("iss")))
        if issuer is None:
            return None
        for one in self._known:
            # What is believed is checked after the signature; this only finds which of them it may be.
            if one.issuer == issuer.url and _says(said, one):
                try:
                    claims = await issuer.claims(token, one.audience)
                except Fault as problem:
                    if problem.code is Code.REFUSED:
                        continue
                    raise
                if _says(claims, one):
                    return Identity(name=f"{one.name}:{claims['sub']}"[:200], roles=roles.parse(one.roles))
        return None


def _says(claims: dict[str, Any], one: Workload) -> bool:
    return all(claims.get(name) == value for name, value in one.claims.items())


def _unverified(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or len(token) > TOKEN_LENGTH_MAX:
        return {}
    try:
        said = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
