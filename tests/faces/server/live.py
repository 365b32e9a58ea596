"""`rw server` as a process of its own, for what only a socket shows: limits, TLS, signals."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

START_S_MAX = 60.0


class Live:
    """A context: the server runs while it lasts.

    Args:
        folder: where it works; its store is in it.
        options: of `rw server`.
    """

    def __init__(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None, scheme: str = "http"
    ) -> None:
        self.folder = folder
        self.port = _free_port()
        self.scheme = scheme
        self.log = folder / "server.log"
        self._command = [sys.executable, "-m", "roadworthy", "server", "--port", str(self.port), *options]
        self._environment = {**os.environ, **(environment or {})}

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """A request over the socket."""
        url = f"{self.scheme}://localhost:{self.port}{path}"
        asked = urllib.request.Request(
            url, body or None, {"content-type": "application/octet-stream", **(headers or {})}, method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=30, context=self._trust()) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.read()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def stop(self) -> int:
        """End it as an operator does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def _trust(self) -> ssl.SSLContext | None:
        if self.scheme == "http":
            return None
        return ssl.create_default_context(cafile=str(self.folder / "chain.pem"))

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self._command, cwd=self.folder, env=self._environment, stderr=log)
        ends = time.monotonic() + START_S_MAX
        while time.monotonic() < ends:
            if self.process.poll() is not None:
                raise AssertionError(self.log.read_text())
            try:
                self.connect().close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        raise AssertionError("it does not listen")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
