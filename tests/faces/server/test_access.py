"""Access: which requests reach a handler at all."""

import base64
from collections.abc import Iterator

import pytest

from roadworthy.faces.server.identity import passwords, sessions, tokens, users
from roadworthy.faces.server.server import Settings
from roadworthy.store import log
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", 1 << 10)


@pytest.fixture
def alone(store: Store) -> Iterator[Conversation]:
    with Conversation(store) as conversation:
        yield conversation


@pytest.fixture
def public(store: Store) -> Iterator[Conversation]:
    settings = Settings(login=True, exposed=True, hosts=("mlflow.example.com",))
    with Conversation(store, settings) as conversation:
        yield conversation


def bearer(store: Store, *words: str) -> dict[str, str]:
    from roadworthy.faces.server.identity import roles

    return {"authorization": f"Bearer {tokens.create(store, 'test', roles.parse(words), days=1)[0]}"}


@pytest.mark.parametrize(
    "host", ["evil.example", "", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:5000"]
)
def test_on_the_loopback_address_only_its_names_are_answered(alone: Conversation, host: str) -> None:
    assert alone.ask("GET", PROXY, headers={"host": host}).status == 421
    assert alone.ask("GET", "/health", headers={"host": host}).status == 421
    for ours in ("localhost:5000", "127.0.0.1", "[::1]:5000"):
        assert alone.ask("GET", PROXY, headers={"host": ours}).status == 200


def test_beyond_it_addresses_and_allowed_names_are_answered(public: Conversation) -> None:
    for ours in ("10.0.0.1:5000", "[fe80::1]:5000", "MLFLOW.example.com", "localhost"):
        assert public.ask("GET", "/health", headers={"host": ours}).status == 200
    said = public.ask("GET", "/health", headers={"host": "evil.example"})
    assert (said.status, "--allow-host evil.example" in said.body.decode()) == (421, True)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost", "x"])
def test_pages_of_other_origins_are_refused(alone: Conversation, origin: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert alone.ask(method, f"{PROXY}/a", b"1", headers={"origin": origin}).status == 403
    assert alone.ask("GET", PROXY, headers={"host": "localhost:5000", "origin": "http://localhost:5000"}).status == 200


def test_a_page_elsewhere_can_link_to_us_and_no_more(alone: Conversation) -> None:
    cross = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert alone.ask("GET", PROXY, headers=cross).status == 403
    assert alone.ask("PUT", f"{PROXY}/a", b"1", headers={**cross, "sec-fetch-mode": "navigate"}).status == 403
    assert alone.ask("GET", PROXY, headers={**cross, "sec-fetch-mode": "navigate"}).status == 200


def test_beyond_the_loopback_address_nobody_comes_in_unknown(public: Conversation) -> None:
    for url in (PROXY, "/metrics", "/nothing/there", "/api/2.0/mlflow/nothing"):
        said = public.ask("GET", url)
        assert said.status == 401
        assert "basic" in said.headers["www-authenticate"].lower()
    assert public.ask("GET", "/health").status == 200
    led = public.ask("GET", "/x", headers={"accept": "text/html"})
    assert (led.status, led.headers["location"]) == (303, "/login?next=/x")


def test_a_role_that_does_not_suffice_is_refused_before_the_body_is_read(public: Conversation, store: Store) -> None:
    viewer = bearer(store, "viewer")
    assert public.ask("GET", PROXY, headers=viewer).status == 200
    said = public.ask("PUT", f"{PROXY}/a", b"1", headers=viewer)
    assert (said.status, said.json["error_code"]) == (403, "PERMISSION_DENIED")
    assert public.ask("PUT", f"{PROXY}/a", b"1", headers=bearer(store, "editor")).status == 200
    assert public.ask("PUT", f"{PROXY}/a", b"1", headers=bearer(store, "editor@other")).status == 403


def test_who_changed_what_and_from_where_is_in_the_log(public: Conversation, store: Store) -> None:
    public.ask("PUT", f"{PROXY}/a", b"1", headers=bearer(store, "editor"), source="10.1.2.3")
    with store.read() as reader:
        newest = log.newest(reader, limit=1)[0]
    assert (newest.kind, newest.actor, newest.detail["from"]) == ("artifact.kept", "token:test", "10.1.2.3")


def test_a_proxys_word_counts_only_when_there_is_one(store: Store) -> None:
    forged = {**bearer(store, "editor"), "x-forwarded-for": "1.1.1.1, 10.9.9.9"}
    for behind, source in ((False, "127.0.0.1"), (True, "10.9.9.9")):
        with Conversation(store, Settings(login=True, behind_proxy=behind)) as talk:
            talk.ask("PUT", f"{PROXY}/{behind}", b"1", headers=forged)
            with store.read() as reader:
                assert log.newest(reader, limit=1)[0].detail["from"] == source


@pytest.mark.parametrize("header", ["x-forwarded-for", "X-Forwarded-Host", "forwarded", "x-real-ip", "via"])
def test_a_proxy_nobody_told_of_does_not_open_the_door_to_everybody(
    alone: Conversation, store: Store, header: str
) -> None:
    said = alone.ask("GET", PROXY, headers={header: "1.2.3.4"})
    assert (said.status, "--behind-proxy" in said.body.decode()) == (403, True)
    with Conversation(store, Settings(behind_proxy=True)) as told:
        assert told.ask("GET", PROXY, headers={header: "1.2.3.4"}).status == 200


def test_guessers_are_slowed_and_told_so(public: Conversation, store: Store) -> None:
    users.add(store, "ada", {"*": "admin"}, password=GOOD)
    wrong = {"authorization": "Basic " + base64.b64encode(b"ada:wrong").decode()}
    seen = [public.ask("GET", PROXY, headers=wrong).status for _ in range(25)]
    assert (seen[0], seen[-1]) == (401, 429)
    assert int(public.ask("GET", PROXY, headers=wrong).headers["retry-after"]) > 0


def test_requests_of_one_identity_have_a_rate(store: Store) -> None:
    with Conversation(store, Settings(login=True, requests_per_s=1)) as talk:
        mine, other = bearer(store, "viewer"), {**bearer(store, "viewer@p"), "x-y": "z"}
        assert [talk.ask("GET", "/health").status for _ in range(5)] == [200] * 5
        assert talk.ask("GET", "/health").status == 429  # those nobody knows share the rate of their address
        assert talk.ask("GET", PROXY, headers=mine).status == 200
        del other


def test_what_a_cookie_vouches_for_must_come_from_our_page(public: Conversation, store: Store) -> None:
    users.add(store, "ada", {"*": "admin"}, password=GOOD)
    cookie = {"cookie": f"rw_session={sessions.begin(store, 'ada', {}, how='password')}"}
    assert public.ask("GET", PROXY, headers=cookie).status == 200
    assert public.ask("PUT", f"{PROXY}/a", b"1", headers=cookie).status == 403
    assert public.ask("PUT", f"{PROXY}/a", b"1", headers={**cookie, "origin": "http://127.0.0.1"}).status == 200
    assert public.ask("PUT", f"{PROXY}/b", b"1", headers={**cookie, "sec-fetch-site": "same-origin"}).status == 200
    assert public.ask("PUT", f"{PROXY}/c", b"1", headers={**cookie, "origin": "http://evil.example"}).status == 403


def test_by_tls_a_cookie_that_another_host_can_set_counts_for_nothing(store: Store) -> None:
    users.add(store, "ada", {"*": "admin"}, password=GOOD)
    value = sessions.begin(store, "ada", {}, how="password")
    with Conversation(store, Settings(login=True, secure=True)) as talk:
        assert talk.ask("GET", PROXY, headers={"cookie": f"rw_session={value}"}).status == 401
        assert talk.ask("GET", PROXY, headers={"cookie": f"a=b; __Host-rw_session={value}"}).status == 200
