"""The sender: tells webhooks what is in the outbox, after the commit, signed as MLflow's receivers check it.

In: due deliveries. Out: HTTP requests to public addresses alone, each resolved once and pinned (operate/webhook.py); a
delivery that is not taken is tried again, later and later. Runs beside the requests of a server; several servers on one
store share the work.

The signature is over `<delivery id>.<seconds>.<body>` with HMAC-SHA256, in base 64 behind `v1,`.
"""

import asyncio
import base64
import hashlib
import hmac
import http.client
import logging
from concurrent.futures import ThreadPoolExecutor

import msgspec

from roadworthy.faces.server.mlflow.webhooks import outbox
from roadworthy.faces.server.mlflow.webhooks import store as webhooks
from roadworthy.faces.server.mlflow.webhooks.outbox import Delivery
from roadworthy.faces.server.mlflow.webhooks.store import Webhook
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import Code, Fault
from roadworthy.operate import webhook as http_webhook
from roadworthy.store.group import GroupCommit
from roadworthy.store.keys import Keys
from roadworthy.store.store import Store

LOOK_S = 0.5
HELD_S = 60.0  # longer than an attempt can take: until then no other server tries the same
AT_ONCE = 4
SHOWN_MAX = 200
_PASSING = frozenset({408, 425, 429})
_log = logging.getLogger("roadworthy.webhooks")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one attempt: a status and the answer's beginning, or a problem.

    Args:
        again: whether a later attempt may fare better.
    """

    status: int = 0
    body: str = ""
    problem: str = ""
    again: bool = False

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


class Sender:
    """Work beside a server's requests."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")

    async def run(self) -> None:
        """Look for work until cancelled."""
        try:
            while True:
                try:
                    busy = await self._some()
                except Fault as problem:
                    _log.warning("webhooks wait: %s", problem)
                    busy = False
                if not busy:
                    await asyncio.sleep(LOOK_S)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _some(self) -> bool:
        store, group = self._server.store, self._server.group
        first = await self._server.read(_next_due)
        if first is None or first > store.clock.now():
            return False
        deliveries: list[Delivery] = await group.submit(lambda inside: outbox.due(inside, HELD_S))
        await asyncio.gather(*(self._deliver(group, delivery) for delivery in deliveries))
        return bool(deliveries)

    async def _deliver(self, group: GroupCommit, delivery: Delivery) -> None:
        store = self._server.store
        with store.read() as reader:
            webhook = webhooks.find(reader, delivery.webhook)
        if webhook is None or webhook.status != webhooks.ACTIVE:
            await group.submit(lambda inside: outbox.done(inside, delivery))
            return
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(
            self._threads, attempt, webhook, delivery, store, self._server.settings.private_webhooks
        )
        if answer.taken:
            await group.submit(lambda inside: outbox.done(inside, delivery))
            return
        kept = await group.submit(lambda inside: outbox.failed(inside, delivery, again=answer.again))
        said = answer.problem or f"answered {answer.status}"
        _log.warning(
            "webhook %s %s (attempt %d); %s", webhook.name, said[:SHOWN_MAX], delivery.attempts + 1,
            "it will be tried again" if kept else "given up",
        )  # fmt: skip


def attempt(webhook: Webhook, delivery: Delivery, store: Store, inwards: bool) -> Answer:  # noqa: FBT001
    """Send a delivery once; waits for the network.

    Args:
        inwards: whether addresses that are not public are allowed.
    """
    try:
        parts = http_webhook.split(webhook.url)
        address = http_webhook.resolve(parts, inwards=inwards)
        headers = _headers(webhook, delivery, store.keys, int(store.clock.now()))
        status, body = http_webhook.attempt(parts, address, delivery.body.encode(), headers)
    except Fault as problem:
        return Answer(problem=str(problem).replace("\n", " "), again=problem.code is Code.UNAVAILABLE)
    except (OSError, http.client.HTTPException) as problem:
        return Answer(problem=f"does not answer: {problem or type(problem).__name__}", again=True)
    return Answer(status=status, body=body.decode("utf-8", "replace"), again=status >= 500 or status in _PASSING)


def signature(secret: str, delivery: str, seconds: int, body: str) -> str:
    """The value of `X-MLflow-Signature`."""
    said = f"{delivery}.{seconds}.{body}".encode()
    return f"v1,{base64.b64encode(hmac.new(secret.encode(), said, hashlib.sha256).digest()).decode()}"


def _headers(webhook: Webhook, delivery: Delivery, keys: Keys, seconds: int) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery.id,
        "X-MLflow-Timestamp": str(seconds),
    }
    if webhook.secret:
        secret = webhooks.opened(keys, webhook.secret)
        headers["X-MLflow-Signature"] = signature(secret, delivery.id, seconds, delivery.body)
    return headers


def _next_due(store: Store) -> float | None:
    with store.read() as reader:
        return outbox.next_due(reader)
