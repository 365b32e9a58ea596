"""Issuers: identity providers whose signed tokens are believed, and their keys.

In: an issuer's address, as the operator wrote it. Out: its endpoints and the claims of its tokens, after signature,
issuer, audience and times were checked. Keys are fetched when first needed and again when a token names one that is
unknown. Called by oidc.py (people) and workloads.py (machines).
"""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from roadworthy.nouns.errors import invalid, refused, unavailable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
ANSWER_BYTES_MAX = 1 << 20
TOKEN_LENGTH_MAX = 16_384
TIMEOUT_S = 10.0
KEYS_S_MAX = 3_600.0
AGAIN_S = 10.0  # an unknown key does not make us ask more often than this
LEEWAY_S = 60


class Issuer:
    """One provider.

    Args:
        url: as its tokens name it; `https`, or `http` on this machine.

    Raises:
        Fault: invalid for another address.
    """

    def __init__(self, url: str) -> None:
        check_url(url)
        self.url = url
        self._found: dict[str, Any] = {}
        self._keys: Any = None
        self._asked_at = -AGAIN_S
        self._lock = asyncio.Lock()

    async def endpoint(self, name: str) -> str:
        """An endpoint of its discovery document.

        Raises:
            Fault: unavailable when it does not answer, refused when the document is another issuer's.
        """
        if not self._found:
            address = f"{self.url.rstrip('/')}/.well-known/openid-configuration"
            found = await fetch(address)
            if found.get("issuer") != self.url:
                raise refused(f"the discovery document is of another issuer: {found.get('issuer')!r}", where=address)
            self._found = found
        said = self._found.get(name)
        if not isinstance(said, str):
            raise unavailable(f"the identity provider names no {name}", where=self.url)
        check_url(said)
        return said

    async def claims(self, token: str, audience: str) -> dict[str, Any]:
        """What a token of this issuer for this audience says.

        Raises:
            Fault: refused for every other token, unavailable when the keys cannot be had.
        """
        from joserfc import jwt
        from joserfc.errors import JoseError

        if len(token) > TOKEN_LENGTH_MAX:
            raise refused("the token is too long")
        for again in (False, True):
            keys = await self._key_set(again=again)
            try:
                decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
                break
            except (JoseError, ValueError, KeyError) as problem:
                if again or not self._may_ask():
                    raise refused(f"the token is not one of {self.url}: {type(problem).__name__}") from None
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.url},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            registry.validate(decoded.claims)
        except JoseError as problem:
            raise refused(f"the token does not count here: {problem}") from None
        return dict(decoded.claims)

    async def _key_set(self, *, again: bool) -> Any:
        from joserfc.jwk import KeySet

        async with self._lock:
            old = time.monotonic() - self._asked_at > KEYS_S_MAX
            if self._keys is None or old or (again and self._may_ask()):
                self._asked_at = time.monotonic()
                found = await fetch(await self.endpoint("jwks_uri"))
                try:
                    self._keys = KeySet.import_key_set({"keys": found["keys"]})
                except Exception as problem:
                    raise unavailable(f"the provider's keys cannot be read: {problem}", where=self.url) from None
            return self._keys

    def _may_ask(self) -> bool:
        return time.monotonic() - self._asked_at > AGAIN_S


def check_url(url: str) -> None:
    """Refuse an address over which a token could be read or forged.

    Raises:
        Fault: invalid.
    """
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise invalid("an identity provider is reached by https", where=url[:200])


async def fetch(url: str, form: Mapping[str, str] | None = None, authorization: str = "") -> dict[str, Any]:
    """A JSON object from a provider; sent a form, unless there is none.

    Raises:
        Fault: unavailable when it does not answer so.
    """
    return await asyncio.to_thread(_fetch, url, form, authorization)


def _fetch(url: str, form: Mapping[str, str] | None, authorization: str) -> dict[str, Any]:
    from urllib.parse import urlencode

    body = None if form is None else urlencode(form).encode()
    asked = urllib.request.Request(url, body, {"accept": "application/json"})  # noqa: S310 - checked by check_url
    if authorization:
        asked.add_header("authorization", authorization)
    try:
        with urllib.request.build_opener(_NoRedirect).open(asked, timeout=TIMEOUT_S) as answer:
            found = json.loads(answer.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as problem:
        problem.close()
        raise unavailable(f"the identity provider answers {problem.code}", where=url) from None
    except (OSError, ValueError) as problem:
        raise unavailable(f"the identity provider does not answer: {problem}", where=url) from None
    if not isinstance(found, dict):
        raise unavailable("the identity provider answers no JSON object", where=url)
    return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A provider that sends us elsewhere is not followed."""

    def redirect_request(self, *_: Any) -> None:
        return None
