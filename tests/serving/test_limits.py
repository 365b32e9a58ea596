"""The public door against clients that are slow, large or many: a server in this process, with small limits."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import pytest

from roadworthy.serving import guard, runtime, wire


def trial(client: Callable[[int], Awaitable[None]], *, body_bytes_max: int = 1000) -> None:
    """Serve an echo of sizes, run a client against it, and stop."""

    async def echo(request: wire.Request) -> wire.Reply:
        return wire.json(len(request.body))

    async def large(_: wire.Request) -> wire.Reply:
        return wire.Reply(200, b"x" * (32 << 20))

    async def slow(_: wire.Request) -> wire.Reply:
        await asyncio.sleep(1.0)
        return wire.json("late")

    async def whole() -> None:
        listener = runtime.bind_port(0)
        port = listener.getsockname()[1]
        routes = {"/": {"POST": echo, "GET": echo}, "/large": {"GET": large}, "/slow": {"GET": slow}}
        server = guard.server(wire.Application(routes, body_bytes_max=body_bytes_max))
        server.first = False
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has a flag only
            await asyncio.sleep(0.01)
        try:
            async with asyncio.timeout(30):
                await client(port)
        finally:
            server.should_exit = True
            await running

    asyncio.run(whole())


async def say(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send parts with pauses; what came back until the server closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


HEAD = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


def test_it_answers() -> None:
    async def client(port: int) -> None:
        answer = await say(port, HEAD + b"connection: close\r\ncontent-length: 3\r\n\r\n123")
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n3")

    trial(client)


def test_slow_senders_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.Guarded, "limits", guard.Limits(headers_s=0.3, body_s=0.3))

    async def client(port: int) -> None:
        answers = await asyncio.gather(
            say(port),  # says nothing
            say(port, b"POST / HT"),
            say(port, *[b"POST / HTTP/1.1\r\n"] + [b"x-a: b\r\n"] * 8, pause_s=0.1),  # a header now and then
            say(port, HEAD + b"content-length: 5\r\n\r\n1"),
            say(port, HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n"),
            say(port, HEAD + b"content-length: 1\r\n\r\n1", b"\r\n", pause_s=0.1),  # answered, then an empty line
        )
        told = [answer[:12] for answer in answers]
        assert told.pop(2) in {b"HTTP/1.1 408", b""}  # it may have been sending still
        assert told == [b"HTTP/1.1 408"] * 4 + [b"HTTP/1.1 200"]
        assert b"HTTP/1.1 408" in answers[-1]

    trial(client)


def test_a_body_of_any_size_has_time_while_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.Guarded, "limits", guard.Limits(body_s=1.0, body_bytes_least=10))
    head = HEAD + b"connection: close\r\ncontent-length: 800\r\n\r\n"

    async def client(port: int) -> None:
        steady, trickled = await asyncio.gather(
            say(port, head, *[b"x" * 200] * 4, pause_s=0.5), say(port, head, *[b"x"] * 8, pause_s=0.5)
        )
        assert steady.startswith(b"HTTP/1.1 200")
        assert not trickled.startswith(b"HTTP/1.1 200")

    trial(client)


def test_headers_have_a_size_and_a_number() -> None:
    async def client(port: int) -> None:
        assert (await say(port, b"GET / HTTP/1.1\r\nx: " + b"a" * 40_000)).startswith(b"HTTP/1.1 431")
        assert (await say(port, b"GET /" + b"a" * 40_000)).startswith(b"HTTP/1.1 431")
        assert (await say(port, HEAD + b"a: b\r\n" * 200 + b"\r\n")).startswith(b"HTTP/1.1 400")

    trial(client)


@pytest.mark.parametrize(
    "message",
    [
        b"\x16\x03\x01\x00", b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET http:// HTTP/1.1\r\nhost: localhost\r\n\r\n",
        HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\n123", HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n123", HEAD + b"transfer-encoding: gzip\r\n\r\n123",
        HEAD + b"a b: c\r\n\r\n", HEAD + b"a: b\x00c\r\n\r\n", HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_proper_http_is_refused(message: bytes) -> None:
    async def client(port: int) -> None:
        answer = await say(port, message)
        assert answer[:10] in {b"HTTP/1.1 4", b""}
        assert b"HTTP/1.1 2" not in answer

    trial(client)


def test_bodies_have_a_size() -> None:
    async def client(port: int) -> None:
        assert (await say(port, HEAD + b"content-length: 1001\r\n\r\n")).startswith(b"HTTP/1.1 413")
        chunks = b"transfer-encoding: chunked\r\n\r\n" + b"200\r\n" + b"x" * 512 + b"\r\n"
        assert (await say(port, HEAD + chunks, b"200\r\n" + b"x" * 512 + b"\r\n")).startswith(b"HTTP/1.1 413")

    trial(client)


def test_all_bodies_together_have_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BUFFERED_BYTES_MAX", 1500)

    async def client(port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in held:
            writer.write(HEAD + b"content-length: 1000\r\n\r\n" + b"x" * 900)
        await asyncio.sleep(0.2)
        refused = await held[1][0].read(12)
        assert refused == b"HTTP/1.1 503"
        held[0][1].write(b"x" * 100)
        assert await held[0][0].read(12) == b"HTTP/1.1 200"
        for _, writer in held:
            writer.close()
        assert b" 200 " in await say(port, HEAD + b"connection: close\r\ncontent-length: 3\r\n\r\n123")

    trial(client)


def test_connections_have_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.Guarded, "limits", guard.Limits(connections=3))

    async def client(port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert (await say(port)).startswith(b"HTTP/1.1 503")
        for _, writer in held:
            writer.close()

    trial(client)


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.Guarded, "limits", guard.Limits(reader_s=0.3))

    def all_that_came(raw: socket.socket) -> int:
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := raw.recv(1 << 20):
                received += len(part)
        return received

    async def client(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
            raw.sendall(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await asyncio.sleep(3.0)
            # In a thread: the server shares this one, and may have more to do before it lets go.
            assert await asyncio.to_thread(all_that_came, raw) < 32 << 20

    trial(client)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def client(port: int) -> None:
        one = HEAD + b"content-length: 1\r\n\r\n1"
        last = HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\n12"
        answer = await say(port, one + one + last)
        assert [part[-1:] for part in answer.split(b"HTTP/1.1 200")[1:]] == [b"1", b"1", b"2"]

    trial(client)


@pytest.mark.parametrize("rest", [b"POST / HT", HEAD + b"content-length: 5\r\n\r\n1"], ids=["headers", "body"])
def test_a_request_that_is_too_slow_is_not_answered_in_the_place_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(guard.Guarded, "limits", guard.Limits(headers_s=0.3, body_s=0.3))

    async def client(port: int) -> None:
        # The first has not been answered when the second is given up.
        assert await say(port, b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n" + rest) == b""

    trial(client)


def test_answers_that_nobody_reads_have_a_size_together(monkeypatch: pytest.MonkeyPatch) -> None:
    unread = guard.Unread(40 << 20)
    monkeypatch.setattr(guard.Guarded, "unread", unread)

    def all_that_came(raw: socket.socket) -> int:
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := raw.recv(1 << 20):
                received += len(part)
        return received

    async def client(port: int) -> None:
        with contextlib.ExitStack() as opened:
            held: list[socket.socket] = []
            seen: set[object] = set()
            for number in range(3):
                raw = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
                held.append(raw)
                raw.sendall(b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                while len(seen) <= number:
                    await asyncio.sleep(0.01)
                    seen.update(unread._held)
            came = [await asyncio.to_thread(all_that_came, raw) for raw in held]
        assert came[0] < 32 << 20, "who has not read for longest is let go"
        assert came[1] < 32 << 20
        assert came[2] > 32 << 20, "the last has its answer whole"

    trial(client)
    assert unread._bytes == 0
