"""A PostgreSQL server that the tests start and stop themselves."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

USER = "postgres"


def find_binaries() -> Path | None:
    """The folder of initdb and pg_ctl: on PATH, or where Debian puts them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


class Server:
    """A server on a Unix socket in a folder of its own, with no TCP port."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        # Short, because a socket's path may have 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="rwpg"))
        self._count = 0

    def __enter__(self) -> Self:
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._folder, USER)
        self._run("initdb", "-D", str(self._folder / "data"), "-A", "trust", "-U", USER, "-N", "-E", "UTF8")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-m", mode, "stop")

    def new_database(self) -> str:
        """An empty database; its URL."""
        self._count += 1
        name = f"test{self._count}"
        self._run("createdb", "-h", str(self._folder), "-U", USER, name)
        return f"postgresql://{USER}@/{name}?host={self._folder}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        user = USER if os.geteuid() == 0 else None
        done = subprocess.run(
            command,
            check=False,
            cwd=self._folder,
            user=user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


def end_connections(url: str) -> None:
    """Have PostgreSQL end all connections to a database, as it does when it is stopped."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
