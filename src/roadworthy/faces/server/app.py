"""The HTTP application: from a connection's bytes to a declared route's handler and back.

In: ASGI scopes from serving/guard.py's protocol. Out: answers. For every request, in this order: is it for this host
and from no other origin (access), who asks and may they, is the route declared, is the body small enough; then the
handler. Errors have the shape of the route's face.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

from roadworthy.faces.server import bodies, errors, logs
from roadworthy.faces.server.http import FileBody, Reply, Request, Route
from roadworthy.faces.server.routing import Found, Table
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import unavailable
from roadworthy.serving.wire import Gone, Headers, id_of

LONG_BYTES = 64 << 10
HEARD_BYTES_MAX = 16 << 20  # of a body that was refused
BUFFERED_BYTES_MAX = 256 << 20  # of all bodies in memory at once
# Says who asks (setting `request.identity`), or answers in the handler's place; it may have to wait for that.
Verdict = Reply | None
Guard = Callable[[Server, Request, Route | None], Verdict | Awaitable[Verdict]]


class Application:
    """An ASGI application.

    Args:
        routes: every one there is.
        guards: asked in turn before the body is read; the first answer ends the request.
    """

    def __init__(self, server: Server, routes: Sequence[Route], guards: Sequence[Guard]) -> None:
        self.server = server
        self.table = Table(routes)
        self._guards = tuple(guards)
        self._buffered = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        began = perf_counter()
        self.server.under_way += 1
        try:
            await self._respond(scope, receive, send, began)
        finally:
            self.server.under_way -= 1

    async def _respond(self, scope: Any, receive: Any, send: Any, began: float) -> None:
        headers = Headers(scope["headers"])
        request = Request(scope["method"], scope["path"], scope["query_string"], headers)
        request.id = id_of(headers)
        request.source = scope["client"][0] if scope.get("client") else ""
        found = self.table.find("GET" if request.method == "HEAD" else request.method, request.path)
        route = found.route if isinstance(found, Found) else None
        try:
            reply = await self._reply(request, found, receive)
            if reply.status >= 400 and _is_long(headers):
                reply = await _hear_out(reply, receive)
        except Gone:
            return
        duration_s = perf_counter() - began
        self.server.counters.observe(route.path if route else "other", reply.status, duration_s)
        if self.server.settings.access_log:
            logs.access(
                source=request.source,
                who=request.identity.name,
                method=request.method,
                path=request.path,
                status=reply.status,
                duration_s=duration_s,
                request_id=request.id,
            )
        await _send(send, reply, request)

    async def _reply(self, request: Request, found: Found | tuple[str, ...], receive: Any) -> Reply:
        route = found.route if isinstance(found, Found) else None
        try:
            for guard in self._guards:
                answer = guard(self.server, request, route)
                if answer is not None and not isinstance(answer, Reply):
                    answer = await answer
                if answer is not None:
                    return answer
            if not isinstance(found, Found):
                return errors.no_route(request, found)
            request.args = found.args
            if found.route.streams:
                request.receive = lambda: _chunks(receive)
            else:
                request.body = await self._read(request, found.route, receive)
            return await found.route.handler(self.server, request)
        except Gone:
            raise
        except Exception as problem:
            return errors.answer(problem, request, route)

    async def _read(self, request: Request, route: Route, receive: Any) -> bytes:
        length = request.headers.get(b"content-length")
        if length.isdigit() and int(length) > route.body_bytes_max:
            raise errors.TooLarge(route.body_bytes_max)
        if not route.inflates and request.headers.get(b"content-encoding").strip().lower() not in ("", "identity"):
            raise errors.UnreadBody("compressed bodies are not read; send the body as it is")
        message = await receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body", False):
            return body
        parts, size = [body], len(body)
        self._buffered += size
        try:
            while message["type"] == "http.request" and message.get("more_body", False):
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                self._buffered += len(parts[-1])
                if size > route.body_bytes_max:
                    raise errors.TooLarge(route.body_bytes_max)
                if BUFFERED_BYTES_MAX < self._buffered != size:  # one alone may always come
                    raise unavailable("too many large requests at once", fix="try again in a second")
            if message["type"] == "http.disconnect":
                raise Gone
            return b"".join(parts)
        finally:
            self._buffered -= size

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.server.begin()
            else:
                await self.server.close()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def _is_long(headers: Headers) -> bool:
    length = headers.get(b"content-length")
    return int(length) > LONG_BYTES if length.isdigit() else bool(headers.get(b"transfer-encoding"))


async def _hear_out(reply: Reply, receive: Any) -> Reply:
    """Let a client that was refused finish, within bounds: most read no answer before they have sent everything."""
    size, more = 0, True
    while more and size < HEARD_BYTES_MAX:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
        size += len(message.get("body", b""))
    return reply._replace(headers=(*reply.headers, (b"connection", b"close"))) if more else reply


async def _chunks(receive: Any) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        if message.get("body"):
            yield message["body"]
        more = message.get("more_body", False)


async def _send(send: Any, reply: Reply, request: Request) -> None:
    body = reply.body
    headers = [
        (b"content-type", reply.type.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request.id.encode()),
        *reply.headers,
    ]
    names = {name for name, _ in reply.headers}
    if b"cache-control" not in names:
        headers.append((b"cache-control", b"no-store"))
    if b"content-length" in names:
        pass
    elif isinstance(body, bytes):
        headers.append((b"content-length", str(len(body)).encode()))
    elif isinstance(body, FileBody):
        headers.append((b"content-length", str(body.length).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if request.method == "HEAD":
        await send({"type": "http.response.body", "body": b""})
    elif isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
    else:
        chunks = bodies.of_file(body) if isinstance(body, FileBody) else body
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
