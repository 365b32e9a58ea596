"""Runs: written as they happen, read back whole.

In: what the runner (pipelines) and tracking report. Out: `Run` records, with a run whose process is gone shown as
`killed`. This file owns the tables `runs` and `step_runs`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from roadworthy.nouns.errors import conflict, invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.nouns.run import Run, RunStatus
from roadworthy.nouns.step import StepRun
from roadworthy.registry import metrics, process
from roadworthy.store.sql import Reader
from roadworthy.store.store import Change, Store

# The tag that says which process does the run.
PROCESS_TAG = "roadworthy.process"
KILLED = "its process ended without saying so"
LATEST = "latest"
CANDIDATES_SHOWN = 5

_INSERT = """
INSERT INTO runs (id, project, run_group, status, started_at, seq, record)
VALUES (:id, :project, :run_group, :status, :started_at, (SELECT COALESCE(MAX(seq), 0) + 1 FROM runs), :record)
"""
_UPDATE = """
UPDATE runs SET project = :project, run_group = :run_group, status = :status, started_at = :started_at,
record = :record WHERE id = :id
"""
_READ = "SELECT record FROM runs WHERE id = :id"
# SQLite's writers hold the whole file; PostgreSQL's must hold the row that they read and then write.
_READ_TO_WRITE = {"sqlite": _READ, "postgresql": f"{_READ} FOR UPDATE"}
_LATEST = """
SELECT id FROM runs WHERE (CAST(:project AS TEXT) = '' OR project = :project) ORDER BY seq DESC, id DESC LIMIT 1
"""
# Ids are hex digits, so `prefix + g` comes after every id that begins with the prefix, in any collation.
_BY_PREFIX = """
SELECT id, record FROM runs
WHERE id >= :low AND id < :high AND (CAST(:project AS TEXT) = '' OR project = :project)
ORDER BY seq DESC LIMIT :limit
"""
# A run shown as killed is still `running` in its row, so both are read when either is asked for.
_LISTING = """
SELECT record FROM runs
WHERE (CAST(:project AS TEXT) = '' OR project = :project)
AND (CAST(:run_group AS TEXT) = '' OR run_group = :run_group)
AND (CAST(:status AS TEXT) = '' OR status = :status
     OR (status = 'running' AND CAST(:status AS TEXT) = 'killed'))
ORDER BY seq DESC, id DESC LIMIT :limit OFFSET :skip
"""
_PUT_STEP = """
INSERT INTO step_runs (run, step, place, record) VALUES (:run, :step, :place, :record)
ON CONFLICT (run, step) DO UPDATE SET place = excluded.place, record = excluded.record
"""
_STEPS = "SELECT record FROM step_runs WHERE run = :run ORDER BY place, step"


def start(store: Store, run: Run) -> Run:
    """Record that a run has begun.

    Args:
        run: an empty `id`, `started_at` of 0 and an empty `actor` are filled in; the mark of this process is added.

    Raises:
        Fault: conflict when a run with that id exists.
    """
    tags = {**run.tags}
    tags.setdefault(PROCESS_TAG, process.mark())
    run = msgspec.structs.replace(
        run,
        id=run.id or store.ids.new(),
        status="running",
        started_at=run.started_at or store.clock.now(),
        actor=run.actor or store.actor,
        tags=tags,
        steps=(),
    )
    detail = {"snapshots": run.snapshots, "code": run.code.digest, "lock": run.environment.lock, "seed": run.seed}
    with store.change(Event(kind="run.started", subject=run.id, project=run.project, detail=detail)) as tx:
        if tx.row(_READ, id=run.id) is not None:
            raise conflict("a run with this id exists already", where=run.id)
        tx.execute(_INSERT, **_columns(run))
    return run


def settle_step(store: Store, run_id: str, place: int, step_run: StepRun) -> None:
    """Record what was done about one step; `place` is its position in the order of settling, from 0."""
    settle_steps(store, run_id, [(place, step_run)])


def settle_steps(store: Store, run_id: str, settled: Sequence[tuple[int, StepRun]]) -> None:
    """Record several steps in one transaction (a run in which all steps are reused writes once)."""
    detail = {
        s.step: {"status": s.status, "key": s.key, "output": s.output.digest if s.output else None} for _, s in settled
    }
    with store.change(Event(kind="run.steps_settled", subject=run_id, detail=detail)) as tx:
        run = _require(tx, run_id)
        tx.event = msgspec.structs.replace(tx.event, project=run.project)
        tx.execute_many(
            _PUT_STEP, [{"run": run_id, "step": s.step, "place": place, "record": _text(s)} for place, s in settled]
        )


def finish(store: Store, run_id: str, status: RunStatus, *, error: str | None = None) -> Run:
    """Record that a run has ended; the event carries a digest of its metric points and step outputs.

    Args:
        status: `finished`, `failed` or `killed`.
    """
    if status == "running":
        raise invalid("a run ends as finished, failed or killed", where=run_id)
    with store.change(Event(kind=f"run.{status}", subject=run_id)) as tx:
        run = msgspec.structs.replace(_require(tx, run_id), status=status, ended_at=store.clock.now(), error=error)
        tx.execute(_UPDATE, **_columns(run))
        tx.event = msgspec.structs.replace(tx.event, project=run.project)
        tx.note(metrics=metrics.digest(tx, run_id), error=_kind_of(error))
        return msgspec.structs.replace(run, steps=_steps(tx, run_id))


def update(store: Store, run: Run) -> Run:
    """Write a run's record anew (its steps are written by `settle_step` alone)."""
    with store.change(Event(kind="run.updated", subject=run.id, project=run.project)) as tx:
        before = _require(tx, run.id)
        names = run.__struct_fields__
        tx.note(fields=[f for f in names if f != "steps" and getattr(run, f) != getattr(before, f)])
        tx.execute(_UPDATE, **_columns(run))
    return run


