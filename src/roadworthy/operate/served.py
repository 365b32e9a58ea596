"""What was served, as monitors read it: tallies per window, and the rows of one.

In: the inference log of a target and the labels that have arrived (Parquet files under `.roadworthy/`). Out: small
tables. Called by monitors.py and replay.py.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.nouns.errors import Fault, unavailable
from roadworthy.operate.windows import Grid
from roadworthy.serving import inference_rows

if TYPE_CHECKING:
    import pandas as pd

ATTEMPTS = 5
# Rows that a shadow answered went to nobody.
_SERVED = """
CREATE VIEW served AS SELECT log.*, newest.label FROM log LEFT JOIN newest USING (_key)
WHERE log._route IS DISTINCT FROM 'shadow'
"""


class Tally(msgspec.Struct, frozen=True):
    """How much one model version served in window `k` of a grid."""

    k: int
    model: str
    rows: int
    labelled: int


def coverage(home: Path, target: str) -> list[tuple[str, int, int]]:
    """Rows and labelled rows of each version."""
    found = _query(home, target, "SELECT _model, count(*), count(label) FROM served GROUP BY 1 ORDER BY 1", [])
    return [(str(model), int(rows), int(labelled)) for model, rows, labelled in found]


def first_at(home: Path, target: str) -> float | None:
    """When the first row was served, in seconds since the epoch; None when none was."""
    found = _query(home, target, "SELECT min(_at) FROM log WHERE _route IS DISTINCT FROM 'shadow'", [])
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


def rows(home: Path, target: str, start: float, end: float, model: str) -> "pd.DataFrame":
    """What one version served between two moments, with `label` (null while unknown)."""
    table: pd.DataFrame = inference_rows.rows(home, target, start=start, end=end, model=model).to_pandas()
    return table


def scores(home: Path, target: str, start: float, end: float) -> "pd.DataFrame":
    """Version, score and label of every row served between two moments: as `rows`, without the features."""
    import pandas as pd

    sql = "SELECT _model, _score, label FROM served WHERE _at >= ? AND _at < ? ORDER BY _at, _request, _row"
    return pd.DataFrame(_query(home, target, sql, [start, end]), columns=["_model", "_score", "label"])


def count(home: Path, target: str) -> int:
    """How many rows are in the log, by what its files say of themselves."""
    from pyarrow import parquet

    for _ in range(ATTEMPTS):
        try:
            return sum(parquet.read_metadata(path).num_rows for path in inference_rows.files_of(home, target))
        except FileNotFoundError:
            continue  # merged while we read
    raise _restless(target)


def places(home: Path, target: str, prefix: str) -> list[tuple[str, int]]:
    """Request id and place in the request of every such row."""
    found = _query(home, target, "SELECT _request, _row FROM log WHERE starts_with(_request, ?)", [prefix])
    return [(str(request), int(row)) for request, row in found]


def _query(home: Path, target: str, sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    """Ask the tables `log` (as written) and `served` (with labels); nothing when nothing was served."""
    import duckdb

    labels = _labels(home) if "FROM served" in sql else None
    for _ in range(ATTEMPTS):
        files = inference_rows.files_of(home, target)
        if not files:
            return []
        try:
            with duckdb.connect() as connection:
                names = [str(path) for path in files]
                connection.read_parquet(names, union_by_name=True, hive_partitioning=False).create_view("log")
                if labels is not None:
                    connection.register("newest", labels)
                    connection.execute(_SERVED)
                found: list[tuple[Any, ...]] = connection.execute(sql, params).fetchall()
                return found
        except duckdb.IOException:
            # Files are merged while we read: those that are there now hold the same rows.
            if all(path.exists() for path in files):
                raise
    raise _restless(target)


def _labels(home: Path) -> Any:
    """The newest label of each key; read again only when there are other files than before."""
    files = sorted((home / "labels").glob("*.parquet"))
    return _labels_of(home, tuple(path.name for path in files))


@lru_cache(maxsize=1)
def _labels_of(home: Path, _names: tuple[str, ...]) -> Any:
    return inference_rows.labels(home)


def _restless(target: str) -> Fault:
    return unavailable("the inference log keeps changing while it is read", where=target, fix="try again")
