"""The floors: the same bytes through the bare HTTP server, and the same rows straight into SQLite, as durably.

`python -m benchmarks.server.floor PORT` serves a trivial application with the guard that our servers use (its pages of
history come from memory, so that what the stock client takes for them is the client's own time); the functions write
rows with nothing around them. Nobody who speaks this wire and keeps the rows can be faster than both.
"""

import json
import socket
import sqlite3
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from benchmarks.server.filling import AT, metric
from roadworthy.serving.guard import serve

CURVE = 100_000  # points of the history that is answered from memory
TABLES = """
CREATE TABLE metrics (run TEXT, key TEXT, step INTEGER, at INTEGER, value REAL);
CREATE TABLE runs (run TEXT PRIMARY KEY, name TEXT, status TEXT, start_at INTEGER, end_at INTEGER);
CREATE TABLE params (run TEXT, key TEXT, value TEXT);
CREATE TABLE tags (run TEXT, key TEXT, value TEXT);
"""
METRIC = "INSERT INTO metrics VALUES (?, ?, ?, ?, ?)"


async def trivial(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body, answer `{}`; a curve's history, page by page, from memory."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    body = b"{}"
    if scope["path"].endswith("/get-history"):
        asked = parse_qs(scope["query_string"].decode())
        first = int(asked.get("page_token", ["0"])[0])
        body = page(first, int(asked.get("max_results", [CURVE])[0]))
    elif scope["path"].endswith("/runs/get"):
        body = b'{"run":{"info":{"run_id":"0","experiment_id":"0","status":"RUNNING"},"data":{}}}'
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


@lru_cache
def page(first: int, count: int) -> bytes:
    """A page of the history that all servers are asked for (filling.py), made once."""
    end = min(first + count, CURVE)
    points = [{"key": "curve", "value": metric(i), "timestamp": AT + i, "step": i} for i in range(first, end)]
    token = {"next_page_token": str(end)} if end < CURVE else {}
    return json.dumps({"metrics": points, **token}, separators=(",", ":")).encode()


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
