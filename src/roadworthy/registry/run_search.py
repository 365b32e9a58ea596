"""Search over runs: a query as data becomes statements that the indexes serve.

In: a `Query`. Out: rows, with the place of the last one, from which the next page goes on. Called by the server.

There are three ways to go through a group, by what comes first in the order: by moment, along the index of the newest
runs; by a metric, along the index of its values; otherwise all that match are sorted. Each can begin instead with the
runs that meet one condition, when an index finds those and they are few: a search for what is rare does not go
through all there is. Why text is joined here, and why nothing of a query gets into it, says registry/run_conditions.py.
"""

import heapq
from collections.abc import Callable
from math import isqrt
from typing import Any, NamedTuple

from roadworthy.registry import labels, run_rows
from roadworthy.registry.run_conditions import ATTRIBUTES, Statement, has_index
from roadworthy.registry.run_query import Order, Query
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Dialect, Reader

GROUPS_APART_MAX = 16  # searched one by one and merged; more are sorted together
FEW_MIN, FEW_MAX = 500, 50_000

_COLUMNS = ", ".join(f"r.{column.strip()}" for column in run_rows.COLUMNS.split(","))
_WIDTH = len(Row._fields)
_BY_MOMENT = (
    f"SELECT {_COLUMNS} FROM runs r WHERE r.group_id = :group_id",
    f"SELECT {_COLUMNS} FROM ({{few}}) w CROSS JOIN runs r WHERE r.seq = w.run AND r.group_id = :group_id",
)
_WITH_METRIC = "FROM metrics m CROSS JOIN runs r WHERE m.group_id = :group_id AND m.key = :metric AND r.seq = m.run"
_BY_METRIC = f"SELECT {_COLUMNS}, m.value {_WITH_METRIC} AND m.value IS NOT NULL"
_OF_NAN = f"SELECT {_COLUMNS} {_WITH_METRIC} AND m.value IS NULL"
_WITHOUT_METRIC = f"{_BY_MOMENT[0]} AND NOT EXISTS (SELECT 1 FROM metrics f WHERE f.run = r.seq AND f.key = :metric)"
_NEWEST_FIRST = " ORDER BY r.start_ms DESC, r.id LIMIT :limit"
_OLDEST_FIRST = " ORDER BY r.start_ms, r.id LIMIT :limit"
_AFTER_MOMENT = " AND r.start_ms <= :after_ms AND (r.start_ms < :after_ms OR r.id > :after_id)"
_AFTER_OLDER = " AND r.start_ms >= :after_ms AND (r.start_ms > :after_ms OR r.id > :after_id)"
_METRIC_ORDER = {
    True: " ORDER BY m.value, r.start_ms DESC, r.id LIMIT :limit",
    False: " ORDER BY m.value DESC, r.start_ms DESC, r.id LIMIT :limit",
}
_AFTER_METRIC = {
    True: """
AND m.value >= :after_value
AND (m.value > :after_value OR r.start_ms < :after_ms OR (r.start_ms = :after_ms AND r.id > :after_id))
""",
    False: """
AND m.value <= :after_value
AND (m.value < :after_value OR r.start_ms < :after_ms OR (r.start_ms = :after_ms AND r.id > :after_id))
""",
}
_IN_GROUPS: dict[Dialect, str] = {
    "sqlite": " FROM runs r {joins} WHERE r.group_id IN (SELECT value FROM json_each(:groups))",
    "postgresql": " FROM runs r {joins} WHERE r.group_id = ANY(:groups)",
}
_IN_GROUP = " FROM ({few}) w CROSS JOIN runs r {joins} WHERE r.seq = w.run AND r.group_id = :group_id"
_NEWEST_NUMBER = "SELECT COALESCE(MAX(seq), 0) FROM runs"

