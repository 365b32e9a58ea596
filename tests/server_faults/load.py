"""A load that counts what was acknowledged, and afterwards asks for all of it.

Each client writes to runs of its own, one request at a time, as fast as it is answered: creates a run with tags, logs
batches of metrics and parameters, single metrics, tags, ends the run, begins the next. Into its ledger goes what a
success was answered for, and what was sent when a connection broke, of which nobody can know. Then every run is asked
for: what was acknowledged must be there, what is unknown must be there whole or not at all, and nothing else may be.
"""

import itertools
import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

from benchmarks.server.wire import Connection, Slow, post
from tests.server_faults.served import ANSWER_S_MAX, Served, history, is_mlflow_error

AT = 1_700_000_000_000
BATCH = 50
KEYS = 5
STEPS_PER_RUN = 400
PAUSE_S = 0.02  # before a client that was refused asks again


@dataclass
class Written:
    """What one run should have."""

    id: str
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    steps: set[int] = field(default_factory=set)  # single metrics
    batches: set[int] = field(default_factory=set)
    finished: bool = False
    # What was sent when the answer did not come: kind and number.
    unknown: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class Found:
    """The counts of a check."""

    requests: int = 0
    runs: int = 0
    points: int = 0
    unknown: int = 0
    unknown_there: int = 0
    lost: list[str] = field(default_factory=list)


