"""A store of the first schema, with runs as they were then, becomes one of today's with nothing lost."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from roadworthy.nouns.run import Run
from roadworthy.registry import groups, history, metrics, run_search, runs
from roadworthy.registry.run_query import Condition, Query
from roadworthy.store import migrating
from roadworthy.store.sql import Database, Transaction
from roadworthy.store.store import open_store

AT = 1_700_000_000.25
RUN = """
INSERT INTO runs (id, project, run_group, status, started_at, seq, record)
VALUES (:id, :project, :run_group, :status, :started_at, :seq, :record)
"""
POINT = "INSERT INTO metric_points (run, key, step, seq, at, value) VALUES (:run, :key, :step, :seq, :at, :value)"
METRIC = "INSERT INTO metrics (run, key, points, step, at, value) VALUES (:run, :key, :points, :step, :at, :value)"


def old_run(tx: Transaction, seq: int, **fields: Any) -> str:
    run_id = f"{seq:032x}"
    record = {
        "id": run_id, "project": "", "group": "", "name": "", "status": "finished", "started_at": AT + seq,
        "ended_at": AT + seq + 1, "params": {}, "snapshots": {}, "seed": 0, "code": {}, "environment": {}, "steps": [],
        "tags": {}, "command": "", "actor": "ada", "error": None, "reproduces": None, **fields,
    }  # fmt: skip
    tx.execute(
        RUN, id=run_id, project=record["project"], run_group=record["group"], status=record["status"],
        started_at=record["started_at"], seq=seq, record=json.dumps(record),
    )  # fmt: skip
    return run_id


def old_metric(tx: Transaction, run_id: str, key: str, values: list[float]) -> None:
    rows = [
        {"run": run_id, "key": key, "step": n, "seq": n, "at": AT + n, "value": None if math.isnan(value) else value}
        for n, value in enumerate(values)
    ]
    tx.execute_many(POINT, rows)
    tx.execute(
        METRIC,
        run=run_id,
        key=key,
        points=len(values),
        step=rows[-1]["step"],
        at=rows[-1]["at"],
        value=rows[-1]["value"],
    )


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def old_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store of the first schema."""
    url = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres").new_database()
    (tmp_path / "home").mkdir()
    all_of_them = migrating.migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda: all_of_them[:1])
        database = Database(str(tmp_path / "home" / "store.db") if url == "sqlite" else url)
        migrating.migrate(database)
        with database.write() as tx:
            old_run(
                tx, 3, project="p", group="g", name="first", params={"lr": 0.1, "deep": {"a": [1]}}, tags={"team": "ml"}
            )
            old_run(tx, 7, project="p", status="running", ended_at=None, command="train.py", seed=5)
            old_run(tx, 8, group="g")
            bare = old_run(tx, 9)
            old_run(tx, 10, project="p", group="g", params={"x" * 300: 1, "nul": "a\u0000b"})
            old_metric(tx, bare, "loss", [float(n) for n in range(10_000)])
            old_metric(tx, bare, "one", [0.5])
            old_metric(tx, bare, "nan", [1.0, math.nan])
        database.close()
    return url


def test_nothing_of_the_first_schema_is_lost(old_url: str, tmp_path: Path) -> None:
    with open_store(tmp_path / "home", url=old_url) as store:
        first = runs.get(store, f"{3:032x}")
        assert (first.name, first.actor, first.project, first.group) == ("first", "ada", "p", "g")
        assert (first.started_at, first.ended_at, first.status) == (AT + 3, AT + 4, "finished")
        assert first.params == {"lr": 0.1, "deep": {"a": [1]}}
        assert first.tags == {"team": "ml"}
        second = runs.get(store, f"{7:032x}")
        assert (second.status, second.ended_at, second.command, second.seed) == ("running", None, "train.py", 5)
        assert runs.get(store, f"{10:032x}").params == {"x" * 300: 1, "nul": "a\x00b"}
        assert [run.id for run in runs.listing(store)] == [f"{n:032x}" for n in (10, 9, 8, 7, 3)]
        with store.read() as reader:
            names = {number: group.name for number in range(5) if (group := groups.find(reader, number))}
            assert names == {0: "Default", 1: "p/g", 2: "p", 3: "g"}
            found = run_search.search(reader, Query(groups=(1,), conditions=(Condition("param", "lr", "=", "0.1"),)))
            assert [row.id for row in found.rows] == [first.id]
            tables = {str(row[0]) for row in reader.rows(
                "SELECT name FROM sqlite_master" if old_url == "sqlite"
                else "SELECT CAST(table_name AS TEXT) FROM information_schema.tables"
            )}  # fmt: skip
            assert not tables & {"runs_1", "metrics_1", "metric_points"}
        bare = f"{9:032x}"
        assert metrics.latest(store, bare)["loss"] == 9_999.0
        assert math.isnan(metrics.latest(store, bare)["nan"])
        loss = history.of_run(store, bare, "loss")
        assert [point.value for point in loss] == [float(n) for n in range(10_000)]
        assert (loss[7].step, loss[7].at) == (7, AT + 7)
        assert [point.value for point in history.of_run(store, bare, "one")] == [0.5]
        assert len(history.of_run(store, bare, "nan")) == 2


def test_what_comes_after_goes_on_counting(old_url: str, tmp_path: Path) -> None:
    with open_store(tmp_path / "home", url=old_url) as store:
        run = runs.start(store, Run(id="", project="q"))
        assert runs.get(store, "latest").id == run.id
        with store.read() as reader:
            group = groups.named(reader, "q")
        assert group is not None
        assert group.id == 4
        assert groups.create(store, "by a client").id == 5
