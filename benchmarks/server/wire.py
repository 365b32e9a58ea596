"""The load: requests encoded before the clock starts, sent over kept raw sockets by one loop of epoll.

In: an address, and one generator per client that yields a request and is sent the answer's body. Out: how many
requests were answered, how many of them badly, in how many seconds, and what the load itself cost in CPU, so that
nobody need wonder whether the client was the bottleneck.
"""

import gc
import json
import re
import select
import socket
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

ANSWER_S_MAX = 120.0
LOAD_ANSWER_S_MAX = 40.0
RECEIVE_BYTES = 1 << 18
TRIES_MAX = 5

Stream = Generator[bytes, bytes, None]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_JSON = b"Content-Type: application/json\r\n"


class Slow(Exception):
    """No answer within the bound."""


class Refused(Exception):
    """An answer that is not a success where only a success will do."""


@dataclass(frozen=True)
class Load:
    requests: int
    bad: int
    took_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.requests - self.bad) / self.took_s


def request(method: str, path: str, body: bytes = b"", kind: bytes = _JSON) -> bytes:
    """A whole request as the bytes that go over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n".encode()
    if body or method not in {"GET", "HEAD"}:
        head += kind + b"Content-Length: %d\r\n" % len(body)
    return head + b"\r\n" + body


def post(name: str, /, **fields: Any) -> bytes:
    """A call of MLflow's REST API with JSON fields."""
    return request("POST", "/api/2.0/mlflow/" + name, json.dumps(fields).encode())


class _Answer:
    """One answer as it comes in: complete when its length or its last chunk is there."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = -1
        self._head = b""
        self._chunked = False

    def take(self, data: bytes) -> bool:
        """Whether the answer is complete with these bytes."""
        self._parts.append(data)
        self._size += len(data)
        if self._wanted < 0 and not self._chunked:
            whole = b"".join(self._parts)
            end = whole.find(b"\r\n\r\n")
            if end < 0:
                self._parts = [whole]
                return False
            self._head = whole[:end]
            self._parts = [whole[end + 4 :]]
            self._size = len(whole) - end - 4
            if length := _LENGTH.search(self._head):
                self._wanted = int(length[1])
            else:
                self._chunked = bool(_CHUNKED.search(self._head))
                self._wanted = -1 if self._chunked else 0
        if self._chunked:
            return data.endswith(b"0\r\n\r\n") and b"".join(self._parts[-2:]).endswith(b"\r\n0\r\n\r\n")
        return self._size >= self._wanted

    @property
    def status(self) -> int:
        return int(self._head[9:12])

    def body(self) -> bytes:
        whole = b"".join(self._parts)
        return _unchunk(whole) if self._chunked else whole


def _unchunk(whole: bytes) -> bytes:
    parts, at = [], 0
    while True:
        end = whole.index(b"\r\n", at)
        size = int(whole[at:end].partition(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(whole[end + 2 : end + 2 + size])
        at = end + size + 4


class Connection:
    """One blocking connection, for what is asked once: preparations, searches, checks."""

    def __init__(self, port: int, wait_s: float = ANSWER_S_MAX) -> None:
        self._port = port
        self._wait_s = wait_s
        self._socket: socket.socket | None = None

    def ask(self, wanted: bytes) -> bytes:
        """The body of a successful answer."""
        status, body = self.ask_anything(wanted)
        if status >= 300:
            raise Refused(f"{wanted[:80]!r} was answered {status}: {body[:300]!r}")
        return body

    def ask_anything(self, wanted: bytes) -> tuple[int, bytes]:
        """Status and body of any answer."""
        if self._socket is None:
            self._socket = connect(self._port)
        self._socket.settimeout(self._wait_s)
        until = time.monotonic() + self._wait_s
        answer = _Answer()
        try:
            self._socket.sendall(wanted)
            while True:
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                if answer.take(data):
                    return answer.status, answer.body()
                if time.monotonic() > until:
                    raise TimeoutError
        except TimeoutError:
            self.close()
            raise Slow(f"no answer within {self._wait_s:.0f} s") from None
        except OSError:
            self.close()
            raise

    def call(self, name: str, /, **fields: Any) -> Any:
        """A POST of MLflow's REST API; its answer decoded."""
        return json.loads(self.ask(post(name, **fields)))

    def insist(self, name: str, /, **fields: Any) -> Any:
        """As `call`, again where the connection is lost: a busy peer's workers end and are started again."""
        for _ in range(TRIES_MAX - 1):
            try:
                return self.call(name, **fields)
            except OSError:
                time.sleep(1.0)
        return self.call(name, **fields)

    def get(self, path: str) -> Any:
        return json.loads(self.ask(request("GET", "/api/2.0/mlflow/" + path)))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class _Client:
    """One connection of a load: always one request in flight."""

    def __init__(self, port: int, stream: Stream) -> None:
        self.socket = connect(port)
        self.socket.setblocking(False)
        self.stream = stream
        self.answer = _Answer()
        self._rest: memoryview = memoryview(b"")

    def send(self, wanted: bytes) -> bool:
        """Whether all of it went at once."""
        sent = self._try(memoryview(wanted))
        self._rest = memoryview(wanted)[sent:]
        return not self._rest

    def send_rest(self) -> bool:
        self._rest = self._rest[self._try(self._rest) :]
        return not self._rest

    def receive(self) -> bytes:
        """Some bytes, none when the connection is lost."""
        try:
            return self.socket.recv(RECEIVE_BYTES)
        except OSError:
            return b""

    def connect_again(self, port: int) -> int:
        self.socket.close()
        self.socket = connect(port)
        self.socket.setblocking(False)
        return self.socket.fileno()

    def _try(self, data: memoryview) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # lost: `receive` will tell


