"""Runs: written as they happen, read back whole.

In: what the runner (pipelines) and tracking report, and clients of the server. Out: `Run` records, with a run whose
process is gone shown as `killed`. This file owns the tables `runs` and `step_runs`; what a run has in parameters and
tags is in registry/labels.py, its metrics in registry/metrics.py.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from roadworthy.nouns.errors import conflict, invalid, not_found
from roadworthy.nouns.event import Event
from roadworthy.nouns.run import CodeVersion, Environment, Run, RunStatus
from roadworthy.nouns.step import StepRun
from roadworthy.registry import groups, labels, metrics, process, run_rows
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Reader, Transaction
from roadworthy.store.store import Change, Store

# The tag that says which process does the run.
PROCESS_TAG = "roadworthy.process"
KILLED = "its process ended without saying so"
LATEST = "latest"
CANDIDATES_SHOWN = 5
ENDED = ("finished", "failed", "killed")

_INSERT = """
INSERT INTO runs (seq, id, group_id, project, run_group, name, actor, status, stage, start_ms, end_ms, deleted_ms,
                  location, record)
VALUES (:seq, :id, :group_id, :project, :run_group, :name, :actor, :status, 'active', :start_ms, :end_ms, NULL,
        :location, :record)
"""
_UPDATE = """
UPDATE runs SET group_id = :group_id, project = :project, run_group = :run_group, name = :name, actor = :actor,
status = :status, start_ms = :start_ms, end_ms = :end_ms, record = :record WHERE seq = :seq
"""
_UPDATE_SHORT = "UPDATE runs SET status = :status, end_ms = :end_ms, name = :name WHERE seq = :seq"
_SET_STAGE = "UPDATE runs SET stage = :stage, deleted_ms = :deleted_ms WHERE seq = :seq"
_WHOLE = f"{run_rows.COLUMNS}, run_group, record"
_READ = f"SELECT {_WHOLE} FROM runs WHERE id = :id"
# SQLite's writers hold the whole file; PostgreSQL's must hold the row that they read and then write.
_READ_TO_WRITE = {"sqlite": _READ, "postgresql": f"{_READ} FOR UPDATE"}
_LATEST = """
SELECT id FROM runs WHERE (CAST(:project AS TEXT) = '' OR project = :project) AND stage = 'active'
ORDER BY seq DESC LIMIT 1
"""
# Ids are hex digits, so `prefix + g` comes after every id that begins with the prefix, in any collation.
_BY_PREFIX = """
SELECT id FROM runs
WHERE id >= :low AND id < :high AND (CAST(:project AS TEXT) = '' OR project = :project)
ORDER BY seq DESC LIMIT :limit
"""
# A run shown as killed is still `running` in its row, so both are read when either is asked for.
_LISTING = f"""
SELECT {_WHOLE} FROM runs
WHERE (CAST(:project AS TEXT) = '' OR project = :project)
AND (CAST(:run_group AS TEXT) = '' OR run_group = :run_group)
AND (CAST(:status AS TEXT) = '' OR status = :status
     OR (status = 'running' AND CAST(:status AS TEXT) = 'killed'))
AND stage = 'active'
ORDER BY seq DESC LIMIT :limit OFFSET :skip
"""
_PUT_STEP = """
INSERT INTO step_runs (run, step, place, record) VALUES (:run, :step, :place, :record)
ON CONFLICT (run, step) DO UPDATE SET place = excluded.place, record = excluded.record
"""
_STEPS = "SELECT record FROM step_runs WHERE run = :run ORDER BY place, step"


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a run is in no column."""

    params: dict[str, Any] = msgspec.field(default_factory=dict)
    snapshots: dict[str, str] = msgspec.field(default_factory=dict)
    seed: int = 0
    code: CodeVersion = CodeVersion()
    environment: Environment = Environment()
    command: str = ""
    error: str | None = None
    reproduces: str | None = None


_NOTHING = _Record()
_decoder = msgspec.json.Decoder(_Record)


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
        started_at=round(run.started_at or store.clock.now(), 3),
        actor=run.actor or store.actor,
        tags=tags,
        steps=(),
    )
    detail = {"snapshots": run.snapshots, "code": run.code.digest, "lock": run.environment.lock, "seed": run.seed}
    with store.change(Event(kind="run.started", subject=run.id, project=run.project, detail=detail)) as tx:
        if run_rows.find(tx, run.id) is not None:
            raise conflict("a run with this id exists already", where=run.id)
        group_id = groups.of_run(tx, run.project, run.group, round(run.started_at * 1000))
        row = _row(run, groups.next_number(tx, "runs"), group_id)
        _insert(tx, row, run_group=run.group, record=_text(_record(run)))
        labels.put(tx, "params", row, labels.written(run.params))
        labels.put(tx, "tags", row, [(key, labels.text(value)) for key, value in run.tags.items()])
    return run


