"""The tracking server beside `mlflow server` and FastTrackML, over the same wire, in one run, the servers taking turns.

Every server is as its own documentation starts it: `mlflow server` with its four workers and SQLite in a folder, and
on PostgreSQL 15 with psycopg2; `fml server` with SQLite; `rw server` with SQLite, and on PostgreSQL. The client is one
loop over kept raw sockets that sends requests encoded beforehand; what it costs is the row `client`. Each number is
the median of rounds in which the servers took turns; each ratio is ours over the peer's, so that more is better for
us throughout; `bar` is what we want of it (of mlflow, of FastTrackML). After the load, what every server acknowledged
is asked for over the wire: counts, histories, last values; searches must answer with the names that arithmetic says.

`bare HTTP` is the same bytes through uvicorn alone, which reads them and answers `{}`; its history comes from memory,
so that what the stock client takes for that is the client's own time. `rows in SQLite` is the same rows in plain
tables, one transaction per request, synced as ours (FastTrackML does not sync its commits). For searches, 20,000 and
200,000 runs of 5 metrics, 5 parameters and 3 tags: our first 20,000 came over the wire; the rest, and the peers', went
straight into their tables. `>` is a bound that passed. Memory is PSS of the whole process tree (shared pages once) in
MB. FastTrackML has no route for artifacts.
"""

from pathlib import Path
from typing import Any

from benchmarks.frame import Peers

TITLE = "Tracking server"
PEERS = ("mlflow", "fasttrackml==0.6.0")


def measure(work: Path, peers: Peers) -> list[dict[str, Any]]:
    from benchmarks.server.rows import Bench, Sizes

    with Bench(work, peers, Sizes(), frozenset()) as bench:
        return bench.measure()
