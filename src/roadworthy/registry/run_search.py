"""Search over runs: a query as data becomes statements that the indexes serve.

In: a `Query`. Out: rows, with the place of the last one, from which the next page goes on. Called by the server.

A statement here is put together, since a query has any number of conditions, but of the constants of this file alone:
what the query says reaches the database as parameters, whose names are counted, and nowhere else. `_Statement` is the
only thing that joins text.

There are three ways to answer, by what comes first in the order: by moment, along the index of a group's newest
runs; by a metric, along the index of its values; otherwise, and over many groups, by sorting all that match.
"""

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

from roadworthy.registry import labels, run_rows
from roadworthy.registry.run_query import Condition, Order, Query
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Dialect, Reader

GROUPS_APART_MAX = 16  # searched one by one and merged; more are sorted together

_COLUMNS = ", ".join(f"r.{column.strip()}" for column in run_rows.COLUMNS.split(","))
_WIDTH = len(Row._fields)

_BY_MOMENT = f"""
SELECT {_COLUMNS} FROM runs r WHERE r.group_id = :group_id
"""
_BY_METRIC = f"""
SELECT {_COLUMNS}, m.value FROM metrics m CROSS JOIN runs r
WHERE m.group_id = :group_id AND m.key = :metric AND m.value IS NOT NULL AND r.seq = m.run
"""
_OF_NAN = f"""
SELECT {_COLUMNS} FROM metrics m CROSS JOIN runs r
WHERE m.group_id = :group_id AND m.key = :metric AND m.value IS NULL AND r.seq = m.run
"""
_WITHOUT_METRIC = f"""
SELECT {_COLUMNS} FROM runs r WHERE r.group_id = :group_id
AND NOT EXISTS (SELECT 1 FROM metrics f WHERE f.run = r.seq AND f.key = :metric)
"""
_NEWEST_FIRST = " ORDER BY r.start_ms DESC, r.id LIMIT :limit"
_AFTER_MOMENT = """
AND r.start_ms <= :after_ms AND (r.start_ms < :after_ms OR r.id > :after_id)
"""
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
_OF_STAGE = " AND r.stage = :stage"
# SQLite's planner would go through the index of moments with both stages at once, and sort.
_OF_ANY_STAGE = " AND r.stage IN ('active', 'deleted')"

_IN_GROUPS: dict[Dialect, str] = {
    "sqlite": " FROM runs r {joins} WHERE r.group_id IN (SELECT value FROM json_each(:groups))",
    "postgresql": " FROM runs r {joins} WHERE r.group_id = ANY(:groups)",
}

# What is compared, by kind; `{n}` counts the parameters.
_SIGNS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_MATCHING: dict[Dialect, dict[str, str]] = {
    "sqlite": {"LIKE": "{x} GLOB :v{n}", "ILIKE": "lower({x}) GLOB lower(:v{n})"},
    "postgresql": {"LIKE": "{x} LIKE :v{n} ESCAPE ''", "ILIKE": "{x} ILIKE :v{n} ESCAPE ''"},
}
_LISTED: dict[Dialect, dict[str, str]] = {
    "sqlite": {
        "IN": "{x} IN (SELECT value FROM json_each(:v{n}))",
        "NOT IN": "{x} NOT IN (SELECT value FROM json_each(:v{n}))",
    },
    "postgresql": {"IN": "{x} = ANY(:v{n})", "NOT IN": "{x} <> ALL(:v{n})"},
}
_ATTRIBUTES = {
    "id": "r.id",
    "name": "r.name",
    "actor": "r.actor",
    "status": "r.status",
    "start_ms": "r.start_ms",
    "end_ms": "r.end_ms",
    "location": """
(CASE WHEN r.location <> '' THEN r.location ELSE
COALESCE((SELECT NULLIF(g.location, '') FROM groups g WHERE g.id = r.group_id), :place || CAST(r.group_id AS TEXT))
|| '/' || r.id || '/artifacts' END)
""",
}
_LABELLED = {
    "param": " AND EXISTS (SELECT 1 FROM run_params f WHERE f.run = r.seq AND f.key = :k{n} AND {test})",
    "tag": " AND EXISTS (SELECT 1 FROM run_tags f WHERE f.run = r.seq AND f.key = :k{n} AND {test})",
    "metric": " AND EXISTS (SELECT 1 FROM metrics f WHERE f.run = r.seq AND f.key = :k{n} AND {test})",
}
_PRESENT = {
    ("param", "IS NULL"): " AND NOT EXISTS (SELECT 1 FROM run_params f WHERE f.run = r.seq AND f.key = :k{n})",
    ("param", "IS NOT NULL"): " AND EXISTS (SELECT 1 FROM run_params f WHERE f.run = r.seq AND f.key = :k{n})",
    ("tag", "IS NULL"): " AND NOT EXISTS (SELECT 1 FROM run_tags f WHERE f.run = r.seq AND f.key = :k{n})",
    ("tag", "IS NOT NULL"): " AND EXISTS (SELECT 1 FROM run_tags f WHERE f.run = r.seq AND f.key = :k{n})",
}
_DATASETS = """
 AND EXISTS (SELECT 1 FROM run_datasets i JOIN datasets d ON d.id = i.dataset WHERE i.run = r.seq AND {test})
"""
_DATASET_ATTRIBUTES = {"name": "d.name", "digest": "d.digest", "context": "i.context"}
_NOT_EQUAL_OR_NAN = "(f.value <> :v{n} OR f.value IS NULL)"

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

