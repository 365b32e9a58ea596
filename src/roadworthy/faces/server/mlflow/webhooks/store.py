"""Webhooks: whom to tell of what. This file owns the tables `webhooks` and `webhook_events`.

In: what an admin asked for. Out: `Webhook` records; a secret is kept encrypted, and comes out only to sign.
"""

import base64
import hashlib
from collections.abc import Sequence

import msgspec

from roadworthy.faces.server.mlflow.webhooks import outbox
from roadworthy.nouns.errors import unavailable
from roadworthy.nouns.event import Event
from roadworthy.store.keys import Keys
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

ACTIVE, DISABLED = "ACTIVE", "DISABLED"
_PURPOSE = b"roadworthy: secrets of webhooks, 1"

_COLUMNS = "id, name, url, description, secret, status, created_ms, updated_ms"
_READ = f"SELECT {_COLUMNS} FROM webhooks WHERE id = :id"
_PAGE = f"SELECT {_COLUMNS} FROM webhooks ORDER BY created_ms DESC, id LIMIT :limit OFFSET :skip"
_EVENTS = "SELECT entity, action FROM webhook_events WHERE webhook = :id ORDER BY entity, action"
_INSERT = """
INSERT INTO webhooks (id, name, url, description, secret, status, created_ms, updated_ms)
VALUES (:id, :name, :url, :description, :secret, :status, :created_ms, :updated_ms)
"""
_UPDATE = """
UPDATE webhooks SET name = :name, url = :url, description = :description, secret = :secret, status = :status,
    updated_ms = :updated_ms WHERE id = :id
"""
_INSERT_EVENT = "INSERT INTO webhook_events (webhook, entity, action) VALUES (:webhook, :entity, :action)"
_DELETE_EVENTS = "DELETE FROM webhook_events WHERE webhook = :id"
_DELETE = "DELETE FROM webhooks WHERE id = :id"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook.

    Args:
        secret: encrypted; None when deliveries are not signed.
        events: entity and action of each, such as `("model_version", "created")`.
        created_ms, updated_ms: milliseconds since the epoch.
    """

    id: str
    name: str
    url: str
    events: tuple[tuple[str, str], ...]
    description: str | None = None
    secret: str | None = None
    status: str = ACTIVE
    created_ms: int = 0
    updated_ms: int = 0


def put(store: Store, webhook: Webhook) -> Webhook:
    """Keep a webhook, new or changed; the moments are filled in."""
    now = round(store.clock.now() * 1000)
    made = msgspec.structs.replace(webhook, created_ms=webhook.created_ms or now, updated_ms=now)
    new = webhook.created_ms == 0
    event = Event(kind="webhook.made" if new else "webhook.changed", subject=made.id, detail={"name": made.name})
    with store.change(event) as tx:
        fields = {name: getattr(made, name) for name in _COLUMNS.split(", ")}
        if not new:
            del fields["created_ms"]
        tx.execute(_INSERT if new else _UPDATE, **fields)
        tx.execute(_DELETE_EVENTS, id=made.id)
        tx.execute_many(_INSERT_EVENT, [{"webhook": made.id, "entity": e, "action": a} for e, a in set(made.events)])
    return made


def delete(store: Store, webhook: Webhook) -> None:
    """Tell a webhook nothing more."""
    with store.change(Event(kind="webhook.deleted", subject=webhook.id, detail={"name": webhook.name})) as tx:
        tx.execute(_DELETE, id=webhook.id)
        tx.execute(_DELETE_EVENTS, id=webhook.id)
        outbox.forget(store, webhook.id)


def find(reader: Reader, identifier: str) -> Webhook | None:
    """A webhook, or None."""
    row = reader.row(_READ, id=identifier)
    return None if row is None else _webhook(reader, row)


def page(reader: Reader, limit: int, skip: int) -> list[Webhook]:
    """Webhooks, the newest first."""
    return [_webhook(reader, row) for row in reader.rows(_PAGE, limit=limit, skip=skip)]


def sealed(keys: Keys, secret: str) -> str:
    """A secret as it is kept."""
    return str(_cipher(keys).encrypt(secret.encode()), "ascii")


def opened(keys: Keys, kept: str) -> str:
    """A secret as it was given.

    Raises:
        Fault: unavailable when it was kept under another key.
    """
    from cryptography.fernet import InvalidToken

    try:
        return str(_cipher(keys).decrypt(kept.encode()), "utf-8")
    except InvalidToken:
        raise unavailable(
            "the webhook's secret was kept under another signing key",
            fix="give every server of one store the same ROADWORTHY_SIGNING_KEY, or set the secret again",
        ) from None


def _cipher(keys: Keys):  # type: ignore[no-untyped-def]  # noqa: ANN202 - cryptography's, imported on use
    from cryptography.fernet import Fernet

    # Ed25519 signatures are deterministic: whoever holds the signing key, and nobody else, can make this one.
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(keys.sign(_PURPOSE)).digest()))


def _webhook(reader: Reader, row: Sequence[object]) -> Webhook:
    named = dict(zip(_COLUMNS.split(", "), row, strict=True))
    events = tuple((str(entity), str(action)) for entity, action in reader.rows(_EVENTS, id=named["id"]))
    return msgspec.convert({**named, "events": events}, Webhook)
