import asyncio
import threading

import numpy as np
import pandas as pd
import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.serving import batching
from roadworthy.serving.batching import Batcher, Scored
from roadworthy.serving.model import load
from roadworthy.serving.protocols import Rows
from tests.serving.servers import FEATURES, ROW, Maker, flights


def request(*rows: dict) -> Rows:
    return Rows(columns={name: [row[name] for row in rows] for name in FEATURES}, count=len(rows))


def run(maker: Maker, scenario, **options):
    predictor = load(maker.bundle(maker.model(**options)))

    async def whole():
        batcher = Batcher(predictor, asyncio.get_running_loop())
        try:
            return await scenario(batcher, predictor)
        finally:
            await asyncio.to_thread(batcher.close)

    return asyncio.run(whole())


def test_each_request_gets_its_own_answer(maker: Maker) -> None:
    table = flights(200, seed=9)
    records = table[FEATURES].to_dict("records")

    async def scenario(batcher, predictor):
        sizes = [1, 2, 3, 5, 8, 13, 21, 34, 55]
        starts = np.cumsum([0, *sizes])
        jobs = [
            batcher.score(request(*records[start : start + size])) for start, size in zip(starts, sizes, strict=False)
        ]
        answers = await asyncio.gather(*jobs)
        assert batcher.batches < len(sizes)
        assert (batcher.requests_waiting, batcher.rows_waiting) == (0, 0)
        return [score for answer in answers for score in answer.scores], predictor.predict(table.head(sum(sizes)))

    found, expected = run(maker, scenario)
    assert np.allclose(found, expected, rtol=1e-12)


def test_one_bad_request_spoils_no_other(maker: Maker) -> None:
    async def scenario(batcher, _):
        bad = request(ROW, ROW | {"carrier": "ZZ"}, ROW)
        wrong = request(ROW | {"distance": "far"})
        jobs = [batcher.score(rows) for rows in (request(ROW), bad, request(ROW), wrong, request(ROW))]
        return await asyncio.gather(*jobs, return_exceptions=True)

    answers = run(maker, scenario, unknown="error")
    assert [isinstance(answer, Scored) for answer in answers] == [True, False, True, False, True]
    assert answers[1].code is answers[3].code is Code.INVALID
    assert (answers[1].detail["row"], answers[1].detail["by"]) == (1, "model")
    assert answers[3].detail["field"] == "distance"


def test_a_part_of_a_request_is_counted_as_the_client_counts(maker: Maker) -> None:
    async def scenario(batcher, _):
        rows = request(ROW, ROW, ROW | {"carrier": "ZZ"})
        part = await batcher.score(rows, take=[0, 1])
        with pytest.raises(Fault) as caught:
            await batcher.score(rows, take=[1, 2])
        nothing = await batcher.score(rows, take=[])
        return part, caught.value, nothing

    part, fault, nothing = run(maker, scenario, unknown="error")
    assert len(part.scores) == 2
    assert fault.detail["row"] == 2
    assert nothing.scores == []


def test_what_is_no_fault_of_the_rows_is_ours(maker: Maker) -> None:
    async def scenario(batcher, predictor):
        def broken(table: pd.DataFrame):
            raise MemoryError

        predictor.predict_aligned = broken
        return await asyncio.gather(batcher.score(request(ROW)), return_exceptions=True)

    assert isinstance(run(maker, scenario)[0], MemoryError)


def test_over_the_queue_clients_are_told_to_come_back(maker: Maker, monkeypatch) -> None:
    monkeypatch.setattr(batching, "REQUESTS_WAITING_MAX", 3)
    go = threading.Event()

    async def scenario(batcher, predictor):
        predict = predictor.predict_aligned
        predictor.predict_aligned = lambda table: go.wait(10) and predict(table)
        jobs = [asyncio.ensure_future(batcher.score(request(ROW))) for _ in range(5)]
        await asyncio.sleep(0.05)
        jobs[0].cancel()  # a client that goes away
        go.set()
        return await asyncio.gather(*jobs, return_exceptions=True)

    answers = run(maker, scenario)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(isinstance(answer, Scored) for answer in answers[1:3])
    assert all(answer.code is Code.UNAVAILABLE for answer in answers[3:])
