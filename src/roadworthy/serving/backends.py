"""Backends: HTTP to model servers over unix sockets, on connections that are kept.

In: the head and body of a request, and the sockets of a version's processes. Out: the answer, or `Lost` when there was
none. A stream protocol of our own on httptools: measured beside aiohttp's client an exchange takes about half as long
(benchmarks/serving.py). Called by serving/router.py.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import httptools

IDLE_MAX = 64
IDLE_S_MAX = 30.0  # well under what the servers keep idle connections for
OPEN_MAX = 1024
CONNECT_S_MAX = 2.0
ANSWER_S_MAX = 60.0
ANSWER_BYTES_MAX = 256 << 20


class Lost(Exception):
    """No answer came: the process is not there, went away, or took too long.

    Args:
        why: in words.
        slow: it may still be at work, so that asking another only makes matters worse.
    """

    def __init__(self, why: str, *, slow: bool = False) -> None:
        super().__init__(why)
        self.slow = slow


class Answer(NamedTuple):
    """What a model server said."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Backend:
    """Connections to one socket.

    Args:
        path: of the socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.in_flight = 0
        self._idle: deque[_Connection] = deque()

    async def ask(self, message: bytes, body: bytes = b"", *, limit_s: float = ANSWER_S_MAX) -> Answer:
        """Send a whole request; its whole answer.

        Raises:
            Lost: when none came. A kept connection that its server had just closed is tried once more on a new one.
        """
        if self.in_flight >= OPEN_MAX:
            raise Lost("too many requests wait for it", slow=True)
        self.in_flight += 1
        try:
            kept = self._kept()
            if kept is not None:
                try:
                    return await self._exchange(kept, message, body, limit_s)
                except Lost as lost:
                    if lost.slow:
                        raise
            return await self._exchange(await self._connect(), message, body, limit_s)
        finally:
            self.in_flight -= 1

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, connection: "_Connection", message: bytes, body: bytes, limit_s: float) -> Answer:
        answer = await connection.exchange(message, body, limit_s)
        if connection.reusable and len(self._idle) < IDLE_MAX:
            connection.idle_since = connection.loop.time()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self) -> "_Connection | None":
        """The connection used last; those idle for long are closed, oldest first."""
        while self._idle and (
            self._idle[0].closed or self._idle[0].loop.time() - self._idle[0].idle_since > IDLE_S_MAX
        ):
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                _, connection = await loop.create_unix_connection(lambda: _Connection(loop), self.path)
        except (OSError, TimeoutError) as problem:
            raise Lost(f"{type(problem).__name__}: {problem}") from None
        return connection


class Backends:
    """Every socket in use, by path; the least busy process of a version is asked."""

    def __init__(self) -> None:
        self._by_path: dict[str, Backend] = {}

    def of(self, paths: Sequence[str]) -> Backend:
        found = [self._by_path.get(path) or self._add(path) for path in paths]
        return found[0] if len(found) == 1 else min(found, key=lambda backend: backend.in_flight)

    def keep(self, paths: set[str]) -> None:
        """Close the idle connections of sockets that are no longer routed to."""
        for path in [path for path, backend in self._by_path.items() if path not in paths and not backend.in_flight]:
            self._by_path.pop(path).close()

    def close(self) -> None:
        self.keep(set())

    def _add(self, path: str) -> Backend:
        return self._by_path.setdefault(path, Backend(path))


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closed = False
        self.reusable = False
        self.idle_since = 0.0
        self._transport: Any = None  # uvloop's are no subclass of asyncio's
        self._future: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0

    async def exchange(self, message: bytes, body: bytes, limit_s: float) -> Answer:
        if self.closed:
            raise Lost("the connection was closed")
        self.reusable = False
        self._future = self.loop.create_future()
        timer = self.loop.call_later(limit_s, self._too_slow)
        try:
            self._transport.write(message + body if len(body) < 65_536 else message)
            if len(body) >= 65_536:
                self._transport.write(body)
            return await self._future
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as problem:
            self._fail(Lost(f"what it said is not HTTP: {problem}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(Lost(f"it closed the connection{f': {exc}' if exc else ''}"))

    # What the parser tells.

    def on_message_begin(self) -> None:
        self._headers = {}
        self._body = []
        self._size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > ANSWER_BYTES_MAX:
            self._fail(Lost("its answer is too large"))
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.reusable = bool(self._parser.should_keep_alive()) and not self.closed
        if self._future is not None and not self._future.done():
            self._future.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._body)))

    def _too_slow(self) -> None:
        self._fail(Lost("it did not answer in time", slow=True))

    def _fail(self, lost: Lost) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_exception(lost)
        self.close()
