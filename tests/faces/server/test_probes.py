"""Probes: what operators and their tools ask."""

from roadworthy.faces.server.server import Settings
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation


def test_it_lives_is_ready_and_says_which_version(store: Store) -> None:
    with Conversation(store) as talk:
        for path in ("/health", "/livez", "/readyz"):
            assert (talk.ask("GET", path).status, talk.ask("GET", path).body) == (200, b"OK")
        assert talk.ask("GET", "/version").body == b"3.17.2"
        talk.server.ready = False
        assert talk.ask("GET", "/readyz").status == 503
        assert talk.ask("GET", "/livez").status == 200


def test_numbers_are_those_of_the_requests(store: Store) -> None:
    with Conversation(store, Settings(login=True)) as talk:
        assert talk.ask("GET", "/metrics").status == 401
    with Conversation(store) as talk:
        talk.ask("POST", "/api/2.0/mlflow/experiments/create", json={"name": "x"})
        talk.ask("GET", "/nothing/there")
        text = talk.ask("GET", "/metrics").body.decode()
    for line in (
        'roadworthy_requests_total{code="200",path="/api/2.0/mlflow/experiments/create"} 1.0',
        'roadworthy_requests_total{code="404",path="other"} 1.0',
        "roadworthy_request_seconds_count 2.0",
        "roadworthy_requests_under_way 1.0",
        "roadworthy_changes 1.0",
        "roadworthy_logins_failed 0.0",
    ):
        assert line in text, line
    assert "process_resident_memory_bytes" in text