# What is sorted by, by kind: whether it is there, then its value.
_JOINS = {
    "param": " LEFT JOIN run_params o{n} ON o{n}.run = r.seq AND o{n}.key = :o{n}",
    "tag": " LEFT JOIN run_tags o{n} ON o{n}.run = r.seq AND o{n}.key = :o{n}",
    "metric": " LEFT JOIN metrics o{n} ON o{n}.run = r.seq AND o{n}.key = :o{n}",
}
_LABEL_THERE = "CASE WHEN o{n}.run IS NULL THEN 1 ELSE 0 END"
_METRIC_THERE = "CASE WHEN o{n}.run IS NULL THEN 2 WHEN o{n}.value IS NULL THEN 1 ELSE 0 END"
_ATTRIBUTE_THERE = "CASE WHEN {x} IS NULL THEN 1 ELSE 0 END"
_COLLATED: dict[Dialect, str] = {"sqlite": "", "postgresql": ' COLLATE "C"'}

# Where a run stands in an order. It begins with a number that tells the ways to answer apart.
Place = tuple[str | int | float, ...]
_Sorted = tuple[Place, Row]


class Found(NamedTuple):
    """A page: rows, and the place of its last one; empty when there is no more."""

    rows: list[Row]
    after: Place


def search(reader: Reader, query: Query) -> Found:
    """The next page."""
    if not query.groups:
        return Found([], ())
    if len(query.groups) <= GROUPS_APART_MAX:
        if not query.order or (len(query.order) == 1 and query.order[0][:2] == ("attribute", "start_ms")):
            return _merged(reader, query, _by_moment, (True, _upwards(query), True))
        if len(query.order) == 1 and query.order[0].kind == "metric":
            return _merged(reader, query, _by_metric, (True, True, query.order[0].ascending, False, True))
    return _sorted(reader, query)


def as_place(values: Place, order: tuple[Order, ...]) -> Place:
    """Values that came back from a client, as a place in this order; infinities come as `Infinity` and `-Infinity`.

    Raises:
        ValueError: when they are none.
    """
    shapes: list[type] = []
    if values and values[0] == 0:
        shapes = [int, int, str]
    elif values and values[0] == 1:
        shapes = [int, int, float, int, str]
    elif values and values[0] == 2:
        shapes = [int]
        for term in order:
            number = term.kind == "metric" or (term.kind == "attribute" and term.key in ("start_ms", "end_ms"))
            shapes += [int, float if number else str]
        if all((term.kind, term.key) != ("attribute", "start_ms") for term in order):
            shapes.append(int)
        shapes.append(str)
    if not shapes or len(shapes) != len(values):
        raise ValueError("a place of another order")
    return tuple(_of_shape(value, shape) for value, shape in zip(values, shapes, strict=True))


def _of_shape(value: str | float, shape: type) -> str | int | float:
    if shape is float and value in ("Infinity", "-Infinity"):
        return float(value)
    if not isinstance(value, (int, float) if shape is float else shape):
        raise ValueError("a place of another order")  # noqa: TRY004 - what is wrong is the text it came in
    return value


def _merged(
    reader: Reader, query: Query, one: Callable[[Reader, Query, int], list[_Sorted]], ascending: tuple[bool, ...]
) -> Found:
    """Each group's page, merged."""
    pages = [one(reader, query, group) for group in query.groups]
    if len(pages) == 1:
        found = pages[0]
    else:
        merged = heapq.merge(*pages, key=lambda each: _key(each[0], ascending))
        found = [each for _, each in zip(range(query.limit + 1), merged, strict=False)]
    return _cut(found, query.limit)


def _cut(found: list[_Sorted], limit: int) -> Found:
    page = found[:limit]
    return Found([row for _, row in page], page[-1][0] if len(found) > limit else ())


def _key(place: Place, ascending: tuple[bool, ...]) -> tuple[Any, ...]:
    return tuple(value if up else -value for value, up in zip(place, ascending, strict=True))  # type: ignore[operator]


def _upwards(query: Query) -> bool:
    """Whether the oldest come first."""
    return bool(query.order) and query.order[0].ascending


