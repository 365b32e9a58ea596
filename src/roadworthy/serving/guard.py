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
from urllib.parse import unquote

import httptools
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from roadworthy.serving.cycle import Cycle

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
    """One connection, which may neither send nor take for ever.

    Until when something must have come is a number that each step of a request moves, and one timer looks at it now
    and then: to start and stop one at each step would cost as much as to read the request.
    """

    limits = Limits()
    refused = False
    unread = Unread()  # of the whole process
    _body_bytes = 0
    _header_bytes = 0
    _in_headers = True
    _idle = False  # between two requests
    _due: float | None = None
    _timer: asyncio.TimerHandle | None = None
    _timer_at = 0.0
    _reader_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_every_s = min(self.limits.headers_s, self.limits.body_s)
        if len(self.connections) > self.limits.connections:
            self._refuse(b"503 Service Unavailable", b"retry-after: 1\r\n")
        else:
            self._arm(self.limits.headers_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        if self._idle:
            self._idle = False
            self._due = None
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > HEADER_BYTES_MAX and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._due is None and (self.cycle is None or self.cycle.response_complete):
            self._arm(self.limits.headers_s)  # a request should come, and there were only empty lines

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._in_headers = True
        self._arm(self.limits.headers_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > HEADERS_MAX:
            raise ValueError("too many headers")  # the parser's caller answers 400

    def on_headers_complete(self) -> None:
        """As uvicorn's, without what only WebSockets and its own limits need, and with a cycle of ours."""
        self._in_headers = False
        self._header_bytes = self._body_bytes = 0
        self._arm(self.limits.body_s)
        version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "root_path": "",
            "headers": self.headers,
            "state": self.app_state.copy(),
            "method": self.parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
        }
        before = self.cycle
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = True
        self._due = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, _ = self.pipeline.pop()
            self._start(cycle)
        elif self._due is None:
            self._idle = True
            self._arm(self.timeout_keep_alive)

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

    def _start(self, cycle: RequestResponseCycle) -> None:
        task = self.loop.create_task(cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _arm(self, limit_s: float) -> None:
        now = self.loop.time()
        self._due = now + limit_s
        if self._timer is None or self._due < self._timer_at:
            self._look_at(min(self._due, now + self._look_every_s))

    def _look_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return  # the next step starts a timer again
        now = self.loop.time()
        if now < self._due:
            self._look_at(min(self._due, now + self._look_every_s))
            return
        self._due = None
        if self._idle:
            self.transport.close()
        else:
            self._too_slow()

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
        self._due = None
        if self.transport.is_closing():
            return
        cycle = self.cycle
        waiting = cycle is not None and cycle.more_body and not cycle.response_started and not self.pipeline
        # While an answer to something else is owed or under way, this would be taken for it, or for a part of it.
        if cycle is None or cycle.response_complete or waiting:
            self.transport.write(b"HTTP/1.1 %s\r\n%scontent-length: 0\r\nconnection: close\r\n\r\n" % (status, more))
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
