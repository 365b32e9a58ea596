"""Monitors: the project's standing questions about served traffic, asked for every window that has ended.

In: the inference log, labels as they arrive, each model's reference profile, the rules of `[monitor.NAME]`. Out: one
`Window` per window and model version, stored with its event; alerts opened and closed. Called by `rw watch` and by the
loop (loop.py).

A window is judged when it has ended, and again when more of its rows, or labels of another twentieth of them, have come
in since. A rule waits, and is neither held nor broken, if it is about performance before enough labels, about change
before there is a window to compare with, about anything but volume in a window of too few rows, or about volume in a
window before whose end replayed history ends.
"""

import math
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec

from roadworthy.data.sensitive import sensitive_columns
from roadworthy.gates import expression, rules
from roadworthy.gates.measures import drift
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.event import Event
from roadworthy.nouns.model import Model
from roadworthy.nouns.monitor import Alert, Window
from roadworthy.nouns.project import Duration, MonitorSpec, Place, seconds
from roadworthy.nouns.project import rules as written
from roadworthy.nouns.rule import Rule, refusals
from roadworthy.operate import alerts, error_counts, journal, served, window_facts, windows
from roadworthy.operate.windows import Grid
from roadworthy.registry import models
from roadworthy.releases import grounds
from roadworthy.store.store import Store

# Rows and labels that come in later than this after their window's end leave it as it was judged.
LATE_S_MAX = 180 * windows.DAY_S
# A window is judged again when labels of so large a share of its rows have come since, or enough to begin with.
RELABELLED_SHARE = 0.05
# After a long sleep only so many windows per monitor are caught up with, the newest.
CATCH_UP_MAX = 2_000
LOOK_MAX = 24
# So many silent windows in a row are judged; the alert is open by then, and more of the same says nothing new.
SILENT_MAX = 7

Progress = Callable[[str], None]


class _Due(msgspec.Struct, frozen=True, kw_only=True):
    """A window to be judged: how much it holds, and how much all versions served in it and in the one before."""

    monitor: str
    model: str
    start: float
    end: float
    rows: int
    labelled: int
    total: int
    before: int | None
    # whether history was replayed, and ended before it did
    cut: bool
    # what was counted when it was judged first
    errors: dict[str, Any] = msgspec.field(default_factory=dict)


def watch(
    store: Store,
    place: Place,
    *,
    until: float | None = None,
    names: Collection[str] | None = None,
    progress: Progress | None = None,
) -> list[Window]:
    """Ask every monitor about each window that has ended and was not judged yet, or has changed since.

    Args:
        until: windows that end later are left; the store's clock when None. Seconds since the epoch.
        names: ask only these monitors.
        progress: told one line per alert and per trouble with a webhook.

    Returns:
        The windows judged now, by monitor and in order of time.

    Raises:
        Fault: invalid when a rule names what no monitor measures.
    """
    say = progress or _silent
    now = store.clock.now() if until is None else until
    judged: list[Window] = []
    for name, spec in place.project.monitor.items():
        if names is not None and name not in names:
            continue
        for rule in written(spec.rules):
            rules.check(rule, known=window_facts.KNOWN)
        for due in _due(store, place, name, spec, now):
            window, changed = _judge(store, place, spec, due, now)
            judged.append(window)
            for alert in changed:
                say(_news(alert, window))
    for problem in alerts.deliver(store, place):
        say(problem)
    return judged


def awake(store: Store, place: Place, *, last: float, now: float, first: float | None = None) -> list[str]:
    """The monitors that may have something to say at `now`, having been asked at `last`: cheap, without reading rows.

    Those of which a window has ended in between; half-way through a window, too, for labels and rows that came late.

    Args:
        first: when the first row was served, where that is known; else a monitor without any window is awake.
    """
    found = []
    for name, spec in place.project.monitor.items():
        width = seconds(spec.window)
        extent = windows.extent(store, place.project.name, name, width)
        anchor = extent[0] if extent else windows.grid(first, width).anchor if first is not None else None
        if anchor is None or Grid(anchor, width / 2).index(now) > Grid(anchor, width / 2).index(last):
            found.append(name)
    return found


def look(store: Store, place: Place, length: str, *, until: float | None = None, most: int = LOOK_MAX) -> list[Window]:
    """Ask every monitor about windows of another length, without keeping what is found.

    Args:
        length: a duration, such as `7d`.
        until: windows that end later are left; the store's clock when None. Seconds since the epoch.
        most: windows per monitor, the newest.

    Raises:
        Fault: invalid when the length is no duration, or a rule names what no monitor measures.
    """
    try:
        width = seconds(msgspec.convert(length, Duration))
    except msgspec.ValidationError:
        raise invalid(f"{length!r} is no length of a window", fix="write it such as 15m, 24h or 7d") from None
    now = store.clock.now() if until is None else until
    first = served.first_at(store.home, grounds.default(place))
    if first is None or width <= 0:
        return []
    grid = windows.grid(first, width)
    found: list[Window] = []
    for name, spec in place.project.monitor.items():
        for rule in written(spec.rules):
            rules.check(rule, known=window_facts.KNOWN)
        ended = grid.complete(now)
        due = _of_grid(store, place, name, grid, begin=max(ended - most, 0), end=ended)
        found += [_weighed(store, place, spec, one, now) for one in due]
    return found


