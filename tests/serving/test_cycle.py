"""What an application answers, byte for byte, as a client sees it arrive."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from roadworthy.serving import cycle, guard, runtime

Answer = Callable[[Any], Awaitable[None]]
REQUEST = b"%s / HTTP/1.1\r\nhost: localhost\r\n%s\r\n"


def served(answer: Answer, *requests: bytes) -> bytes:
    """What came back on one connection for some requests, until the server closed it."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        await answer(send)

    async def whole() -> bytes:
        listener = runtime.bind_port(0)
        server = guard.server(application)
        server.first = False
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has a flag only
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(b"".join(requests))
        async with asyncio.timeout(30):
            found = await reader.read()
        writer.close()
        server.should_exit = True
        await running
        return found

    return asyncio.run(whole())


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


def last(method: bytes = b"GET") -> bytes:
    return REQUEST % (method, b"connection: close\r\n")


@pytest.mark.parametrize("size", [0, 3, 70_000])
def test_a_whole_answer(size: int) -> None:
    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"%d" % size), (b"x-more", b"a\tb")))
        await send(body(b"x" * size))

    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nx-more: a\tb\r\n" % size
    assert served(answer, REQUEST % (b"GET", b""), last()) == (
        head + b"\r\n" + b"x" * size + head + b"connection: close\r\n\r\n" + b"x" * size
    )


def test_a_small_answer_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    go_on = cycle.Cycle._go_on

    def counted(self: cycle.Cycle, content: bytes, *, more: bool) -> None:
        transport = self.transport

        class Counting:
            def write(self, data: bytes) -> None:
                pieces.append(len(data))
                transport.write(data)

            def close(self) -> None:
                transport.close()

        self.transport = Counting()  # type: ignore[assignment]
        go_on(self, content, more=more)

    monkeypatch.setattr(cycle.Cycle, "_go_on", counted)

    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"2")))
        await send(body(b"{}"))

    assert pieces == [len(served(answer, last()))]


def test_an_answer_without_a_length_comes_in_chunks() -> None:
    async def answer(send: Any) -> None:
        await send(start())
        await send(body(b"one", more=True))
        await send(body(b"", more=True))
        await send(body(b"x" * 20, more=True))
        await send(body(b""))

    assert served(answer, last()).endswith(
        b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n"
    )


def test_an_answer_to_head_has_no_body() -> None:
    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"5")))
        await send(body(b"12345"))

    assert served(answer, last(b"HEAD")).endswith(b"content-length: 5\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_says_nothing_of_one(status: int) -> None:
    async def answer(send: Any) -> None:
        await send(start(status=status))
        await send(body(b""))

    found = served(answer, last())
    assert found.startswith(b"HTTP/1.1 %d" % status)
    assert b"transfer-encoding" not in found


def test_an_answer_may_end_the_connection() -> None:
    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"0"), (b"connection", b"close")))
        await send(body(b""))

    # The second request is not answered.
    found = served(answer, REQUEST % (b"GET", b""), REQUEST % (b"GET", b""))
    assert found == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"b\r\nset-cookie: c=d"),
        (b"x-a", b"b\nc"),
        (b"x-a", b"b\rc"),
        (b"x-a", b"b\x00"),
        (b"x-a", b"b\x7f"),
        (b"x a", b"b"),
        (b"x-a\r\nset-cookie", b"c=d"),
        (b"x-a:", b"b"),
        (b"X-A", b"b"),
    ],
)
def test_a_header_that_would_be_two_is_never_sent(header: tuple[bytes, bytes]) -> None:
    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"0"), header))
        await send(body(b""))

    found = served(answer, last())
    assert found.startswith(b"HTTP/1.1 500")
    assert b"c=d" not in found


def test_a_body_that_is_longer_than_was_said_is_an_internal_error() -> None:
    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"3")))
        await send(body(b"1234"))

    assert served(answer, last()).startswith(b"HTTP/1.1 500")


def test_a_body_that_is_shorter_than_was_said_ends_the_connection() -> None:
    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"3")))
        await send(body(b"12"))

    assert served(answer, REQUEST % (b"GET", b"")) == b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n12"


def test_an_application_may_not_say_how_its_answer_is_sent() -> None:
    async def answer(send: Any) -> None:
        await send(start((b"transfer-encoding", b"chunked")))
        await send(body(b"12"))

    assert served(answer, last()).startswith(b"HTTP/1.1 500")


def test_what_fails_before_the_first_of_its_body_is_an_internal_error() -> None:
    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"3"), (b"x-secret", b"s")))
        raise KeyError

    found = served(answer, last())
    assert found.startswith(b"HTTP/1.1 500")
    assert found.endswith(b"\r\n\r\nInternal Server Error")
    assert b"x-secret" not in found


def test_what_fails_in_the_middle_of_its_body_ends_the_connection() -> None:
    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"3")))
        await send(body(b"1", more=True))
        raise KeyError

    assert served(answer, REQUEST % (b"GET", b"")) == b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n1"


def test_what_fails_before_its_answer_is_an_internal_error() -> None:
    async def answer(send: Any) -> None:
        raise KeyError

    assert served(answer, last()).startswith(b"HTTP/1.1 500")


@pytest.mark.parametrize("order", [["body"], ["start", "start"], ["start", "body", "body"], ["something"]])
def test_messages_out_of_order_are_refused(order: list[str]) -> None:
    refused: list[str] = []

    async def answer(send: Any) -> None:
        known = {"start": start((b"content-length", b"0")), "body": body(b"")}
        try:
            for name in order:
                await send(known.get(name, {"type": name}))
        except RuntimeError as problem:
            refused.append(str(problem))
            raise

    served(answer, last())
    assert len(refused) == 1
    assert refused[0].startswith("unexpected ASGI message")


def test_a_connection_on_which_nothing_comes_is_closed_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "KEEP_ALIVE_S", 0.3)

    async def answer(send: Any) -> None:
        await send(start((b"content-length", b"0")))
        await send(body(b""))

    assert served(answer, REQUEST % (b"GET", b"")) == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