Place = tuple[str | int | float, ...]


class Found(NamedTuple):
    """A page: rows, and the place of its last one; empty when there is no more."""

    rows: list[Row]
    after: Place


def search(reader: Reader, query: Query) -> Found:
    """The next page."""
    if not query.groups:
        return Found([], ())
    apart = len(query.groups) <= GROUPS_APART_MAX
    if apart and (not query.order or query.order == (Order("attribute", "start_ms", ascending=False),)):
        return _merged(reader, query, _by_moment, (True, False, True))
    if apart and len(query.order) == 1 and query.order[0].kind == "metric":
        ascending = query.order[0].ascending
        return _merged(reader, query, _by_metric, (True, True, ascending, False, True))
    return _sorted(reader, query)


class _Statement:
    """A statement as it grows, and its parameters."""

    def __init__(self, dialect: Dialect, text: str = "", **params: Any) -> None:
        self.dialect = dialect
        self.text = text
        self.params = params

    def add(self, fragment: str, **params: Any) -> None:
        self.text += fragment
        self.params.update(params)

    def stage(self, stage: str) -> None:
        if stage:
            self.add(_OF_STAGE, stage=stage)
        else:
            self.add(_OF_ANY_STAGE)

    def conditions(self, query: Query) -> None:
        for n, condition in enumerate(query.conditions):
            fragment, value = _condition(self.dialect, condition)
            self.add(fragment.replace("{n}", str(n)))
            if value is not None:
                self.params[f"v{n}"] = value
            if condition.kind in _LABELLED:
                self.params[f"k{n}"] = condition.key
        if ":place" in self.text:
            self.params["place"] = query.place

    def rows(self, reader: Reader) -> list[tuple[Any, ...]]:
        return reader.rows(self.text, **self.params)


_Sorted = tuple[Place, Row]


def _merged(
    reader: Reader, query: Query, one: Callable[[Reader, Query, int], list[_Sorted]], ascending: tuple[bool, ...]
) -> Found:
    """Each group's page, merged: every place begins with a number that only tells the ways to answer apart."""
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


def _by_moment(reader: Reader, query: Query, group: int) -> list[_Sorted]:
    """Along the index of the newest."""
    found: list[_Sorted] = []
    for stage in (query.stage,) if query.stage else ("active", "deleted"):
        statement = _Statement(reader.dialect, _BY_MOMENT, group_id=group, limit=query.limit + 1)
        statement.stage(stage)
        if query.after:
            statement.add(_AFTER_MOMENT, after_ms=query.after[1], after_id=query.after[2])
        statement.conditions(query)
        statement.add(_NEWEST_FIRST)
        found += [((0, row[8], row[1]), Row(*row)) for row in statement.rows(reader)]
    if not query.stage:
        found.sort(key=lambda each: _key(each[0], (True, False, True)))
    return found[: query.limit + 1]


def _by_metric(reader: Reader, query: Query, group: int) -> list[_Sorted]:
    """Along the index of a metric's values; then the runs where it is NaN, then those that have none."""
    ascending = query.order[0].ascending
    phase = int(query.after[1]) if query.after else 0
    found: list[_Sorted] = []
    limit = query.limit + 1
    if phase == 0:
        statement = _Statement(reader.dialect, _BY_METRIC, group_id=group, limit=limit)
        statement.stage(query.stage)
        if query.after:
            _, _, value, after_ms, after_id = query.after
            statement.add(_AFTER_METRIC[ascending], after_value=value, after_ms=after_ms, after_id=after_id)
        found += _phase(reader, query, statement, _METRIC_ORDER[ascending], 0)
    for number, text in ((1, _OF_NAN), (2, _WITHOUT_METRIC)):
        if phase <= number and len(found) < limit:
            statement = _Statement(reader.dialect, text, group_id=group, limit=limit - len(found))
            statement.stage(query.stage)
            if query.after and phase == number:
                statement.add(_AFTER_MOMENT, after_ms=query.after[3], after_id=query.after[4])
            found += _phase(reader, query, statement, _NEWEST_FIRST, number)
    return found


