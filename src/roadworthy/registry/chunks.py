"""Chunks: points of one metric packed into columns of 64-bit numbers, merged as they become many.

In: points as `(at_ms, step, value)`, the order in which a history is read. Out: bytes and back, and which chunks are
to be merged. Called by registry/metrics.py and registry/history.py.

A client that logs one point at a time makes a chunk of each; every 64th is merged with the 63 before it, and of
those merged ones again every 64th, so that a point is written at most three times and a history of ten million points
is some thousand rows. Chunks of 4,096 points or more stay as they are.
"""

import math
import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from operator import lt
from typing import NamedTuple

Point = tuple[int, int, float]  # at_ms, step, value

MERGED = 64  # chunks of one level become one of the next
LEVELS = (MERGED, MERGED * MERGED)  # fewer points than these: level 0, level 1
LAST_LEVEL = len(LEVELS)
EARLIEST_MS = -(2**63)


class Chunk(NamedTuple):
    """Points in order, packed."""

    level: int
    points: int
    first_ms: int
    last_ms: int
    data: bytes


def pack(points: Sequence[Point]) -> tuple[Chunk, Point]:
    """Points in any order as a chunk, and the latest of them."""
    moments, steps, values = zip(*points, strict=True)
    if not all(map(lt, moments, moments[1:])):
        points = order(points)
        moments, steps, values = zip(*points, strict=True)
    # The last in order is the latest, unless one of a higher step was logged before it.
    newest = points[-1] if steps[-1] == max(steps) else max(points, key=rank)
    return _chunk(array("q", steps), array("q", moments), array("d", values)), newest


def merge(parts: Sequence[bytes]) -> Chunk:
    """Several chunks' data as one chunk."""
    steps, moments, values = array("q"), array("q"), array("d")
    for data in parts:
        _read(data, steps, moments, values)
    if not all(map(lt, moments, moments[1:])):
        return pack(list(zip(moments, steps, values, strict=True)))[0]
    return _chunk(steps, moments, values)


def unpack(parts: Sequence[bytes], *, since_ms: int = EARLIEST_MS, most: int | None = None) -> list[Point]:
    """The points of some chunks, in order, equal ones once.

    Args:
        since_ms, most: of one chunk no more need be given than so many points from this moment on.
    """
    steps, moments, values = array("q"), array("q"), array("d")
    for data in parts:
        _read(data, steps, moments, values)
    if most is not None and len(parts) == 1:
        start = bisect_left(moments, since_ms)
        some = moments[start : start + most]
        if all(map(lt, some, some[1:])):
            return list(zip(some, steps[start : start + most], values[start : start + most], strict=True))
    points = list(zip(moments, steps, values, strict=True))
    if all(map(lt, moments, moments[1:])):
        return points
    return _once(order(points) if len(parts) > 1 else points)


def order(points: Sequence[Point]) -> list[Point]:
    """By moment, step and value; NaN, which has no order, stands where 0 would."""
    if math.isnan(sum([point[2] for point in points])):
        return sorted(points, key=place)
    return sorted(points)


def place(point: Point) -> tuple[int, int, float, bool]:
    """What a point is sorted by when there may be NaN."""
    nan = math.isnan(point[2])
    return point[0], point[1], 0.0 if nan else point[2], nan


def same(a: Point, b: Point) -> bool:
    """Whether two points are one; NaN is NaN."""
    return a == b or (a[:2] == b[:2] and math.isnan(a[2]) and math.isnan(b[2]))


def rank(point: Point) -> tuple[int, int, float]:
    """What decides which of two points is the later: the step, then the moment, then the value."""
    return point[1], point[0], 0.0 if math.isnan(point[2]) else point[2]


def _chunk(steps: "array[int]", moments: "array[int]", values: "array[float]") -> Chunk:
    count, first_ms, last_ms = len(moments), moments[0], moments[-1]
    if sys.byteorder == "big":
        for column in (steps, moments, values):
            column.byteswap()
    level = 0 if count < LEVELS[0] else 1 if count < LEVELS[1] else LAST_LEVEL
    return Chunk(level, count, first_ms, last_ms, steps.tobytes() + moments.tobytes() + values.tobytes())


def _read(data: bytes, steps: "array[int]", moments: "array[int]", values: "array[float]") -> None:
    """Add a chunk's columns to these."""
    third = len(data) // 3
    if sys.byteorder == "big":
        swapped = array("q", data)
        swapped.byteswap()
        data = swapped.tobytes()
    steps.frombytes(data[:third])
    moments.frombytes(data[third : 2 * third])
    values.frombytes(data[2 * third :])


def _once(points: list[Point]) -> list[Point]:
    """Ordered points without those equal to the one before."""
    found = points[:1]
    for point in points:
        if not same(found[-1], point):
            found.append(point)
    return found
