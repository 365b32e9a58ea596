"""What clients read: pages of a search over many runs, and the history of a long curve, raw and by the stock client.

In: servers that hold the same runs. Out: the median seconds of each question, the servers taking turns; every answer is
compared with what arithmetic says it must be.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.frame import Peers
from benchmarks.server import filling
from benchmarks.server.servers import MLFLOW, Running
from benchmarks.server.wire import Connection, Slow, post, request

ANSWER_S_MAX = 30.0
QUESTION_S = 3.0  # as many rounds as fit, at least three where one is short
ROUNDS_MAX = 30
PAGE_OF_HISTORY = 25_000  # as the stock client asks

STOCK = """
import sys, time
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
client.get_run(sys.argv[2])
began = time.perf_counter()
found = client.get_metric_history(sys.argv[2], "curve")
took = time.perf_counter() - began
print(took, len(found), repr(sum(point.value for point in sorted(found, key=lambda p: p.step))))
"""


@dataclass(frozen=True)
class Question:
    name: str
    filter: str
    order: str
    page: int

    @property
    def kind(self) -> str:
        """What is asked, however long the page."""
        return f"{self.filter} {self.order}"

    def request(self, token: str = "") -> bytes:
        fields: dict[str, Any] = {"experiment_ids": ["0"], "max_results": self.page, "order_by": [self.order]}
        if self.filter:
            fields["filter"] = self.filter
        if token:
            fields["page_token"] = token
        return post("runs/search", **fields)

    def answer(self, runs: int) -> list[str]:
        """The names of all runs that match, in order."""
        numbers = range(1, runs + 1)
        if self.filter:
            numbers = [run for run in numbers if filling.metric(run) > 0.5 and filling.param(run) == "p3"]
        if "DESC" in self.order:
            numbers = sorted(numbers, key=lambda run: -filling.metric(run, 1))
        else:
            numbers = sorted(numbers, key=lambda run: filling.metric(run, 2))
        return [filling.name(run) for run in numbers]


FILTER = "metrics.metric0 > 0.5 and params.param0 = 'p3'"
QUESTIONS = tuple(
    Question(f"{name}, page of {page:,}", wanted, order, page)
    for name, wanted, order in (
        ("filtered by metric and param, by a metric", FILTER, "metrics.metric1 DESC"),
        ("all, by a metric", "", "metrics.metric2 ASC"),
    )
    for page in (100, 1000)
)


@dataclass
class Answers:
    """The seconds one server took, or that it did not answer within the bound."""

    times: list[float] = field(default_factory=list)
    slow: bool = False
    cpu_s: float = 0.0

    @property
    def median(self) -> float | None:
        return None if self.slow or not self.times else statistics.median(self.times)


def ask(servers: Sequence[Running], question: Question, runs: int, bound_s: float = ANSWER_S_MAX) -> dict[str, Answers]:
    """The question to each server in turn, round after round, until each has had its time."""
    expected = question.answer(runs)[: question.page]
    found = {server.name: Answers() for server in servers}
    connections = {server.name: server.connection(bound_s) for server in servers}
    for _ in range(ROUNDS_MAX):
        for server in servers:
            answers = found[server.name]
            if answers.slow or (answers.times and sum(answers.times) >= QUESTION_S and enough(answers)):
                continue
            spent, begin = server.cpu_s(), time.perf_counter()
            try:
                body = connections[server.name].ask(question.request())
            except Slow:
                answers.slow = True
                server.again()  # or it would work on, beside those that are asked next
                connections[server.name] = server.connection(bound_s)
                continue
            answers.times.append(time.perf_counter() - begin)
            answers.cpu_s += server.cpu_s() - spent
            if len(answers.times) == 1:
                names = [run["info"]["run_name"] for run in json.loads(body)["runs"]]
                assert names == expected, f"{server.name} answers otherwise: {names[:3]}, not {expected[:3]}"
    for connection in connections.values():
        connection.close()
    return found


def enough(answers: Answers) -> bool:
    return len(answers.times) >= 3 or answers.times[0] > 2 * QUESTION_S


def walk(server: Running, question: Question, runs: int) -> int:
    """Follow the page tokens to the end; how many runs came, each once and in order."""
    connection = server.connection()
    names: list[str] = []
    token = ""
    while True:
        page = json.loads(connection.ask(question.request(token)))
        names += [run["info"]["run_name"] for run in page.get("runs", [])]
        token = page.get("next_page_token", "")
        if not token:
            break
    connection.close()
    assert names == question.answer(runs), f"{server.name}: the pages together are not the answer"
    return len(names)


def raw_history(server: Running, run: str, count: int, bound_s: float = ANSWER_S_MAX) -> float:
    """Seconds until the whole history was received; `inf` if not within the bound."""
    connection = server.connection(bound_s)
    path = f"/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={filling.CURVE}"
    begin = time.perf_counter()
    try:
        body = connection.ask(request("GET", path))
    except Slow:
        server.again()
        return float("inf")
    finally:
        connection.close()
    took = time.perf_counter() - begin
    check_points(server, body, count)
    return took


def check_points(server: Running, body: bytes, count: int) -> None:
    """That all points are there, and (of a history that fits) that they are the right ones."""
    found = body.count(b'"timestamp"')
    assert found == count, f"{server.name} answers with {found} points, not {count}"
    if count <= 200_000:
        points = sorted((int(p.get("step", 0)), float(p["value"])) for p in json.loads(body)["metrics"])
        assert points == list(filling.curve(count)), f"{server.name} answers with other points"


def paged_history(connection: Connection, run: str, bound_s: float) -> tuple[int, float]:
    """Points received, and seconds, page after page as the stock client asks, within the bound."""
    base = f"/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={filling.CURVE}&max_results={PAGE_OF_HISTORY}"
    begin = time.perf_counter()
    points, token = 0, ""
    while time.perf_counter() - begin < bound_s:
        try:
            body = connection.ask(request("GET", base + (f"&page_token={token}" if token else "")))
        except Slow:
            break
        points += body.count(b'"timestamp"')
        # The token is at the end of the answer; decoding all of it would be the client's time, not the server's.
        tail = body[-300:].rpartition(b'"next_page_token"')[2].split(b'"')
        token = tail[1].decode() if b'"next_page_token"' in body[-300:] and len(tail) > 1 else ""
        if not token:
            break
    return points, time.perf_counter() - begin


def stock_history(server: Running, peers: Peers, run: str, count: int) -> float:
    """Seconds that the stock client takes for the whole history, its imports not counted."""
    command = [str(peers.python(MLFLOW)), "-c", STOCK, f"http://127.0.0.1:{server.port}", run]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the stock client failed against {server.name}:\n{done.stderr[-3000:]}")
    took, points, total = done.stdout.split()
    assert int(points) == count, f"{server.name}: {points} points, not {count}"
    assert float(total) == sum(value for _, value in filling.curve(count)), f"{server.name}: other points"
    return float(took)