def _due(store: Store, place: Place, name: str, spec: MonitorSpec, now: float) -> Iterator[_Due]:
    """The windows of one monitor to be judged now, in order of time."""
    project, width = place.project.name, seconds(spec.window)
    extent = windows.extent(store, project, name, width)
    if extent is None:
        earliest = served.first_at(store.home, grounds.default(place))
        if earliest is None:
            return
        grid = windows.grid(earliest, width)
        since = grid.anchor
    else:
        grid = Grid(extent[0], width)
        since = min(extent[1], now - LATE_S_MAX)
    ended = grid.complete(now)
    floor = begin = max(grid.index(since), 0, ended - CATCH_UP_MAX)
    known = {
        (w.start, w.model): w
        for w in windows.listing(store, project, monitor=name, since=grid.start(floor - SILENT_MAX - 1))
        if abs(w.end - w.start - width) < 1e-6 * width
    }
    if extent is not None:
        # From the first window that may still change; the newest may always have got more rows.
        open_ones = [grid.index(w.start) for w in known.values() if not _is_settled(w)]
        begin = max(floor, min([*open_ones, grid.index(extent[1])]))
    last = next((w for w in reversed(known.values()) if w.rows and w.start < grid.start(begin)), None)
    heard = (last.model, grid.index(last.start)) if last is not None else None
    for due in _of_grid(store, place, name, grid, begin=begin, end=ended, heard=heard):
        seen = known.get((due.start, due.model))
        if seen is None or _has_changed(seen, due, spec.min_rows):
            yield due if seen is None else msgspec.structs.replace(due, errors=seen.facts.get("errors", {}))


def _is_settled(window: Window) -> bool:
    """Whether so many labels have come that the rest would change nothing."""
    return bool(window.rows) and window.labelled >= (1 - RELABELLED_SHARE) * window.rows


def _has_changed(seen: Window, due: _Due, rows_min: int) -> bool:
    more = due.labelled - seen.labelled
    return (
        due.rows != seen.rows
        or more >= max(1.0, RELABELLED_SHARE * due.rows)
        or seen.labelled < rows_min <= due.labelled
        or (more > 0 and due.labelled == due.rows)
    )


def _of_grid(
    store: Store, place: Place, name: str, grid: Grid, *, begin: int, end: int, heard: tuple[str, int] | None = None
) -> Iterator[_Due]:
    """Every window of a stretch of a grid.

    Args:
        heard: which model was last heard before it, and in which window: silence is a window of that model.
    """
    # The window before the first one is asked for too: the first is compared with it.
    found = served.tallies(store.home, grounds.default(place), grid, grid.start(max(begin - 1, 0)), grid.start(end))
    replay = journal.load(store, place.project.name).replay
    by_window: dict[int, list[served.Tally]] = {}
    for tally in found:
        by_window.setdefault(tally.k, []).append(tally)
    for k in range(begin, end):
        mine = by_window.get(k, [])
        if mine:
            heard = (mine[-1].model, k)
        elif heard is not None and k - heard[1] <= SILENT_MAX:
            mine = [served.Tally(k, heard[0], 0, 0)]
        for tally in mine:
            yield _Due(
                monitor=name,
                model=tally.model,
                start=grid.start(k),
                end=grid.end(k),
                rows=tally.rows,
                labelled=tally.labelled,
                total=sum(t.rows for t in mine),
                before=sum(t.rows for t in by_window.get(k - 1, [])) if k > 0 else None,
                cut=_is_cut(replay, grid.start(k), grid.end(k)),
            )


def _is_cut(replay: journal.Replay | None, start: float, end: float) -> bool:
    """Whether history was replayed and ended before a window did that the replay's last turn asked about."""
    return replay is not None and replay.ended is not None and replay.ended < end and start < replay.moment


def _judge(store: Store, place: Place, spec: MonitorSpec, due: _Due, now: float) -> tuple[Window, tuple[Alert, ...]]:
    """Judge one window and store it with the event; the alerts that changed."""
    project = place.project
    window = _weighed(store, place, spec, due, now)
    broken = refusals(window.outcomes)
    event = Event(
        kind="window.judged",
        subject=f"{due.monitor}/{due.model}",
        project=project.name,
        detail={
            "start": due.start,
            "end": due.end,
            "rows": window.rows,
            "labelled": window.labelled,
            "digest": window.digest,
            "broken": [outcome.rule for outcome in broken],
        },
    )
    with store.change(event) as tx:
        windows.save(tx, project.name, window)
        changed = alerts.settle(tx, project.name, window, spec, new_id=store.ids.new())
        tx.note(alerts={alert.id: "closed" if alert.closed_at is not None else "open" for alert in changed})
    return window, changed


