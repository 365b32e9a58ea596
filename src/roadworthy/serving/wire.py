"""Wire: HTTP as both servers speak it, on bare ASGI: routes that are declared and no others, caps, answers, errors.

In: ASGI scopes from serving/guard.py's protocol. Out: calls of handlers `Request -> Reply`, and their answers. Errors
have MLflow's shape (`error_code`, `message`) with our `where`, `fix` and `detail` beside it.
"""

import itertools
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from roadworthy.nouns.errors import HTTP_INTERNAL, HTTP_STATUS, Code, Fault, unavailable
from roadworthy.serving.protocols import JSON, UnsupportedType

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
BUFFERED_BYTES_MAX = 512 << 20  # of all bodies in memory at once

# MLflow's names for what went wrong, by status.
_ERROR_CODES = {
    400: "BAD_REQUEST",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    409: "RESOURCE_CONFLICT",
    413: "REQUEST_LIMIT_EXCEEDED",
    415: "UNSUPPORTED_MEDIA_TYPE",
    421: "PERMISSION_DENIED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
# Of requests that bring none: one after another, from where no other process is likely to be.
_numbers = itertools.count(int.from_bytes(os.urandom(15)))
_log = logging.getLogger("roadworthy.serving")


class Headers:
    """A request's headers by lower-case name; of one that comes twice, the first."""

    __slots__ = ("_first", "raw")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self.raw = raw
        self._first = dict(reversed(raw))

    def get(self, name: bytes) -> str:
        value = self._first.get(name)
        return "" if value is None else value.decode("latin-1")

    def count(self, name: bytes) -> int:
        return [key for key, _ in self.raw].count(name)


class Request(NamedTuple):
    """One request, its body read. `id` is the client's when it sent a proper one."""

    method: str
    path: str
    headers: Headers
    body: bytes
    id: str


class Reply(NamedTuple):
    """One answer."""

    status: int
    body: bytes
    type: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Awaitable[Reply]]
Routes = Mapping[str, Mapping[str, Handler]]  # path -> method -> handler: what is not in it does not exist


class TooLarge(Exception):
    """The body is over the cap (413)."""


class Gone(Exception):
    """The client went away while it was sending."""


