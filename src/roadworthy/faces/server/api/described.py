"""Described routes: one declaration from which a request is read, an answer is typed, and OpenAPI is written.

In: records of msgspec. Out: routes, and what `openapi.py` says of them. Called by the modules of this folder.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from roadworthy.faces.server.http import Handler, Reply, Request, Route
from roadworthy.faces.server.identity.who import Need
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import invalid

T = TypeVar("T")
BODY_BYTES_MAX = 1 << 20
_encoder = msgspec.json.Encoder(enc_hook=str)

Call = Callable[[Server, Request], Coroutine[Any, Any, Any]]


class Described(NamedTuple):
    """A route and its types.

    Args:
        summary: one line for the reader of the API.
        answer: what a good answer is; None for one of another type, said by `media`.
        query, body: what the request brings.
        status: of a good answer.
    """

    route: Route
    summary: str
    answer: Any
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    status: int = 200
    media: str = "application/json"


def describe(
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
    path: str,
    call: Call,
    needs: Need,
    answer: Any,
    *,
    query: type[msgspec.Struct] | None = None,
    body: type[msgspec.Struct] | None = None,
    status: int = 200,
    everywhere: bool = False,
    media: str = "application/json",
) -> Described:
    """A route whose handler returns a record; its docstring's first line is the summary."""
    handler = _answering(call, status)
    route = Route(method, f"/api{path}", handler, needs, everywhere=everywhere, body_bytes_max=BODY_BYTES_MAX)
    summary = (call.__doc__ or "").strip().splitlines()[0]
    return Described(route, summary, answer, query, body, status, media)


def query(request: Request, kind: type[T]) -> T:
    """The fields of a request's query.

    Raises:
        Fault: invalid, naming the field.
    """
    try:
        return msgspec.convert({name: values[-1] for name, values in request.fields().items()}, kind, strict=False)
    except msgspec.ValidationError as problem:
        raise invalid(f"the query is not right: {problem}") from None


def body(request: Request, kind: type[T]) -> T:
    """A request's body.

    Raises:
        Fault: invalid, naming the field.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise invalid(f"the body is not right: {problem}") from None


def number(text: str, called: str) -> int:
    """A whole number in a path.

    Raises:
        Fault: invalid when it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise invalid(f"not a {called}", where=text[:80], fix="give a whole number")
    return int(text)


def _answering(call: Call, status: int) -> Handler:
    async def handler(server: Server, request: Request) -> Reply:
        found = await call(server, request)
        return found if isinstance(found, Reply) else Reply(status, _encoder.encode(found))

    return handler
