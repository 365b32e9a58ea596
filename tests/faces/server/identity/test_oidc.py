"""OpenID Connect against a real provider: who comes back, and everything that must not be believed."""

import asyncio
import base64
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from roadworthy.faces.server.identity import issuers, oidc
from roadworthy.faces.server.identity.issuers import Issuer
from roadworthy.faces.server.identity.oidc import Login, Person
from roadworthy.faces.server.identity.workloads import Workload, Workloads
from roadworthy.nouns.errors import Code, Fault
from tests.faces.server.identity.provider import CLIENT, SECRET, Provider

CALLBACK = "http://127.0.0.1/login/callback"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def visit(url: str) -> dict[str, str]:
    """What a browser brings back after it was at the provider."""
    try:
        urllib.request.build_opener(_Stay).open(url, timeout=10)
    except urllib.error.HTTPError as answer:
        with answer:
            return dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    raise AssertionError("the provider sent nobody back")


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider(CALLBACK) as running:
        yield running


@pytest.fixture
def provider(shared: Provider) -> Provider:
    shared.change = {}
    shared.key = RSAKey.import_key(shared.key.as_dict(private=True))
    return shared


def setup(provider: Provider, **more: Any) -> Login:
    known = oidc.Provider(
        issuer=provider.url, client_id=CLIENT, roles={"ml": ["editor@x"]}, everyone=["viewer"], **more
    )
    return Login(known, SECRET)


def travel(login: Login, change: dict[str, str] | None = None, seed: str | None = None) -> Person:
    async def all_of_it() -> Person:
        url, begun = await login.begin(CALLBACK)
        answer = await asyncio.to_thread(visit, url)
        return await login.end(begun if seed is None else seed, {**answer, **(change or {})}, CALLBACK)

    return asyncio.run(all_of_it())


def refusal(login: Login, **more: Any) -> str:
    with pytest.raises(Fault) as fault:
        travel(login, **more)
    assert fault.value.code is Code.REFUSED
    return fault.value.what


def test_who_comes_back_is_known_with_the_roles_of_their_groups(provider: Provider) -> None:
    found = travel(setup(provider))
    assert found == Person("ada@example.com", f"{provider.url} 42", {"x": "editor", "*": "viewer"})


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"aud": "someone-else"},
        {"aud": []},
        {"exp": int(time.time()) - 300},
        {"exp": None},
        {"nbf": int(time.time()) + 3_000},
        {"nonce": "another"},
        {"nonce": ""},
        {"azp": "someone-else", "aud": [CLIENT, "someone-else"]},
        {"sub": None},
        {"email": ""},
        {"email": 7},
        {"email_verified": False},
    ],
    ids="-".join,  # of the claims: two processes must find the same names, and times differ
)
def test_a_token_of_which_anything_is_wrong_lets_nobody_in(provider: Provider, change: dict[str, Any]) -> None:
    provider.change = change
    assert refusal(setup(provider))


def test_an_answer_to_another_browser_lets_nobody_in(provider: Provider) -> None:
    login = setup(provider)
    assert "not begun here" in refusal(login, change={"state": "x"})
    assert "not begun here" in refusal(login, change={"state": ""})
    assert "not begun here" in refusal(login, seed="")
    assert "not begun here" in refusal(login, seed="somebody else's")
    assert "says no" in refusal(login, change={"error": "access_denied"})
    assert "another identity provider" in refusal(login, change={"iss": "https://evil.example"})


def test_a_stolen_code_is_worth_nothing_without_the_verifier(provider: Provider) -> None:
    login = setup(provider)

    async def steal() -> Person:
        url, _ = await login.begin(CALLBACK)
        stolen = await asyncio.to_thread(visit, url)
        other, seed = await login.begin(CALLBACK)
        mine = await asyncio.to_thread(visit, other)
        return await login.end(seed, {**mine, "code": stolen["code"]}, CALLBACK)

    with pytest.raises(Fault) as fault:
        asyncio.run(steal())
    assert fault.value.code is Code.UNAVAILABLE  # the provider refuses the exchange