def _weighed(store: Store, place: Place, spec: MonitorSpec, due: _Due, now: float) -> Window:
    """What is measured of one window, and what the monitor's rules come to over it."""
    window = _measured(store, place, spec, due, now)
    waiting, ready = _sorted_out(written(spec.rules), window, spec.min_rows, cut=due.cut)
    return msgspec.structs.replace(window, outcomes=rules.judge(ready, window.facts), waiting=waiting)


def _measured(store: Store, place: Place, spec: MonitorSpec, due: _Due, now: float) -> Window:
    home, target = store.home, grounds.default(place)
    volume: dict[str, float] = {"rows": due.rows, "total": due.total}
    if due.before:
        volume["change"] = due.total / due.before - 1.0
    facts: dict[str, Any] = {"volume": volume}
    # Counts are of now: only for the newest window can they be of the window.
    if due.errors or (_asks_errors(spec) and now - due.end < due.end - due.start):
        errors = due.errors or error_counts.measure(store, place, due.monitor, due.model, due.start)
        facts |= {"errors": errors} if errors else {}
    window = Window(
        model=due.model,
        monitor=due.monitor,
        start=due.start,
        end=due.end,
        rows=due.rows,
        judged_at=now,
        facts=facts,
    )
    if not due.rows:
        return window
    table = served.rows(home, target, due.start, due.end, due.model)
    model = models.get(store, due.model)
    measured, found = window_facts.measure(
        table, model, _profile(store, model), _columns(place, model, spec), spec.min_rows
    )
    return msgspec.structs.replace(
        window,
        rows=len(table),
        labelled=int(measured["performance"]["labelled"]),
        facts=facts | measured,
        drift=found,
        digest=window_facts.digest(table),
    )


def _asks_errors(spec: MonitorSpec) -> bool:
    return any(path.root == "errors" for rule in written(spec.rules) for path in expression.paths(rule.rule))


def _profile(store: Store, model: Model) -> drift.Profile | None:
    return None if model.profile is None else drift.decode(store.blobs.get(model.profile))


def _columns(place: Place, model: Model, spec: MonitorSpec) -> tuple[str, ...]:
    """Which features to compare. Sensitive ones are masked in the log, so nothing could be said of them."""
    masked = sensitive_columns(place.project)
    wanted = spec.columns or tuple(field.name for field in model.signature.inputs)
    return tuple(name for name in wanted if name not in masked)


def _sorted_out(
    asked: tuple[Rule, ...], window: Window, rows_min: int, *, cut: bool
) -> tuple[dict[str, str], tuple[Rule, ...]]:
    """Rules that must wait, each with the reason, and those that can be judged."""
    waiting: dict[str, str] = {}
    ready = []
    for rule in asked:
        reason = _why_wait(rule, window, rows_min, cut=cut)
        if reason:
            waiting[rule.name or rule.rule] = reason
        else:
            ready.append(rule)
    return waiting, tuple(ready)


def _why_wait(rule: Rule, window: Window, rows_min: int, *, cut: bool) -> str:
    paths = expression.paths(rule.rule)
    roots = {path.root for path in paths}
    if roots - {"volume", "errors"} and window.rows < rows_min:
        return f"{window.rows} of {rows_min} rows"
    if cut and "volume" in roots:
        return "the history that was replayed ends before the window does"
    if any(path.keys[:2] == ("volume", "change") for path in paths) and "change" not in window.facts["volume"]:
        return "no traffic in the window before"
    if "errors" in roots and "errors" not in window.facts:
        return "errors were not counted"
    asks_performance = any(
        path.root == "performance" and path.keys[1:2] not in {("labelled",), ("labelled_share",)} for path in paths
    )
    if asks_performance and window.labelled < rows_min:
        return f"{window.labelled} of {rows_min} labels"
    return ""


def verdict(window: Window) -> str:
    """A window in one word: `breach`, `warning`, `held`, `waiting` (nothing could be judged), or `quiet` (no rules)."""
    if refusals(window.outcomes):
        return "breach"
    if any(not outcome.passed for outcome in window.outcomes):
        return "warning"
    if window.outcomes:
        return "held"
    return "waiting" if window.waiting else "quiet"


def primary(facts: dict[str, float]) -> tuple[str, float] | None:
    """The one measure of performance that stands for the rest: the AUC, or the root mean squared error."""
    for name in ("auc", "rmse", "accuracy"):
        value = facts.get(name)
        if value is not None and math.isfinite(value):
            return name, value
    return None


def _news(alert: Alert, window: Window) -> str:
    if alert.closed_at is not None:
        return f"alert closed: {alert.monitor} on {alert.model}"
    return f"alert: {alert.monitor} on {window.model}: {alerts.summary(tuple(refusals(window.outcomes)))}"


def _silent(_: str) -> None:
    """Nobody listens."""
