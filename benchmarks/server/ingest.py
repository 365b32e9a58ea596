"""What clients write, as streams of requests for the load, and the account of what was acknowledged.

In: a server, how many clients, how many seconds. Out: how much a second, and an `Account` by which the check
afterwards asks the server, over the wire, for all that it said it had taken.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from benchmarks.server.servers import Running
from benchmarks.server.wire import Connection, Load, Stream, drive, post, request

KEYS = 10
BATCH = 1000
BATCHES_PER_RUN = 60
AT = 1_700_000_000_000
JSON_HEAD = b'{"run_id": "%s", "metrics": '
CHECKED_RUNS = 3
BLIND = json.dumps({"run": {"info": {"run_id": "0" * 32}}}).encode()


@dataclass
class Account:
    """What was acknowledged, by run."""

    batches: Counter[str] = field(default_factory=Counter)
    singles: Counter[str] = field(default_factory=Counter)
    runs: list[str] = field(default_factory=list)


@lru_cache(maxsize=1)
def batches() -> tuple[bytes, ...]:
    """The metrics of one run's batches, as JSON: ten curves, a hundred steps of each in every batch."""
    return tuple(json.dumps(points(number)).encode() + b"}" for number in range(BATCHES_PER_RUN))


def points(number: int) -> list[dict[str, Any]]:
    steps = range(number * BATCH // KEYS, (number + 1) * BATCH // KEYS)
    return [
        {"key": f"metric{key}", "value": value(step, key), "timestamp": AT + step * 1000, "step": step}
        for step in steps
        for key in range(KEYS)
    ]


def value(step: int, key: int = 0) -> float:
    return 1.0 / (step + 1) + key


def log_batches(account: Account, runs: Iterator[str]) -> Stream:
    """Batches of 1,000 metrics, sixty to a run."""
    path = "/api/2.0/mlflow/runs/log-batch"
    for run in runs:
        head = JSON_HEAD % run.encode()
        for body in batches():
            if (yield request("POST", path, head + body)):
                account.batches[run] += 1
            else:
                break  # a batch that was refused ends its run, so that what is there has no holes


def log_metrics(account: Account, runs: Iterator[str]) -> Stream:
    """One metric after another, all of one run."""
    run = next(runs)
    head = f'{{"run_uuid": "{run}", "run_id": "{run}", "key": "metric0", "timestamp": {AT}, '
    step = 0
    while True:
        body = f'{head}"value": {value(step)!r}, "step": {step}}}'.encode()
        if (yield request("POST", "/api/2.0/mlflow/runs/log-metric", body)):
            account.singles[run] += 1
            step += 1


def log_runs(account: Account, _: Iterator[str]) -> Stream:
    """Whole small runs: created with 5 tags, 10 parameters and 20 metrics in one batch, finished."""
    tags = [{"key": f"tag{i}", "value": f"value {i}"} for i in range(5)]
    params = [{"key": f"param{i}", "value": str(i)} for i in range(10)]
    metrics = [{"key": f"metric{i}", "value": value(0, i), "timestamp": AT, "step": 0} for i in range(20)]
    create = post("runs/create", experiment_id="0", run_name="small", start_time=AT, tags=tags)
    content = json.dumps(params).encode(), json.dumps(metrics).encode()
    while True:
        made = yield create
        if not made:
            continue
        run = json.loads(made)["run"]["info"]["run_id"].encode()
        body = b'{"run_id": "%s", "params": %s, "metrics": %s}' % (run, *content)
        if not (yield request("POST", "/api/2.0/mlflow/runs/log-batch", body)):
            continue
        body = b'{"run_id": "%s", "status": "FINISHED", "end_time": %d}' % (run, AT + 1000)
        if (yield request("POST", "/api/2.0/mlflow/runs/update", body)):
            account.runs.append(run.decode())


def blind(kind: "Kind") -> Stream:
    """The same bytes for a server that answers nothing of use."""
    stream = kind.stream(Account(), iter("0" * 32 for _ in range(1_000_000)))
    wanted = next(stream)
    while True:
        yield wanted
        wanted = stream.send(BLIND)


@dataclass(frozen=True)
class Kind:
    """A row: what is written, and how many of what it counts one request holds."""

    name: str
    unit: str
    stream: Callable[[Account, Iterator[str]], Stream]
    per_request: float


KINDS = (
    Kind("log-batch of 1,000 metrics", "metrics/s", log_batches, BATCH),
    Kind("log-metric, one at a time", "metrics/s", log_metrics, 1.0),
    Kind("small runs (10 params, 20 metrics, 5 tags)", "runs/s", log_runs, 1 / 3),
)


def new_run(connection: Connection, name: str = "bench") -> str:
    made = connection.insist("runs/create", experiment_id="0", run_name=name, start_time=AT)
    return str(made["run"]["info"]["run_id"])


def load(server: Running, kind: Kind, clients: int, seconds: float, account: Account) -> Load:
    """One round of one row."""
    connection = server.connection()
    prepared = 1 if kind.stream is not log_batches else int(seconds * 3) + 2
    ready = [iter([new_run(connection) for _ in range(prepared)]) for _ in range(clients)]

    def endless(runs: Iterator[str]) -> Iterator[str]:
        yield from runs
        while True:
            yield new_run(connection)

    try:
        return drive(server.port, [kind.stream(account, endless(runs)) for runs in ready], seconds)
    finally:
        connection.close()


def check(server: Running, account: Account) -> int:
    """Ask for what was acknowledged: the points of some runs whole, the last values of others; how many were asked."""
    connection = server.connection()
    for run, count in [*account.batches.items()][:: max(1, len(account.batches) // CHECKED_RUNS)]:
        steps = count * BATCH // KEYS
        at_least(history(connection, run, "metric3"), [(step, value(step, 3)) for step in range(steps)], run)
    for run, count in [*account.singles.items()][:: max(1, len(account.singles) // CHECKED_RUNS)]:
        at_least(history(connection, run, "metric0"), [(step, value(step)) for step in range(count)], run)
        last = metrics_of(connection, run)["metric0"]
        assert last in {value(count - 1), value(count)}, (server.name, run, last)
    for run in account.runs[:: max(1, len(account.runs) // 50)]:
        data = connection.get(f"runs/get?run_id={run}")["run"]
        assert data["info"]["status"] == "FINISHED", (server.name, data["info"])
        assert {m["key"]: m["value"] for m in data["data"]["metrics"]} == {f"metric{i}": value(0, i) for i in range(20)}
        assert {p["key"]: p["value"] for p in data["data"]["params"]} == {f"param{i}": str(i) for i in range(10)}
        assert {f"tag{i}": f"value {i}" for i in range(5)}.items() <= {
            t["key"]: t["value"] for t in data["data"]["tags"]
        }.items()
    connection.close()
    return sum(account.batches.values()) * BATCH + sum(account.singles.values()) + len(account.runs)


def at_least(found: list[tuple[int, float]], wanted: list[tuple[int, float]], run: str) -> None:
    """All that was acknowledged is there; a request whose answer nobody waited for may be there too."""
    assert sorted(found)[: len(wanted)] == wanted, f"run {run}: {len(found)} points of at least {len(wanted)}"


def history(connection: Connection, run: str, key: str) -> list[tuple[int, float]]:
    found = connection.get(f"metrics/get-history?run_id={run}&metric_key={quote(key)}")["metrics"]
    return [(int(point.get("step", 0)), float(point["value"])) for point in found]


def metrics_of(connection: Connection, run: str) -> dict[str, float]:
    found = connection.get(f"runs/get?run_id={run}")["run"]["data"].get("metrics", [])
    return {metric["key"]: float(metric["value"]) for metric in found}
