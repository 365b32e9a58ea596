"""True labels for rows that were served: what came out, joined later by the rows' key.

In: a table with a key column and a label column. Out: files beside the inference log, and one event with their count
and digest. Called by `rw labels` and by a replay.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from roadworthy.data import sensitive
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.event import Event
from roadworthy.nouns.project import Place
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
    import pandas as pd

    key, label = columns(place, key, label)
    for name in (key, label):
        if name not in table.columns:
            there = ", ".join(str(c) for c in table.columns[:20])
            raise invalid(f"the table has no column {name!r}", fix=f"it has {there}; or say which: --key, --label")
    known = table.loc[table[label].notna() & table[key].notna(), [key, label]]
    if place.project.serving.key in sensitive.sensitive_columns(place.project):
        secret = sensitive.secret(store.home / "keys")
        known = sensitive.mask_columns(known, [key], secret=secret)
    moment = store.clock.now() if at is None else at
    kept = pd.DataFrame({"_key": known[key].to_numpy(), "label": known[label].to_numpy(), "_at": moment})
    if kept.empty:
        return 0
    inference_rows.add_labels(store.home, kept)
    digest = blake3(kept.to_csv(index=False).encode()).hexdigest()
    event = Event(
        kind="labels.added",
        subject=place.project.name,
        project=place.project.name,
        detail={"rows": len(kept), "digest": digest, "at": moment},
    )
    with store.change(event):
        pass  # the labels are in files; the log knows of them by their digest
    return len(kept)


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
