"""Alerts: a breach that someone should know of, open until a later window passes.

In: a judged window. Out: the table `alerts`, and the monitor's webhook told. Called by monitors.py inside the
transaction that stores the window, so that a window and its alert are kept together; the webhook is told afterwards,
from what is stored, so that an alert is told at least once even if the process dies between the two.
"""

import msgspec

from roadworthy.nouns.errors import Fault
from roadworthy.nouns.event import Event
from roadworthy.nouns.monitor import Alert, Window
from roadworthy.nouns.project import MonitorSpec, Place
from roadworthy.nouns.rule import Outcome, refusals
from roadworthy.operate import webhook
from roadworthy.store.sql import Reader, Transaction
from roadworthy.store.store import Store

DELIVERIES_MAX = 20
LISTED_MAX = 1_000

_SAVE = """
INSERT INTO alerts (id, project, monitor, model, opened_at, closed_at, record)
VALUES (:id, :project, :monitor, :model, :opened_at, :closed_at, :record)
ON CONFLICT (id) DO UPDATE SET closed_at = excluded.closed_at, record = excluded.record
"""
_OPEN = "SELECT record FROM alerts WHERE project = :project AND closed_at IS NULL ORDER BY opened_at, id"
_ALL = "SELECT record FROM alerts WHERE project = :project ORDER BY opened_at DESC, id LIMIT :most"


def settle(tx: Transaction, project: str, window: Window, spec: MonitorSpec, *, new_id: str) -> tuple[Alert, ...]:
    """What a judged window does to the monitor's alerts; those that were opened, extended or closed.

    A breach opens one alert per monitor and model; while it is open, further breaches only add their rules to it. It
    closes when a window of the same or a later time, of that model or the one after it, holds every rule that it is
    about. A rule that waits for labels closes nothing.
    """
    broken = tuple(refusals(window.outcomes))
    passed = {outcome.rule for outcome in window.outcomes if outcome.passed}
    mine = [alert for alert in _open(tx, project) if alert.monitor == window.monitor]
    changed = [
        msgspec.structs.replace(alert, closed_at=window.judged_at)
        for alert in mine
        if window.start >= alert.window_start and all(outcome.rule in passed for outcome in alert.outcomes)
    ]
    if broken:
        closed = {alert.id for alert in changed}
        opened = next((a for a in mine if a.model == window.model and a.id not in closed), None)
        after = _extended(opened, broken) if opened else _opened(project, window, spec, broken, new_id)
        changed += [after] if after != opened else []
    for alert in changed:
        _write(tx, alert)
    return tuple(changed)


def open_alerts(store: Store, project: str) -> list[Alert]:
    """Those that are open, oldest first."""
    with store.read() as reader:
        return _open(reader, project)


def listing(store: Store, project: str, *, most: int = 100) -> list[Alert]:
    """Alerts, newest first, at most 1,000."""
    with store.read() as reader:
        rows = reader.rows(_ALL, project=project, most=min(most, LISTED_MAX))
    return [msgspec.json.decode(str(row[0]), type=Alert) for row in rows]


def deliver(store: Store, place: Place) -> list[str]:
    """Tell the webhooks what they have not been told; what went wrong, in words.

    No transaction is open while the network is waited for.
    """
    problems = []
    project = place.project
    for alert in listing(store, project.name):
        spec = project.monitor.get(alert.monitor)
        if spec is None or spec.webhook is None or alert.attempts >= DELIVERIES_MAX:
            continue
        for what in _untold(alert):
            body = webhook.cloud_event(
                kind=f"roadworthy.alert.{what}",
                key=f"{alert.id}-{what}",
                source=f"/projects/{project.name}/monitors/{alert.monitor}",
                subject=alert.model,
                at=alert.opened_at if what == "opened" else alert.closed_at or alert.opened_at,
                data=msgspec.to_builtins(msgspec.structs.replace(alert, told=(), attempts=0)),
            )
            try:
                webhook.post(spec.webhook, body)
            except Fault as problem:
                failed = alert.attempts + 1 if webhook.may_be_tried_again(problem) else DELIVERIES_MAX
                alert = msgspec.structs.replace(alert, attempts=failed)  # noqa: PLW2901 - the record as it is now
                problems.append(f"{alert.monitor}: {problem}")
            else:
                alert = msgspec.structs.replace(alert, told=(*alert.told, what))  # noqa: PLW2901 - the same
            kind = "alert.told" if what in alert.told else "alert.untold"
            detail = {"what": what, "webhook": webhook.shown(spec.webhook), "attempts": alert.attempts}
            with store.change(Event(kind=kind, subject=alert.id, project=project.name, detail=detail)) as tx:
                _write(tx, alert)
            if kind == "alert.untold":
                break
    return problems


def summary(outcomes: tuple[Outcome, ...] | list[Outcome]) -> str:
    """Which rules did not hold, with what was measured, in one line."""
    return "; ".join(told(outcome) for outcome in outcomes)


def told(outcome: Outcome) -> str:
    """One outcome in words: the rule, and what was measured."""
    measured = ", ".join(f"{path} = {_short(value)}" for path, value in outcome.measured.items())
    return f"{outcome.name} ({outcome.problem or measured or 'does not hold'})"


def _untold(alert: Alert) -> list[str]:
    wanted = ["opened"] + (["closed"] if alert.closed_at is not None else [])
    return [what for what in wanted if what not in alert.told]


def _opened(project: str, window: Window, spec: MonitorSpec, broken: tuple[Outcome, ...], new_id: str) -> Alert:
    return Alert(
        id=new_id,
        monitor=window.monitor,
        model=window.model,
        window_start=window.start,
        window_end=window.end,
        outcomes=broken,
        opened_at=window.judged_at,
        action=spec.action,
        summary=summary(broken),
        project=project,
    )


def _extended(alert: Alert, broken: tuple[Outcome, ...]) -> Alert:
    known = {outcome.rule for outcome in alert.outcomes}
    fresh = tuple(outcome for outcome in broken if outcome.rule not in known)
    if not fresh:
        return alert
    outcomes = (*alert.outcomes, *fresh)
    return msgspec.structs.replace(alert, outcomes=outcomes, summary=summary(outcomes))


def _open(reader: Reader, project: str) -> list[Alert]:
    return [msgspec.json.decode(str(row[0]), type=Alert) for row in reader.rows(_OPEN, project=project)]


def _write(tx: Transaction, alert: Alert) -> None:
    tx.execute(
        _SAVE, id=alert.id, project=alert.project, monitor=alert.monitor, model=alert.model,
        opened_at=alert.opened_at, closed_at=alert.closed_at, record=msgspec.json.encode(alert).decode(),
    )  # fmt: skip


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