def begin(store: Store, row: Row, tags: Mapping[str, str]) -> Row:
    """Record that a client has begun a run in a group; `row` with its number, and the store's id unless it has one."""
    row = row._replace(id=row.id or store.ids.new())
    with store.change(
        Event(kind="run.started", subject=row.id, project=row.project, detail={"group": row.group_id})
    ) as tx:
        row = row._replace(seq=groups.next_number(tx, "runs"))
        _insert(tx, row, run_group="", record="{}")
        labels.put(tx, "tags", row, tags.items(), new=True)
        for room in (run_rows, labels, metrics):
            room.begun(tx, row)
    return row


def settle_step(store: Store, run_id: str, place: int, step_run: StepRun) -> None:
    """Record what was done about one step; `place` is its position in the order of settling, from 0."""
    settle_steps(store, run_id, [(place, step_run)])


def settle_steps(store: Store, run_id: str, settled: Sequence[tuple[int, StepRun]]) -> None:
    """Record several steps in one transaction (a run in which all steps are reused writes once)."""
    detail = {
        s.step: {"status": s.status, "key": s.key, "output": s.output.digest if s.output else None} for _, s in settled
    }
    with store.change(Event(kind="run.steps_settled", subject=run_id, detail=detail)) as tx:
        row, _, _ = _require(tx, run_id)
        tx.event = msgspec.structs.replace(tx.event, project=row.project)
        tx.execute_many(
            _PUT_STEP, [{"run": run_id, "step": s.step, "place": place, "record": _text(s)} for place, s in settled]
        )


def finish(store: Store, run_id: str, status: RunStatus, *, error: str | None = None) -> Run:
    """Record that a run has ended; the event carries a digest of its metric points and step outputs.

    Args:
        status: `finished`, `failed` or `killed`.
    """
    if status not in ENDED:
        raise invalid("a run ends as finished, failed or killed", where=run_id)
    with store.change(Event(kind=f"run.{status}", subject=run_id)) as tx:
        row, run_group, record = _require(tx, run_id)
        row = row._replace(status=status, end_ms=round(store.clock.now() * 1000))
        record = msgspec.structs.replace(record, error=error)
        _update(tx, row, run_group, record)
        tx.event = msgspec.structs.replace(tx.event, project=row.project)
        tx.note(metrics=metrics.digest(tx, row), error=_kind_of(error))
        return msgspec.structs.replace(_seen(tx, [(row, run_group, record)])[0], steps=_steps(tx, run_id))


def conclude(store: Store, row: Row) -> None:
    """Write a client's change of its run's status, end or name; a run that ends has its points' digest in the event."""
    ended = row.status in ENDED
    with store.change(
        Event(kind=f"run.{row.status}" if ended else "run.updated", subject=row.id, project=row.project)
    ) as tx:
        tx.update_one(_UPDATE_SHORT, seq=row.seq, status=row.status, end_ms=row.end_ms, name=row.name)
        run_rows.changed(tx, row)
        if ended:
            tx.note(metrics=metrics.digest(tx, row))


def set_stage(store: Store, row: Row, stage: str) -> None:
    """Delete a run (`deleted`) or restore it (`active`); for good only `rw gc` deletes."""
    kind = "run.deleted" if stage == "deleted" else "run.restored"
    with store.change(Event(kind=kind, subject=row.id, project=row.project)) as tx:
        deleted_ms = round(store.clock.now() * 1000) if stage == "deleted" else None
        tx.execute(_SET_STAGE, seq=row.seq, stage=stage, deleted_ms=deleted_ms)


def update(store: Store, run: Run) -> Run:
    """Write a run's record anew (its steps are written by `settle_step` alone)."""
    with store.change(Event(kind="run.updated", subject=run.id, project=run.project)) as tx:
        found = _require(tx, run.id)
        before = _seen(tx, [found])[0]
        names = run.__struct_fields__
        tx.note(fields=[f for f in names if f != "steps" and getattr(run, f) != getattr(before, f)])
        group_id = found[0].group_id
        if (run.project, run.group) != (before.project, before.group):
            group_id = groups.of_run(tx, run.project, run.group, round(run.started_at * 1000))
        row = _row(run, found[0].seq, group_id)
        _update(tx, row, run.group, _record(run))
        run_rows.forget(tx, row.seq)
        labels.replace(tx, "params", row, labels.written(run.params))
        labels.replace(tx, "tags", row, [(key, labels.text(value)) for key, value in run.tags.items()])
        if group_id != found[0].group_id:
            metrics.move(tx, row)
    return run


