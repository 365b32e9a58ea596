"""A server in a process of its own, to be killed, stopped and started again on the same store and port."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from benchmarks.server.wire import Connection, Refused, Slow, post, request

START_S_MAX = 60.0
ANSWER_S_MAX = 60.0


class Served:
    """`rw server` in a folder.

    Args:
        url: of a database; SQLite in the folder's store if empty.
    """

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.url = url
        self.port = free_port()
        self.log = folder.parent / f"{folder.name}-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        command = [sys.executable, "-m", "roadworthy", "server", "--port", str(self.port)]
        command += ["--store", self.url] if self.url else []
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("ROADWORTHY_", "MLFLOW_"))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=variables, stdout=log, stderr=log)
        until = time.monotonic() + START_S_MAX
        while not self.answers("/readyz"):
            assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < until, f"the server does not answer:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)

    def kill(self) -> None:
        """As `kill -9`."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """As an operator does; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        return code

    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self, path: str) -> bool:
        with self.connected() as connection:
            try:
                connection.ask(request("GET", path))
            except (OSError, Refused, Slow):
                return False
            return True

    def connection(self) -> Connection:
        return Connection(self.port, ANSWER_S_MAX)

    @contextlib.contextmanager
    def connected(self):
        connection = self.connection()
        try:
            yield connection
        finally:
            connection.close()

    def call(self, name: str, /, **fields: Any) -> tuple[int, Any]:
        """Status and decoded answer of one call, over a connection of its own."""
        with self.connected() as connection:
            status, body = connection.ask_anything(post(name, **fields))
        return status, json.loads(body)

    def grow_files_up_to(self, file_bytes_max: int) -> None:
        """No file of the server's may grow beyond (RLIMIT_FSIZE): a full disk that needs no root."""
        assert self.process is not None
        hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (file_bytes_max, hard))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_mlflow_error(status: int, answer: Any) -> bool:
    """Whether an answer is a failure as MLflow says one: a status that its clients take for one, a code, a message."""
    return (
        400 <= status < 600
        and isinstance(answer, dict)
        and isinstance(answer.get("error_code"), str)
        and bool(answer.get("message"))
    )


def history(connection: Connection, run: str, key: str) -> dict[int, float]:
    """The points of a metric by step."""
    found = connection.get(f"metrics/get-history?run_id={run}&metric_key={quote(key)}").get("metrics", [])
    points = [(int(point.get("step", 0)), float(point["value"])) for point in found]
    assert len(points) == len(dict(points)), "a step came twice"
    return dict(points)
