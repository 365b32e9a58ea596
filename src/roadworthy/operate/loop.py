"""The loop: observe the canary, watch, decide, act; then wait for the next turn.

In: a project and its clock. Out: what was done, one `Action` each, journalled. Called by `rw operate` and, on a
simulated clock, by a replay (replay.py). One turn is `cycle`; everything it does is written down before and after
(journal.py) and may be repeated, so that a process killed at any point is carried on by the next.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Signal
from threading import Thread

import msgspec

from roadworthy.data import sources
from roadworthy.nouns.errors import Code, Fault, conflict
from roadworthy.nouns.monitor import Window
from roadworthy.nouns.project import Place, seconds
from roadworthy.nouns.release import Release
from roadworthy.nouns.rule import refusals
from roadworthy.operate import alerts, journal, monitors, road, triggers, windows
from roadworthy.operate.journal import Action, Journey, State
from roadworthy.registry import runs
from roadworthy.releases import apply, grounds, releases
from roadworthy.store import locks, log, project_file
from roadworthy.store.clock import SystemClock
from roadworthy.store.store import Store

LEASE_S = 60.0
RENEW_S = 15.0
# How often a release under way is looked at between turns.
LOOK_S = 10.0
# A journey that fails for reasons that may pass (a server that does not answer) is taken up so often.
TRIES_MAX = 3
BREACHES_LOOKED_BACK_S = monitors.LATE_S_MAX

Progress = Callable[[str], None]
Tell = Callable[[Action], None]
_machine = SystemClock()


class Hold(msgspec.Struct):
    """The loop's lease: `lost` says that another process has it now."""

    token: str
    lost: bool = False


class _Turn(msgspec.Struct, frozen=True):
    """What one turn works with."""

    store: Store
    place: Place
    now: float
    say: Progress
    tell: Tell
    hold: Hold | None

    @property
    def project(self) -> str:
        return self.place.project.name

    @property
    def target(self) -> str:
        return grounds.default(self.place)


