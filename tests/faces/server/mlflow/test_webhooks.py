"""Webhooks: told after the commit, signed, tried again, and never sent inwards; against a real HTTP server."""

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from roadworthy.faces.server.mlflow.webhooks import outbox, sender
from roadworthy.faces.server.mlflow.webhooks import store as webhooks
from roadworthy.faces.server.mlflow.webhooks.outbox import Delivery
from roadworthy.faces.server.mlflow.webhooks.store import Webhook
from roadworthy.faces.server.server import Settings
from roadworthy.nouns.errors import Fault
from roadworthy.operate import webhook as http_webhook
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.keys import Keys
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

AT = "/api/2.0/mlflow/webhooks"
MODELS = "/api/2.0/mlflow/registered-models"
CREATED = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
WAIT_S = 30


class Receiver:
    """What came, and what is answered to it: statuses in turn, then 200."""

    def __init__(self) -> None:
        self.got: Queue[tuple[dict[str, str], bytes]] = Queue()
        self.statuses: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.put((dict(self.headers), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.end_headers()
                self.wfile.write(b"thanks")

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?key=secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def talk(store: Store) -> Iterator[Conversation]:
    with Conversation(store, Settings(private_webhooks=True)) as conversation:
        yield conversation


def listen(talk: Conversation, url: str, **more: Any) -> str:
    answer = talk.ask("POST", AT, json={"name": "ci", "url": url, "events": [CREATED], **more})
    assert answer.status == 200, answer.body
    return str(answer.json["webhook"]["webhook_id"])


def deliver(store: Store) -> list[sender.Answer]:
    """What the sender does once, without its loop."""
    answers = []
    for delivery in outbox.due(store, 60.0):
        with store.read() as reader:
            webhook = webhooks.find(reader, delivery.webhook)
        assert webhook is not None
        answer = sender.attempt(webhook, delivery, store, inwards=True)
        if answer.taken:
            outbox.done(store, delivery)
        else:
            outbox.failed(store, delivery, again=answer.again)
        answers.append(answer)
    return answers


def test_a_change_is_told_signed_as_receivers_of_mlflow_check_it(
    talk: Conversation, store: Store, receiver: Receiver
) -> None:
    listen(talk, receiver.url, secret="between us")
    talk.ask("POST", f"{MODELS}/create", json={"name": "late", "tags": [{"key": "a", "value": "b"}]})
    assert [answer.status for answer in deliver(store)] == [200]
    headers, body = receiver.got.get(timeout=WAIT_S)
    told = json.loads(body)
    assert (told["entity"], told["action"]) == ("registered_model", "created")
    assert told["data"] == {"name": "late", "tags": {"a": "b"}, "description": ""}
    signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
    digest = hmac.new(b"between us", signed, hashlib.sha256).digest()
    assert headers["X-MLflow-Signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert deliver(store) == []


def test_a_change_that_was_refused_is_not_told(talk: Conversation, store: Store, receiver: Receiver) -> None:
    talk.ask("POST", f"{MODELS}/create", json={"name": "late"})
    listen(talk, receiver.url)
    assert talk.ask("POST", f"{MODELS}/create", json={"name": "late"}).status == 400
    assert deliver(store) == []


def test_what_is_not_taken_is_tried_again_later_and_later(
    talk: Conversation, store: Store, clock: SimulatedClock, receiver: Receiver
) -> None:
    listen(talk, receiver.url)
    receiver.statuses = [503, 429]
    talk.ask("POST", f"{MODELS}/create", json={"name": "late"})
    tried = []
    for _ in range(3):
        tried += [answer.status for answer in deliver(store)]
        assert deliver(store) == []  # not at once
        with store.read() as reader:
            due = outbox.next_due(reader)
        clock.set(due or clock.now())
    assert tried == [503, 429, 200]
    deliveries = {receiver.got.get(timeout=WAIT_S)[0]["X-MLflow-Delivery-Id"] for _ in range(3)}
    assert len(deliveries) == 1  # a receiver can tell that it is the same


def test_what_is_refused_for_good_is_given_up(talk: Conversation, store: Store, receiver: Receiver) -> None:
    listen(talk, receiver.url)
    receiver.statuses = [410]
    talk.ask("POST", f"{MODELS}/create", json={"name": "late"})
    assert [answer.status for answer in deliver(store)] == [410]
    with store.read() as reader:
        assert outbox.next_due(reader) is None


def test_a_receiver_that_never_answers_is_given_up_after_a_day(store: Store, clock: SimulatedClock) -> None:
    began = clock.now()
    for attempts in range(outbox.ATTEMPTS_MAX - 1):
        assert outbox.failed(store, Delivery(id="d", webhook="w", body="{}", attempts=attempts))
        clock.sleep(min(outbox.PAUSE_S * 2.0**attempts, outbox.PAUSE_S_MAX))
    assert not outbox.failed(store, Delivery(id="d", webhook="w", body="{}", attempts=outbox.ATTEMPTS_MAX - 1))
    assert clock.now() - began < 86_400


def test_the_running_server_delivers_by_itself(store: Store, receiver: Receiver) -> None:
    with Conversation(store, Settings(private_webhooks=True)) as talk:
        talk.ask("GET", "/health")
        talk._runner.run(_begin(talk))
        listen(talk, receiver.url)
        talk.ask("POST", f"{MODELS}/create", json={"name": "late"})
        talk._runner.run(_until(receiver))
    assert receiver.got.qsize() == 1


def test_a_webhook_is_tried_out_with_an_example(talk: Conversation, receiver: Receiver) -> None:
    identifier = listen(talk, receiver.url)
    event = {"entity": "PROMPT_ALIAS", "action": "DELETED"}
    said = talk.ask("POST", f"{AT}/{identifier}/test", json={"event": event}).json["result"]
    assert said == {"success": True, "response_status": 200, "response_body": "thanks"}
    assert json.loads(receiver.got.get(timeout=WAIT_S)[1])["data"] == {
        "name": "example_prompt",
        "alias": "example_alias",
    }
    receiver.statuses = [500]
    assert talk.ask("POST", f"{AT}/{identifier}/test", json={}).json["result"]["success"] is False


def test_webhooks_are_changed_disabled_and_deleted(talk: Conversation, store: Store, receiver: Receiver) -> None:
    identifier = listen(talk, receiver.url, description="for CI")
    changed = talk.ask("PATCH", f"{AT}/{identifier}", json={"status": "DISABLED", "description": ""}).json["webhook"]
    assert (changed["status"], changed.get("description"), changed["name"]) == ("DISABLED", None, "ci")
    talk.ask("POST", f"{MODELS}/create", json={"name": "late"})
    assert deliver(store) == []
    assert [each["webhook_id"] for each in talk.ask("GET", AT).json["webhooks"]] == [identifier]
    assert talk.ask("DELETE", f"{AT}/{identifier}").status == 200
    assert talk.ask("GET", f"{AT}/{identifier}").json["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert talk.ask("GET", AT).json == {}


def test_a_secret_is_kept_encrypted_and_never_shown(talk: Conversation, store: Store, receiver: Receiver) -> None:
    identifier = listen(talk, receiver.url, secret="between us")
    assert "between us" not in talk.ask("GET", f"{AT}/{identifier}").body.decode()
    with store.read() as reader:
        kept = webhooks.find(reader, identifier)
    assert kept is not None
    assert kept.secret is not None
    assert "between us" not in kept.secret
    assert webhooks.opened(store.keys, kept.secret) == "between us"
    with pytest.raises(Fault, match="another signing key"):
        webhooks.opened(Keys(store.home / "other"), kept.secret)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x", "ftp://example.com/x", "example.com", "https://", "https://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data", "https://[::1]/x", "https://[::ffff:10.0.0.1]/x",
        "https://localhost/x", "https://0.0.0.0/x", "https://user:pass@8.8.8.8/x", "https://10.1.2.3:8443/x",
        "https://8.8.8.8:99999/x", " ", "https://2130706433/x",
    ],
)  # fmt: skip
def test_urls_that_lead_inwards_are_refused(store: Store, url: str) -> None:
    with Conversation(store) as talk:
        answer = talk.ask("POST", AT, json={"name": "ci", "url": url, "events": [CREATED]})
    assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_name_that_came_to_lead_inwards_is_not_followed(store: Store, receiver: Receiver) -> None:
    webhook = Webhook(id="w", name="ci", url=receiver.url, events=(("registered_model", "created"),))
    answer = sender.attempt(webhook, Delivery(id="d", webhook="w", body="{}", attempts=0), store, inwards=False)
    assert (answer.taken, answer.again) == (False, False)
    assert "not public" in answer.problem
    assert receiver.got.empty()


def test_whoever_runs_the_server_may_allow_a_host(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(http_webhook.ALLOW, "127.0.0.1")
    with Conversation(store) as talk:
        listen(talk, receiver.url)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "no spaces"}, "Webhook name"),
        ({"name": ""}, "Missing value"),
        ({"events": []}, "Missing value"),
        ({"events": [{"entity": "REGISTERED_MODEL", "action": "DELETED"}]}, "Invalid action 'deleted'"),
        ({"events": [{"entity": "NOTHING", "action": "CREATED"}]}, "entity"),
        ({"status": "ASLEEP"}, "status"),
        ({"secret": "s" * 501}, "secret"),
    ],
)
def test_bad_webhooks_are_refused(talk: Conversation, change: dict[str, Any], says: str) -> None:
    body = {"name": "ci", "url": "https://8.8.8.8/x", "events": [CREATED], **change}
    answer = talk.ask("POST", AT, json=body)
    assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert says in answer.json["message"]


async def _begin(talk: Conversation) -> None:
    talk.server.begin()


async def _until(receiver: Receiver) -> None:
    receiver.got.put(await asyncio.to_thread(receiver.got.get, timeout=WAIT_S))
