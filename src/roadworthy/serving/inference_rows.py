"""Inference rows: what was served, read back, with the labels that arrived since.

In: the store's folder; labels from whoever learns what came true. Out: tables for monitors, canaries and retraining.
Called by operate/, releases/ and faces/. Labels lie in `<home>/labels/*.parquet` (`_key`, `label`, `_at`); of several
for one key, the newest counts.
"""

import hashlib
import json
import math
import secrets
from pathlib import Path
from typing import Any

from roadworthy.nouns.errors import Fault, invalid, unavailable
from roadworthy.serving.compaction import current, day_folders
from roadworthy.serving.inference_log import RESERVED, folder_of, write_table
from roadworthy.serving.routes import canonical
from roadworthy.serving.signature import as_frame
from roadworthy.store.clock import SystemClock

ATTEMPTS = 5  # files that are merged while we read are looked for again
LABEL_FILES_MAX = 64
LABEL_COLUMNS = ("_key", "label", "_at")

_ROWS = """
SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
WHERE "_at" >= $start AND "_at" < $end AND ($model IS NULL OR "_model" = $model) AND ($shadow OR "_route" <> 'shadow')
"""
_NEWEST_LABELS = """
SELECT "_key", arg_max(label, "_at") AS label, max("_at") AS "_label_at"
FROM read_parquet($labels, union_by_name = true, hive_partitioning = false) GROUP BY "_key"
"""
_LABELLED = f"""
SELECT served.*, newest.label, newest."_label_at"
FROM ({_ROWS}) AS served LEFT JOIN ({_NEWEST_LABELS}) AS newest USING ("_key")
ORDER BY "_at", "_served_at", "_request", "_row"
"""
_UNLABELLED = f"""
SELECT served.*, CAST(NULL AS DOUBLE) AS label, CAST(NULL AS DOUBLE) AS "_label_at" FROM ({_ROWS}) AS served
ORDER BY "_at", "_served_at", "_request", "_row"
"""


def rows(
    home: Path, target: str, *, start: float = -math.inf, end: float = math.inf, model: str | None = None,
    shadow: bool = False,
) -> Any:  # fmt: skip
    """What a target served between two moments, with labels where there are any.

    Args:
        home: the store's folder.
        target: the target's name.
        start, end: of `_at` (when it happened), seconds since the epoch; `end` is exclusive.
        model: `name@version`; all when None.
        shadow: whether rows that a shadow answered, to nobody, are among them.

    Returns:
        A `pyarrow.Table` in the order of `_at`: the log's columns (see serving/inference_log.py), the features, `label`
        and `_label_at` (null where none came yet).
    """

    def read(connection: Any, files: list[str], labels: list[str]) -> Any:
        given: dict[str, Any] = {"files": files, "start": start, "end": end, "model": model, "shadow": shadow}
        if labels:
            return connection.sql(_LABELLED, params=given | {"labels": labels}).to_arrow_table()
        return connection.sql(_UNLABELLED, params=given).to_arrow_table()

    return _reading(home, target, read)


def models(home: Path, target: str) -> list[str]:
    """Which models (`name@version`) a target's log has rows of."""

    def read(connection: Any, files: list[str], _: list[str]) -> list[str]:
        query = 'SELECT DISTINCT "_model" FROM read_parquet($files, union_by_name = true) ORDER BY 1'
        return [name for (name,) in connection.execute(query, {"files": files}).fetchall()]

    found: list[str] = _reading(home, target, read, empty=list)
    return found


