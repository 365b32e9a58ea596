"""The floors: the same bytes through the bare HTTP server, and the same rows straight into SQLite, as durably.

`python -m benchmarks.server.floor PORT` serves a trivial application with the guard that our servers use; the
functions write rows with nothing around them. Nobody who speaks this wire and keeps the rows can be faster than both.
"""

import socket
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from roadworthy.serving.guard import serve

TABLES = """
CREATE TABLE metrics (run TEXT, key TEXT, step INTEGER, at INTEGER, value REAL);
CREATE TABLE runs (run TEXT PRIMARY KEY, name TEXT, status TEXT, start_at INTEGER, end_at INTEGER);
CREATE TABLE params (run TEXT, key TEXT, value TEXT);
CREATE TABLE tags (run TEXT, key TEXT, value TEXT);
"""
METRIC = "INSERT INTO metrics VALUES (?, ?, ?, ?, ?)"


async def trivial(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body, answer `{}`."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


class Rows:
    """A SQLite file with the durability that ours has: WAL, and every commit synced."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(TABLES)

    def batches(self, seconds: float) -> float:
        """Metrics a second, a thousand in each transaction."""
        rows = [("r" * 32, f"m{i % 10}", i // 10, 1_700_000_000_000 + i, i / 7) for i in range(1000)]
        return 1000 * self._repeat(seconds, lambda n: self._together([(METRIC, rows)]))

    def singles(self, seconds: float) -> float:
        """Metrics a second, one in each transaction."""
        return self._repeat(seconds, lambda n: self._together([(METRIC, [("r" * 32, "m", n, n, n / 7)])]))

    def runs(self, seconds: float) -> float:
        """Whole runs a second, in the three transactions that their three requests are."""

        def write(n: int) -> None:
            run = f"{n:032x}"
            tags = [(run, f"t{i}", "v") for i in range(5)]
            made = ("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", [(run, "name", "RUNNING", n, None)])
            self._together([made, ("INSERT INTO tags VALUES (?, ?, ?)", tags)])
            params = [(run, f"p{i}", "v") for i in range(10)]
            metrics = [(run, f"m{i}", 0, n, i / 7) for i in range(20)]
            self._together([("INSERT INTO params VALUES (?, ?, ?)", params), (METRIC, metrics)])
            ended = ("UPDATE runs SET status = 'FINISHED', end_at = ? WHERE run = ?", [(n, run)])
            self._together([ended])

        return self._repeat(seconds, write)

    def close(self) -> None:
        self._connection.close()

    def _together(self, writes: list[tuple[str, list[tuple]]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for sql, rows in writes:
            self._connection.executemany(sql, rows)
        self._connection.execute("COMMIT")

    def _repeat(self, seconds: float, write: Any) -> float:
        begin = time.perf_counter()
        n = int(time.time() * 1000) * 1000
        first = n
        while time.perf_counter() - begin < seconds:
            write(n)
            n += 1
        return (n - first) / (time.perf_counter() - begin)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
    serve((trivial, listener))
