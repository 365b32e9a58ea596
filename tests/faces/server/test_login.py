"""Login pages: a session for who may come in, and nothing for who may not."""

import asyncio
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from roadworthy.faces.server.identity import oidc, passwords, users
from roadworthy.faces.server.server import Settings
from roadworthy.store import log
from roadworthy.store.store import Store
from tests.faces.server.conversation import Answer, Conversation
from tests.faces.server.identity.provider import CLIENT, SECRET, Provider
from tests.faces.server.identity.test_oidc import visit

GOOD = "correct horse battery"
OURS = {"origin": "http://127.0.0.1"}
PAGE = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def talk(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Conversation]:
    monkeypatch.setattr(passwords, "N", 1 << 10)
    users.add(store, "ada", {"*": "viewer"}, password=GOOD)
    with Conversation(store, Settings(login=True)) as conversation:
        yield conversation


def log_in(talk: Conversation, password: str = GOOD, back: str = "/", **headers: str) -> Answer:
    body = f"user=ada&password={quote(password)}&next={quote(back)}".encode()
    return talk.ask("POST", "/login", body, headers={**OURS, **headers})


def cookie_of(answer: Answer) -> dict[str, str]:
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_a_password_begins_a_session_and_leaving_ends_it(talk: Conversation) -> None:
    said = log_in(talk, back="/experiments?a=1")
    assert (said.status, said.headers["location"]) == (303, "/experiments?a=1")
    assert "HttpOnly" in said.headers["set-cookie"]
    assert "SameSite=Lax" in said.headers["set-cookie"]
    cookie = cookie_of(said)
    assert talk.ask("GET", PAGE, headers=cookie).status == 200
    assert talk.ask("POST", "/logout", headers={**cookie, **OURS}).status == 303
    assert talk.ask("GET", PAGE, headers=cookie).status == 401


def test_by_tls_the_cookie_is_bound_to_it(store: Store, talk: Conversation) -> None:
    with Conversation(store, Settings(login=True, secure=True)) as secure:
        said = log_in(secure).headers["set-cookie"]
    assert said.startswith("__Host-rw_session=")
    assert said.endswith("; Secure")


def test_a_wrong_password_is_told_without_saying_which_was_wrong(talk: Conversation) -> None:
    wrong = log_in(talk, "wrong password")
    nobody = talk.ask("POST", "/login", b"user=bob&password=x", headers=OURS)
    assert (wrong.status, nobody.status) == (401, 401)
    assert wrong.body == nobody.body
    assert "set-cookie" not in wrong.headers


def test_guessing_by_the_form_is_stopped_too(talk: Conversation) -> None:
    assert [log_in(talk, f"wrong {n}").status for n in range(22)][-1] == 429


def test_another_site_cannot_log_its_reader_in(talk: Conversation) -> None:
    body = f"user=ada&password={quote(GOOD)}".encode()
    assert talk.ask("POST", "/login", body).status == 403
    assert talk.ask("POST", "/login", body, headers={"origin": "http://evil.example"}).status == 403


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "\\evil", "/a\nb", "x"]
)
def test_nobody_is_led_elsewhere_after_logging_in(talk: Conversation, back: str) -> None:
    assert log_in(talk, back=back).headers["location"] == "/"
    assert b"evil" not in talk.ask("GET", f"/login?next={quote(back)}").body


def test_the_page_escapes_what_it_is_given(talk: Conversation) -> None:
    said = talk.ask("GET", "/login?next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert b"<script>" not in said.body
    assert "default-src 'none'" in said.headers["content-security-policy"]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"&" * 5000, b"user=ada", b"x" * 9000, b"a=1&" * 50])
def test_any_form_gets_an_answer(talk: Conversation, body: bytes) -> None:
    assert talk.ask("POST", "/login", body, headers=OURS).status in (400, 401, 413)


@pytest.fixture
def provided(store: Store) -> Iterator[tuple[Conversation, Provider]]:
    with Provider() as provider:
        import os

        os.environ[oidc.SECRET_ENVIRONMENT] = SECRET
        known = oidc.Provider(issuer=provider.url, client_id=CLIENT, roles={"ml": ["viewer"]})
        with Conversation(store, Settings(login=True, oidc=known)) as conversation:
            yield conversation, provider
        del os.environ[oidc.SECRET_ENVIRONMENT]


def by_provider(talk: Conversation, back: str = "/") -> Answer:
    left = talk.ask("GET", f"/login/provider?next={quote(back)}")
    assert left.status == 303
    answer = asyncio.run(asyncio.to_thread(visit, left.headers["location"]))
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in answer.items())
    headers = {**cookie_of(left), "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    return talk.ask("GET", f"/login/callback?{query}", headers=headers)


def test_people_come_in_through_their_provider(provided: tuple[Conversation, Provider], store: Store) -> None:
    talk, provider = provided
    said = by_provider(talk, "/models")
    assert (said.status, said.headers["location"]) == (303, "/models")
    with store.read() as reader:
        assert [e.kind for e in log.newest(reader)] == ["user.logged_in", "user.added"]
        user = users.find_subject(reader, f"{provider.url} 42")
    assert user is not None
    assert user.name == "ada@example.com"
    users.set_active(store, user.name, active=False)
    assert by_provider(talk).status == 403


def test_a_name_that_is_somebodys_is_not_taken_over(provided: tuple[Conversation, Provider], store: Store) -> None:
    talk, provider = provided
    users.add(store, "ada@example.com", {"*": "admin"}, password=GOOD)
    assert by_provider(talk).status == 403
    provider.who["email"] = "eve@example.com"
    assert by_provider(talk).status == 303


def test_an_answer_without_its_beginning_is_refused(provided: tuple[Conversation, Provider]) -> None:
    talk, _ = provided
    for query in ("", "code=x&state=y", "error=access_denied", "state=&code="):
        assert talk.ask("GET", f"/login/callback?{query}").status == 403


def test_a_provider_that_is_away_is_said_to_be(provided: tuple[Conversation, Provider]) -> None:
    talk, provider = provided
    provider._server.shutdown()
    provider._server.server_close()
    said = talk.ask("GET", "/login/provider")
    assert said.status == 503
    provider._thread.join()
    del said
    assert urlsplit(provider.url).hostname == "127.0.0.1"


def test_without_a_provider_there_is_no_way_to_one(talk: Conversation) -> None:
    assert talk.ask("GET", "/login/provider").status == 404
    assert talk.ask("GET", "/login/callback").status == 404
