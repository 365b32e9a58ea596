"""What was served, as monitors read it: tallies per window, and the rows of one.

In: the inference log of a target and the labels that have arrived (Parquet files under `.roadworthy/`). Out: small
tables. Called by monitors.py and replay.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.operate.windows import Grid

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

# The newest label of a key counts; a key without one stays null.
_JOINED = """
CREATE VIEW served AS SELECT log.*, known.label FROM log LEFT JOIN (
    SELECT CAST(_key AS VARCHAR) AS _key, arg_max(label, _at) AS label FROM labels GROUP BY 1
) AS known ON CAST(log._key AS VARCHAR) = known._key
"""
_UNLABELLED = "CREATE VIEW served AS SELECT *, NULL AS label FROM log"


class Tally(msgspec.Struct, frozen=True):
    """How much one model version served in window `k` of a grid."""

    k: int
    model: str
    rows: int
    labelled: int


def first_at(home: Path, target: str) -> float | None:
    """When the first row was served, in seconds since the epoch; None when none was."""
    found = _query(home, target, "SELECT min(_at) FROM served", [])
    return None if not found or found[0][0] is None else float(found[0][0])


def tallies(home: Path, target: str, grid: Grid, start: float, end: float) -> list[Tally]:
    """Rows and labelled rows per window and model version between two moments, in order of time."""
    found = _query(
        home,
        target,
        """
        SELECT CAST(floor((_at - ?) / ?) AS BIGINT) AS k, _model, count(*), count(label) FROM served
        WHERE _at >= ? AND _at < ? GROUP BY 1, 2 ORDER BY 1, 2
        """,
        [grid.anchor, grid.width, start, end],
    )
    return [Tally(int(k), str(model), int(rows), int(labelled)) for k, model, rows, labelled in found]


def rows(home: Path, target: str, start: float, end: float, model: str = "") -> "pd.DataFrame":
    """Served rows with their `label` (null while unknown) between two moments, of one version or of all."""
    import pandas as pd

    with _connected(home, target) as connection:
        if connection is None:
            return pd.DataFrame({"_score": pd.Series(dtype=float), "label": pd.Series(dtype=float)})
        where = "WHERE _at >= ? AND _at < ? AND (? = '' OR _model = ?)"
        return connection.execute(f"SELECT * FROM served {where}", [start, end, model, model]).df()


def scores(home: Path, target: str, start: float, end: float) -> "pd.DataFrame":
    """Version, score and label of every row served between two moments: as `rows`, without the features."""
    import pandas as pd

    with _connected(home, target) as connection:
        if connection is None:
            return pd.DataFrame({"_model": [], "_score": [], "label": []})
        where = "WHERE _at >= ? AND _at < ? ORDER BY _at"
        return connection.execute(f"SELECT _model, _score, label FROM served {where}", [start, end]).df()


def count(home: Path, target: str, prefix: str) -> int:
    """How many rows are in the log of requests whose id begins so."""
    found = _query(home, target, "SELECT count(*) FROM log WHERE starts_with(_request, ?)", [prefix])
    return int(found[0][0]) if found else 0


def places(home: Path, target: str, prefix: str) -> list[tuple[str, int]]:
    """Request id and place in the request of every such row."""
    found = _query(home, target, "SELECT _request, _row FROM log WHERE starts_with(_request, ?)", [prefix])
    return [(str(request), int(row)) for request, row in found]


def _query(home: Path, target: str, sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    with _connected(home, target) as connection:
        return connection.execute(sql, params).fetchall() if connection is not None else []


@contextmanager
def _connected(home: Path, target: str) -> Iterator["duckdb.DuckDBPyConnection | None"]:
    """DuckDB with the view `served`; None when nothing was served."""
    import duckdb

    log = sorted(str(path) for path in (home / "inference" / target).glob("**/*.parquet"))
    if not log:
        yield None
        return
    labels = sorted(str(path) for path in (home / "labels").glob("**/*.parquet"))
    with duckdb.connect() as connection:
        connection.execute("SET threads TO 2")
        connection.read_parquet(log, union_by_name=True, hive_partitioning=False).create_view("log")
        if labels:
            connection.read_parquet(labels, union_by_name=True).create_view("labels")
        connection.execute(_JOINED if labels else _UNLABELLED)
        yield connection
