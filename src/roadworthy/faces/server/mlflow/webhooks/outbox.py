"""The outbox: what webhooks are still to be told, written with the change that it tells of, so that neither is lost.

In: an event's name and payload, from model_events.py inside the transaction of the change. Out: rows that sender.py
delivers after the commit, at least once. This file owns the table `webhook_deliveries`.
"""

import datetime as dt
from collections.abc import Mapping

import msgspec

from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

DUE_AT_ONCE = 32
# A receiver that is away is tried for about a day.
ATTEMPTS_MAX = 12
PAUSE_S = 1.0
PAUSE_S_MAX = 4 * 3600.0

_LISTENING = """
SELECT w.id FROM webhook_events e JOIN webhooks w ON w.id = e.webhook
WHERE e.entity = :entity AND e.action = :action AND w.status = 'ACTIVE' ORDER BY w.id
"""
_PUT = """
INSERT INTO webhook_deliveries (id, webhook, body, attempts, due_at) VALUES (:id, :webhook, :body, 0, :due_at)
"""
_DUE = """
SELECT id, webhook, body, attempts FROM webhook_deliveries WHERE due_at <= :now ORDER BY due_at, id LIMIT :limit
"""
_NEXT = "SELECT MIN(due_at) FROM webhook_deliveries"
_LATER = "UPDATE webhook_deliveries SET attempts = attempts + 1, due_at = :due_at WHERE id = :id"
_TAKE = "UPDATE webhook_deliveries SET due_at = :due_at WHERE id = :id AND due_at <= :now"
_DONE = "DELETE FROM webhook_deliveries WHERE id = :id"
_FORGET = "DELETE FROM webhook_deliveries WHERE webhook = :webhook"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One body for one webhook, and how often it was tried."""

    id: str
    webhook: str
    body: str
    attempts: int


def put(store: Store, entity: str, action: str, data: Mapping[str, object]) -> None:
    """Have an event told to whoever listens for it; part of the caller's transaction."""
    with store.append() as tx:
        listening = tx.rows(_LISTENING, entity=entity, action=action)
        if not listening:
            return
        text = body(entity, action, data, store.clock.now())
        now = store.clock.now()
        tx.execute_many(
            _PUT, [{"id": dashed(store.ids.new()), "webhook": w, "body": text, "due_at": now} for (w,) in listening]
        )


def body(entity: str, action: str, data: Mapping[str, object], now: float) -> str:
    """The JSON that is sent."""
    at = dt.datetime.fromtimestamp(now, dt.UTC).isoformat()
    return msgspec.json.encode({"entity": entity, "action": action, "timestamp": at, "data": data}).decode()


def dashed(identifier: str) -> str:
    """32 hex digits as a UUID is written, such as 0b1f....-....: the form that receivers know."""
    return "-".join(identifier[i:j] for i, j in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


def due(store: Store, hold_s: float) -> list[Delivery]:
    """What is to be sent now, held for `hold_s` seconds against another server that looks for work."""
    now = store.clock.now()
    with store.append() as tx:
        found = [
            Delivery(id=row[0], webhook=row[1], body=row[2], attempts=row[3])
            for row in tx.rows(_DUE, now=now, limit=DUE_AT_ONCE)
        ]
        return [each for each in found if tx.changed(_TAKE, id=each.id, now=now, due_at=now + hold_s) == 1]


def next_due(reader: Reader) -> float | None:
    """The moment at which something is to be sent, in seconds since the epoch; None when nothing is."""
    row = reader.row(_NEXT)
    return None if row is None or row[0] is None else float(row[0])


def done(store: Store, delivery: Delivery) -> None:
    """Say that a delivery was taken, or given up."""
    with store.append() as tx:
        tx.execute(_DONE, id=delivery.id)


def failed(store: Store, delivery: Delivery, *, again: bool = True) -> bool:
    """Say that a delivery was not taken; whether it will be tried again, after a pause that doubles."""
    if not again or delivery.attempts + 1 >= ATTEMPTS_MAX:
        done(store, delivery)
        return False
    pause = min(PAUSE_S * 2.0**delivery.attempts, PAUSE_S_MAX)
    with store.append() as tx:
        tx.execute(_LATER, id=delivery.id, due_at=store.clock.now() + pause)
    return True


def forget(store: Store, webhook: str) -> None:
    """Tell a webhook nothing more; part of the caller's transaction."""
    with store.append() as tx:
        tx.execute(_FORGET, webhook=webhook)