class Load:
    """Clients on threads, which go on through refusals and lost connections until they are told to stop.

    Args:
        servers: ports; each client has one of them, in turn.
        seed: of what they choose to write.
    """

    def __init__(self, servers: list[Served], clients: int = 8, seed: int = 7) -> None:
        self.runs: list[Written] = []
        self.acknowledged = 0
        self.refused: Counter[str] = Counter()
        self.broken = 0
        self.odd: list[tuple[int, bytes]] = []
        self._over = threading.Event()
        self._lock = threading.Condition()
        self._threads = [
            threading.Thread(
                target=self._client, args=(servers[n % len(servers)].port, random.Random(f"{seed} {n}")), daemon=True
            )
            for n in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(ANSWER_S_MAX)
            assert not thread.is_alive(), "a client hangs"

    def wait_for(self, more: int, *, refused: bool = False, timeout_s: float = ANSWER_S_MAX) -> None:
        """Until so many more requests were acknowledged (or refused)."""
        with self._lock:
            start = self._count(refused)
            came = self._lock.wait_for(lambda: self._count(refused) >= start + more, timeout_s)
        assert came, f"{self._count(refused) - start} of {more}; refused: {self.refused}; broken: {self.broken}"

    def _count(self, refused: bool) -> int:
        return self.refused.total() if refused else self.acknowledged

    def _client(self, port: int, chance: random.Random) -> None:
        connection = Connection(port, ANSWER_S_MAX)
        while not self._over.is_set():
            tags = {f"tag{i}": f"value {chance.random()}" for i in range(3)}
            wire = [{"key": key, "value": value} for key, value in tags.items()]
            answer = self._ask(connection, post("runs/create", experiment_id="0", start_time=AT, tags=wire))
            if answer is not None and answer is not UNKNOWN:
                run = Written(answer["run"]["info"]["run_id"], tags=tags)
                with self._lock:
                    self.runs.append(run)
                self._write(connection, run, chance)
        connection.close()

    def _write(self, connection: Connection, run: Written, chance: random.Random) -> None:
        for step in itertools.count():
            if self._over.is_set():
                return
            kind = chance.choice(("batch", "batch", "step", "tag"))
            if step >= STEPS_PER_RUN:
                kind = "finish"
            answer = self._ask(connection, encoded(run.id, kind, step))
            if answer is UNKNOWN:
                run.unknown.add((kind, step))
            elif answer is not None:
                _remember(run, kind, step)
            if kind == "finish":
                return

    def _ask(self, connection: Connection, wanted: bytes) -> Any:
        """The decoded answer of a success, None for a refusal, UNKNOWN when no answer came."""
        try:
            status, body = connection.ask_anything(wanted)
        except ConnectionRefusedError:  # nobody was there: nothing was sent
            self._over.wait(PAUSE_S)
            return None
        except (OSError, Slow):
            with self._lock:
                self.broken += 1
            self._over.wait(PAUSE_S)
            return UNKNOWN
        if status == 200:
            with self._lock:
                self.acknowledged += 1
                self._lock.notify_all()
            return json.loads(body)
        answer = json.loads(body) if body.startswith(b"{") else body
        with self._lock:
            if is_mlflow_error(status, answer):
                self.refused[f"{status} {answer['error_code']}"] += 1
            else:
                self.odd.append((status, body))
            self._lock.notify_all()
        self._over.wait(PAUSE_S)
        return None


UNKNOWN = object()


def encoded(run: str, kind: str, step: int) -> bytes:
    if kind == "batch":
        metrics = [
            {"key": f"curve{i % KEYS}", "value": value(step, i), "timestamp": AT + step, "step": step * BATCH + i}
            for i in range(BATCH)
        ]
        params = [{"key": f"param{step}", "value": str(step)}]
        return post("runs/log-batch", run_id=run, metrics=metrics, params=params)
    if kind == "step":
        return post("runs/log-metric", run_id=run, key="single", value=value(step), timestamp=AT + step, step=step)
    if kind == "tag":
        return post("runs/set-tag", run_id=run, key=f"mark{step}", value=f"set {step}")
    return post("runs/update", run_id=run, status="FINISHED", end_time=AT + step)


def value(step: int, index: int = 0) -> float:
    return (step * 1_000 + index) / 7.0


def _remember(run: Written, kind: str, step: int) -> None:
    if kind == "batch":
        run.batches.add(step)
        run.params[f"param{step}"] = str(step)
    elif kind == "step":
        run.steps.add(step)
    elif kind == "tag":
        run.tags[f"mark{step}"] = f"set {step}"
    else:
        run.finished = True


def check(served: Served, load: Load) -> Found:
    """Ask for everything that was acknowledged; `lost` names what is not there, or is there in part."""
    found = Found(requests=load.acknowledged)
    with served.connected() as connection:
        for run in load.runs:
            _check_run(connection, run, found)
    return found


def _check_run(connection: Connection, run: Written, found: Found) -> None:
    found.runs += 1
    stored = connection.get(f"runs/get?run_id={run.id}")["run"]
    tags = {tag["key"]: tag["value"] for tag in stored["data"].get("tags", [])}
    params = {param["key"]: param["value"] for param in stored["data"].get("params", [])}
    found.lost += [f"{run.id}: tag {key}" for key, wanted in run.tags.items() if tags.get(key) != wanted]
    found.lost += [f"{run.id}: {key}" for key, wanted in run.params.items() if params.get(key) != wanted]
    if run.finished and stored["info"]["status"] != "FINISHED":
        found.lost.append(f"{run.id}: it ended")
    points: dict[int, float] = {}
    for key in {f"curve{i}" for i in range(KEYS)} if any(k["key"] == "curve0" for k in _metrics(stored)) else ():
        points |= history(connection, run.id, key)
    singles = history(connection, run.id, "single") if any(k["key"] == "single" for k in _metrics(stored)) else {}
    found.points += len(points) + len(singles)
    found.lost += [f"{run.id}: step {step}" for step in run.steps if singles.get(step) != value(step)]
    for step in run.batches:
        if not _whole(points, step):
            found.lost.append(f"{run.id}: batch {step}")
    for kind, step in run.unknown:
        found.unknown += 1
        if kind == "batch":
            some = any(step * BATCH + i in points for i in range(BATCH)) or f"param{step}" in params
            whole = _whole(points, step) and f"param{step}" in params
            if some and not whole:
                found.lost.append(f"{run.id}: half of batch {step}")
            found.unknown_there += whole
        elif kind == "step":
            found.unknown_there += step in singles
        elif kind == "tag":
            found.unknown_there += f"mark{step}" in tags
        else:
            found.unknown_there += stored["info"]["status"] == "FINISHED"
    known = set(run.batches) | {step for kind, step in run.unknown if kind == "batch"}
    found.lost += [f"{run.id}: a point nobody logged" for step in points if step // BATCH not in known]


def _metrics(stored: dict[str, Any]) -> list[dict[str, Any]]:
    metrics: list[dict[str, Any]] = stored["data"].get("metrics", [])
    return metrics


def _whole(points: dict[int, float], step: int) -> bool:
    return all(points.get(step * BATCH + i) == value(step, i) for i in range(BATCH))
