"""Extras: what a row carries besides features: whom it is about, what it is called, when it happened.

In: a request's rows and the project's `[serving]`. Out: values for routing and for the inference log, or the `Fault`
that names row and field. Called by serving/app.py and serving/router.py.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.project import Serving
from roadworthy.serving.fields import show
from roadworthy.serving.protocols import Rows
from roadworthy.serving.routes import Part

TEXT_CHARACTERS_MAX = 256
# The moments that a float64 of seconds and a date both hold: years 1 to 9999.
SECONDS_MIN, SECONDS_MAX = -62_135_596_800.0, 253_402_300_799.0


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """Per row, or None where the project names no such column or the request has none."""

    entities: Sequence[Any] | None = None
    keys: Sequence[Any] | None = None
    at: Sequence[float | None] | None = None

    def take(self, rows: Sequence[int]) -> "Carried":
        """Those of some rows."""
        return Carried(entities=_some(self.entities, rows), keys=_some(self.keys, rows), at=_some(self.at, rows))


def read(rows: Rows, serving: Serving) -> Carried:
    """What the rows carry.

    Raises:
        Fault: invalid, for a value that is no name or no moment.
    """
    return Carried(
        entities=identifiers(rows, serving.entity),
        keys=identifiers(rows, serving.key),
        at=moments(rows, serving.time),
    )


def identifiers(rows: Rows, column: str | None) -> Sequence[Any] | None:
    """The values of a column that names things: text, numbers or booleans; null where there is none."""
    values = rows.columns.get(column) if column else None
    if values is None or column is None:
        return None
    kinds = set(map(type, values))
    if not kinds <= {str, int, float, bool, type(None)}:
        row = next(i for i, value in enumerate(values) if isinstance(value, list | dict))
        raise _wrong(column, row, values[row], "text or a number")
    if str in kinds:
        for row, value in enumerate(values):
            if type(value) is str and len(value) > TEXT_CHARACTERS_MAX:
                raise _wrong(column, row, value, f"at most {TEXT_CHARACTERS_MAX} characters")
    return values


def moments(rows: Rows, column: str | None) -> Sequence[float | None] | None:
    """The values of a time column in seconds since the epoch: ISO 8601 text (UTC where it says nothing), or seconds."""
    values = rows.columns.get(column) if column else None
    if values is None or column is None:
        return None
    return [_moment(column, row, value) for row, value in enumerate(values)]


def part_rows(rows: Rows, part: Part) -> list[int]:
    """The rows of a divided request that this server answers."""
    values = identifiers(rows, part.column)
    return part.rows(values if values is not None else [None] * rows.count)


def _moment(column: str, row: int, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        if type(value) is str:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if type(value) in (int, float) and SECONDS_MIN <= value <= SECONDS_MAX:
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise _wrong(column, row, value, 'a moment such as "2013-01-31T17:05:00Z", or seconds since 1970')


def _wrong(column: str, row: int, value: Any, allowed: str) -> Fault:
    return invalid(
        f"must be {allowed}, or null, not {show(value)}",
        where=f"row {row}, field {column!r}",
        detail={"field": column, "row": row, "allowed": allowed, "sent": show(value)},
    )


def _some(values: Sequence[Any] | None, rows: Sequence[int]) -> list[Any] | None:
    return None if values is None else [values[row] for row in rows]
