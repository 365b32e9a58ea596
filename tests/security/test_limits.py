"""A real server against clients that are slow, large, many or lying, and what it leaves on the disk."""

import contextlib
import json
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.faces.server import main
from tests.faces.server.live import Live

pytestmark = pytest.mark.slow
PUT = "/api/2.0/mlflow-artifacts/artifacts/1/x"
MANY = 3_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("live"), "--access-log", "--log-format", "json") as running:
        yield running


def said(server: Live, sent: bytes) -> bytes:
    """What comes back until the server closes."""
    with server.connect() as there:
        there.sendall(sent)
        there.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(ConnectionError):
            while chunk := there.recv(65_536):
                got += chunk
        return got


HOST = b"host: localhost\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"x: y\r\n" * 200 + b"\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
        b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"host: evil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        b"POST /login HTTP/1.1\r\n" + HOST + b"content-length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\n" + HOST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"POST /login HTTP/1.1\r\n" + HOST + b"content-length: 99999999999999999999\r\n\r\n",
        b"POST /login HTTP/1.1\r\n"
        + HOST
        + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        b"POST /login HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nzzz\r\n",
    ],
    ids=range(14),
)
def test_what_is_no_proper_request_is_refused(server: Live, request_: bytes) -> None:
    got = said(server, request_)
    assert not got.startswith(b"HTTP/1.1 2")
    assert b"HTTP/1.1 5" not in got
    assert server.ask("GET", "/health")[0] == 200


def test_thousands_of_idle_connections_keep_nobody_out(server: Live) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MANY * 2), hard))
    with contextlib.ExitStack() as held:
        for number in range(MANY):
            there = held.enter_context(server.connect())
            if number % 2:
                there.sendall(b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nhost: local")
        assert server.ask("GET", "/health")[0] == 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert server.ask("GET", "/health")[0] == 200
    assert main.LIMITS.connections > MANY


def test_a_body_that_breaks_off_leaves_nothing_behind(server: Live) -> None:
    with server.connect() as there:
        there.sendall(
            b"PUT " + PUT.encode() + b" HTTP/1.1\r\n" + HOST + b"content-length: 9000000\r\n\r\n" + b"x" * 3_000_000
        )
    assert server.ask("GET", PUT)[0] == 404
    incoming = server.folder / ".roadworthy" / "blobs" / "incoming"
    for _ in range(100):
        if not list(incoming.glob("*")):
            break
        server.ask("GET", "/health")
    assert list(incoming.glob("*")) == []


def test_an_upload_may_take_its_time_as_long_as_it_arrives(server: Live) -> None:
    body = b"x" * 600_000
    with server.connect() as there:
        there.sendall(b"PUT " + PUT.encode() + b" HTTP/1.1\r\n" + HOST + b"content-length: 600000\r\n\r\n")
        for at in range(0, len(body), 100_000):
            there.sendall(body[at : at + 100_000])
        assert there.recv(65_536).startswith(b"HTTP/1.1 200")
    assert server.ask("GET", PUT)[1] == body


def test_what_it_keeps_is_its_owners_alone(server: Live) -> None:
    server.ask("PUT", PUT, b"secret" * 100_000)
    home = server.folder / ".roadworthy"
    for path in [home, home / "blobs" / "incoming"]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_nobody_forges_a_line_of_the_log(server: Live) -> None:
    server.ask("GET", "/x%0a%7b%22who%22%3a%22admin%22%7d%0d%1b%5b31m")
    lines = server.log.read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    assert all(entry["who"] == "" for entry in entries if "who" in entry)
    assert any('{"who":"admin"}' in entry.get("path", "") for entry in entries)
    assert "\x1b" not in server.log.read_text()


def test_a_server_that_is_told_to_stop_answers_first(tmp_path: Path) -> None:
    with Live(tmp_path) as server:
        there = server.connect()
        there.sendall(b"PUT " + PUT.encode() + b" HTTP/1.1\r\n" + HOST + b"content-length: 10\r\n\r\n01234")
        server.ask("GET", "/health")
        server.process.terminate()
        there.sendall(b"56789")
        assert there.recv(65_536).startswith(b"HTTP/1.1 200")
        there.close()
        assert server.process.wait(60) == 0


def test_it_speaks_tls_to_who_knows_a_token(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem",
         "-out", "chain.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    made = subprocess.run(
        [sys.executable, "-m", "roadworthy", "server", "token", "create", "t", "--role", "viewer"],
        check=True, capture_output=True, text=True, cwd=tmp_path,
    ).stdout.strip()  # fmt: skip
    with Live(
        tmp_path, "--host", "0.0.0.0", "--tls-cert", "chain.pem", "--tls-key", "key.pem", scheme="https"
    ) as server:
        assert server.ask("GET", "/api/me")[0] == 401
        status, body = server.ask("GET", "/api/me", headers={"authorization": f"Bearer {made}"})
        assert (status, json.loads(body)["name"]) == (200, "token:t")
        assert not said(server, b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n").startswith(b"HTTP/1.1 200")
        assert server.stop() == 0


@pytest.mark.parametrize(
    "options", [("--host", "0.0.0.0"), ("--host", "0.0.0.0", "--no-login"), ("--login",), ("--tls-cert", "x")]
)
def test_it_does_not_start_where_it_should_not(tmp_path: Path, options: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match=r"refused|invalid"), Live(tmp_path, *options):
        pass
