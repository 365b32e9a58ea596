"""The servers side by side: each as its own documentation starts it, in a folder of its own; and what memory they hold.

In: a folder, and for PostgreSQL a database's URL. Out: a `Running` with a port that speaks MLflow's wire. Called by
every row of this benchmark; the wire is the same, so this is all that differs between ours and the peers.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from benchmarks.frame import ROOT, Peers, our
from benchmarks.server.wire import Connection, Refused, Slow, request
from tests.postgres import Server as PostgreSQL
from tests.postgres import find_binaries

START_S_MAX = 600.0  # the peers need minutes where all cores are busy
SETTLE_S_MAX = 90.0
IDLE_CPU_S = 0.2  # in a second, of all servers together
MLFLOW = "mlflow"
FASTTRACKML = "fasttrackml==0.6.0"

# Command, given the port and the URL of a database ("" for the server's own default).
Command = Callable[[int, str], list[str]]


@dataclass
class Running:
    """A server that may be stopped and started again on the same data."""

    name: str
    folder: Path
    command: Command
    url: str = ""
    port: int = 0
    process: subprocess.Popen | None = None
    started_s: list[float] = field(default_factory=list)

    def start(self) -> float:
        """Seconds until `GET /health` was answered."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        variables |= {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)]),
        }
        begin = time.perf_counter()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(self.port, self.url),
                cwd=self.folder,
                env=variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not self._answers():
            if self.process.poll() is not None or time.perf_counter() - begin > START_S_MAX:
                raise RuntimeError(f"{self.name} does not start:\n{(self.folder / 'log').read_text()[-4000:]}")
            time.sleep(0.005)
        took = time.perf_counter() - begin
        self.started_s.append(took)
        return took

    def stop(self) -> None:
        """Ask it to stop; whatever of its processes is left after a while is killed."""
        if self.process is None:
            return
        tree = [self.process, *psutil.Process(self.process.pid).children(recursive=True)] if self._alive() else []
        if self._alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for each in tree[1:]:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        self.process = None

    def again(self) -> float:
        self.stop()
        return self.start()

    def connection(self, wait_s: float = 120.0) -> Connection:
        return Connection(self.port, wait_s)

    def memory(self) -> dict[str, float]:
        """Megabytes of the whole tree: RSS counts shared pages in each process, PSS once."""
        found = {"rss": 0.0, "pss": 0.0}
        if self.process is None:
            return found
        root = psutil.Process(self.process.pid)
        for each in [root, *root.children(recursive=True)]:
            try:
                full = each.memory_full_info()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            found["rss"] += full.rss / 1e6
            found["pss"] += full.pss / 1e6
        return found

    def cpu_s(self) -> float:
        if self.process is None:
            return 0.0
        root = psutil.Process(self.process.pid)
        times = [each.cpu_times() for each in [root, *root.children(recursive=True)]]
        return sum(t.user + t.system for t in times)

    def _alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _answers(self) -> bool:
        asking = self.connection(START_S_MAX)
        try:
            asking.ask(request("GET", "/health"))
        except (OSError, Refused, Slow):
            return False
        finally:
            asking.close()
        return True


class Watch:
    """The greatest memory of a server while a block runs."""

    def __init__(self, server: Running, every_s: float = 0.25) -> None:
        self._server = server
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.most = {"rss": 0.0, "pss": 0.0}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            now = self._server.memory()
            self.most = {kind: max(self.most[kind], now[kind]) for kind in now}
            if self._over.wait(self._every_s):
                return


class Database(PostgreSQL):
    """PostgreSQL as it is by default: every commit is synced (the tests' server does not, to be quick)."""

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c max_connections=300"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", log, "-o", options, "start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ours(folder: Path, url: str = "", name: str = "ours") -> Running:
    def command(port: int, store: str) -> list[str]:
        return [our(), "server", "--port", str(port), *(["--store", store] if store else [])]

    return Running(name, folder, command, url)


def mlflow(peers: Peers, folder: Path, url: str = "", name: str = "mlflow") -> Running:
    """Its own defaults: four workers, SQLite in the folder it is started in."""
    program = peers.program(MLFLOW)
    if url:
        with_driver(peers)

    def command(port: int, store: str) -> list[str]:
        return [program, "server", "--port", str(port), *(["--backend-store-uri", store] if store else [])]

    return Running(name, folder, command, url)


def fasttrackml(peers: Peers, folder: Path, name: str = "fasttrackml") -> Running:
    program = peers.program(FASTTRACKML, "fml")

    def command(port: int, _: str) -> list[str]:
        return [program, "server", "--listen-address", f"127.0.0.1:{port}", "--log-level", "warn"]

    return Running(name, folder, command)


def floor(folder: Path) -> Running:
    """The bare HTTP server: it reads each body and answers `{}`."""
    return Running("bare HTTP", folder, lambda port, _: [sys.executable, "-m", "benchmarks.server.floor", str(port)])


def with_driver(peers: Peers) -> None:
    """MLflow's environment with the driver that its documentation names for PostgreSQL."""
    python = peers.python(MLFLOW)
    if subprocess.run([python, "-c", "import psycopg2"], check=False, capture_output=True).returncode:
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "psycopg2-binary"]
        subprocess.run(pip, check=True)


def postgres() -> Database | None:
    binaries = find_binaries()
    return Database(binaries) if binaries else None


def settle(servers: Sequence[Running]) -> None:
    """Wait until none of them works: the last of four workers still loads when the first has answered."""
    until = time.monotonic() + SETTLE_S_MAX
    before = float("-inf")
    while time.monotonic() < until:
        spent = sum(each.cpu_s() for each in servers)
        if spent - before < IDLE_CPU_S:
            return
        before = spent
        time.sleep(1.0)


def stop_all(servers: Sequence[Running]) -> None:
    for each in servers:
        each.stop()
        shutil.rmtree(each.folder, ignore_errors=True)