def amend(
    store: Store, run_id: str, *, params: dict[str, Any] | None = None, tags: dict[str, str] | None = None
) -> Run:
    """Add parameters and tags to what a run has; equal names are replaced, writers at the same time lose nothing."""
    with store.change(Event(kind="run.updated", subject=run_id)) as tx:
        run = _require(tx, run_id)
        run = msgspec.structs.replace(run, params={**run.params, **(params or {})}, tags={**run.tags, **(tags or {})})
        tx.event = msgspec.structs.replace(tx.event, project=run.project)
        tx.note(params=sorted(params or {}), tags=sorted(tags or {}))
        tx.execute(_UPDATE, **_columns(run))
    return run


def get(store: Store, ref: str, project: str = "") -> Run:
    """A run by its id, a unique prefix of it, or `latest`.

    Raises:
        Fault: not found, or invalid when the prefix fits several.
    """
    with store.read() as reader:
        if ref == LATEST:
            row = reader.row(_LATEST, project=project)
            if row is None:
                raise not_found("there is no run yet", where=project, fix="make one: rw run")
            return _whole(reader, str(row[0]))
        if not re.fullmatch(r"[0-9a-f]{1,32}", ref):
            raise not_found("no such run", where=ref[:80], fix="`rw runs` lists them; a run is named by its id")
        fitting = reader.rows(_BY_PREFIX, low=ref, high=f"{ref}g", project=project, limit=CANDIDATES_SHOWN + 1)
        if not fitting:
            raise not_found("no run's id begins so", where=ref, fix="`rw runs` lists them")
        if len(fitting) > 1:
            ids = ", ".join(str(row[0])[: max(12, len(ref) + 2)] for row in fitting[:CANDIDATES_SHOWN])
            more = " and more" if len(fitting) > CANDIDATES_SHOWN else ""
            raise invalid("several runs' ids begin so", where=ref, fix=f"give more digits: {ids}{more}")
        return _whole(reader, str(fitting[0][0]))


def listing(
    store: Store, *, project: str = "", group: str = "", status: str = "", limit: int = 50, steps: bool = False
) -> list[Run]:
    """The newest runs first.

    Args:
        limit: how many at most.
        steps: whether to read what each did about its steps.
    """
    found: list[Run] = []
    skip = 0
    with store.read() as reader:
        while len(found) < limit:
            rows = reader.rows(_LISTING, project=project, run_group=group, status=status, limit=limit, skip=skip)
            seen = [_seen(msgspec.json.decode(row[0], type=Run)) for row in rows]
            found += [run for run in seen if not status or run.status == status]
            skip += limit
            if len(rows) < limit:
                break
        found = found[:limit]
        if steps:
            return [msgspec.structs.replace(run, steps=_steps(reader, run.id)) for run in found]
    return found


def _whole(reader: Reader, run_id: str) -> Run:
    row = reader.row(_READ, id=run_id)
    assert row is not None
    run: Run = msgspec.json.decode(row[0], type=Run)
    return _seen(msgspec.structs.replace(run, steps=_steps(reader, run_id)))


def _seen(run: Run) -> Run:
    """The run as it is: one that says it is running, but whose process is gone, was killed."""
    if run.status == "running" and process.is_gone(run.tags.get(PROCESS_TAG, "")):
        return msgspec.structs.replace(run, status="killed", error=run.error or KILLED)
    return run


def _require(tx: Change, run_id: str) -> Run:
    row = tx.row(_READ_TO_WRITE[tx.dialect], id=run_id)
    if row is None:
        raise not_found("no such run", where=run_id)
    run: Run = msgspec.json.decode(row[0], type=Run)
    return run


def _steps(reader: Reader, run_id: str) -> tuple[StepRun, ...]:
    rows: Iterable[tuple[Any, ...]] = reader.rows(_STEPS, run=run_id)
    return tuple(msgspec.json.decode(row[0], type=StepRun) for row in rows)


def _columns(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "project": run.project,
        "run_group": run.group,
        "status": run.status,
        "started_at": run.started_at,
        "record": _text(msgspec.structs.replace(run, steps=())),
    }


def _text(record: Run | StepRun) -> str:
    # Parameters may be of any type; what JSON does not know is kept as text.
    return msgspec.json.encode(record, enc_hook=str).decode()


def _kind_of(error: str | None) -> str:
    """The exception's name alone: what it says may quote a row of somebody's data, which the log cannot forget."""
    last = (error or "").strip().rpartition("\n")[2]
    found = re.match(r"[A-Za-z_][\w.]*", last)
    return found[0][:100] if found else ""
