"""Shown: what a face has made of a run's parameters, tags and latest metrics, kept until one of them changes.

In: text that the server has made of runs for one page, to have it at once for the next. Out: that text, of a page of
runs in one look-up each. This file owns the table `run_shown` and the column `runs.shown`, which says that a run is in
it: whoever holds a run to write to it (`run_rows.hold`) reads that column anyway, so that forgetting costs runs that
nobody has looked at nothing; it forgets by itself, being the floor below. It is a cache: losing it costs time and
nothing else.
"""

from collections.abc import Mapping, Sequence

from roadworthy.registry import labels, run_rows
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Dialect, Reader, Transaction

_OF_RUNS: dict[Dialect, str] = {
    "sqlite": "SELECT run, data FROM run_shown WHERE run IN (SELECT value FROM json_each(:runs))",
    "postgresql": "SELECT run, data FROM run_shown WHERE run = ANY(:runs)",
}
_NOT_SHOWN: dict[Dialect, str] = {
    "sqlite": f"""
SELECT {run_rows.COLUMNS} FROM runs WHERE seq IN (SELECT value FROM json_each(:runs)) AND shown = 0
""",
    # Runs that somebody writes to just now are left for another time.
    "postgresql": f"""
SELECT {run_rows.COLUMNS} FROM runs WHERE seq = ANY(:runs) AND shown = 0 FOR UPDATE SKIP LOCKED
""",
}
_PUT = "INSERT INTO run_shown (run, data) VALUES (:run, :data)"
_MARK: dict[Dialect, str] = {
    "sqlite": "UPDATE runs SET shown = 1 WHERE seq IN (SELECT value FROM json_each(:runs))",
    "postgresql": "UPDATE runs SET shown = 1 WHERE seq = ANY(:runs)",
}


def of_runs(reader: Reader, runs: Sequence[int]) -> dict[int, str]:
    """What is kept of several runs, by number."""
    return dict(reader.rows(_OF_RUNS[reader.dialect], runs=labels.listed(reader, runs)))


def missing(tx: Transaction, runs: Sequence[int]) -> list[Row]:
    """Those of several runs of which nothing is kept, held until the transaction ends."""
    return run_rows.rows(tx.rows(_NOT_SHOWN[tx.dialect], runs=labels.listed(tx, runs)))


def keep(tx: Transaction, made: Mapping[int, str]) -> None:
    """Keep text of runs that `missing` held in this transaction."""
    tx.insert_many(_PUT, [{"run": run, "data": data} for run, data in made.items()])
    tx.execute(_MARK[tx.dialect], runs=labels.listed(tx, list(made)))
