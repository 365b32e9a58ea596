"""Search over groups: conditions as data become one statement.

In: a `Wanted`. Out: groups with their tags. Called by the server. As in registry/run_search.py, a statement is put
together of constants of this file; what a query says reaches the database as parameters alone.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec

from roadworthy.registry import groups, labels
from roadworthy.registry.groups import Group
from roadworthy.registry.run_query import Comparator, Value
from roadworthy.store.sql import Dialect, Reader

COLUMNS = {"name": "g.name", "id": "g.id", "created_ms": "g.created_ms", "updated_ms": "g.updated_ms"}

_SELECT = """
SELECT g.id, g.name, g.project, g.location, g.stage, g.created_ms, g.updated_ms FROM groups g WHERE
"""
_STAGES = {
    ("active",): "g.stage = 'active'",
    ("deleted",): "g.stage = 'deleted'",
    ("active", "deleted"): "g.stage IN ('active', 'deleted')",
}
_PROJECTS: dict[Dialect, str] = {
    "sqlite": " AND g.project IN (SELECT value FROM json_each(:projects))",
    "postgresql": " AND g.project = ANY(:projects)",
}
_SIGNS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TESTS: dict[Dialect, dict[str, str]] = {
    "sqlite": {
        "LIKE": "{x} GLOB :v{n}",
        "ILIKE": "lower({x}) GLOB lower(:v{n})",
        "IN": "{x} IN (SELECT value FROM json_each(:v{n}))",
        "NOT IN": "{x} NOT IN (SELECT value FROM json_each(:v{n}))",
    },
    "postgresql": {
        "LIKE": "{x} LIKE :v{n} ESCAPE ''",
        "ILIKE": "{x} ILIKE :v{n} ESCAPE ''",
        "IN": "{x} = ANY(:v{n})",
        "NOT IN": "{x} <> ALL(:v{n})",
    },
}
_TAGGED = " AND EXISTS (SELECT 1 FROM group_tags t WHERE t.group_id = g.id AND t.key = :k{n} AND {test})"
_HAS_TAG = {
    "IS NULL": " AND NOT EXISTS (SELECT 1 FROM group_tags t WHERE t.group_id = g.id AND t.key = :k{n})",
    "IS NOT NULL": " AND EXISTS (SELECT 1 FROM group_tags t WHERE t.group_id = g.id AND t.key = :k{n})",
}
_TAGS: dict[Dialect, str] = {
    "sqlite": """
SELECT group_id, key, value FROM group_tags WHERE group_id IN (SELECT value FROM json_each(:groups))
ORDER BY group_id, key
""",
    "postgresql": """
SELECT group_id, key, value FROM group_tags WHERE group_id = ANY(:groups) ORDER BY group_id, key
""",
}


class Condition(NamedTuple):
    """One condition: on a column, or on a tag."""

    column: str
    tag: str
    comparator: Comparator
    value: Value | tuple[int, ...] = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A search over groups.

    Args:
        conditions: all hold.
        order: columns, and whether upwards; by number downwards where it leaves groups equal.
        stages: those that are shown.
        projects: whose groups are shown; None for all.
        skip, limit: which page.
    """

    conditions: tuple[Condition, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    stages: tuple[str, ...] = ("active",)
    projects: Collection[str] | None = None
    skip: int = 0
    limit: int = 1_000


def search(reader: Reader, wanted: Wanted) -> list[Group]:
    """The page."""
    text = _SELECT + _STAGES[wanted.stages]
    params: dict[str, Any] = {"skip": wanted.skip, "limit": wanted.limit}
    if wanted.projects is not None:
        text += _PROJECTS[reader.dialect]
        params["projects"] = labels.written_list(reader.dialect, sorted(wanted.projects))
    for n, condition in enumerate(wanted.conditions):
        fragment, value = _condition(reader.dialect, condition)
        text += fragment.replace("{n}", str(n))
        if value is not None:
            params[f"v{n}"] = value
        if condition.tag:
            params[f"k{n}"] = condition.tag
    order = [COLUMNS[column] + ("" if up else " DESC") for column, up in wanted.order]
    if all(column != "id" for column, _ in wanted.order):
        order.append("g.id DESC")
    text += f" ORDER BY {', '.join(order)} LIMIT :limit OFFSET :skip"
    found = groups.of_rows(reader.rows(text, **params))
    tags: dict[int, dict[str, str]] = {}
    rows = reader.rows(_TAGS[reader.dialect], groups=labels.listed(reader, [group.id for group in found]))
    for number, key, value in rows:
        tags.setdefault(number, {})[key] = value
    return [msgspec.structs.replace(group, tags=tags.get(group.id, {})) for group in found]


def _condition(dialect: Dialect, condition: Condition) -> tuple[str, Any]:
    comparator, value = condition.comparator, condition.value
    if comparator in _HAS_TAG:
        return _HAS_TAG[comparator], None
    x = "t.value" if condition.tag else COLUMNS[condition.column]
    if comparator in _SIGNS:
        test = f"{x} {_SIGNS[comparator]} :v{{n}}"
    else:
        test = _TESTS[dialect][comparator].replace("{x}", x)
        value = _bound(dialect, comparator, value)
    return (_TAGGED.replace("{test}", test) if condition.tag else f" AND {test}"), value


def _bound(dialect: Dialect, comparator: str, value: Any) -> Any:
    if comparator in ("IN", "NOT IN"):
        return labels.written_list(dialect, value)
    return labels.glob(value) if dialect == "sqlite" else value
