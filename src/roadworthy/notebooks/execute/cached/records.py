"""What a cell did under a key, kept in the pipelines' cache: outputs, values, files, what it logged.

In: a key, or what a cell just did. Out: a `Record` that still holds, or why there is none. Called by `plan.py` and
`drive.py`. The outputs are a blob; the values it made are named beside it, so that whoever follows blobs finds them.
"""

from pathlib import Path
from typing import Any

import msgspec

from roadworthy.notebooks.execute.cached import keys
from roadworthy.notebooks.execute.cached.inside import Deeds, Made
from roadworthy.notebooks.execute.cached.keys import Code
from roadworthy.nouns.step import Value
from roadworthy.pipelines import cache
from roadworthy.pipelines.cache import Kept
from roadworthy.store.store import Store

FORMAT = "json"
TYPE = "notebook cell"
NEVER = "it has not run yet"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a record that is a blob.

    Args:
        outputs: as nbformat 4 has them.
        deeds: what it made.
        states: by generator of random numbers that it used, what it found there.
    """

    outputs: tuple[dict[str, Any], ...]
    deeds: Deeds
    states: dict[str, str] = {}


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell did: the row, and what it said."""

    kept: Kept
    said: Said

    @property
    def made(self) -> dict[str, Made]:
        """By name."""
        return self.said.deeds.made


def find(store: Store, key: str, root: Path, texts: tuple[str, ...]) -> tuple[Record | None, str]:
    """The record under a key, if the files it read are as they were; otherwise why not, empty if it never ran."""
    kept = cache.get(store, key)
    if kept is None or kept.output is None:
        return None, ""
    obstacle = cache.obstacle(store, kept, root, texts)
    if obstacle:
        return None, obstacle
    gone = next((name for name in kept.written if not (root / name).exists()), None)
    if gone:
        return None, f"file {gone} that it wrote is gone"
    try:
        said = msgspec.json.decode(store.blobs.get(kept.output.digest), type=Said)
    except msgspec.DecodeError:
        return None, "it was kept by another version"
    return Record(kept=kept, said=said), ""


def why_new(store: Store, project: str, code: Code, parts: dict[str, str]) -> str:
    """Why there is nothing under a key: what changed since the cell's newest record."""
    newest = cache.newest(store, project, code.step)
    if newest is None:
        return NEVER
    return keys.differences(newest.parts, parts) or "it ran with other inputs"


def blob(store: Store, said: Said) -> Value:
    """What a cell said, stored."""
    digest = store.blobs.put(msgspec.json.encode(said))
    values = [made.value for made in said.deeds.made.values() if made.value is not None]
    size = store.blobs.path(digest).stat().st_size
    meta = {"parts": [msgspec.to_builtins(value) for value in values]}
    return Value(format=FORMAT, digest=digest, size=size, type=TYPE, meta=meta)
