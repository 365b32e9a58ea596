"""True labels for rows that were served: what came out, joined later by the rows' key.

In: a table with a key column and a label column. Out: files beside the inference log, and one event with their count
and digest. Called by `rw labels` and by a replay.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from roadworthy.data import sensitive
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.event import Event
from roadworthy.nouns.project import Place
from roadworthy.operate import served
from roadworthy.releases import grounds
from roadworthy.serving import inference_rows
from roadworthy.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


def add(
    store: Store,
    place: Place,
    table: "pd.DataFrame",
    *,
    key: str = "",
    label: str = "",
    at: float | None = None,
) -> int:
    """Add labels; a key that has one already gets the newer. How many were added.

    Args:
        table: one row per key; rows without a label are passed over.
        key, label: its columns; those of `[serving] key` and `[model] label` when empty.
        at: when they became known, seconds since the epoch; the store's clock when None.

    Raises:
        Fault: invalid when the project names no key, or the table lacks a column.
    """
    key, label = columns(place, key, label)
    for name in (key, label):
        if name not in table.columns:
            there = ", ".join(str(c) for c in table.columns[:20])
            raise invalid(f"the table has no column {name!r}", fix=f"it has {there}; or say which: --key, --label")
    known = table.loc[table[label].notna() & table[key].notna(), [key, label]]
    if place.project.serving.key in sensitive.sensitive_columns(place.project):
        # The log has masks in place of keys; the same secret gives the same masks.
        known = sensitive.mask_columns(known, [key], secret=sensitive.secret(store.home / "keys"))
    moment = store.clock.now() if at is None else at
    kept = known.set_axis(["_key", "label"], axis=1).reset_index(drop=True).assign(_at=moment)
    if kept.empty:
        return 0
    added = inference_rows.add_labels(store.home, kept)
    event = Event(
        kind="labels.added",
        subject=place.project.name,
        project=place.project.name,
        detail={"rows": added, "digest": blake3(kept.to_csv(index=False).encode()).hexdigest(), "at": moment},
    )
    with store.change(event):
        pass  # the labels are in files; the log knows of them by their digest
    return added


class Coverage(msgspec.Struct, frozen=True):
    """How many rows a version served, and how many of them have a label."""

    model: str
    rows: int
    labelled: int


class Label(msgspec.Struct, frozen=True):
    """The newest label of a key, and since when it is known (seconds since the epoch)."""

    key: str
    label: float
    at: float


def coverage(store: Store, place: Place) -> list[Coverage]:
    """How far labels have come, by model version."""
    return [Coverage(*found) for found in served.coverage(store.home, grounds.default(place))]


def newest(store: Store, limit: int) -> list[Label]:
    """The labels that came last, newest first."""
    table = inference_rows.labels(store.home).sort_by([("_label_at", "descending"), ("_key", "ascending")])
    return [Label(row["_key"], row["label"], row["_label_at"]) for row in table.slice(0, limit).to_pylist()]


def columns(place: Place, key: str, label: str) -> tuple[str, str]:
    """The key's and the label's column, as given or as the project names them.

    Raises:
        Fault: invalid when neither says.
    """
    project = place.project
    if not project.serving.key:
        raise invalid(
            "labels are joined by a key, and the project names none",
            where="[serving]",
            fix='add key = "…" to [serving]',
        )
    name = label or (project.model.label if project.model else "")
    if not name:
        raise invalid("which column is the label is not said", fix="add --label COLUMN, or label to [model]")
    return key or project.serving.key, name


def read_table(path: Path) -> "pd.DataFrame":
    """Labels from a CSV or Parquet file; `-` reads CSV from standard input.

    Raises:
        Fault: invalid when the file cannot be read.
    """
    import sys

    import pandas as pd

    try:
        if str(path) == "-":
            return pd.read_csv(sys.stdin)
        return pd.read_parquet(path) if path.suffix.lower() in {".parquet", ".pq"} else pd.read_csv(path)
    except (OSError, ValueError, pd.errors.ParserError) as problem:
        said = getattr(problem, "strerror", None) or str(problem).splitlines()[0]
        raise invalid(f"the labels cannot be read: {said}", where=str(path), fix="give a CSV or Parquet file") from None
