"""Expiry: which runs are old by the project's rules, and how they leave the tables.

In: rules as numbers, from operate/retention.py. Out: ids; what the runs that stay name. A run is old when it is neither
among the newest nor recent, counted back from the newest run of its project: where nobody worked for a year, and where
history is replayed, nothing grows old by it. A run that made a model, or that is under way, is never old.
"""

from collections.abc import Collection, Iterable

import msgspec

from roadworthy.nouns.event import Event
from roadworthy.registry import process
from roadworthy.registry.runs import PROCESS_TAG
from roadworthy.store import references
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

_RUNS = """
SELECT r.id, r.project, r.group_id, r.status, r.stage, r.start_ms, r.deleted_ms, t.value
FROM runs AS r LEFT JOIN run_tags AS t ON t.run = r.seq AND t.key = :process
ORDER BY r.seq DESC
"""
_MADE_MODELS = "SELECT DISTINCT run FROM models"
_RECORDS = "SELECT id, record FROM runs"
_ARTIFACTS = "SELECT run, digest FROM artifacts"
_STEPS = "SELECT run, record FROM step_runs"
_NUMBER = "SELECT seq FROM runs WHERE id = :id"
_REMOVE_BY_ID = (
    "DELETE FROM step_runs WHERE run = :id",
    "DELETE FROM artifacts WHERE run = :id",
    "DELETE FROM runs WHERE id = :id",
)
_REMOVE_BY_NUMBER = (
    "DELETE FROM run_params WHERE run = :seq",
    "DELETE FROM run_tags WHERE run = :seq",
    "DELETE FROM metrics WHERE run = :seq",
    "DELETE FROM metric_chunks WHERE run = :seq",
    "DELETE FROM run_datasets WHERE run = :seq",
    "DELETE FROM run_models WHERE run = :seq",
    "DELETE FROM run_shown WHERE run = :seq",
)
# Runs removed in one transaction, so that writers have their turn.
BATCH = 200
UNDER_WAY = {"running", "scheduled"}


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """Rules, in seconds and numbers.

    Args:
        keep: so many of the newest runs of each project are never old.
        outputs_s: runs younger than this keep what their steps made.
        runs_s: runs older than this go; None for never.
        deleted_s: runs that were marked deleted this long ago go, whatever else holds; None for never.
    """

    keep: int
    outputs_s: float
    runs_s: float | None
    deleted_s: float | None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules came to, as ids of runs.

    Args:
        stay: runs that keep what their steps made.
        gone: runs that go.
        known: all that there are.
    """

    stay: frozenset[str]
    gone: tuple[str, ...]
    known: frozenset[str]


class StepsNamed(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps of runs name: digests of blobs (32 bytes each), and the keys of those that stay."""

    digests: set[bytes]
    keys: set[str]


def judge(reader: Reader, ages: Ages, *, now: float) -> Judged:
    """Which runs keep all, and which go.

    Args:
        now: by the project's clock, which stamped deletions too.
    """
    made = {str(row[0]) for row in reader.rows(_MADE_MODELS)}
    newest: dict[tuple[str, int], int] = {}
    counts: dict[tuple[str, int], int] = {}
    stay: set[str] = set()
    gone: list[str] = []
    known: set[str] = set()
    for run_id, project, group, status, stage, start_ms, deleted_ms, mark in reader.each(_RUNS, process=PROCESS_TAG):
        known.add(run_id)
        if stage == "deleted":
            if ages.deleted_s is not None and now - (deleted_ms or 0) / 1000 >= ages.deleted_s and run_id not in made:
                gone.append(run_id)
            else:
                stay.add(run_id)  # it may be restored
            continue
        where = (project, group)
        newest.setdefault(where, start_ms)
        counts[where] = counts.get(where, 0) + 1
        age_s = (newest[where] - start_ms) / 1000
        under_way = status in UNDER_WAY and not process.is_gone(mark or "")
        if counts[where] <= ages.keep or age_s < ages.outputs_s or under_way:
            stay.add(run_id)
        elif ages.runs_s is not None and age_s >= ages.runs_s and run_id not in made:
            gone.append(run_id)
    return Judged(stay=frozenset(stay), gone=tuple(gone), known=frozenset(known))


def steps(reader: Reader, judged: Judged) -> StepsNamed:
    """What steps name: all of it for runs that stay, all but outputs for older ones, nothing for those that go."""
    gone = set(judged.gone)
    digests: set[bytes] = set()
    keys: set[str] = set()
    for run_id, record in reader.each(_STEPS):
        if run_id in gone:
            continue
        if run_id not in judged.stay:
            old = msgspec.json.decode(record)
            record = msgspec.json.encode({name: old[name] for name in old if name != "output"}).decode()  # noqa: PLW2901
        else:
            keys.add(str(msgspec.json.decode(record).get("key", "")))
        digests |= references.in_cell(record)
    return StepsNamed(digests=digests, keys=keys)


def remove(store: Store, run_ids: Iterable[str]) -> int:
    """Remove runs with their steps, metrics and artifacts' names; the log says which. How many."""
    waiting = list(run_ids)
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        with store.change(Event(kind="runs.expired", subject=f"{len(batch)} runs", detail={"runs": batch})) as tx:
            numbers = [row[0] for run_id in batch if (row := tx.row(_NUMBER, id=run_id)) is not None]
            for sql in _REMOVE_BY_NUMBER:
                tx.execute_many(sql, [{"seq": number} for number in numbers])
            for sql in _REMOVE_BY_ID:
                tx.execute_many(sql, [{"id": run_id} for run_id in batch])
    return len(waiting)


def rows(reader: Reader, gone: Collection[str]) -> set[bytes]:
    """The digests that the records of runs and their artifacts name, but for those that go."""
    found: set[bytes] = set()
    for run_id, record in reader.each(_RECORDS):
        if run_id not in gone:
            found |= references.in_cell(record)
    for run_id, digest in reader.each(_ARTIFACTS):
        if run_id not in gone:
            found |= references.in_cell(digest)
    return found
