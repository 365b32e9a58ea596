"""OpenID Connect for people: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

In: a browser that wants in, then the provider's answer. Out: where to send the browser; who came back. What must be
remembered between the two lies in one random value in the browser's cookie, from which state, nonce and verifier
follow: the servers keep nothing, and any of them can answer. Called by faces/server/login.py.
"""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from roadworthy.faces.server.identity import roles
from roadworthy.faces.server.identity.issuers import Issuer, fetch
from roadworthy.faces.server.identity.who import Role
from roadworthy.nouns.errors import invalid, refused

SECRET_ENVIRONMENT = "ROADWORTHY_OIDC_CLIENT_SECRET"  # noqa: S105 - a variable's name


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How people's logins are set up.

    Args:
        issuer: the provider's address.
        client_id: by which it knows this server.
        client_secret_file: a file with the secret; the variable ROADWORTHY_OIDC_CLIENT_SECRET wins; none for a public
            client.
        scopes: what is asked for.
        name_claim: what the log calls people.
        groups_claim: where the provider says in which groups they are.
        roles: group to roles, such as `{ ml = ["editor@flights"] }`.
        everyone: roles of all who may log in.
    """

    issuer: str
    client_id: str
    client_secret_file: str = ""
    scopes: list[str] = msgspec.field(default_factory=lambda: ["openid", "profile", "email"])
    name_claim: str = "email"
    groups_claim: str = "groups"
    roles: dict[str, list[str]] = {}
    everyone: list[str] = []


class Person(NamedTuple):
    """Who came back: their name, the provider's own name for them, and the roles of their groups."""

    name: str
    subject: str
    roles: dict[str, Role]


class Login:
    """The flow with one provider.

    Args:
        provider: as written.
        secret: the client's, empty for a public client.

    Raises:
        Fault: invalid for an address that is not https or roles that there are not.
    """

    def __init__(self, provider: Provider, secret: str = "") -> None:
        self.provider = provider
        self._secret = secret
        self._issuer = Issuer(provider.issuer)
        for words in (*provider.roles.values(), provider.everyone):
            roles.parse(words)

    async def begin(self, callback: str) -> tuple[str, str]:
        """Where to send the browser, and what to give it in a cookie."""
        seed = secrets.token_urlsafe(32)
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": callback,
            "scope": " ".join(self.provider.scopes),
            "state": _derived(seed, "state"),
            "nonce": _derived(seed, "nonce"),
            "code_challenge": _encoded(hashlib.sha256(_derived(seed, "verifier").encode()).digest()),
            "code_challenge_method": "S256",
        }
        endpoint = await self._issuer.endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", seed

    async def end(self, seed: str, answer: dict[str, str], callback: str) -> Person:
        """Who came back with the provider's answer.

        Args:
            seed: what `begin` gave, from the cookie.
            answer: the fields with which the browser came.

        Raises:
            Fault: refused when anything is not as it was begun, unavailable when the provider does not answer.
        """
        if not seed or not hmac.compare_digest(answer.get("state", "").encode(), _derived(seed, "state").encode()):
            raise refused("this login was not begun here, or too long ago", fix="log in again")
        if answer.get("error"):
            raise refused(f"the identity provider says no: {answer['error'][:200]}")
        if answer.get("iss", self.provider.issuer) != self.provider.issuer:
            raise refused("another identity provider answered")  # RFC 9207
        form = {
            "grant_type": "authorization_code",
            "code": answer.get("code", ""),
            "redirect_uri": callback,
            "client_id": self.provider.client_id,
            "code_verifier": _derived(seed, "verifier"),
        }
        found = await fetch(await self._issuer.endpoint("token_endpoint"), form, self._basic())
        claims = await self._issuer.claims(str(found.get("id_token", "")), self.provider.client_id)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), _derived(seed, "nonce").encode()):
            raise refused("the identity provider's answer is to another question")
        if claims.get("azp", self.provider.client_id) != self.provider.client_id:
            raise refused("the token was given to another client")
        return self._person(claims)

    def _person(self, claims: dict[str, Any]) -> Person:
        name = claims.get(self.provider.name_claim)
        if not isinstance(name, str) or not name:
            raise refused(f"the identity provider gives no {self.provider.name_claim}", fix="set name_claim")
        if self.provider.name_claim == "email" and claims.get("email_verified") is False:
            raise refused("the identity provider has not verified the address", where=name[:100])
        groups = claims.get(self.provider.groups_claim)
        words = list(self.provider.everyone)
        for group in groups if isinstance(groups, list) else []:
            words += self.provider.roles.get(str(group), [])
        return Person(name, f"{self.provider.issuer} {claims['sub']}", roles.highest(words))

    def _basic(self) -> str:
        if not self._secret:
            return ""
        pair = f"{quote(self.provider.client_id, safe='')}:{quote(self._secret, safe='')}"  # RFC 6749 section 2.3.1
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


def secret_of(provider: Provider) -> str:
    """The client's secret, from the variable or the file.

    Raises:
        Fault: invalid when the file cannot be read.
    """
    said = os.environ.get(SECRET_ENVIRONMENT, "")
    if said or not provider.client_secret_file:
        return said
    try:
        return Path(provider.client_secret_file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise invalid(f"the client's secret cannot be read: {problem}", where=provider.client_secret_file) from None


def _derived(seed: str, what: str) -> str:
    return _encoded(hmac.digest(seed.encode(), what.encode(), "sha256"))


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