def test_keys_that_changed_are_fetched_again(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuers, "AGAIN_S", -1.0)
    login = setup(provider)
    travel(login)
    provider.key = RSAKey.generate_key(2048, {"kid": "second", "alg": "RS256", "use": "sig"})
    assert travel(login).name == "ada@example.com"


def test_a_flood_of_unknown_keys_does_not_make_us_ask(provider: Provider) -> None:
    issuer = Issuer(provider.url)
    stranger = RSAKey.generate_key(2048, {"kid": "stranger", "alg": "RS256"})
    before = provider.key_asked

    async def flood() -> None:
        for _ in range(5):
            token = jwt.encode({"alg": "RS256", "kid": "stranger"}, {"iss": provider.url, "sub": "x"}, stranger)
            with pytest.raises(Fault):
                await issuer.claims(token, CLIENT)

    asyncio.run(flood())
    assert provider.key_asked == before + 1


@pytest.mark.parametrize("url", ["http://idp.example", "ftp://127.0.0.1", "file:///etc/passwd", "idp", ""])
def test_a_provider_is_reached_by_tls_only(url: str) -> None:
    with pytest.raises(Fault):
        Login(oidc.Provider(issuer=url, client_id=CLIENT))


def test_a_discovery_document_of_another_issuer_is_not_believed(provider: Provider) -> None:
    login = Login(oidc.Provider(issuer=provider.url + "/", client_id=CLIENT), SECRET)
    with pytest.raises(Fault) as fault:
        asyncio.run(login.begin(CALLBACK))
    assert fault.value.code is Code.REFUSED


def jobs(provider: Provider, **more: Any) -> Workloads:
    known = {
        "name": "ci",
        "issuer": provider.url,
        "audience": CLIENT,
        "claims": {"ref": "main"},
        "roles": ["editor@flights"],
    }
    return Workloads([Workload(**{**known, **more})])


def test_a_job_comes_in_by_its_platforms_token(provider: Provider) -> None:
    found = asyncio.run(jobs(provider).vouch(provider.token(ref="main")))
    assert found is not None
    assert (found.name, found.roles) == ("ci:repo:town/flights", {"flights": "editor"})


@pytest.mark.parametrize(
    "claims",
    [
        {"ref": "other"},
        {},
        {"ref": "main", "aud": "someone-else"},
        {"ref": "main", "iss": "https://evil.example"},
        {"ref": "main", "exp": 1},
        {"ref": ["main"]},
    ],
    ids=str,
)
def test_another_job_does_not(provider: Provider, claims: dict[str, Any]) -> None:
    assert asyncio.run(jobs(provider).vouch(provider.token(**claims))) is None


def test_a_token_that_others_made_does_not(provider: Provider) -> None:
    said = {"iss": provider.url, "sub": "x", "aud": CLIENT, "exp": int(time.time()) + 60, "ref": "main"}
    public = provider.key.as_pem(private=False)
    forged = [
        jwt.encode({"alg": "RS256", "kid": "first"}, said, RSAKey.generate_key(2048)),
        # The public key taken for a shared secret, and no signature at all.
        _by_hand({"alg": "HS256", "kid": "first"}, said, public),
        "eyJhbGciOiJub25lIn0." + provider.token(ref="main").split(".")[1] + ".",
        provider.token(ref="main")[:-4] + "AAAA",
        "a.b.c",
        "..",
        "",
        "x" * 100_000,
    ]
    for token in forged:
        assert asyncio.run(jobs(provider).vouch(token)) is None


def _by_hand(header: dict[str, Any], said: dict[str, Any], secret: bytes) -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(said).encode())}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), 'sha256'))}"


def test_a_workload_without_claims_is_refused(provider: Provider) -> None:
    with pytest.raises(Fault, match="every job"):
        jobs(provider, claims={})