def _few(reader: Reader, query: Query, group: int, *, along: bool = True) -> Statement | None:
    """The condition that the fewest runs meet, as a statement that finds them, when beginning with it pays.

    Going `along` an order visits limit * all / few runs before a page is full, if the conditions know nothing of each
    other; beginning with the few visits each of them. Where all are to be sorted, all are visited otherwise.
    """
    conditions = [(n, each) for n, each in enumerate(query.conditions) if has_index(each)]
    if not conditions:
        return None
    row = reader.row(_NEWEST_NUMBER)
    newest = int(row[0]) if row else 0
    few = min(max(isqrt((query.limit + 1) * newest) if along else newest // 4, FEW_MIN), FEW_MAX)
    best: Statement | None = None
    for n, condition in conditions:
        statement = Statement(reader.dialect, "SELECT COUNT(*) FROM (SELECT 1 FROM (", group_id=group, few=few)
        statement.meeting(n, condition)
        statement.add(") f LIMIT :few) q")
        count = int(statement.rows(reader)[0][0])
        if count < few:
            few = count
            best = Statement(reader.dialect, group_id=group)
            best.meeting(n, condition)
    return best


def _conditions(statement: Statement, query: Query, few: Statement | None, run: str) -> None:
    """The query's conditions, on what the statement goes along, or on the few that meet one of them."""
    if few is None:
        statement.conditions(query, run)
    else:
        statement.conditions(query, "w.run", met=few.meets)


def _by_moment(reader: Reader, query: Query, group: int) -> list[_Sorted]:
    """Along the index of moments, one way or the other."""
    found: list[_Sorted] = []
    few = _few(reader, query, group)
    upwards = _upwards(query)
    # Each stage has its own newest in the index.
    for stage in (query.stage,) if query.stage or few else ("active", "deleted"):
        params = {"group_id": group, "limit": query.limit + 1}
        if few is None:
            statement = Statement(reader.dialect, _BY_MOMENT[0], **params)
        else:
            statement = Statement(reader.dialect, _BY_MOMENT[1].replace("{few}", few.text), **(params | few.params))
        statement.stage(query.stage)
        if not query.stage:
            statement.stage(stage)
        if query.after:
            after_ms, after_id = query.after[1:]
            statement.add(_AFTER_OLDER if upwards else _AFTER_MOMENT, after_ms=after_ms, after_id=after_id)
        _conditions(statement, query, few, "r.seq")
        statement.add(_OLDEST_FIRST if upwards else _NEWEST_FIRST)
        found += [((0, row[8], row[1]), Row(*row)) for row in statement.rows(reader)]
    if not query.stage:
        found.sort(key=lambda each: _key(each[0], (True, upwards, True)))
    return found[: query.limit + 1]


def _by_metric(reader: Reader, query: Query, group: int) -> list[_Sorted]:
    """Along the index of a metric's values; then the runs where it is NaN, then those that have none."""
    metric, ascending = query.order[0].key, query.order[0].ascending
    few = _few(reader, query, group)
    if few is not None:
        # Sorting says of a run what going along does: which of the three it is, its value, its moment and its id.
        return [((1, *place[1:]), row) for place, row in _all_sorted(reader, query, few)]
    phase = int(query.after[1]) if query.after else 0
    found: list[_Sorted] = []
    limit = query.limit + 1
    for number, text in enumerate((_BY_METRIC, _OF_NAN, _WITHOUT_METRIC)):
        if number < phase or len(found) == limit:
            continue
        statement = Statement(reader.dialect, text, group_id=group, metric=metric, limit=limit - len(found))
        statement.stage(query.stage)
        if query.after and phase == number == 0:
            _, _, value, after_ms, after_id = query.after
            statement.add(_AFTER_METRIC[ascending], after_value=value, after_ms=after_ms, after_id=after_id)
        elif query.after and phase == number:
            statement.add(_AFTER_MOMENT, after_ms=query.after[3], after_id=query.after[4])
        statement.conditions(query, "r.seq" if number == 2 else "m.run")
        statement.add(_METRIC_ORDER[ascending] if number == 0 else _NEWEST_FIRST)
        found += [
            ((1, number, row[_WIDTH] if number == 0 else 0, row[8], row[1]), Row(*row[:_WIDTH]))
            for row in statement.rows(reader)
        ]
    return found


def _sorted(reader: Reader, query: Query) -> Found:
    """All that match, sorted; the next page begins after the last one's sorted values."""
    few = _few(reader, query, query.groups[0], along=False) if len(query.groups) == 1 else None
    return _cut(_all_sorted(reader, query, few), query.limit)


def _all_sorted(reader: Reader, query: Query, few: Statement | None) -> list[_Sorted]:
    """One more than a page of all that match, or of those of the one group's that are among the few."""
    terms, joins, params = _terms(reader.dialect, query)
    statement = Statement(reader.dialect, f"SELECT * FROM (SELECT {_COLUMNS}", **params)
    for n, (expression, _) in enumerate(terms):
        statement.add(f", {expression} AS s{n}")
    if few is None:
        groups = labels.listed(reader, query.groups)
        statement.add(_IN_GROUPS[reader.dialect].replace("{joins}", joins), groups=groups)
    else:
        statement.add(_IN_GROUP.replace("{few}", few.text).replace("{joins}", joins), **few.params)
    statement.stage(query.stage)
    _conditions(statement, query, few, "r.seq")
    statement.add(") q")
    if query.after:
        _after(statement, terms, query.after[1:])
    order = ", ".join(f"s{n}" if up else f"s{n} DESC" for n, (_, up) in enumerate(terms))
    statement.add(f" ORDER BY {order} LIMIT :limit", limit=query.limit + 1)
    return [((2, *row[_WIDTH:]), Row(*row[:_WIDTH])) for row in statement.rows(reader)]


def _after(statement: Statement, terms: list[tuple[str, bool]], values: Place) -> None:
    """Later in the order than these values: later in the first, or equal in it and later in the second, and so on."""
    alternatives = []
    for n, (_, up) in enumerate(terms):
        equal = "".join(f"s{m} = :a{m} AND " for m in range(n))
        alternatives.append(f"({equal}s{n} {'>' if up else '<'} :a{n})")
    statement.add(f" WHERE ({' OR '.join(alternatives)})", **{f"a{n}": value for n, value in enumerate(values)})


def _terms(dialect: Dialect, query: Query) -> tuple[list[tuple[str, bool]], str, dict[str, Any]]:
    """What is sorted by and whether upwards, the joins that it takes, and their parameters."""
    terms: list[tuple[str, bool]] = []
    joins = ""
    params: dict[str, Any] = {}
    by_moment = False
    for n, order in enumerate(query.order):
        if order.kind == "attribute":
            x = ATTRIBUTES[order.key]
            number = order.key in ("start_ms", "end_ms")
            by_moment |= order.key == "start_ms"
            terms.append((_ATTRIBUTE_THERE.replace("{x}", x), True))
            terms.append((f"COALESCE({x}, 0)" if number else f"COALESCE({x}, ''){_COLLATED[dialect]}", order.ascending))
            continue
        joins += _JOINS[order.kind].replace("{n}", str(n))
        params[f"o{n}"] = order.key
        metric = order.kind == "metric"
        terms.append(((_METRIC_THERE if metric else _LABEL_THERE).replace("{n}", str(n)), True))
        value = f"COALESCE(o{n}.value, 0)" if metric else f"COALESCE(o{n}.value, ''){_COLLATED[dialect]}"
        terms.append((value, order.ascending))
    if not by_moment:
        terms.append(("r.start_ms", False))
    terms.append((f"r.id{_COLLATED[dialect]}", True))
    return terms, joins, params
