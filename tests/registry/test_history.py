"""Histories: whatever is logged in whatever order comes back once, in order, whole and page by page."""

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.nouns.run import MetricPoint, Run
from roadworthy.registry import chunks, history, metrics, run_rows, runs
from roadworthy.registry.chunks import Point
from roadworthy.store.store import Store, open_store

# Few different moments and steps, so that points collide.
POINTS = st.tuples(
    st.integers(0, 6),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-300, 0.1]),
)
BATCHES = st.lists(st.lists(POINTS, min_size=1, max_size=90), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("lasting") / ".roadworthy") as opened:
        yield opened


def told(points: list[Point]) -> list[tuple]:
    """Points that compare: NaN as text."""
    return [(at, step, repr(value)) for at, step, value in points]


def logged(store: Store, batches: list[list[Point]], key: str = "x") -> int:
    run = runs.start(store, Run(id=""))
    for batch in batches:
        with store.append() as tx:
            row = run_rows.hold(tx, run.id)
            assert row is not None
            metrics.append(tx, row, {key: batch})
    return row.seq


def wanted(batches: list[list[Point]]) -> list[Point]:
    unique = {told([point])[0]: point for batch in batches for point in batch}
    return sorted(unique.values(), key=chunks.place)


@settings(deadline=None, max_examples=60)
@given(BATCHES, st.integers(1, 7))
def test_what_was_logged_comes_back_once_and_in_order(lasting: Store, batches: list[list[Point]], page: int) -> None:
    run = logged(lasting, batches)
    expected = wanted(batches)
    with lasting.read() as reader:
        assert told(history.whole(reader, run, "x")) == told(expected)
        found: list[Point] = []
        while part := history.page(reader, run, "x", after=found[-1] if found else None, limit=page):
            assert len(part) <= page
            found += part
        assert told(found) == told(expected)
        (latest,) = metrics.of_runs(reader, [run])[run]
        best = max(expected, key=chunks.rank)
        assert chunks.rank((latest[3], latest[2], latest[1])) == chunks.rank(best)


@settings(deadline=None, max_examples=30)
@given(st.lists(POINTS, min_size=1, max_size=200))
def test_a_chunk_holds_its_points(points: list[Point]) -> None:
    chunk, _ = chunks.pack(points)
    assert told(chunks.unpack([chunk.data])) == told(wanted([points]))
    assert (chunk.points, chunk.first_ms, chunk.last_ms) == (
        len(points),
        min(p[0] for p in points),
        max(p[0] for p in points),
    )


def test_points_logged_one_by_one_become_few_chunks(any_store: Store) -> None:
    run = logged(any_store, [[(at, at, at / 7)] for at in range(64 * 66)])
    with any_store.read() as reader:
        rows = reader.rows("SELECT level, points FROM metric_chunks ORDER BY level, seq")
        assert len(rows) < 70
        assert sum(points for _, points in rows) == 64 * 66
        assert told(history.whole(reader, run, "x")) == told([(at, at, at / 7) for at in range(64 * 66)])
        assert told(history.page(reader, run, "x", after=(4000, 4000, 4000 / 7), limit=2)) == told(
            [(4001, 4001, 4001 / 7), (4002, 4002, 4002 / 7)]
        )


def test_a_batch_sent_again_doubles_nothing(any_store: Store) -> None:
    batch = [(at, at, math.nan if at % 3 else 1.0) for at in range(100)]
    run = logged(any_store, [batch, batch, batch[:1], batch[50:]])
    with any_store.read() as reader:
        assert told(history.whole(reader, run, "x")) == told(batch)


def test_the_only_point_of_a_metric_has_no_chunk(any_store: Store) -> None:
    run = logged(any_store, [[(5, 1, math.nan)]])
    with any_store.read() as reader:
        assert reader.rows("SELECT * FROM metric_chunks") == []
        assert told(history.whole(reader, run, "x")) == told(history.page(reader, run, "x", after=None, limit=9))
        assert told(history.whole(reader, run, "x")) == [(5, 1, "nan")]
        assert history.page(reader, run, "x", after=(5, 1, math.nan), limit=9) == []


def test_a_sample_has_both_ends_and_is_even() -> None:
    points = [(at, at, float(at)) for at in range(1_000)]
    for count in (2, 3, 10, 999):
        found = history.sample(points, count)
        assert len(found) == count
        assert (found[0], found[-1]) == (points[0], points[-1])
        gaps = {b[0] - a[0] for a, b in pairwise(found[:-1])}
        assert max(gaps, default=0) - min(gaps, default=0) <= 1
    assert history.sample(points, 1) == [points[-1]]
    assert history.sample(points, 5_000) == points


@settings(deadline=None, max_examples=40)
@given(BATCHES, st.integers(1, 50), st.sampled_from([None, (-1, 2), (9, 10)]))
def test_points_are_spread_as_if_all_were_in_memory(
    lasting: Store, batches: list[list[Point]], count: int, steps: tuple[int, int] | None
) -> None:
    run = logged(lasting, batches)
    points = [p for p in wanted(batches) if steps is None or steps[0] <= p[1] <= steps[1]]
    with lasting.read() as reader:
        assert told(history.spread(reader, run, "x", count, steps)) == told(history.sample(points, count))


def test_of_very_many_points_some_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = logged(
        store, [[(at, at, float(at)) for at in range(start, start + 1_000)] for start in range(0, 10_000, 1_000)]
    )
    monkeypatch.setattr(history, "SPREAD_FROM_MAX", 1_000)
    with store.read() as reader:
        found = history.spread(reader, run, "x", 50)
    assert len(found) == 50
    assert (found[0], found[-1]) == ((0, 0, 0.0), (9_999, 9_999, 9_999.0))
    assert max(b[1] - a[1] for a, b in pairwise(found)) < 400


def test_the_history_of_a_run_is_by_step(any_store: Store) -> None:
    run = runs.start(any_store, Run(id=""))
    metrics.log(any_store, run.id, [MetricPoint(key="x", value=float(s), step=s, at=100.0 - s) for s in range(50)])
    assert [p.step for p in history.of_run(any_store, run.id, "x", limit=10)] == list(range(10))
    assert history.of_run(any_store, run.id, "none") == []
    assert history.of_run(any_store, "0" * 32, "x") == []
