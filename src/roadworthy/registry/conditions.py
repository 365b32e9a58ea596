"""Conditions of a search as SQL: constant fragments, and what a user wrote as bound parameters alone.

In: a column's name out of a table of ours, a comparator, a value. Out: a fragment, and the parameters that belong to
it. Called by the searches that take conditions in any number (model_search.py, the wire's logged models and traces).
"""

from collections.abc import Collection, Iterable
from typing import Literal, get_args

from roadworthy.nouns.errors import invalid
from roadworthy.store.sql import Dialect

Comparator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN", "NOT IN"]
COMPARATORS: tuple[str, ...] = get_args(Comparator)
Value = str | int | float | tuple[str, ...]

_COMPARED: dict[str, str] = {
    "=": "{column} = :{name}",
    "!=": "{column} <> :{name}",
    "<": "{column} < :{name}",
    "<=": "{column} <= :{name}",
    ">": "{column} > :{name}",
    ">=": "{column} >= :{name}",
}
# SQLite's LIKE does not tell A from a, its GLOB does; PostgreSQL's LIKE would take a backslash for an escape.
_LIKE: dict[Dialect, dict[str, str]] = {
    "sqlite": {"LIKE": "{column} GLOB :{name}", "ILIKE": "LOWER({column}) LIKE LOWER(:{name})"},
    "postgresql": {"LIKE": "{column} LIKE :{name} ESCAPE ''", "ILIKE": "{column} ILIKE :{name} ESCAPE ''"},
}


class Bound:
    """The parameters of a statement that grows.

    Args:
        prefix: of the parameters' names, where a statement has several such.
    """

    def __init__(self, dialect: Dialect, prefix: str = "p") -> None:
        self.values: dict[str, object] = {}
        self.dialect: Dialect = dialect
        self._prefix = prefix

    def holds(self, column: str, comparator: str, value: Value) -> str:
        """That a column compares so with a value.

        Raises:
            Fault: invalid for a comparator that does not fit the value.
        """
        if isinstance(value, tuple):
            return f"{column} {'NOT IN' if comparator == 'NOT IN' else 'IN'} ({self.listed(value)})"
        if comparator in _COMPARED:
            return _COMPARED[comparator].format(column=column, name=self.bind(value))
        if comparator not in _LIKE[self.dialect]:
            raise invalid("only a list is compared with IN or NOT IN", where=str(value)[:80])
        if comparator == "LIKE" and self.dialect == "sqlite":
            value = glob(str(value))
        return _LIKE[self.dialect][comparator].format(column=column, name=self.bind(value))

    def within(self, column: str, values: Collection[str] | None) -> str:
        """That a column is one of `values`; of any when they are None."""
        if values is None:
            return "1 = 1"
        return f"{column} IN ({self.listed(sorted(values))})" if values else "1 = 0"

    def listed(self, values: Iterable[object]) -> str:
        """Values as the inside of a list."""
        return ", ".join(f":{self.bind(value)}" for value in values)

    def bind(self, value: object) -> str:
        """A value as a parameter; its name."""
        name = f"{self._prefix}{len(self.values)}"
        self.values[name] = value
        return name


def glob(pattern: str) -> str:
    """A LIKE pattern as SQLite's GLOB says it.

    >>> glob("a%[b]_*")
    'a*[[]b]?[*]'
    """
    signs = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(signs.get(sign, sign) for sign in pattern)
