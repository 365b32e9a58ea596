"""The same stored runs in every server: ours gets the first of them over the wire, all others come in bulk.

Filling 200,000 runs over their wire would take the peers an hour; what all answer about them is checked over the wire.
All numbers follow from a run's number by integer arithmetic, in SQL and in Python alike, without ties.
"""

import itertools
import json
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.server.servers import Running
from benchmarks.server.wire import Stream, drive, post, request

AT = 1_700_000_000_000
PRIME = 1_000_003
METRICS = PARAMS = 5
TAGS = 3
CLIENTS = 64
CURVE = "curve"

# A counter from :low to :high (exclusive), for runs, metrics of a run, and points of a curve.
COUNTED = "WITH RECURSIVE n(i) AS (SELECT :low UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :high)"
MANY = ", k(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM k WHERE k + 1 < :many) "
MLFLOW = (
    COUNTED + " INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
    " start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
    " SELECT printf('%032x', i), printf('run-%06d', i), 'UNKNOWN', '', '', 'bench', 'FINISHED',"
    f" {AT} + i, {AT} + i + 1, '', 'active', 'mlflow-artifacts:/0/' || printf('%032x', i) || '/artifacts', 0 FROM n",
    COUNTED + MANY + "INSERT INTO params (key, value, run_uuid)"
    " SELECT 'param' || k, 'p' || ((i / (k + 1)) % 10), printf('%032x', i) FROM n, k",
    COUNTED + MANY + "INSERT INTO tags (key, value, run_uuid)"
    " SELECT 'tag' || k, 't' || ((i / (k + 1)) % 7), printf('%032x', i) FROM n, k WHERE k < 3",
    COUNTED + MANY + "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)"
    f" SELECT 'metric' || k, ((i * 7919 + k * 104729) % {PRIME}) / {PRIME}.0, {AT}, printf('%032x', i), 0, 0 FROM n, k",
    COUNTED + MANY + "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan)"
    f" SELECT 'metric' || k, ((i * 7919 + k * 104729) % {PRIME}) / {PRIME}.0, {AT}, printf('%032x', i), 0, 0 FROM n, k",
)
OURS = (
    COUNTED + " INSERT INTO runs (seq, id, group_id, project, run_group, name, actor, status, stage, start_ms, end_ms,"
    " location, record) SELECT i, printf('%032x', i), 0, '', '', printf('run-%06d', i), 'bench', 'finished', 'active',"
    f" {AT} + i, {AT} + i + 1, '', '{{}}' FROM n",
    COUNTED + MANY + "INSERT INTO run_params (run, key, value, group_id)"
    " SELECT i, 'param' || k, 'p' || ((i / (k + 1)) % 10), 0 FROM n, k",
    COUNTED + MANY + "INSERT INTO run_tags (run, key, value, group_id)"
    " SELECT i, 'tag' || k, 't' || ((i / (k + 1)) % 7), 0 FROM n, k WHERE k < 3",
    COUNTED + " INSERT INTO run_tags (run, key, value, group_id)"
    " SELECT i, 'mlflow.runName', printf('run-%06d', i), 0 FROM n",
    COUNTED + MANY + "INSERT INTO metrics (run, key, group_id, value, step, at_ms, points, loose)"
    f" SELECT i, 'metric' || k, 0, ((i * 7919 + k * 104729) % {PRIME}) / {PRIME}.0, 0, {AT}, 1, 1 FROM n, k",
    COUNTED + MANY + "INSERT INTO metric_chunks (run, key, level, seq, points, first_ms, last_ms, data)"
    f" SELECT i, 'metric' || k, 0, 0, 1, {AT}, {AT}, packed(((i * 7919 + k * 104729) % {PRIME}) / {PRIME}.0) FROM n, k",
    "UPDATE counters SET value = max(value, :high) WHERE name = 'runs'",
)
MLFLOW_CURVE = (
    COUNTED + " INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)"
    f" SELECT 'curve', ((i * 7919) % {PRIME}) / {PRIME}.0, {AT} + i, :run, i, 0 FROM n"
)
FASTTRACKML = (
    COUNTED + " INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
    " start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id, row_num)"
    " SELECT printf('%032x', i), printf('run-%06d', i), 'UNKNOWN', '', '', 'bench', 'FINISHED',"
    f" {AT} + i, {AT} + i + 1, '', 'active', 'artifacts/0/' || printf('%032x', i) || '/artifacts', 0, i FROM n",
    COUNTED + MANY + "INSERT INTO params (key, value_str, run_uuid)"
    " SELECT 'param' || k, 'p' || ((i / (k + 1)) % 10), printf('%032x', i) FROM n, k",
    MLFLOW[2],
    COUNTED + MANY + "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan, iter, context_id)"
    f" SELECT 'metric' || k, ((i * 7919 + k * 104729) % {PRIME}) / {PRIME}.0, {AT}, printf('%032x', i), 0, 0, 1, 1"
    " FROM n, k",
    COUNTED + MANY + "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan, last_iter, context_id)"
    f" SELECT 'metric' || k, ((i * 7919 + k * 104729) % {PRIME}) / {PRIME}.0, {AT}, printf('%032x', i), 0, 0, 1, 1"
    " FROM n, k",
)
FASTTRACKML_CURVE = (
    COUNTED + " INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan, iter, context_id)"
    f" SELECT 'curve', ((i * 7919) % {PRIME}) / {PRIME}.0, {AT} + i, :run, i, 0, i + 1, 1 FROM n"
)
FASTTRACKML_CONTEXT = "INSERT INTO contexts (id, json) VALUES (1, '{}') ON CONFLICT DO NOTHING"


