"""Ten thousand slow clients: senders who never end their headers, readers who never read; others still get answers."""

import contextlib
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.server.wire import Refused, Slow, connect, post, request
from tests.server_faults.served import Served

pytestmark = pytest.mark.slow
CLIENTS = 10_000
FILES_SPARED = 500
ASKED = 200
TRIES_MAX = 8  # more than the stock client's five
MEMORY_BYTES_MAX = 500 << 20


@pytest.fixture
def clients() -> Iterator[int]:
    """How many there may be: as many as files may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(CLIENTS, hard - FILES_SPARED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_slow_clients_by_the_thousand_keep_nobody_from_an_answer(
    clients: int, tmp_path: Path, count: Callable[[str], None]
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder) as served, contextlib.ExitStack() as opened:
        kept = served.connection()
        run = kept.call("runs/create", experiment_id="0")["run"]["info"]["run_id"]
        long = "x" * 5000
        kept.ask(post("runs/log-batch", run_id=run, params=[{"key": f"p{i}", "value": long} for i in range(100)]))
        slow = []
        for number in range(clients):
            slow.append(opened.enter_context(slow_client(served.port, run, reads=number % 10 == 0)))
            if number % 100 == 0:
                kept.ask(request("GET", f"/api/2.0/mlflow/runs/get?run_id={run}"))
        tried = refused = 0
        for number in range(ASKED):
            # Over a connection that was there before, and over new ones, as a stock client does: again after a 503.
            kept.ask(post("runs/log-metric", run_id=run, key="m", value=number, timestamp=1, step=number))
            if number % 10 == 0:
                tried += 1
                refused += ask_until_answered(served)
        memory = psutil.Process(served.process.pid if served.process else 0).memory_info().rss
        assert served.lives()
        assert memory < MEMORY_BYTES_MAX
        held = sum(is_open(each) for each in slow)
        kept.close()
        opened.close()
        assert served.answers("/health")
        assert served.stop() == 0
    count(
        f"{clients:,} slow clients ({held:,} of them not yet let go at the end): {ASKED} of {ASKED} answered over a kept connection,"
        f" {tried} of {tried} over new ones ({refused} times after a 503); {memory >> 20} MiB"
    )


@contextlib.contextmanager
def slow_client(port: int, run: str, *, reads: bool) -> Iterator[socket.socket]:
    """One who has asked and reads nothing, or one who sends the beginning of a request and no more."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect(("127.0.0.1", port))
    with contextlib.suppress(OSError):  # it may be refused at the door
        if reads:
            client.sendall(request("GET", f"/api/2.0/mlflow/runs/get?run_id={run}"))
        else:
            client.sendall(b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    client.setblocking(False)
    try:
        yield client
    finally:
        client.close()


def ask_until_answered(served: Served) -> int:
    """How often a client with new connections was refused before it was answered."""
    for refusals in range(TRIES_MAX):
        with served.connected() as connection:
            try:
                connection.ask(request("GET", "/health"))
            except (OSError, Refused, Slow):
                continue
            return refusals
    raise AssertionError("a new client gets no answer")


def is_open(client: socket.socket) -> bool:
    """Whether the server has not let it go (it has answered a sender whose headers did not end with 408)."""
    try:
        return client.recv(12, socket.MSG_PEEK) not in {b"", b"HTTP/1.1 408"}
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_a_body_that_never_comes_ends_without_a_write(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder) as served:
        half = connect(served.port)
        half.sendall(post("experiments/create", name="half")[:-10])
        half.close()
        status, answer = served.call("experiments/get-by-name", experiment_name="half")
        assert (status, answer["error_code"]) in {(404, "RESOURCE_DOES_NOT_EXIST"), (405, "ENDPOINT_NOT_FOUND")}
        assert served.stop() == 0
