"""History: the points of one metric in order, page by page, sampled, or of several runs at once.

In: a run, a metric's name, and where to go on. Out: points as `(at_ms, step, value)`, equal ones once, in the order of
moment, step and value. Called by the server, `rw runs` and whoever draws a curve.

Chunks are packed in that order and mostly follow each other in time, so that a page reads those chunks alone that
overlap it.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from roadworthy.nouns.run import MetricPoint
from roadworthy.registry import chunks, run_rows
from roadworthy.registry.chunks import Point
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

POINTS_MAX = 1_000_000
SPREAD_FROM_MAX = 1_000_000
POINTS_IN_ALL = 2**62

_SPANS = """
SELECT first_ms, last_ms, level, seq, points FROM metric_chunks
WHERE run = :run AND key = :key AND last_ms >= :since_ms ORDER BY first_ms, last_ms
"""
_DATA = """
SELECT data FROM metric_chunks WHERE run = :run AND key = :key AND level = :level AND seq = :seq
"""
_ALL = "SELECT data FROM metric_chunks WHERE run = :run AND key = :key ORDER BY first_ms, last_ms"
# A metric of one point has no chunk.
_ONLY = "SELECT at_ms, step, value FROM metrics WHERE run = :run AND key = :key AND points = 1"
_COUNT = "SELECT points FROM metrics WHERE run = :run AND key = :key"


def of_run(store: Store, run_id: str, key: str, *, limit: int = POINTS_MAX) -> list[MetricPoint]:
    """The points of one metric by step, at most `limit`."""
    with store.read() as reader:
        run = run_rows.find(reader, run_id)
        found = [] if run is None else whole(reader, run.seq, key)
    found.sort(key=lambda point: (point[1], *chunks.place(point)))
    return [MetricPoint(key=key, value=value, step=step, at=at_ms / 1000) for at_ms, step, value in found[:limit]]


def whole(reader: Reader, run: int, key: str) -> list[Point]:
    """All points of one metric."""
    parts = [bytes(data) for (data,) in reader.rows(_ALL, run=run, key=key)]
    return chunks.unpack(parts) if parts else _only(reader, run, key)


def page(reader: Reader, run: int, key: str, *, after: Point | None, limit: int) -> list[Point]:
    """The next points after one, at most `limit`."""
    found = [point for point in _only(reader, run, key) if after is None or _later(point, after)]
    if found:
        return found[:limit]
    # Of one block two points may be passed over: the one gone on from, and one that ended the block before.
    for points in _blocks(reader, run, key, chunks.EARLIEST_MS if after is None else after[0], limit + 2):
        if after is not None and points and not _later(points[0], after):
            del points[: bisect_right(points, chunks.place(after), key=chunks.place)]
        found += points[1:] if found and points and chunks.same(found[-1], points[0]) else points
        if len(found) >= limit:
            break
    return found[:limit]


def spread(reader: Reader, run: int, key: str, count: int, steps: tuple[int, int] | None = None) -> list[Point]:
    """At most `count` points of one metric by step, evenly from all of them or from those of some steps, ends included.

    Of more than `SPREAD_FROM_MAX` points only every second, third and so on is looked at, so that memory is bounded.
    """
    row = reader.row(_COUNT, run=run, key=key)
    stride = max(1, int(row[0]) // SPREAD_FROM_MAX) if row else 1
    found: list[Point] = []
    blocks = itertools.chain([_only(reader, run, key)], _blocks(reader, run, key, chunks.EARLIEST_MS, POINTS_IN_ALL))
    for block in blocks:
        points = block if steps is None else [point for point in block if steps[0] <= point[1] <= steps[1]]
        if not points:
            continue
        if found and chunks.same(found[-1], points[0]):
            found.pop()
        # The end of each block stays, or the last point of all might go.
        found += points if stride == 1 else [*points[:-1:stride], points[-1]]
    return sample(found, count)


def sample(points: Sequence[Point], count: int) -> list[Point]:
    """At most `count` points by step, evenly from all of them, the first and the last among them."""
    ordered = sorted(points, key=lambda point: (point[1], *chunks.place(point)))
    total = len(ordered)
    if total <= count:
        return ordered
    # As NTILE divides: the first buckets have one more; of each the first point, and the last of all.
    size, more = divmod(total, count)
    starts = [bucket * size + min(bucket, more) for bucket in range(count)]
    found = [ordered[start] for start in starts]
    found[-1] = ordered[-1]
    return found


def _blocks(reader: Reader, run: int, key: str, since_ms: int, most: int) -> Iterator[list[Point]]:
    """Ordered points, a run of chunks that overlap in time together; at least `most` of those there are since then."""
    spans = reader.rows(_SPANS, run=run, key=key, since_ms=since_ms)
    start = 0
    while start < len(spans):
        end, last_ms = start + 1, spans[start][1]
        while end < len(spans) and spans[end][0] <= last_ms:
            last_ms = max(last_ms, spans[end][1])
            end += 1
        parts = [
            bytes(row[0])
            for _, _, level, seq, _ in spans[start:end]
            if (row := reader.row(_DATA, run=run, key=key, level=level, seq=seq)) is not None
        ]
        yield chunks.unpack(parts, since_ms=since_ms, most=most)
        start = end


def _only(reader: Reader, run: int, key: str) -> list[Point]:
    return [
        (at_ms, step, math.nan if value is None else value)
        for at_ms, step, value in reader.rows(_ONLY, run=run, key=key)
    ]


def _later(point: Point, than: Point) -> bool:
    return chunks.place(point) > chunks.place(than)
