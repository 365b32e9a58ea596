"""Many rows in one statement: what PostgreSQL is spared when a batch is written.

In: an `INSERT … VALUES (:a, :b)` and rows of parameters. Out: statements as PostgreSQL takes them, of up to
`TOGETHER_MAX` rows each, with their parameters in order. A row at a time, PostgreSQL and its driver take longer over
each row's messages than over the row. SQLite has no messages, and takes the rows as they are.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

TOGETHER_MAX = 64  # more rows at once save nothing
# Statements are prepared once for each number of rows, so that there are not to be too many of these.
_COUNTS = (64, 48, 32, *range(24, 0, -1))
_VALUES = re.compile(r"\bVALUES\s*\(([^()]*)\)")
# A literal, a cast, or a parameter: only the last is numbered.
PARAMETER = re.compile(r"'(?:[^']|'')*'|::\w+|:([a-z_][a-z0-9_]*)")


def together(sql: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """The statements that write `rows`, each with its parameters."""
    start = 0
    while start < len(rows):
        left = len(rows) - start
        count = next(count for count in _COUNTS if count <= left)
        statement, values_of = _of_rows(sql, count)
        yield statement, [*itertools.chain.from_iterable(map(values_of, rows[start : start + count]))]
        start += count


@lru_cache(maxsize=512)
def _of_rows(sql: str, count: int) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """The statement of so many rows, and what gives each row's parameters in order."""
    found = _VALUES.search(sql)
    assert found is not None, sql
    names: list[str] = []

    def numbered(parameter: re.Match[str]) -> str:
        if not parameter[1]:
            return parameter[0]
        names.append(parameter[1])
        return f"${len(names)}"

    values = ", ".join(f"({PARAMETER.sub(numbered, found[1])})" for _ in range(count))
    of_row = names[: len(names) // count]
    values_of = itemgetter(*of_row) if len(of_row) > 1 else lambda row: tuple(row[name] for name in of_row)
    return f"{sql[: found.start()]}VALUES {values}{sql[found.end() :]}", values_of