def drive(port: int, streams: Sequence[Stream], seconds: float) -> Load:
    """Every stream is one client that sends its next request when its last one is answered, until time is up."""
    poll = select.epoll()
    clients: dict[int, _Client] = {}
    requests = bad = 0
    for stream in streams:
        client = _Client(port, stream)
        clients[client.socket.fileno()] = client
        poll.register(client.socket, select.EPOLLIN)
    gc.disable()
    cpu, start = time.process_time(), time.perf_counter()
    until = start + seconds
    flying = 0
    for number, client in clients.items():
        if not client.send(next(client.stream)):
            poll.modify(number, select.EPOLLIN | select.EPOLLOUT)
        flying += 1
    while flying:
        events = poll.poll(LOAD_ANSWER_S_MAX)
        if not events:  # those under way are bad answers, and the round ends
            requests, bad = requests + flying, bad + flying
            break
        for number, event in events:
            client = clients[number]
            if event & select.EPOLLOUT:
                if client.send_rest():
                    poll.modify(number, select.EPOLLIN)
                continue
            data = client.receive()
            answer = client.answer
            if data and not answer.take(data):
                continue
            requests += 1
            good = bool(data) and answer.status < 300
            bad += not good
            client.answer = _Answer()
            if not data:  # the server closed it: a bad answer, and a new connection
                del clients[number]
                number = client.connect_again(port)
                clients[number] = client
                poll.register(number, select.EPOLLIN)
            # A stream hears only of what succeeded: what it counts is what the server acknowledged.
            wanted = _next(client.stream, answer.body() if good else b"")
            if wanted is None or time.perf_counter() >= until:
                flying -= 1
            elif not client.send(wanted):
                poll.modify(number, select.EPOLLIN | select.EPOLLOUT)
    took, spent = time.perf_counter() - start, time.process_time() - cpu
    gc.enable()
    for client in clients.values():
        client.stream.close()
        client.socket.close()
    poll.close()
    return Load(requests, bad, took, spent)


def _next(stream: Stream, body: bytes) -> bytes | None:
    """What the client asks next, told the answer to its last; None when it has no more."""
    try:
        return stream.send(body)
    except StopIteration:
        return None
