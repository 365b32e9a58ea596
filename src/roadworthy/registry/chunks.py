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
from collections.abc import Sequence
from typing import NamedTuple

Point = tuple[int, int, float]  # at_ms, step, value

MERGED = 64  # chunks of one level become one of the next
LEVELS = (MERGED, MERGED * MERGED)  # fewer points than these: level 0, level 1
LAST_LEVEL = len(LEVELS)


class Chunk(NamedTuple):
    """Points in order, packed."""

    level: int
    points: int
    first_ms: int
    last_ms: int
    data: bytes


def pack(points: Sequence[Point]) -> Chunk:
    """Points, sorted by `order` here, as a chunk."""
    ordered = order(points)
    moments, steps, values = zip(*ordered, strict=True)
    columns = (array("q", steps), array("q", moments), array("d", values))
    if sys.byteorder == "big":
        for column in columns:
            column.byteswap()
    data = b"".join([column.tobytes() for column in columns])
    count = len(ordered)
    level = 0 if count < LEVELS[0] else 1 if count < LEVELS[1] else LAST_LEVEL
    return Chunk(level, count, moments[0], moments[-1], data)


def unpack(data: bytes) -> list[Point]:
    """The points of a chunk, in order."""
    third = len(data) // 3
    steps, moments, values = array("q"), array("q"), array("d")
    steps.frombytes(data[:third])
    moments.frombytes(data[third : 2 * third])
    values.frombytes(data[2 * third :])
    if sys.byteorder == "big":
        for column in (steps, moments, values):
            column.byteswap()
    return list(zip(moments, steps, values, strict=True))


def order(points: Sequence[Point]) -> list[Point]:
    """By moment, step and value; NaN, which has no order, stands where 0 would."""
    if math.isnan(sum([point[2] for point in points])):
        return sorted(points, key=place)
    return sorted(points)


def place(point: Point) -> tuple[int, int, float, bool]:
    """What a point is sorted by when there may be NaN."""
    nan = math.isnan(point[2])
    return point[0], point[1], 0.0 if nan else point[2], nan


def newest(points: Sequence[Point]) -> Point:
    """The latest of points: of the highest step, of those of the last moment, of those the highest value."""
    return max(points, key=rank)


def rank(point: Point) -> tuple[int, int, float]:
    """What decides which of two points is the later."""
    return point[1], point[0], 0.0 if math.isnan(point[2]) else point[2]