def operate(
    store: Store,
    place: Place,
    *,
    once: bool = False,
    every_s: float | None = None,
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> State:
    """Run the loop until it is stopped; at most one at a time per project.

    Args:
        once: end after one turn.
        every_s: seconds from one turn to the next; `[operate] every` when None.
        tell: told each action as it is done.
        progress: told what is being done, a line at a time.

    Raises:
        Fault: conflict when another process runs the project's loop; invalid when the project has a mistake.
    """
    with held(store, place) as hold:
        while True:
            try:
                cycle(store, place, store.clock.now(), tell=tell, progress=progress, hold=hold)
            except Fault as problem:
                if once or problem.code is not Code.UNAVAILABLE:
                    raise
                (progress or _silent)(f"this turn failed, the next may not: {problem}")
            if once:
                return journal.load(store, place.project.name)
            _wait(
                store, place, every_s or seconds(place.project.operate.every), tell=tell, progress=progress, hold=hold
            )
            place = _read_again(place, progress or _silent)


def cycle(
    store: Store,
    place: Place,
    now: float,
    *,
    tell: Tell | None = None,
    progress: Progress | None = None,
    hold: Hold | None = None,
) -> tuple[Action, ...]:
    """One turn: look after the release under way, ask the monitors, decide, act.

    Args:
        now: by the project's clock, seconds since the epoch.

    Returns:
        What was done, in order.
    """
    done: list[Action] = []
    told = tell or _silent

    def keep(action: Action) -> None:
        done.append(action)
        told(action)

    turn = _Turn(store, place, now, progress or _silent, keep, hold)
    _observe(turn)
    _watch(turn)
    _act(turn)
    state = journal.load(store, turn.project)
    ended = msgspec.structs.replace(state, turns=state.turns + 1, turned_at=now)
    journal.save(store, ended, kind="operate.turned", detail={"turn": ended.turns, "at": now})
    _sign(turn)
    return tuple(done)


def _sign(turn: _Turn) -> None:
    """Sign the log as it is at the turn's end: what is changed before this is found from now on."""
    with turn.store.append() as tx:
        log.checkpoint(tx, turn.store.keys, origin=log.origin(turn.project), at=turn.now)


def look(
    store: Store,
    place: Place,
    now: float,
    *,
    tell: Tell | None = None,
    progress: Progress | None = None,
    heal: bool = False,
) -> bool:
    """Between turns: one step of the release under way, if there is one; whether there is one still.

    Args:
        heal: with nothing under way, bring up again what is live and fell over.
    """
    turn = _Turn(store, place, now, progress or _silent, tell or _silent, None)
    if not heal and releases.road(store, turn.project, turn.target).coming is None:
        return False
    _observe(turn)
    return releases.road(store, turn.project, turn.target).coming is not None


@contextmanager
def held(store: Store, place: Place) -> Iterator[Hold]:
    """Hold the project's loop, renewing the lease beside whatever is being done.

    Raises:
        Fault: conflict when another process has it.
    """
    name = f"operate:{place.project.name}"
    hold = Hold(token=locks.take(store, name, now=_machine.now(), lease_s=LEASE_S))
    stop = Signal()

    def renew() -> None:
        while not stop.wait(RENEW_S):
            if not locks.renew(store, name, hold.token, now=_machine.now(), lease_s=LEASE_S):
                hold.lost = True
                return

    renewing = Thread(target=renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield hold
    finally:
        stop.set()
        renewing.join()
        locks.release(store, name, hold.token)


def holder(store: Store, project: str) -> str:
    """Which process runs the loop now, as `host:pid`; empty when none does."""
    return locks.holder(store, f"operate:{project}", now=_machine.now())


# --- observe ---


def _observe(turn: _Turn) -> None:
    """One step of the release under way; or bring up again what is live and fell over."""
    before = releases.road(turn.store, turn.project, turn.target)
    if before.coming is None and (before.live is None or before.live.stopped):
        return
    try:
        after = apply.observe(turn.store, turn.place, turn.target, now=turn.now, progress=turn.say)
    except Fault as problem:
        _did(turn, Action(kind="failed", at=turn.now, what=f"the target cannot be observed: {problem}"))
        return
    if before.coming is not None:
        seen = releases.get(turn.store, before.coming.id)
        action = _of_release(turn, before.coming, seen if seen.id != after.id else after)
        if action is not None:
            _did(turn, action)


def _of_release(turn: _Turn, before: Release, after: Release) -> Action | None:
    """What a step of a rollout came to, in words; None when it goes on as it was."""
    detail = {"release": after.id, "share": after.share, "reason": after.reason}
    if after.status == "live":
        return Action(
            kind="promoted",
            at=turn.now,
            subject=after.model,
            what=f"{after.model} is live: {after.reason}",
            detail=detail,
        )
    if after.status in ("rolled_back", "failed", "superseded"):
        word = "did not come up" if after.status == "failed" else "was taken back"
        what = f"{after.model} {word}: {after.reason}"
        return Action(kind="rolled_back", at=turn.now, subject=after.model, what=what, detail=detail)
    if (before.status, before.stage) != (after.status, after.stage):
        what = f"{after.model} answers {after.share:.0%}: {after.reason}"
        return Action(kind="advanced", at=turn.now, subject=after.model, what=what, detail=detail)
    return None


# --- watch ---


def awake(store: Store, place: Place, now: float) -> list[str]:
    """The monitors that a turn at `now` would ask."""
    state = journal.load(store, place.project.name)
    if state.turned_at is None or state.turned_at >= now:
        return list(place.project.monitor)
    first = state.replay.began if state.replay is not None else None
    return monitors.awake(store, place, last=state.turned_at, now=now, first=first)


def _watch(turn: _Turn) -> None:
    asked = awake(turn.store, turn.place, turn.now)
    if not asked:
        return
    since = turn.now - monitors.LATE_S_MAX
    before = {_id(w): triggers.key(w) for w in windows.listing(turn.store, turn.project, since=since)}
    for window in monitors.watch(turn.store, turn.place, until=turn.now, names=asked, progress=turn.say):
        if before.get(_id(window)) == triggers.key(window):
            continue  # judged again for late labels, and it came to the same
        broken = refusals(window.outcomes)
        said = alerts.summary(broken) if broken else _calm(window)
        _did(
            turn,
            Action(
                kind="breached" if broken else "watched",
                at=turn.now,
                subject=window.model,
                what=f"{window.monitor} on {window.model}: {said}",
                detail={"start": window.start, "end": window.end, "rows": window.rows, "labelled": window.labelled},
            ),
        )


def _id(window: Window) -> tuple[str, str, float]:
    return window.monitor, window.model, window.start


def _calm(window: Window) -> str:
    held = f"{window.rows:,} rows, {sum(o.passed for o in window.outcomes)} of {len(window.outcomes)} rules held"
    return held + (f", {len(window.waiting)} wait" if window.waiting else "")


# --- decide and act ---


def _act(turn: _Turn) -> None:
    state = journal.load(turn.store, turn.project)
    if state.journey is None:
        decision = triggers.decide(_situation(turn, state))
        if decision.do == "stay":
            return
        if decision.do == "wait":
            left = (decision.until - turn.now) / 3600.0
            _did(turn, Action(kind="cooling", at=turn.now, what=f"{left:.1f} h until retraining: {decision.reason}"))
            return
        journey = Journey(reason=decision.reason, began_at=turn.now, answers=decision.answers)
        action = Action(kind="retraining", at=turn.now, what=f"new journey: {decision.reason}")
        state = _did(turn, action, journey=journey, retrained_at=turn.now)
    _travel(turn, state)


def _travel(turn: _Turn, state: State) -> None:
    """Go down the road, or further down it; whatever comes of it is written down."""
    journey = state.journey
    assert journey is not None

    def reached(way: Journey) -> Journey:
        still_ours(turn.hold)
        now = journal.load(turn.store, turn.project)
        if now.journey != way:
            stages = {"run": way.run, "model": way.model, "certificate": way.certificate, "release": way.release}
            journal.save(turn.store, msgspec.structs.replace(now, journey=way), kind="operate.reached", detail=stages)
        return way

    still_ours(turn.hold)
    try:
        release = road.travel(turn.store, turn.place, journey=journey, reached=reached, progress=turn.say)
    except road.NothingNew:
        what = "the data taught nothing new: the run made the champion again"
        _arrived(turn, Action(kind="unchanged", at=turn.now, what=what))
    except Fault as problem:
        _stopped(turn, problem)
    else:
        share = f"with {release.share:.0%} of the traffic" if release.status == "canary" else "live"
        what = f"{release.model} is released, {share}"
        _arrived(
            turn, Action(kind="released", at=turn.now, subject=release.model, what=what, detail={"id": release.id})
        )


def _stopped(turn: _Turn, problem: Fault) -> None:
    """A journey that did not arrive: refused ends it; what may pass is tried again in the next turns, a few times."""
    state = journal.load(turn.store, turn.project)
    journey = state.journey
    assert journey is not None
    detail = {"code": str(problem.code), "where": problem.where, "fix": problem.fix, "model": journey.model}
    if problem.code is Code.REFUSED:
        what = f"{problem.what}; what is live stays"
        _arrived(turn, Action(kind="refused", at=turn.now, subject=journey.model, what=what, detail=detail))
        return
    action = Action(kind="failed", at=turn.now, subject=journey.model, what=str(problem), detail=detail)
    may_pass = problem.code in (Code.UNAVAILABLE, Code.CONFLICT)
    if may_pass and journey.tries + 1 < TRIES_MAX:
        _did(turn, action, journey=msgspec.structs.replace(journey, tries=journey.tries + 1))
    else:
        _arrived(turn, action)


def _arrived(turn: _Turn, action: Action) -> None:
    """The journey is over; the breaches it set out for are answered, whatever the answer."""
    state = journal.load(turn.store, turn.project)
    answers = state.journey.answers if state.journey else ()
    _did(turn, action, journey=None, answered=(*state.answered, *answers))


def _situation(turn: _Turn, state: State) -> triggers.Situation:
    project = turn.place.project
    now = releases.road(turn.store, turn.project, turn.target)
    live = now.live.model if now.live is not None else ""
    return triggers.Situation(
        now=turn.now,
        live=live,
        coming=now.coming.model if now.coming is not None else "",
        monitors=project.monitor,
        windows=tuple(windows.listing(turn.store, turn.project, since=turn.now - BREACHES_LOOKED_BACK_S)),
        answered=frozenset(state.answered),
        retrained_at=state.retrained_at,
        cooldown_s=seconds(project.operate.cooldown),
        new_data=_new_data(turn) if live and "data" in project.operate.retrain_on else "",
    )


def _new_data(turn: _Turn) -> str:
    """Which data sets have changed since the last run, in words."""
    try:
        last = runs.get(turn.store, "latest", turn.project)
    except Fault:
        return ""
    changed = [
        name
        for name in turn.place.project.data
        if sources.resolve(turn.store, turn.place, name, params=last.params).id != last.snapshots.get(name)
    ]
    return f"new data in {', '.join(changed)}" if changed else ""


def _did(turn: _Turn, action: Action, **changes: object) -> State:
    still_ours(turn.hold)
    state = journal.did(turn.store, journal.load(turn.store, turn.project), action, **changes)
    turn.tell(action)
    return state


def still_ours(hold: Hold | None) -> None:
    """Raise when the loop's lease was lost to another process."""
    if hold is not None and hold.lost:
        raise conflict("another process took the loop over", fix="it carries on; rw operate status shows it")


def _wait(
    store: Store, place: Place, every_s: float, *, tell: Tell | None, progress: Progress | None, hold: Hold
) -> None:
    """Until the next turn, looking after a release under way meanwhile."""
    until = store.clock.now() + every_s
    while (left := until - store.clock.now()) > 0:
        store.clock.sleep(min(left, LOOK_S))
        if hold.lost:
            return
        look(store, place, store.clock.now(), tell=tell, progress=progress)


def _read_again(place: Place, say: Progress) -> Place:
    """The project file as it is now; as it was, while it has a mistake."""
    try:
        return project_file.read(place.root / project_file.FILE)
    except (Fault, OSError) as problem:
        say(f"the project file is left as it was read before: {problem}")
        return place


def _silent(_: object) -> None:
    """Nobody listens."""
