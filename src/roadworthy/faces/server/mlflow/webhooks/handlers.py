"""Webhooks over the wire: made, changed, tried out. They hear of every project's models, so they are an admin's.

In: requests. Out: the webhooks of store.py; a URL may be of https alone and of a public host, unless whoever runs the
server allowed more.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import SplitResult

import msgspec
from msgspec import UNSET

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow import page_tokens
from roadworthy.faces.server.mlflow.schema import webhook as schema
from roadworthy.faces.server.mlflow.webhooks import events, outbox, sender
from roadworthy.faces.server.mlflow.webhooks import store as webhooks
from roadworthy.faces.server.mlflow.webhooks.outbox import Delivery
from roadworthy.faces.server.mlflow.webhooks.store import Webhook
from roadworthy.faces.server.mlflow.wire import SHOWN, answer, endpoint, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import Fault
from roadworthy.operate import webhook as http_webhook
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

PAGE_MAX = 1_000
EVENTS_MAX = 100
URL_MAX = 500
SECRET_MAX = 500
DESCRIPTION_MAX = 1_000
_NAME = re.compile(r"(?=.{1,63}$)[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)


async def create(server: Server, request: Request) -> Reply:
    message = read(request, schema.Create)
    required(message.name, "name")
    required(message.url, "url")
    if not message.events:
        required("", "events")
    await _check(server, message)
    webhook = Webhook(
        id=outbox.dashed(server.store.ids.new()),
        name=message.name,
        url=message.url,
        events=_events(message.events),
        description=message.description or None,
        secret=webhooks.sealed(server.store.keys, message.secret) if message.secret else None,
        status=_status(message.status) or webhooks.ACTIVE,
    )
    made = await server.write(lambda store: webhooks.put(store, webhook), request.identity)
    return answer(schema.WebhookAnswer(webhook=_shown(made)))


async def listing(server: Server, request: Request) -> Reply:
    message = read(request, schema.Page)
    limit = message.max_results or 100
    if not 1 <= limit <= PAGE_MAX:
        raise invalid(f"max_results must be between 1 and {PAGE_MAX}.")
    skip = page_tokens.offset(message.page_token)
    with server.store.read() as reader:
        rows, token = page_tokens.cut(webhooks.page(reader, limit + 1, skip), skip, limit)
    return answer(schema.WebhooksAnswer(webhooks=[_shown(each) for each in rows] or UNSET, next_page_token=token))


async def get(server: Server, request: Request) -> Reply:
    with server.store.read() as reader:
        webhook = _require(reader, request)
    return answer(schema.WebhookAnswer(webhook=_shown(webhook)))


async def update(server: Server, request: Request) -> Reply:
    message = read(request, schema.Update)
    await _check(server, message)
    changes: dict[str, object] = {}
    if message.name:
        changes["name"] = message.name
    if message.url:
        changes["url"] = message.url
    if message.events:
        changes["events"] = _events(message.events)
    if message.description is not UNSET:
        changes["description"] = message.description
    if message.secret is not UNSET:
        secret = str(message.secret)
        changes["secret"] = webhooks.sealed(server.store.keys, secret) if secret else None
    if message.status:
        changes["status"] = _status(message.status)

    def work(store: Store) -> Webhook:
        with store.read() as reader:
            held = _require(reader, request)
        return webhooks.put(store, msgspec.structs.replace(held, **changes))

    made = await server.write(work, request.identity)
    return answer(schema.WebhookAnswer(webhook=_shown(made)))


async def delete(server: Server, request: Request) -> Reply:
    def work(store: Store) -> None:
        with store.read() as reader:
            held = _require(reader, request)
        webhooks.delete(store, held)

    await server.write(work, request.identity)
    return answer()


async def test(server: Server, request: Request) -> Reply:
    """Send an example to a webhook and say how it was taken."""
    message = read(request, schema.Test)
    with server.store.read() as reader:
        webhook = _require(reader, request)
    asked = webhook.events[:1] if message.event is UNSET else _events([message.event])
    entity, action = asked[0]
    store = server.store
    body = outbox.body(entity, action, events.EXAMPLES[entity, action], store.clock.now())
    delivery = Delivery(id=outbox.dashed(store.ids.new()), webhook=webhook.id, body=body, attempts=0)
    said = await server.disk(sender.attempt, webhook, delivery, store, server.settings.private_webhooks)
    if said.problem:
        result = schema.Tested(success=False, error_message=f"Failed to test webhook: {said.problem}")
    else:
        result = schema.Tested(success=said.status < 400, response_status=said.status, response_body=said.body)
    return answer(schema.TestedAnswer(result=result))


async def _check(server: Server, message: schema.Create | schema.Update) -> None:
    if message.name and not _NAME.fullmatch(message.name):
        raise invalid(
            f"Webhook name {message.name[:SHOWN]!r} is invalid. It must start and end with a letter or digit, be less "
            "than 63 characters long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
        )
    for name, most in (("description", DESCRIPTION_MAX), ("secret", SECRET_MAX), ("url", URL_MAX)):
        value = getattr(message, name)
        if value is not UNSET and (len(value) > most or "\0" in value):
            raise invalid(f"'{name}' exceeds the maximum length of {most} characters")
    if len(message.events) > EVENTS_MAX:
        raise invalid(f"a webhook listens for at most {EVENTS_MAX} events")
    if message.url:
        await _check_url(server, message.url)


async def _check_url(server: Server, url: str) -> None:
    if not url.strip():
        raise invalid(f"Webhook URL cannot be empty or just whitespace: {url!r}")
    try:
        parts = http_webhook.split(url)
    except Fault as problem:
        scheme = url.partition(":")[0].lower() if ":" in url else ""
        if scheme in ("http", "https"):
            raise invalid(f"Invalid webhook URL {url[:SHOWN]!r}: {problem.what}") from None
        raise invalid(f"Invalid webhook URL scheme: {scheme[:SHOWN]!r}. Allowed schemes are: https.") from None
    if server.settings.private_webhooks or _is_allowed(parts):
        return
    if parts.scheme != "https":
        raise invalid(f"Invalid webhook URL scheme: {parts.scheme!r}. Allowed schemes are: https.")
    try:
        await server.disk(http_webhook.resolve, parts)
    except Fault as problem:
        host = parts.hostname or ""
        said = (
            f"Webhook URL must not resolve to a non-public IP address. {host!r} resolves to {_address(problem)}."
            if "not public" in problem.what
            else f"Cannot resolve Webhook URL hostname {host!r}: {problem.what.partition(': ')[2]}"
        )
        raise invalid(said) from None


def _is_allowed(parts: SplitResult) -> bool:
    return http_webhook.allowed(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _address(problem: Fault) -> str:
    said = problem.what.rpartition(": ")[2]
    try:
        return str(ip_address(said.split("%")[0]))
    except ValueError:
        return "an address of this network"


def _events(sent: Iterable[schema.Event]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for each in sent:
        entity = _named(each.entity, schema.ENTITIES, "entity").lower()
        action = _named(each.action, schema.ACTIONS, "action").lower()
        if (entity, action) not in events.EXAMPLES:
            raise invalid(
                f"Invalid action '{action}' for entity '{entity}'. Valid actions are: {events.actions(entity)}"
            )
        found.append((entity, action))
    return tuple(dict.fromkeys(found))


def _status(sent: str | int) -> str:
    return _named(sent, schema.STATUSES, "status") if sent else ""


def _named(sent: str | int, names: tuple[str, ...], what: str) -> str:
    if isinstance(sent, int) or sent.isdecimal():
        found = names[int(sent)] if 0 < int(sent) < len(names) else ""
    else:
        found = sent if sent in names else ""
    if not found:
        raise invalid(f"Invalid value {str(sent)[:SHOWN]!r} for parameter '{what}' supplied.")
    return found


def _require(reader: Reader, request: Request) -> Webhook:
    identifier = request.args["webhook_id"]
    found = webhooks.find(reader, identifier)
    if found is None:
        raise missing(f"Webhook with ID {identifier[:SHOWN]} not found.")
    return found


def _shown(webhook: Webhook) -> schema.Webhook:
    return schema.Webhook(
        webhook_id=webhook.id,
        name=webhook.name,
        url=webhook.url,
        events=[schema.Event(entity=entity.upper(), action=action.upper()) for entity, action in webhook.events],
        status=webhook.status,
        creation_timestamp=webhook.created_ms,
        last_updated_timestamp=webhook.updated_ms,
        description=webhook.description or UNSET,
    )


_AT = "/webhooks"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", _AT, create, "admin", everywhere=True),
    *endpoint("GET", _AT, listing, "admin", everywhere=True),
    *endpoint("GET", f"{_AT}/{{webhook_id}}", get, "admin", everywhere=True),
    *endpoint("PATCH", f"{_AT}/{{webhook_id}}", update, "admin", everywhere=True),
    *endpoint("DELETE", f"{_AT}/{{webhook_id}}", delete, "admin", everywhere=True),
    *endpoint("POST", f"{_AT}/{{webhook_id}}/test", test, "admin", everywhere=True),
)