class Application:
    """An ASGI application of declared routes.

    Args:
        routes: every path and method there is.
        body_bytes_max: larger bodies are refused with 413 before they are read.
        names: hosts a request may be for (DNS rebinding); None on a unix socket, where no browser reaches.
        startup, shutdown: called once each.
        observe: told of each request's path, status and seconds.
    """

    def __init__(
        self,
        routes: Routes,
        *,
        body_bytes_max: int,
        names: Sequence[str] | None = LOCAL_NAMES,
        startup: Callable[[], Awaitable[None]] | None = None,
        shutdown: Callable[[], Awaitable[None]] | None = None,
        observe: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self.routes = routes
        self.body_bytes_max = body_bytes_max
        self._buffered = 0
        self.names = None if names is None else frozenset(name.lower() for name in names)
        self._startup = startup
        self._shutdown = shutdown
        self._observe = observe

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        began = perf_counter()  # the loop's own time has a resolution of a millisecond
        headers = Headers(scope["headers"])
        request_id = id_of(headers)
        try:
            reply = await self._reply(scope, headers, receive, request_id)
        except Gone:
            return
        if self._observe is not None:
            path = scope["path"] if scope["path"] in self.routes else "other"
            self._observe(path, reply.status, perf_counter() - began)
        await _send(send, reply, request_id, head_only=scope["method"] == "HEAD")

    async def _reply(self, scope: Any, headers: Headers, receive: Any, request_id: str) -> Reply:
        try:
            refusal = self._refusal(headers)
            if refusal is not None:
                return refusal
            handlers = self.routes.get(scope["path"])
            if handlers is None:
                return error(404, f"there is no {scope['path'][:80]!r}", fix=f"there are {', '.join(self.routes)}")
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            handler = handlers.get(method)
            if handler is None:
                allowed = ", ".join(handlers)
                return error(405, f"{scope['method'][:20]} is not allowed here", fix=f"use {allowed}")._replace(
                    headers=((b"allow", allowed.encode()),)
                )
            chunks: list[bytes] = []
            try:
                await self._read(headers, receive, chunks)
                body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                return await handler(Request(scope["method"], scope["path"], headers, body, request_id))
            finally:
                self._buffered -= sum(map(len, chunks))
        except TooLarge:
            mib = self.body_bytes_max / (1 << 20)
            return error(413, f"the body is over {mib:g} MiB", fix="send fewer rows at a time", close=True)
        except UnsupportedType as problem:
            return error(415, str(problem))
        except Fault as fault:
            return of_fault(fault)
        except Gone:
            raise
        except Exception:
            _log.exception("request %s failed", request_id)
            return error(HTTP_INTERNAL, f"something of ours broke; the server's log has it under {request_id}")

    def _refusal(self, headers: Headers) -> Reply | None:
        """What a browser on someone else's page could send: another host's name, or another origin."""
        if self.names is None:
            return None
        if headers.count(b"host") != 1 or hostname(headers.get(b"host")) not in self.names:
            return error(421, "this server answers for other host names", fix="use the address it listens on")
        origin = headers.get(b"origin")
        if origin and hostname(origin.rpartition("://")[2]) not in self.names:
            return error(403, "requests from pages of other origins are refused")
        return None

    async def _read(self, headers: Headers, receive: Any, chunks: list[bytes]) -> None:
        """A request's body; all bodies together may not fill the memory."""
        length = headers.get(b"content-length")
        if length.isdigit() and int(length) > self.body_bytes_max:
            raise TooLarge
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            self._buffered += len(chunks[-1])
            if size > self.body_bytes_max:
                raise TooLarge
            if BUFFERED_BYTES_MAX < self._buffered != size:  # one alone may always come
                raise unavailable("too many large requests at once", fix="try again in a second")
            more = message.get("more_body", False)

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            step = self._startup if message["type"] == "lifespan.startup" else self._shutdown
            if step is not None:
                await step()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def error(status: int, message: str, *, where: str = "", fix: str = "", close: bool = False) -> Reply:
    """An answer that says what went wrong."""
    return _error(status, {"message": message, "where": where, "fix": fix}, close=close)


def come_back(message: str, *, fix: str = "try again in a second") -> Reply:
    """An answer that nothing can be said now."""
    return error(503, message, fix=fix)._replace(headers=((b"retry-after", b"1"),))


def of_fault(fault: Fault) -> Reply:
    """The answer to a `Fault`."""
    status = HTTP_STATUS[fault.code]
    said: dict[str, Any] = {
        "message": str(fault).replace("\n  ", "; "),
        "where": fault.where,
        "fix": fault.fix,
        "detail": fault.detail,
    }
    reply = _error(status, said)
    return reply._replace(headers=((b"retry-after", b"1"),)) if fault.code is Code.UNAVAILABLE else reply


def _error(status: int, said: dict[str, Any], *, close: bool = False) -> Reply:
    body = {"error_code": _ERROR_CODES.get(status, "INTERNAL_ERROR")} | {k: v for k, v in said.items() if v}
    return Reply(status, msgspec.json.encode(body), headers=((b"connection", b"close"),) if close else ())


def json(value: Any, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, msgspec.json.encode(value))


def no_encoding(headers: Headers) -> None:
    """Refuse compressed bodies: a small one may be a large one.

    Raises:
        UnsupportedType: when there is a content encoding.
    """
    if headers.get(b"content-encoding").strip().lower() not in ("", "identity"):
        raise UnsupportedType("compressed bodies are not read; send the body as it is")


async def _send(send: Any, reply: Reply, request_id: str, *, head_only: bool) -> None:
    headers = [
        (b"content-type", reply.type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else reply.body})


def id_of(headers: Headers) -> str:
    """A request's id: the client's, when it sent a proper one."""
    sent = headers.get(b"x-request-id")
    return sent if sent and REQUEST_ID.fullmatch(sent) else f"{next(_numbers):032x}"


def hostname(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.strip().lower().rpartition(":")
    return name if colon and port.isdigit() else host.strip().lower()
