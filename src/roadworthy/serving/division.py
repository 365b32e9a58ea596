"""Division: a request among the versions that share the traffic, and their answers back in one.

In: a request and the routes. Out: who answers which rows, the messages to them, and the merged answer. Rows about
different entities may belong to different versions; then each is sent the whole request and told which part is its own
(serving/routes.py's `Part`). Called by serving/router.py.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from roadworthy.nouns.errors import Fault
from roadworthy.serving import extras, protocols, routes, wire
from roadworthy.serving.backends import Answer
from roadworthy.serving.routes import Part, Route, Table

ROWS_MAX = 1_000_000  # the servers hold requests to the project's own limit


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that one version answers; `part` is None when they are all."""

    route: Route
    rows: Sequence[int] = ()
    part: Part | None = None


class _Predictions(msgspec.Struct):
    predictions: list[float | None]


def divide(request: wire.Request, table: Table) -> list[Share]:
    """Who answers: one version, or several with their rows.

    Without an entity, or in a body that cannot be read, the request as a whole stands at a point: its id's.
    """
    spans = table.spans
    if len(spans) == 1:
        return [Share(route=spans[0].route)]
    own = routes.point(request.id, table.salt)
    values = _entities(request, table.state.entity)
    if not values:
        return [Share(route=spans[routes.span_of(spans, own)].route)]
    rows_of: dict[int, list[int]] = {}
    for row, at in enumerate(routes.points(values, table.salt, otherwise=own)):
        rows_of.setdefault(routes.span_of(spans, at), []).append(row)
    if len(rows_of) == 1:
        return [Share(route=spans[next(iter(rows_of))].route)]
    return [
        Share(route=spans[index].route, rows=rows, part=_part(table, index, own))
        for index, rows in sorted(rows_of.items())
    ]


def message(request: wire.Request, *, route: str, part: Part | None = None) -> bytes:
    """The head of the request to a model server; of the client's headers only those that mean something go along."""
    headers = request.headers
    lines = [
        b"POST /invocations HTTP/1.1\r\nhost: model\r\ncontent-length: %d\r\nx-request-id: %s\r\nx-roadworthy-route: %s"
        % (len(request.body), request.id.encode(), route.encode())
    ]
    for name in (b"content-type", b"content-encoding"):
        value = headers.get(name)
        if value:
            lines.append(b"%s: %s" % (name, value.encode("latin-1")))
    if part is not None:
        lines.append(b"accept: application/json\r\nx-roadworthy-part: " + part.header())
    else:
        for name in (b"accept", b"x-roadworthy-versions"):
            value = headers.get(name)
            if value:
                lines.append(b"%s: %s" % (name, value.encode("latin-1")))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def get(path: bytes) -> bytes:
    """A request without a body."""
    return b"GET %s HTTP/1.1\r\nhost: model\r\n\r\n" % path


def merged(request: wire.Request, shares: Sequence[Share], answers: Sequence[Answer]) -> wire.Reply:
    """One answer out of several; when a version refused its part, its refusal is the answer."""
    for answer in answers:
        if answer.status != 200:
            return wire.Reply(answer.status, answer.body)
    count = sum(len(share.rows) for share in shares)
    predictions: list[float | None] = [None] * count
    versions = [""] * count
    for share, answer in zip(shares, answers, strict=True):
        found = msgspec.json.decode(answer.body, type=_Predictions).predictions
        model = answer.headers.get(b"x-roadworthy-model", b"").decode("latin-1")
        for row, prediction in zip(share.rows, found, strict=True):
            predictions[row] = prediction
            versions[row] = model
    sent = protocols.content_type(request.headers.get(b"content-type")).kind
    kind = protocols.accepted(request.headers.get(b"accept"), sent)
    wanted = request.headers.get(b"x-roadworthy-versions").lower() in ("1", "true")
    named = ",".join(dict.fromkeys(versions)).encode("latin-1")
    headers = ((b"x-roadworthy-model", named), (b"x-roadworthy-rows", str(count).encode()))
    return wire.Reply(200, protocols.answer(predictions, kind, versions if wanted else None), kind, headers)


def _entities(request: wire.Request, column: str | None) -> Sequence[Any] | None:
    """The rows' entities; None when there are none, or when the body is one that a server will refuse."""
    if column is None or request.headers.get(b"content-encoding"):
        return None
    try:
        kind = protocols.content_type(request.headers.get(b"content-type"))
        rows = protocols.parse(request.body, kind, wanted=(column,), rows_max=ROWS_MAX)
        return extras.identifiers(rows, column)
    except (Fault, protocols.UnsupportedType):
        return None


def _part(table: Table, index: int, own: int) -> Part:
    span = table.spans[index]
    return Part(table.state.entity or "", table.salt.hex(), span.low, span.high, own)
