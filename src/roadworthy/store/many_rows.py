"""Many rows in one statement: what PostgreSQL is spared when a batch is written.

In: an `INSERT … VALUES (:a, :b)` and rows of parameters. Out: statements of up to `TOGETHER_MAX` rows each, with the
parameters numbered. Called by `Transaction.insert_many` (store/sql.py): a row at a time, PostgreSQL and its driver take
longer over each row's messages than over the row. SQLite has no messages, and takes the rows as they are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

# Statements of the same number of rows are prepared once; more rows at once save nothing.
TOGETHER_MAX = 64
_VALUES = re.compile(r"\bVALUES\s*\(([^()]*)\)")
# A literal, a cast, or a parameter: only the last is numbered.
_PARAMETER = re.compile(r"'(?:[^']|'')*'|::\w+|:([a-z_][a-z0-9_]*)")


def together(sql: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statements that write `rows`, each with its parameters."""
    for start in range(0, len(rows), TOGETHER_MAX):
        some = rows[start : start + TOGETHER_MAX]
        if len(some) == 1:
            yield sql, dict(some[0])
        else:
            yield (
                _of_rows(sql, len(some)),
                {f"{name}_{n}": value for n, row in enumerate(some) for name, value in row.items()},
            )


@lru_cache(maxsize=512)
def _of_rows(sql: str, count: int) -> str:
    found = _VALUES.search(sql)
    assert found is not None, sql
    values = ", ".join(f"({_numbered(found[1], n)})" for n in range(count))
    return f"{sql[: found.start()]}VALUES {values}{sql[found.end() :]}"


def _numbered(row: str, n: int) -> str:
    return _PARAMETER.sub(lambda found: f"{found[0]}_{n}" if found[1] else found[0], row)
