"""The loop's journal: what it means to do and what it has done, so that it can be killed at any point and go on.

In: records of the loop (loop.py) and of a replay (replay.py). Out: one row per project in `operate_state`. What is
about to be done is written before it is done, with how far it has come; what came of it is written after. Whoever
starts next reads the journal first and carries on from there.
"""

from typing import Any, Literal

import msgspec

from roadworthy.nouns.event import Event
from roadworthy.store.sql import Transaction
from roadworthy.store.store import Store

ACTIONS_KEPT_MAX = 500
ANSWERED_KEPT_MAX = 2_000

Kind = Literal[
    "watched", "breached", "retraining", "unchanged", "refused", "released", "advanced", "promoted", "rolled_back",
    "cooling", "failed",
]  # fmt: skip

_LOAD = "SELECT record FROM operate_state WHERE project = :project"
_SAVE = """
INSERT INTO operate_state (project, updated_at, record) VALUES (:project, :updated_at, :record)
ON CONFLICT (project) DO UPDATE SET updated_at = excluded.updated_at, record = excluded.record
"""


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """How far down the road one model has come; what is named here is done and need not be done again.

    Args:
        reason: why it set out.
        began_at: by the project's clock, seconds since the epoch.
        answers: the breaches it acts upon.
        run, model, certificate, release: what each stage made, by id.
        tries: how often it was taken up again after a failure.
    """

    reason: str = ""
    began_at: float = 0.0
    answers: tuple[str, ...] = ()
    run: str = ""
    model: str = ""
    certificate: str = ""
    release: str = ""
    tries: int = 0


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the loop did or decided.

    Args:
        kind: what it was.
        at: when, by the project's clock, seconds since the epoch.
        what: one sentence.
        subject: the model (`name@version`) or release it was done to.
        detail: more for machines.
    """

    kind: Kind
    at: float
    what: str
    subject: str = ""
    detail: dict[str, Any] = msgspec.field(default_factory=dict)


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replay has come.

    Args:
        source: the `module:function` that yields the batches.
        prefix: what the ids of its requests begin with.
        began: the day's (or the turn's) beginning in which the first row happened, seconds since the epoch.
        moment: moment of the batch in progress.
        batch: index of the batch in progress; all before it are served and labelled.
        underway: whether some of its rows may have been sent.
        turn: index of the turn in progress; all before it are done.
        turned: how many batches there were before the last turn.
        rows: rows of the batches before it.
        before: rows that were in the inference log when it began.
        finished: whether the source was read to its end.
        ended: once there are no more batches, up to when what came is known; what seems silence after it says nothing.
    """

    source: str
    prefix: str
    began: float
    moment: float
    batch: int = 0
    underway: bool = False
    turn: int = 0
    turned: int = 0
    rows: int = 0
    before: int = 0
    finished: bool = False
    ended: float | None = None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the loop knows of itself.

    Args:
        project: whose loop.
        turns: how many turns were ended.
        turned_at: when the last one ended, by the project's clock.
        journey: the journey down the road that is in progress; None between journeys.
        retrained_at: when the last journey began, by the project's clock.
        answered: breaches that were acted upon, newest last.
        actions: what was done, newest last, bounded.
        replay: the replay in progress or finished.
    """

    project: str
    turns: int = 0
    turned_at: float | None = None
    journey: Journey | None = None
    retrained_at: float | None = None
    answered: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    replay: Replay | None = None


def load(store: Store, project: str) -> State:
    """The journal of a project's loop; an empty one when it never ran."""
    with store.read() as reader:
        row = reader.row(_LOAD, project=project)
    return State(project=project) if row is None else msgspec.json.decode(str(row[0]), type=State)


def present(store: Store, project: str) -> float:
    """What time it is for a project: by its clock, or, once history was replayed down its road, how far that came."""
    replay = load(store, project).replay
    return store.clock.now() if replay is None else replay.moment


def save(store: Store, state: State, *, kind: str, subject: str = "", detail: dict[str, Any] | None = None) -> State:
    """Write the journal with the event that says why."""
    event = Event(kind=kind, subject=subject or state.project, project=state.project, detail=detail or {})
    with store.change(event) as tx:
        _write(tx, store, state)
    return state


def move(store: Store, state: State) -> State:
    """Write how far a replay has come: many times a second, so no event each; the period's end is one."""
    with store.append() as tx:
        _write(tx, store, state)
    return state


def did(store: Store, state: State, action: Action, **changes: Any) -> State:
    """Write that something was done, together with what it changes in the journal."""
    actions = (*state.actions, action)[-ACTIONS_KEPT_MAX:]
    after = msgspec.structs.replace(state, actions=actions, **changes)
    kept = msgspec.structs.replace(after, answered=after.answered[-ANSWERED_KEPT_MAX:])
    detail = {"what": action.what, **action.detail}
    return save(store, kept, kind=f"operate.{action.kind}", subject=action.subject, detail=detail)


def _write(tx: Transaction, store: Store, state: State) -> None:
    record = msgspec.json.encode(state).decode()
    tx.execute(_SAVE, project=state.project, updated_at=store.clock.now(), record=record)
