"""Batching: concurrent requests share one call of the model, in a thread that the event loop never waits for.

In: the rows of requests, as serving/protocols.py read them. Out: per request its scores and its checked columns, or the
`Fault` that names row and field. Nobody waits for a batch to fill: while one is scored the next gathers by itself, so a
lone request pays nothing. The queue is bounded; over it, clients are told to come back.
"""

import asyncio
import queue
import threading
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from roadworthy.nouns.errors import Fault, invalid, unavailable
from roadworthy.nouns.model import Signature
from roadworthy.serving.model import Predictor
from roadworthy.serving.protocols import Rows
from roadworthy.serving.signature import assemble, check_columns

BATCH_ROWS_MAX = 1_024
REQUESTS_WAITING_MAX = 512
ROWS_WAITING_MAX = 50_000
PROBLEM_CHARACTERS_MAX = 300
# What estimators raise about the rows they are given, such as a category that an encoder never saw.
_ABOUT_ROWS = (ValueError, TypeError, LookupError, ArithmeticError, Fault)


class Scored(NamedTuple):
    """A request's answer: a score per row, and the checked columns in the signature's order, for the log."""

    scores: list[float]
    columns: list[Sequence[Any]]


class _Job(NamedTuple):
    rows: Rows
    take: Sequence[int] | None
    future: "asyncio.Future[Scored]"


class Batcher:
    """Scores requests in one thread of its own.

    Args:
        predictor: the loaded model.
        loop: where answers are delivered.
    """

    def __init__(self, predictor: Predictor, loop: asyncio.AbstractEventLoop) -> None:
        self._predictor = predictor
        self._signature: Signature = predictor.model.signature
        self._loop = loop
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.requests_waiting = 0
        self.rows_waiting = 0
        self.batches = 0
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._thread.start()

    async def score(self, rows: Rows, take: Sequence[int] | None = None) -> Scored:
        """The answer for a request's rows, or for those of them that `take` lists; all rows are checked either way.

        Raises:
            Fault: invalid, naming the row; unavailable, when too many wait already.
        """
        alone = not self.requests_waiting
        if not alone and (
            self.requests_waiting >= REQUESTS_WAITING_MAX or self.rows_waiting + rows.count > ROWS_WAITING_MAX
        ):
            raise unavailable("too many requests wait for the model", fix="try again in a second")
        job = _Job(rows, take, self._loop.create_future())
        self.requests_waiting += 1
        self.rows_waiting += rows.count
        self._queue.put(job)
        return await job.future

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            jobs, more = self._gather(first)
            outcomes = self._outcomes(jobs)
            self._loop.call_soon_threadsafe(self._deliver, jobs, outcomes)
            if not more:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """What waits already, up to a batch; and whether there will be more."""
        jobs, rows = [first], first.rows.count
        while rows < BATCH_ROWS_MAX:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, False
            jobs.append(job)
            rows += job.rows.count
        return jobs, True

    def _deliver(self, jobs: list[_Job], outcomes: list[Scored | BaseException]) -> None:
        self.batches += 1
        for job, outcome in zip(jobs, outcomes, strict=True):
            self.requests_waiting -= 1
            self.rows_waiting -= job.rows.count
            if job.future.done():  # the client went away
                continue
            if isinstance(outcome, Scored):
                job.future.set_result(outcome)
            else:
                job.future.set_exception(outcome)

    def _outcomes(self, jobs: list[_Job]) -> list[Scored | BaseException]:
        checked = [self._check(job) for job in jobs]
        good = [columns for columns in checked if isinstance(columns, list)]
        scored = iter(self._score(good))
        found = [next(scored) if isinstance(columns, list) else columns for columns in checked]
        return [_as_sent(job, outcome) for job, outcome in zip(jobs, found, strict=True)]

    def _check(self, job: _Job) -> list[Sequence[Any]] | BaseException:
        try:
            columns = check_columns(job.rows.columns, self._signature, source=job.rows.source)
        except Exception as problem:
            return problem
        if job.take is not None:
            return [[values[row] for row in job.take] for values in columns]
        return columns

    def _score(self, requests: list[list[Sequence[Any]]]) -> list[Scored | BaseException]:
        """Score checked columns of several requests in one call; if that fails, each alone: one must not spoil many."""
        if not requests:
            return []
        try:
            scores = self._predict(requests[0] if len(requests) == 1 else _joined(requests))
        except Exception as problem:
            if len(requests) > 1:
                return list(chain.from_iterable(self._score([columns]) for columns in requests))
            return [self._explained(requests[0], problem)]
        found: list[Scored | BaseException] = []
        start = 0
        for columns in requests:
            end = start + _count(columns)
            found.append(Scored(scores[start:end], columns))
            start = end
        return found

    def _predict(self, columns: list[Sequence[Any]]) -> list[float]:
        answer: list[float] = self._predictor.predict_aligned(assemble(columns, self._signature)).tolist()
        return answer

    def _explained(self, columns: list[Sequence[Any]], problem: Exception) -> BaseException:
        """Why the model cannot answer: the first row that it refuses, found by halving."""
        if not isinstance(problem, _ABOUT_ROWS):
            return problem
        start, end = 0, _count(columns)
        while end - start > 1:
            middle = (start + end) // 2
            try:
                self._predict([values[start:middle] for values in columns])
                start = middle
            except Exception as smaller:
                end, problem = middle, smaller
        return _refusal(start, str(problem)[:PROBLEM_CHARACTERS_MAX])


def _refusal(row: int, said: str) -> Fault:
    return invalid(
        f"the model cannot answer for this row: {said}",
        where=f"row {row}",
        fix="send values such as it was trained on",
        detail={"row": row, "by": "model", "said": said},
    )


def _as_sent(job: _Job, outcome: Scored | BaseException) -> Scored | BaseException:
    """An outcome that names the row as the client counts."""
    if job.take is None or not isinstance(outcome, Fault) or outcome.detail.get("by") != "model":
        return outcome
    return _refusal(job.take[outcome.detail["row"]], outcome.detail["said"])


def _joined(requests: list[list[Sequence[Any]]]) -> list[Sequence[Any]]:
    return [list(chain.from_iterable(parts)) for parts in zip(*requests, strict=True)]


def _count(columns: list[Sequence[Any]]) -> int:
    return len(columns[0]) if columns else 0