def metric(run: int, key: int = 0) -> float:
    return ((run * 7919 + key * 104729) % PRIME) / float(PRIME)


def param(run: int, key: int = 0) -> str:
    return f"p{(run // (key + 1)) % 10}"


def tag(run: int, key: int = 0) -> str:
    return f"t{(run // (key + 1)) % 7}"


def name(run: int) -> str:
    return f"run-{run:06d}"


def over_the_wire(server: Running, low: int, high: int) -> float:
    """Write runs `low` to `high` as clients do; seconds it took."""
    numbers = iter(range(low, high))
    load = drive(server.port, [_runs(numbers) for _ in range(CLIENTS)], 3600.0)
    assert not load.bad, f"{load.bad} of {load.requests} were refused"
    return load.took_s


def _runs(numbers: Iterator[int]) -> Stream:
    for run in numbers:
        tags = [{"key": f"tag{k}", "value": tag(run, k)} for k in range(TAGS)]
        made = yield post("runs/create", experiment_id="0", run_name=name(run), start_time=AT + run, tags=tags)
        content: dict[str, Any] = {
            "metrics": [{"key": f"metric{k}", "value": metric(run, k), "timestamp": AT, "step": 0} for k in range(5)],
            "params": [{"key": f"param{k}", "value": param(run, k)} for k in range(PARAMS)],
        }
        yield post("runs/log-batch", run_id=json.loads(made)["run"]["info"]["run_id"], **content)


def in_bulk(server: Running, low: int, high: int) -> None:
    """The same rows in a server's own tables, while it is stopped."""
    scripts = {"ours": OURS, "mlflow": MLFLOW}.get(server.name, FASTTRACKML)
    with _open(server) as connection:
        connection.create_function("packed", 1, lambda value: struct.pack("<qqd", 0, AT, value))
        if scripts is FASTTRACKML:
            connection.execute(FASTTRACKML_CONTEXT)
        for script in scripts:
            connection.execute(script, {"low": low, "high": high, "many": METRICS})
        connection.commit()


def curve_over_the_wire(server: Running, count: int) -> str:
    """One curve of `count` points, a thousand in each request; the run that has it."""
    connection = server.connection()
    run = connection.call("runs/create", experiment_id="0", run_name="curve", start_time=AT)["run"]["info"]["run_id"]
    connection.close()
    firsts = iter(range(0, count, 1000))

    def part() -> Stream:
        for first in firsts:
            points = ",".join(
                f'{{"key":"curve","value":{metric(i)!r},"timestamp":{AT + i},"step":{i}}}'
                for i in range(first, min(first + 1000, count))
            )
            yield request(
                "POST", "/api/2.0/mlflow/runs/log-batch", f'{{"run_id":"{run}","metrics":[{points}]}}'.encode()
            )

    load = drive(server.port, [part() for _ in range(min(CLIENTS, max(1, count // 1000)))], 3600.0)
    assert not load.bad, f"{load.bad} of {load.requests} were refused"
    return str(run)


def curve_in_bulk(server: Running, count: int, run: str) -> None:
    """The same curve in a peer's own tables, while it is stopped, as a stored run's."""
    script = MLFLOW_CURVE if server.name.startswith("mlflow") else FASTTRACKML_CURVE
    with _open(server) as connection:
        if script is FASTTRACKML_CURVE:
            connection.execute(FASTTRACKML_CONTEXT)
        connection.execute(script, {"low": 0, "high": count, "run": run})
        connection.commit()


def curve(count: int) -> Iterator[tuple[int, float]]:
    return ((i, metric(i)) for i in itertools.islice(itertools.count(), count))


def _open(server: Running) -> sqlite3.Connection:
    file = {"ours": ".roadworthy/store.db", "mlflow": "mlflow.db"}.get(server.name, "fasttrackml.db")
    path = Path(server.folder / file)
    assert path.exists(), path
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -500000")
    return connection
