"""What a handler is given and gives back, and how a route is declared.

A route that is not declared does not exist, and none is declared without the role that it needs. Handlers hold no
logic: they decode, check the identity against the project of what they touch, call a room, and encode.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs

from roadworthy.faces.server.identity.who import NOBODY, Identity, Need
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import invalid
from roadworthy.serving.wire import Headers

JSON = "application/json"
BODY_BYTES_MAX = 32 << 20
FIELDS_MAX = 1_000  # of a query


class Request:
    """One request.

    Args:
        method, path: as sent, the path decoded once.
        query: the undecoded query string.
        args: what the route's `{name}` parts matched.
        body: the whole body, unless the route streams it.
        identity: who asks.
        id: of this request, in the answer and the log.
        receive: the rest of the body, for routes that stream.
    """

    __slots__ = ("args", "body", "headers", "id", "identity", "method", "path", "query", "receive", "source")

    def __init__(self, method: str, path: str, query: bytes, headers: Headers) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.args: dict[str, str] = {}
        self.body = b""
        self.identity: Identity = NOBODY
        self.source = ""
        self.id = ""
        self.receive: Callable[[], AsyncIterator[bytes]] = _nothing

    def fields(self) -> dict[str, list[str]]:
        """The query's fields, each with all its values.

        Raises:
            Fault: invalid when there are too many.
        """
        return form(self.query) if self.query else {}

    def field(self, name: str, default: str = "") -> str:
        """The last value of one field of the query."""
        return self.fields().get(name, [default])[-1]


class FileBody(NamedTuple):
    """A part of a file as an answer's body: `length` bytes from `start`; the whole is held against its `digest`."""

    path: Path
    start: int
    length: int
    digest: str = ""


Body = bytes | FileBody | AsyncIterator[bytes]


class Reply(NamedTuple):
    """One answer. A streamed body has the length that its headers say, or is sent in chunks."""

    status: int = 200
    body: Body = b"{}"
    type: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Server, Request], Awaitable[Reply]]


class Route(NamedTuple):
    """One method of one path.

    Args:
        path: parts in braces match one segment, `{name:path}` any rest.
        needs: the role without which the request is refused; handlers also hold it against the project.
        everywhere: the role must count in all projects, as what is touched belongs to none.
        face: whose shape errors have.
        streams: the handler reads the body itself, whatever its size.
        inflates: the handler takes bodies that are compressed; elsewhere they are refused.
        body_bytes_max: larger bodies get 413 (MLflow: INVALID_PARAMETER_VALUE's sibling) before they are read.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    needs: Need
    face: Literal["api", "mlflow"] = "api"
    everywhere: bool = False
    streams: bool = False
    inflates: bool = False
    body_bytes_max: int = BODY_BYTES_MAX


async def _nothing() -> AsyncIterator[bytes]:
    chunks: tuple[bytes, ...] = ()
    for chunk in chunks:
        yield chunk


def text(value: str, status: int = 200, kind: str = "text/plain; charset=utf-8") -> Reply:
    """An answer of text."""
    return Reply(status, value.encode(), kind)


def form(content: bytes, fields_max: int = FIELDS_MAX) -> dict[str, list[str]]:
    """The fields of a form or a query, each with all its values.

    Raises:
        Fault: invalid when there are too many.
    """
    try:
        return parse_qs(content.decode("latin-1"), keep_blank_values=True, max_num_fields=fields_max)
    except ValueError as problem:
        raise invalid(f"the fields cannot be read: {problem}") from None


def header(name: str, value: Any) -> tuple[bytes, bytes]:
    """A header for a reply."""
    return name.lower().encode("latin-1"), str(value).encode("latin-1", "replace").replace(b"\n", b" ").replace(
        b"\r", b""
    )