def dropped(home: Path, target: str) -> int:
    """How many rows a target's servers could not keep, by their counter files."""
    total = 0
    for path in (folder_of(home, target) / "dropped").glob("*.json"):
        try:
            total += int(json.loads(path.read_bytes())["rows_dropped"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return total


def add_labels(home: Path, table: Any, *, now: float | None = None) -> int:
    """Keep what came true: all of the table or nothing.

    Args:
        home: the store's folder.
        table: `_key` and `label`, and `_at` (seconds since the epoch) when it became known; pandas or pyarrow. Where
            keys are sensitive, the caller masks them as the log does.
        now: `_at` of rows that have none; the moment of the call when None.

    Returns:
        The number of labels kept. The same table given again changes nothing.

    Raises:
        Fault: invalid, naming the row; unavailable, when the disk is full.
    """
    import pyarrow as pa

    kept = _labels(as_frame(table), SystemClock().now() if now is None else now)
    if not kept["_key"]:
        return 0
    made = pa.table(
        {
            "_key": pa.array(kept["_key"], pa.string()),
            "label": pa.array(kept["label"], pa.float64()),
            "_at": pa.array(kept["_at"], pa.float64()),
        }
    )
    digest = hashlib.blake2b(json.dumps([kept[name] for name in LABEL_COLUMNS]).encode(), digest_size=12).hexdigest()
    path = home / "labels" / f"{digest}.parquet"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            write_table(made, path)
        merge_labels(home, most=LABEL_FILES_MAX)
    except OSError as problem:
        raise unavailable(f"labels cannot be kept: {problem.strerror}", where=str(path.parent)) from None
    return len(kept["_key"])


def labels(home: Path) -> Any:
    """The newest label of each key: a `pyarrow.Table` of `_key`, `label` and `_label_at`."""
    import duckdb
    import pyarrow as pa

    for _ in range(ATTEMPTS):
        files = _label_files(home)
        if not files:
            return pa.table({"_key": pa.array([], pa.string()), "label": pa.array([], pa.float64()),
                             "_label_at": pa.array([], pa.float64())})  # fmt: skip
        try:
            with duckdb.connect() as connection:
                return connection.sql(_NEWEST_LABELS, params={"labels": [str(path) for path in files]}).to_arrow_table()
        except duckdb.IOException:
            if all(path.exists() for path in files):
                raise
    raise _restless(home / "labels")


def files_of(home: Path, target: str) -> list[Path]:
    """The Parquet files of a target that hold each row once."""
    return [path for day in day_folders(folder_of(home, target)) for path in current(day)]


def _reading(home: Path, target: str, read: Any, *, empty: Any = None) -> Any:
    """Read the files as they are now; those that were merged meanwhile are listed again."""
    import duckdb

    for _ in range(ATTEMPTS):
        files, labels = files_of(home, target), _label_files(home)
        if not files:
            return _nothing() if empty is None else empty()
        try:
            with duckdb.connect() as connection:
                return read(connection, [str(path) for path in files], [str(path) for path in labels])
        except duckdb.IOException:
            if all(path.exists() for path in (*files, *labels)):
                raise
    raise _restless(folder_of(home, target))


def _restless(folder: Path) -> Fault:
    return unavailable("its files keep changing while they are read", where=str(folder), fix="try again")


def merge_labels(home: Path, *, most: int = 1, dry_run: bool = False) -> int:
    """Make many files of labels one with the newest of each key; read twice, in between, a label is still the same.

    Args:
        most: so many files are left alone.
        dry_run: only say how many there are.

    Returns:
        How many files became one.
    """
    files = _label_files(home)
    if len(files) <= most or dry_run:
        return len(files) if len(files) > most else 0
    merged = labels(home).rename_columns(["_key", "label", "_at"])
    write_table(merged, home / "labels" / f"merged-{secrets.token_hex(12)}.parquet")
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def _nothing() -> Any:
    import pyarrow as pa

    text = {"_model", "_request", "_key", "_entity", "_route"}
    kinds = {name: pa.string() if name in text else pa.float64() for name in RESERVED}
    kinds |= {"_row": pa.int32(), "label": pa.float64(), "_label_at": pa.float64()}
    return pa.table({name: pa.array([], kind) for name, kind in kinds.items()})


def _label_files(home: Path) -> list[Path]:
    return sorted(path for path in (home / "labels").glob("*.parquet") if not path.name.startswith("."))


def _labels(frame: Any, now: float) -> dict[str, list[Any]]:
    for name in ("_key", "label"):
        if name not in frame.columns:
            raise invalid(
                f"the table of labels has no column {name!r}", fix="give `_key` and `label`, and `_at` if known"
            )
    moments = frame["_at"].tolist() if "_at" in frame.columns else [None] * len(frame)
    kept: dict[str, list[Any]] = {name: [] for name in LABEL_COLUMNS}
    for row, (key, label, at) in enumerate(zip(frame["_key"].tolist(), frame["label"].tolist(), moments, strict=True)):
        text = None if _missing(key) else canonical(key)
        if text is None:
            raise _wrong_label(row, "_key", "a key")
        if _missing(label) or not isinstance(label, int | float) or not math.isfinite(label):
            raise _wrong_label(row, "label", "a finite number (or true, false)")
        kept["_key"].append(text)
        kept["label"].append(float(label))
        kept["_at"].append(now if _missing(at) else _seconds(row, at))
    return kept


def _seconds(row: int, at: Any) -> float:
    if hasattr(at, "timestamp"):
        return float(at.timestamp())
    if isinstance(at, int | float) and math.isfinite(at):
        return float(at)
    raise _wrong_label(row, "_at", "seconds since the epoch")


def _missing(value: Any) -> bool:
    return value is None or value != value or type(value).__name__ in {"NAType", "NaTType"}  # noqa: PLR0124 - NaN


def _wrong_label(row: int, column: str, allowed: str) -> Fault:
    return invalid(f"{column!r} must be {allowed}", where=f"row {row}", fix="correct the table; none of it was kept")
