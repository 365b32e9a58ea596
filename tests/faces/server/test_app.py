"""The application: bodies within bounds, one by one and all together, and answers to who was refused."""

import asyncio
from typing import Any

import pytest

from roadworthy.faces.server import app, http
from roadworthy.faces.server.app import Application
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.server import Server, Settings
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

CREATE = "/api/2.0/mlflow/experiments/create"
PUT = "/api/2.0/mlflow-artifacts/artifacts/x"


def test_a_body_has_a_size_said_or_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Conversation(store) as talk:
        said = talk.ask("POST", CREATE, headers={"content-length": str(http.BODY_BYTES_MAX + 1)})
        assert said.status == 413
        chunks = [b" " * (1 << 20)] * 33
        assert (
            talk.ask("POST", CREATE, chunks, headers={"content-length": "", "transfer-encoding": "chunked"}).status
            == 413
        )


def test_all_bodies_together_have_a_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two large bodies that come at once the second is put off; one alone may always come."""
    monkeypatch.setattr(app, "BUFFERED_BYTES_MAX", 1_000)
    statuses: list[int] = []

    async def handler(server: Server, request: Request) -> Reply:
        return Reply(200, str(len(request.body)).encode())

    async def whole() -> None:
        server = Server(store, Settings())
        application = Application(server, [Route("POST", "/x", handler, "public")], [])
        first_is_there, one_was_answered = asyncio.Event(), asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                one_was_answered.set()

        async def ask(first: bool) -> None:
            sent = 0

            async def receive() -> dict[str, Any]:
                nonlocal sent
                sent += 1
                if first and sent == 2:
                    first_is_there.set()
                    await one_was_answered.wait()
                return {"type": "http.request", "body": b"x" * 600, "more_body": sent < 2}

            if not first:
                await first_is_there.wait()
            scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": []}
            await application(scope, receive, send)

        await asyncio.gather(ask(True), ask(False))
        await server.close()

    asyncio.run(whole())
    assert statuses == [503, 200]


def test_who_is_refused_is_heard_out_within_bounds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "HEARD_BYTES_MAX", 1 << 20)
    with Conversation(store, Settings(login=True)) as talk:
        short = talk.ask("PUT", PUT, [b"x" * 100_000] * 5)
        assert (short.status, "connection" in short.headers) == (401, False)
        long = talk.ask("PUT", PUT, [b"x" * 100_000] * 50)
        assert (long.status, long.headers["connection"]) == (401, "close")