def amend(
    store: Store, run_id: str, *, params: dict[str, Any] | None = None, tags: dict[str, str] | None = None
) -> Run:
    """Add parameters and tags to what a run has; equal names are replaced, writers at the same time lose nothing."""
    with store.change(Event(kind="run.updated", subject=run_id)) as tx:
        row, run_group, record = _require(tx, run_id)
        tx.event = msgspec.structs.replace(tx.event, project=row.project)
        tx.note(params=sorted(params or {}), tags=sorted(tags or {}))
        run_rows.forget(tx, row.seq)
        if params:
            record = msgspec.structs.replace(record, params={**record.params, **params})
            _update(tx, row, run_group, record)
            labels.put(tx, "params", row, labels.written(params))
        labels.put(tx, "tags", row, [(key, labels.text(value)) for key, value in (tags or {}).items()])
        return _seen(tx, [(row, run_group, record)])[0]


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
            seen = _seen(reader, [_split(row) for row in rows])
            found += [run for run in seen if not status or run.status == status]
            skip += limit
            if len(rows) < limit:
                break
        found = found[:limit]
        if steps:
            return [msgspec.structs.replace(run, steps=_steps(reader, run.id)) for run in found]
    return found


_Found = tuple[Row, str, _Record]


def _whole(reader: Reader, run_id: str) -> Run:
    row = reader.row(_READ, id=run_id)
    assert row is not None
    return msgspec.structs.replace(_seen(reader, [_split(row)])[0], steps=_steps(reader, run_id))


def _seen(reader: Reader, found: Sequence[_Found]) -> list[Run]:
    """Runs as they are: one that says it is running, but whose process is gone, was killed."""
    numbers = [row.seq for row, _, _ in found]
    params, tags = (labels.of_runs(reader, kind, numbers) for kind in ("params", "tags"))
    return [
        _run(row, run_group, record, dict(params[row.seq]), dict(tags[row.seq])) for row, run_group, record in found
    ]


def _run(row: Row, run_group: str, record: _Record, params: dict[str, Any], tags: dict[str, str]) -> Run:
    status, error = row.status, record.error
    if status == "running" and process.is_gone(tags.get(PROCESS_TAG, "")):
        status, error = "killed", error or KILLED
    return Run(
        id=row.id, project=row.project, group=run_group, name=row.name, status=status,  # type: ignore[arg-type]
        started_at=row.start_ms / 1000, ended_at=None if row.end_ms is None else row.end_ms / 1000,
        params={**params, **record.params}, snapshots=record.snapshots, seed=record.seed, code=record.code,
        environment=record.environment, tags=tags, command=record.command, actor=row.actor, error=error,
        reproduces=record.reproduces,
    )  # fmt: skip


def _require(tx: Change, run_id: str) -> _Found:
    row = tx.row(_READ_TO_WRITE[tx.dialect], id=run_id)
    if row is None:
        raise not_found("no such run", where=run_id)
    return _split(row)


def _split(row: tuple[Any, ...]) -> _Found:
    text = row[-1]
    return Row(*row[:-2]), str(row[-2]), _NOTHING if text == "{}" else _decoder.decode(text)


def _steps(reader: Reader, run_id: str) -> tuple[StepRun, ...]:
    rows: Iterable[tuple[Any, ...]] = reader.rows(_STEPS, run=run_id)
    return tuple(msgspec.json.decode(row[0], type=StepRun) for row in rows)


def _row(run: Run, seq: int, group_id: int) -> Row:
    end_ms = None if run.ended_at is None else round(run.ended_at * 1000)
    return Row(
        seq, run.id, group_id, run.project, run.name, run.actor, run.status, "active", round(run.started_at * 1000),
        end_ms, "",
    )  # fmt: skip


def _record(run: Run) -> _Record:
    return _Record(**{name: getattr(run, name) for name in _Record.__struct_fields__})


def _insert(tx: Transaction, row: Row, *, run_group: str, record: str) -> None:
    columns = row._asdict()
    del columns["stage"]
    tx.insert_many(_INSERT, [{**columns, "run_group": run_group, "record": record}])


def _update(tx: Transaction, row: Row, run_group: str, record: _Record) -> None:
    tx.execute(
        _UPDATE, seq=row.seq, group_id=row.group_id, project=row.project, run_group=run_group, name=row.name,
        actor=row.actor, status=row.status, start_ms=row.start_ms, end_ms=row.end_ms, record=_text(record),
    )  # fmt: skip


def _text(record: _Record | StepRun) -> str:
    # Parameters may be of any type; what JSON does not know is kept as text.
    return msgspec.json.encode(record, enc_hook=str).decode()


def _kind_of(error: str | None) -> str:
    """The exception's name alone: what it says may quote a row of somebody's data, which the log cannot forget."""
    last = (error or "").strip().rpartition("\n")[2]
    found = re.match(r"[A-Za-z_][\w.]*", last)
    return found[0][:100] if found else ""