def _phase(reader: Reader, query: Query, statement: _Statement, order: str, phase: int) -> list[_Sorted]:
    statement.conditions(query)
    statement.add(order, metric=query.order[0].key)
    return [
        ((1, phase, row[_WIDTH] if phase == 0 else 0, row[8], row[1]), Row(*row[:_WIDTH]))
        for row in statement.rows(reader)
    ]


def _sorted(reader: Reader, query: Query) -> Found:
    """All that match, sorted; the next page begins after the last one's sorted values."""
    terms, joins, params = _terms(reader.dialect, query)
    statement = _Statement(reader.dialect, f"SELECT * FROM (SELECT {_COLUMNS}")
    for n, (expression, _) in enumerate(terms):
        statement.add(f", {expression} AS s{n}")
    statement.add(_IN_GROUPS[reader.dialect].format(joins=joins), groups=labels.listed(reader, query.groups), **params)
    statement.stage(query.stage)
    statement.conditions(query)
    statement.add(") q")
    if query.after:
        _after(statement, terms, query.after[1:])
    order = ", ".join(f"s{n}" if up else f"s{n} DESC" for n, (_, up) in enumerate(terms))
    statement.add(f" ORDER BY {order} LIMIT :limit", limit=query.limit + 1)
    if ":place" in statement.text:
        statement.params["place"] = query.place
    return _cut([((2, *row[_WIDTH:]), Row(*row[:_WIDTH])) for row in statement.rows(reader)], query.limit)


def _after(statement: _Statement, terms: list[tuple[str, bool]], values: Place) -> None:
    """Later in the order than these values: later in the first, or equal in it and later in the second, and so on."""
    alternatives = []
    for n, (_, up) in enumerate(terms):
        equal = "".join(f"s{m} = :a{m} AND " for m in range(n))
        alternatives.append(f"({equal}s{n} {'>' if up else '<'} :a{n})")
    statement.add(f" WHERE ({' OR '.join(alternatives)})", **{f"a{n}": value for n, value in enumerate(values)})


def _terms(dialect: Dialect, query: Query) -> tuple[list[tuple[str, bool]], str, dict[str, Any]]:
    """What is sorted by and whether upwards, the joins that it takes, and their parameters."""
    terms: list[tuple[str, bool]] = []
    joins, params = "", {}
    by_moment = False
    for n, order in enumerate(query.order):
        if order.kind == "attribute":
            x = _ATTRIBUTES[order.key]
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


def _condition(dialect: Dialect, condition: Condition) -> tuple[str, Any]:
    """A condition as a fragment, and the value of its parameter."""
    kind, key, comparator, value = condition
    if comparator in ("IS NULL", "IS NOT NULL"):
        return _PRESENT[kind, comparator], None
    if kind == "attribute":
        test, bound = _test(dialect, _ATTRIBUTES[key], comparator, value)
        return f" AND {test}", bound
    if kind == "dataset":
        test, bound = _test(dialect, _DATASET_ATTRIBUTES[key], comparator, value)
        return _DATASETS.replace("{test}", test), bound
    if kind == "metric" and comparator == "!=":
        return _LABELLED[kind].replace("{test}", _NOT_EQUAL_OR_NAN), value
    test, bound = _test(dialect, "f.value", comparator, value)
    return _LABELLED[kind].replace("{test}", test), bound


def _test(dialect: Dialect, x: str, comparator: str, value: Any) -> tuple[str, Any]:
    if comparator in _SIGNS:
        return f"{x} {_SIGNS[comparator]} :v{{n}}", value
    if comparator in ("IN", "NOT IN"):
        listed = labels.written_list(dialect, value)
        return _LISTED[dialect][comparator].replace("{x}", x), listed
    pattern = labels.glob(value) if dialect == "sqlite" else value
    return _MATCHING[dialect][comparator].replace("{x}", x), pattern


def check(place: Place, order: tuple[Order, ...]) -> None:
    """Refuse a place that is none in this order.

    Raises:
        ValueError: when it is not.
    """
    if not place or place[0] not in (0, 1, 2):
        raise ValueError("no place")
    shapes: list[type] = []
    if place[0] == 0:
        shapes = [int, int, str]
    elif place[0] == 1:
        shapes = [int, int, float, int, str]
    else:
        shapes = [int]
        for term in order:
            number = term.kind == "metric" or (term.kind == "attribute" and term.key in ("start_ms", "end_ms"))
            shapes += [int, float if number else str]
        if all((term.kind, term.key) != ("attribute", "start_ms") for term in order):
            shapes.append(int)
        shapes.append(str)
    if len(shapes) != len(place):
        raise ValueError("a place of another order")
    for value, shape in zip(place, shapes, strict=True):
        if not isinstance(value, (int, float) if shape is float else shape):
            raise ValueError("a place of another order")  # noqa: TRY004 - what is wrong is the text it came in
