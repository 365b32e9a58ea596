"""Cycle: one request and its answer, as uvicorn's, whose answer goes out in as few pieces as it has.

In: what an ASGI application sends. Out: bytes for the transport. Used by serving/guard.py. A head waits for the
first of its body, so that an answer that is there whole is one write: two would be two system calls here and two
wake-ups of the client, which cost more than the rest of the protocol. And one that fails before that is a plain 500.
"""

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, RequestResponseCycle

# What no header may hold beside the ends of its lines, of which there must be as many as there are headers.
_CONTROL = re.compile(b"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# A longer body is not copied to stand behind its head.
_COPIED_BYTES_MAX = 64 << 10
_NAMES_MAX = 1_000
_names: set[bytes] = set()


class Cycle(RequestResponseCycle):
    """A request and its answer."""

    _head = b""  # of an answer of whose body nothing was sent yet

    async def send(self, message: Any) -> None:
        """As ASGI has it.

        Raises:
            RuntimeError: for an answer that is none: a defect of the application.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not (self.response_started or self._head):
            self._begin(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and (self.response_started or self._head) and not self.response_complete:
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"unexpected ASGI message: {kind}")

    async def send_500_response(self) -> None:
        """Of an answer that failed before anything of it has left, nothing leaves."""
        self._head, self.chunked_encoding, self.expected_content_length = b"", None, 0
        await super().send_500_response()

    def _begin(self, status: int, headers: Any) -> None:
        self.waiting_for_100_continue = False
        parts = [STATUS_LINE[status]]
        lines = 1 + len(headers)
        closes = False
        for name, value in headers:
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]:
                self.keep_alive = False
                closes = True
            elif name == b"transfer-encoding":
                raise RuntimeError("how an answer is sent is not the application's to say")
            elif name not in _names:
                _check(name)
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive and not closes:
            parts.append(b"connection: close\r\n")
            lines += 1
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in (204, 304):
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
            lines += 1
        head = b"".join(parts)
        if head.count(b"\n") != lines or head.count(b"\r") != lines or _CONTROL.search(head):
            raise RuntimeError("a header's value holds a control character")
        self._head = head + b"\r\n"

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the answer is longer than its content-length")
        if self._head:
            head, self._head = self._head, b""
            self.response_started = True
            if len(body) <= _COPIED_BYTES_MAX:
                body = head + body
            else:
                self.transport.write(head)
        if body:
            self.transport.write(body)
        if more:
            return
        if self.expected_content_length:
            raise RuntimeError("the answer is shorter than its content-length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _check(name: bytes) -> None:
    if HEADER_RE.search(name) or name != name.lower():
        raise RuntimeError("a header's name holds what none may, or is not in lower case as ASGI wants it")
    if len(_names) < _NAMES_MAX:
        _names.add(name)
