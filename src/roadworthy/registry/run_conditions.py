"""Conditions of a search over runs as SQL, and statements as they are put together.

In: conditions as data (registry/run_query.py). Out: fragments and their parameters. Called by registry/run_search.py.

A statement is put together here, since a query has any number of conditions, but of the constants of these two files
alone: what a query says reaches the database as parameters, whose names are counted, and nowhere else. `Statement` is
the only thing that joins text.
"""

from typing import Any

from roadworthy.registry import labels
from roadworthy.registry.run_query import Condition, Query
from roadworthy.store.sql import Dialect, Reader

_OF_STAGE = " AND r.stage = :stage"
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
ATTRIBUTES = {
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
# `{run}` is the number of the run that is looked at, `{n}` counts the parameters.
_HAS = {
    "param": " AND EXISTS (SELECT 1 FROM run_params f WHERE f.run = {run} AND f.key = :k{n} AND {test})",
    "tag": " AND EXISTS (SELECT 1 FROM run_tags f WHERE f.run = {run} AND f.key = :k{n} AND {test})",
    "metric": " AND EXISTS (SELECT 1 FROM metrics f WHERE f.run = {run} AND f.key = :k{n} AND {test})",
}
_PRESENT = {
    ("param", "IS NULL"): " AND NOT EXISTS (SELECT 1 FROM run_params f WHERE f.run = {run} AND f.key = :k{n})",
    ("param", "IS NOT NULL"): " AND EXISTS (SELECT 1 FROM run_params f WHERE f.run = {run} AND f.key = :k{n})",
    ("tag", "IS NULL"): " AND NOT EXISTS (SELECT 1 FROM run_tags f WHERE f.run = {run} AND f.key = :k{n})",
    ("tag", "IS NOT NULL"): " AND EXISTS (SELECT 1 FROM run_tags f WHERE f.run = {run} AND f.key = :k{n})",
}
_DATASETS = """
 AND EXISTS (SELECT 1 FROM run_datasets i JOIN datasets d ON d.id = i.dataset WHERE i.run = {run} AND {test})
"""
_DATASET_ATTRIBUTES = {"name": "d.name", "digest": "d.digest", "context": "i.context"}
_NOT_EQUAL_OR_NAN = "(f.value <> :v{n} OR f.value IS NULL)"

# The runs of a group that meet one condition, by an index of its own.
_MEETING = {
    "param": "SELECT f.run FROM run_params f WHERE f.group_id = :group_id AND f.key = :k{n} AND {test}",
    "tag": "SELECT f.run FROM run_tags f WHERE f.group_id = :group_id AND f.key = :k{n} AND {test}",
    "metric": "SELECT f.run FROM metrics f WHERE f.group_id = :group_id AND f.key = :k{n} AND {test}",
    "attribute": "SELECT f.seq AS run FROM runs f WHERE {test}",
}


# As the index is written, or SQLite would not see it; what is shorter than its prefix is equal when that is.
_PREFIX = 100
_EQUAL_SHORT = "substr(f.value, 1, 100) = :v{n}"
_EQUAL_LONG = "substr(f.value, 1, 100) = :p{n} AND f.value = :v{n}"


class Statement:
    """A statement as it grows, and its parameters."""

    def __init__(self, dialect: Dialect, text: str = "", **params: Any) -> None:
        self.dialect = dialect
        self.text = text
        self.params = params
        self.meets = -1  # the number of the condition that what it finds meets

    def add(self, fragment: str, **params: Any) -> None:
        self.text += fragment
        self.params.update(params)

    def stage(self, stage: str) -> None:
        """Runs of a stage, of either when it is empty."""
        if stage:
            self.add(_OF_STAGE, stage=stage)

    def conditions(self, query: Query, run: str, *, met: int = -1) -> None:
        """The query's conditions on the run whose number `run` names, but for one that is met already."""
        for n, condition in enumerate(query.conditions):
            if n == met:
                continue
            fragment, value = _fragment(self.dialect, condition)
            self.add(fragment.replace("{n}", str(n)).replace("{run}", run))
            self._bind(n, condition, value)
        if ":place" in self.text:
            self.params["place"] = query.place

    def meeting(self, n: int, condition: Condition) -> None:
        """The runs that meet a condition that has an index."""
        self.meets = n
        if condition.kind in ("param", "tag"):
            value = str(condition.value)
            test = _EQUAL_SHORT if len(value) < _PREFIX else _EQUAL_LONG
            if test == _EQUAL_LONG:
                self.params[f"p{n}"] = value[:_PREFIX]
        else:
            test, value = _test(self.dialect, "f.id" if condition.kind == "attribute" else "f.value", condition)
        self.add(_MEETING[condition.kind].replace("{test}", test).replace("{n}", str(n)))
        self._bind(n, condition, value)

    def rows(self, reader: Reader) -> list[tuple[Any, ...]]:
        return reader.rows(self.text, **self.params)

    def _bind(self, n: int, condition: Condition, value: Any) -> None:
        if value is not None:
            self.params[f"v{n}"] = value
        if condition.kind in _HAS:
            self.params[f"k{n}"] = condition.key


def has_index(condition: Condition) -> bool:
    """Whether an index finds the runs that meet a condition."""
    kind, key, comparator, _ = condition
    if kind == "metric":
        return comparator != "!="
    return (kind in ("param", "tag") and comparator == "=") or (
        kind == "attribute" and key == "id" and comparator in ("=", "IN")
    )


def _fragment(dialect: Dialect, condition: Condition) -> tuple[str, Any]:
    """A condition as a fragment, and the value of its parameter."""
    kind, key, comparator, value = condition
    if comparator in ("IS NULL", "IS NOT NULL"):
        return _PRESENT[kind, comparator], None
    if kind == "attribute":
        test, bound = _test(dialect, ATTRIBUTES[key], condition)
        return f" AND {test}", bound
    if kind == "dataset":
        test, bound = _test(dialect, _DATASET_ATTRIBUTES[key], condition)
        return _DATASETS.replace("{test}", test), bound
    if kind == "metric" and comparator == "!=":
        return _HAS[kind].replace("{test}", _NOT_EQUAL_OR_NAN), value
    test, bound = _test(dialect, "f.value", condition)
    return _HAS[kind].replace("{test}", test), bound


def _test(dialect: Dialect, x: str, condition: Condition) -> tuple[str, Any]:
    comparator, value = condition.comparator, condition.value
    if comparator in _SIGNS:
        return f"{x} {_SIGNS[comparator]} :v{{n}}", value
    if isinstance(value, tuple):
        return _LISTED[dialect][comparator].replace("{x}", x), labels.written_list(dialect, value)
    pattern = labels.glob(str(value)) if dialect == "sqlite" else value
    return _MATCHING[dialect][comparator].replace("{x}", x), pattern
