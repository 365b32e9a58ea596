"""Guard: uvicorn with the limits that a public door needs: connections, headers, slow senders and slow readers.

In: a listening socket and an ASGI application. Out: it is served until SIGTERM or SIGINT; what is in flight is answered
first. Only the processes of serving/app.py and serving/router.py import this.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_BYTES_MAX = 32 << 10
HEADERS_MAX = 100
UNREAD_BYTES_MAX = 64 << 20  # of all answers that their clients do not read
KEEP_ALIVE_S = 75
DRAIN_S_MAX = 30


class Limits(NamedTuple):
    """What a door takes.

    Args:
        connections: at once.
        headers_s: from the first byte (or the connection) to the end of the headers.
        body_s: from the end of the headers to the end of the body; with `body_bytes_least`, for each such part of it.
        body_bytes_least: what a body of any size brings at least in `body_s`; 0 when it must be there whole by then.
        reader_s: for a client that does not read its answer.
    """

    connections: int = 4096
    headers_s: float = 10.0
    body_s: float = 60.0
    body_bytes_least: int = 0
    reader_s: float = 30.0


class Unread:
    """What clients have asked for and do not read; beyond a bound, who has not read for longest is let go."""

    def __init__(self, bytes_max: int = UNREAD_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._held: dict[asyncio.Transport, int] = {}  # in the order in which they stopped reading
        self._bytes = 0

    def add(self, transport: asyncio.Transport) -> None:
        size = transport.get_write_buffer_size()
        self._held[transport] = size
        self._bytes += size
        while self._bytes > self._bytes_max and len(self._held) > 1:
            longest = next(iter(self._held))
            self.remove(longest)
            longest.abort()

    def remove(self, transport: asyncio.Transport) -> None:
        self._bytes -= self._held.pop(transport, 0)


class Guarded(HttpToolsProtocol):
    """One connection, which may neither send nor take for ever."""

    limits = Limits()
    _body_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    _reader_deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _in_headers = True
    refused = False
    unread = Unread()  # of the whole process

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(b"503 Service Unavailable", b"retry-after: 1\r\n")
        else:
            self._arm(self.limits.headers_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > HEADER_BYTES_MAX and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._waits():
            self._arm(self.limits.headers_s)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._arm(self.limits.headers_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > HEADERS_MAX:
            raise ValueError("too many headers")  # the parser's caller answers 400

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._header_bytes = self._body_bytes = 0
        self._arm(self.limits.body_s)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = True
        self._disarm()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread.add(self.transport)
        self._reader_deadline = self.loop.call_later(self.limits.reader_s, self.transport.abort)

    def resume_writing(self) -> None:
        self.unread.remove(self.transport)
        if self._reader_deadline is not None:
            self._reader_deadline.cancel()
            self._reader_deadline = None
        super().resume_writing()

    def _arm(self, limit_s: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(limit_s, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _waits(self) -> bool:
        """Whether a request should come and no limit runs, as after a few empty lines."""
        idle = self.cycle is None or self.cycle.response_complete
        return idle and self._deadline is None and self.timeout_keep_alive_task is None

    def _too_slow(self) -> None:
        least = self.limits.body_bytes_least
        # What the application does not take yet is not the client's fault.
        if not self._in_headers and least and (self._body_bytes >= least or self.flow.read_paused):
            self._body_bytes = 0
            self._arm(self.limits.body_s)
            return
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes, more: bytes = b"") -> None:
        """Answer what needs no application, and close."""
        self.refused = True
        self._disarm()
        if not self.transport.is_closing():
            started = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
            if not started:
                self.transport.write(
                    b"HTTP/1.1 %s\r\n%scontent-length: 0\r\nconnection: close\r\n\r\n" % (status, more)
                )
            self.transport.close()


class Server(uvicorn.Server):
    """As uvicorn's, but a SIGTERM that was obeyed ends the process with 0. Of several, the `first` listens for it."""

    first = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT) if self.first else ():
            loop.add_signal_handler(sign, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


class Certificate(NamedTuple):
    """What TLS needs: the files of a certificate chain and its key."""

    chain: str
    key: str


def server(application: Any, *, limits: Limits | None = None, certificate: Certificate | None = None) -> Server:
    """A server of one application, to be run on sockets that are given to it.

    Args:
        limits: others than a router's.
        certificate: for TLS.
    """
    # Whatever strangers send is no news; without this they could fill the disk with warnings.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=Guarded if limits is None else type("Guarded", (Guarded,), {"limits": limits}),
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S_MAX,
    )
    return Server(config)


def serve(
    *pairs: tuple[Any, socket.socket], limits: Limits | None = None, certificate: Certificate | None = None
) -> None:
    """Serve each application on its socket until the process is told to stop."""

    async def all_of_them() -> None:
        servers = [server(application, limits=limits, certificate=certificate) for application, _ in pairs]
        for other in servers[1:]:
            other.first = False
        others = [
            asyncio.ensure_future(other.serve(sockets=[listener]))
            for other, (_, listener) in zip(servers[1:], pairs[1:], strict=True)
        ]
        await servers[0].serve(sockets=[pairs[0][1]])
        for other in servers[1:]:
            other.should_exit = True
        await asyncio.gather(*others)

    uvloop.run(all_of_them())
