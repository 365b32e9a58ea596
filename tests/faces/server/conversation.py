"""A server in this process, spoken to in ASGI without a socket: what tests of handlers need, at a tenth of the cost."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import msgspec

from roadworthy.faces.server import main
from roadworthy.faces.server.server import Server, Settings
from roadworthy.store.store import Store


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Conversation:
    """A context: the server starts with it and ends with it."""

    def __init__(self, store: Store, settings: Settings | None = None) -> None:
        self._runner = asyncio.Runner()
        self.server = Server(store, settings or Settings())
        self.server.ready = True
        self.application = main.application(self.server)

    def ask(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] = b"",
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> Answer:
        """One request; `url` is a path with a query, encoded as on the wire."""
        if json is not None:
            body = msgspec.json.encode(json)
        chunks = [body] if isinstance(body, bytes) else list(body)
        sent = {"host": "127.0.0.1", "content-length": str(sum(map(len, chunks))), **(headers or {})}
        return self._runner.run(self._ask(method, url, chunks, sent, source))

    def ask_together(self, requests: Iterable[tuple[str, str, Any]]) -> list[Answer]:
        """Several requests, each a method, a URL and what is sent as JSON, that arrive at the same moment."""

        async def all_of_them() -> list[Answer]:
            asking = []
            for method, url, json in requests:
                body = msgspec.json.encode(json)
                headers = {"host": "127.0.0.1", "content-length": str(len(body))}
                asking.append(self._ask(method, url, [body], headers, "127.0.0.1"))
            return await asyncio.gather(*asking)

        return self._runner.run(all_of_them())

    async def _ask(self, method: str, url: str, chunks: list[bytes], headers: dict[str, str], source: str) -> Answer:
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": (source, 50_000),
        }
        left = list(chunks)

        async def receive() -> dict[str, Any]:
            if not left:
                return {"type": "http.disconnect"}
            chunk = left.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(left)}

        status, got, body = 0, {}, []

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, got
            if message["type"] == "http.response.start":
                status = message["status"]
                got = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            else:
                body.append(message.get("body", b""))

        await self.application(scope, receive, send)
        return Answer(status, got, b"".join(body))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self.server.close())
        self._runner.close()
