"""Carry releases out: load the records, decide (rollout.py), write what should be, then make the target so.

Records are written first, under a lock whose token is checked at each write; what they say is then carried out by steps
that may be repeated. Whoever is killed between two of them leaves records that the next command, `rw release` or the
operate loop's `observe`, carries on from. No request to a server is made inside a transaction.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from roadworthy.gates import certificate as certificates
from roadworthy.nouns.errors import Fault, conflict, not_found, unavailable
from roadworthy.nouns.event import Event
from roadworthy.nouns.plan import Plan
from roadworthy.nouns.project import Place
from roadworthy.nouns.release import Release
from roadworthy.registry import models
from roadworthy.releases import evidence, grounds, releases, rollout
from roadworthy.releases.releases import Road
from roadworthy.releases.rollout import Action, Crown, Retire, Seen, Split, Start
from roadworthy.releases.targets.protocol import CanSplitTraffic, Observed, Target, Unit
from roadworthy.store import locks
from roadworthy.store.clock import SystemClock
from roadworthy.store.store import Store

# Longer than one start may take; a holder that died on this machine is taken over from at once.
LEASE_S = 300.0
STEPS_MAX = 20
Progress = Callable[[str], None]
_machine = SystemClock()


class _Work(NamedTuple):
    """One command's hold on one target."""

    store: Store
    place: Place
    name: str
    target: Target
    token: str
    say: Progress


def apply(store: Store, plan: Plan, place: Place, *, progress: Progress | None = None) -> Release:
    """Do what a plan says; doing it again, or after being killed in the middle, carries on.

    Args:
        plan: as made by plan.make, not older than the last change of the target.
        progress: told a line at each step.

    Returns:
        The release, `live`, or `canary` if it begins with a share: `observe` takes it from there.

    Raises:
        Fault: refused without a valid certificate; conflict when another release is under way, or the target
            changed since the plan was made; unavailable when the server does not come up (what was live stays so).
    """
    model = models.get(store, plan.model)
    certificate = certificates.require(store, model)
    if certificate.id != plan.certificate:
        raise conflict("the certificate is not the one that was planned with", where=plan.model, fix="plan again")
    with _held(store, place, plan.target, progress) as work:
        road = _road(work)
        if road.coming is not None and road.coming.model != plan.model:
            raise _busy(road.coming)
        if road.coming is None and (road.live is None or road.live.model != plan.model):
            _check_unchanged(plan, road)
            road = msgspec.structs.replace(road, coming=_begin(work, plan, road))
        elif road.coming is None and road.live is not None:
            road = msgspec.structs.replace(road, live=_unstopped(work, road.live))
        return _drive(work, _main(work, road), road)


def observe(
    store: Store, place: Place, target: str, *, now: float | None = None, progress: Progress | None = None
) -> Release:
    """One step of what is under way on a target, or of healing what is live: look, judge, act.

    Args:
        now: by the project's clock; the clock's own time when None.

    Returns:
        The release that is under way, or ended with this step, or is live.

    Raises:
        Fault: not found when nothing was released there.
    """
    with _held(store, place, target, progress) as work:
        road = _road(work)
        return _drive(work, _main(work, road), road, now=now)


def rollback(store: Store, place: Place, target: str, *, progress: Progress | None = None) -> Release:
    """Go back: a release under way is taken off the road; else the one before the live one takes its place.

    The former version's certificate is checked again, its server is up before traffic moves, and the other answers
    what it was asked before it is stopped.

    Returns:
        The release that gets the traffic now; the one taken back when nothing was live beside it.

    Raises:
        Fault: not found when nothing was released; conflict when there is nothing before; refused when the former
            version's certificate no longer holds.
    """
    with _held(store, place, target, progress) as work:
        road = _road(work)
        if road.coming is not None and road.coming.undoes is None:
            back = rollout.roll_back(road.coming, f"by {store.actor}", store.clock.now())
            _carry_on(work, back, road)
            return road.live or back
        if road.coming is None:
            before = _before(store, _main(work, road))
            assert road.live is not None
            now = store.clock.now()
            former = msgspec.structs.replace(
                before, status="starting", share=0.0, undoes=road.live.id, stopped=False, crowned=False,
                stage_since=now, updated_at=now, reason=f"{road.live.model} is taken back by {store.actor}",
            )  # fmt: skip
            _save(work, "release.rollback_began", former, [former])
            work.say(f"{road.live.model}: taken back; {former.model} is started")
            road = msgspec.structs.replace(road, coming=former)
        return _drive(work, _main(work, road), road)


def down(store: Store, place: Place, target: str, *, progress: Progress | None = None) -> Release | None:
    """Stop everything on a target; what is live stays on record and comes back with `up`.

    Returns:
        The release that was live, None when nothing was.
    """
    with _held(store, place, target, progress) as work:
        road = _road(work)
        changed = []
        if road.coming is not None:
            changed.append(rollout.roll_back(road.coming, f"stopped by {store.actor}", store.clock.now()))
        if road.live is not None and not road.live.stopped:
            changed.append(msgspec.structs.replace(road.live, stopped=True, share=1.0, updated_at=store.clock.now()))
        if changed:
            _save(work, "release.stopped", changed[-1], changed)
        work.target.down()
        return road.live


def up(store: Store, place: Place, target: str, *, progress: Progress | None = None) -> Release:
    """Bring back what the records say should run: after `down`, or after the machine was restarted.

    Raises:
        Fault: not found when nothing was released there.
    """
    with _held(store, place, target, progress) as work:
        road = _road(work)
        if road.live is not None:
            road = msgspec.structs.replace(road, live=_unstopped(work, road.live))
        return _drive(work, _main(work, road), road)


# --- steps ---


def _drive(work: _Work, release: Release, road: Road, *, now: float | None = None) -> Release:
    """Step until the release has come as far as it can without more evidence."""
    problem = ""
    for _ in range(STEPS_MAX):
        before = release
        at = work.store.clock.now() if now is None else now
        observed = work.target.observe()
        seen = _seen(work, release, road, observed, problem)
        release, actions = rollout.advance(release, seen, at)
        release = _dated(before, release, observed)
        actions = (*actions, *_succession(release, road))
        road = _write(work, before, release, actions, road)
        again, problem = bool(problem), _carry_out(work, release, actions, road)
        settled = release == before and release.status not in {"planned", "starting"}
        release = releases.get(work.store, release.id)
        if problem and again:
            break  # tried twice, and nothing follows from it
        if settled and not problem:
            break
        if release.status == before.status == "canary" and not problem:
            break  # its next share has no rows yet
    if release.status in {"failed", "superseded"} or problem:
        raise unavailable(
            f"{release.model} could not be started: {problem or release.reason}",
            where=work.name,
            fix=f"{road.live.model} stays live"
            if road.live and road.live.id != release.id
            else "see its log, then rw release --up",
        )
    return release


def _carry_on(work: _Work, after: Release, road: Road) -> None:
    """Write a release that was decided on by hand, and carry out what follows."""
    actions = rollout.actions(after, road.live.id if road.live else None)
    before = road.by_id[after.id]
    road = _write(work, before, after, actions, road)
    _carry_out(work, after, actions, road)


def _seen(work: _Work, release: Release, road: Road, observed: Observed, problem: str) -> Seen:
    live = road.live if road.live and road.live.id != release.id and not road.live.stopped else None
    server = observed.server(release.id)
    seen = Seen(
        release=release.id,
        stage=release.stage,
        live=live.id if live else None,
        # One that is there and silent may be busy: its errors and latencies judge it, not one question unanswered.
        healthy=None if server is not None and server.state == "silent" else observed.healthy(release.id),
        live_healthy=observed.healthy(live.id) if live else None,
        problem=problem,
    )
    if release.status != "canary" or live is None:
        return seen
    facts = evidence.gather(work.store, work.name, release, live, observed)
    return msgspec.structs.replace(seen, facts=facts, rows=int(facts["canary"]["rows"]))


def _write(work: _Work, before: Release, after: Release, actions: tuple[Action, ...], road: Road) -> Road:
    """Record what follows, all of it in one transaction; nothing when nothing changed."""
    changed = rollout.settle({**road.by_id, before.id: before}, after, actions)
    if changed and not _same_verdict(before, after, changed):
        kind = f"release.{after.status}" if after.status != before.status else "release.judged"
        if after.status == before.status and after.share != before.share:
            kind = "release.widened"
        _save(work, kind, after, list(changed.values()))
        if after != before:
            work.say(_told(after))
    records = {**road.by_id, after.id: after, **changed}
    live = [r for r in records.values() if r.status == "live"]
    coming = [r for r in records.values() if r.status in rollout.UNDER_WAY]
    return Road(live=live[0] if live else None, coming=coming[0] if coming else None)


def _same_verdict(before: Release, after: Release, changed: dict[str, Release]) -> bool:
    """Whether a stage was only measured again, with each rule as it was: that is no change to record."""
    if set(changed) != {after.id} or msgspec.structs.replace(after, outcomes=before.outcomes) != before:
        return False
    verdicts = [[(o.rule, o.passed, o.problem) for o in release.outcomes] for release in (before, after)]
    return verdicts[0] == verdicts[1]


def _carry_out(work: _Work, release: Release, actions: tuple[Action, ...], road: Road) -> str:
    """Make the target as the actions say; why the release's own server cannot start, if so."""
    problem = ""
    for action in actions:
        if isinstance(action, Start):
            found = _start(work, action.release, road)
            problem = found if action.release == release.id else problem
            if problem:
                return problem
        elif isinstance(action, Split):
            _split(work, action.shares, road)
        elif isinstance(action, Crown):
            _crown(work, release)
    running = frozenset(r.id for r in road.all if not r.stopped)
    if running:
        work.target.keep(running)
    else:
        work.target.down()
    return problem


def _start(work: _Work, release_id: str, road: Road) -> str:
    record = road.by_id.get(release_id)
    if record is None or record.stopped:
        return ""
    model = models.get(work.store, record.model)
    # What answers already is healed with the certificate it was released with: a later refusal is a reason to release
    # another, not one to have nothing after a restart. Whatever is not on the road yet needs one that holds now.
    certificate = record.certificate
    try:
        if record.status not in {"live", "canary"}:
            certificate = certificates.require(work.store, model).id
        unit = Unit(release=record.id, model=model, envelope=certificates.export(work.store, certificate))
        work.target.start(unit)
    except Fault as problem:
        work.say(f"{record.model}: {problem.what}")
        return problem.what
    return ""


def _split(work: _Work, shares: dict[str, float], road: Road) -> None:
    there = {key: share for key, share in shares.items() if key in road.by_id and not road.by_id[key].stopped}
    if not there or abs(sum(there.values()) - 1.0) > 1e-9:
        return
    if len(there) == 1:
        work.target.send_all(next(iter(there)))
        return
    if not isinstance(work.target, CanSplitTraffic):
        raise conflict("this kind of target cannot divide traffic", where=work.name, fix="release without a canary")
    assert road.live is not None, "traffic is divided beside a live release only"
    work.target.set_shares(there, live=road.live.id)


def _crown(work: _Work, release: Release) -> None:
    """Point the alias at the version that went live, once."""
    name, _, version = release.model.partition("@")
    if models.aliases(work.store, name).get(models.CHAMPION) != int(version):
        models.set_alias(work.store, name, models.CHAMPION, int(version))
    crowned = msgspec.structs.replace(releases.get(work.store, release.id), crowned=True)
    _save(work, "release.crowned", crowned, [crowned])


def _succession(release: Release, road: Road) -> tuple[Action, ...]:
    """A live release that was stopped by hand is no company for a new one, and ends when that goes live."""
    old = road.live
    if release.status == "live" and old is not None and old.stopped and old.id != release.id:
        return (Retire(old.id, "superseded", f"{release.model} went live"),)
    return ()


# --- records ---


@contextmanager
def _held(store: Store, place: Place, name: str, progress: Progress | None) -> Iterator[_Work]:
    """The lock on a target, and the target."""
    target = grounds.open_target(store, place, name)
    lock = f"release:{place.project.name}:{name}"
    with locks.held(store, lock, now=_machine.now(), lease_s=LEASE_S) as token:
        yield _Work(store, place, name, target, token, progress or _silent)


def _road(work: _Work) -> Road:
    return releases.road(work.store, work.place.project.name, work.name)


def _main(work: _Work, road: Road) -> Release:
    """The release that things turn on: the one under way, else the live one."""
    release = road.coming or road.live
    if release is None:
        raise not_found("nothing is released there", where=work.name, fix=f"rw release --to {work.name}")
    return release


def _begin(work: _Work, plan: Plan, road: Road) -> Release:
    now = work.store.clock.now()
    release = Release(
        id=work.store.ids.new(), model=plan.model, target=plan.target, certificate=plan.certificate,
        shares=plan.shares, rules=plan.rules, min_rows=plan.min_rows, patience_s=plan.patience_s,
        stage_since=now, created_at=now, updated_at=now, previous=road.live.id if road.live else None,
        project=work.place.project.name,
    )  # fmt: skip
    _save(work, "release.planned", release, [release])
    return release


def _unstopped(work: _Work, live: Release) -> Release:
    if not live.stopped:
        return live
    started = msgspec.structs.replace(live, stopped=False, updated_at=work.store.clock.now())
    _save(work, "release.resumed", started, [started])
    return started


def _dated(before: Release, after: Release, observed: Observed) -> Release:
    """A stage that began is dated by the machine's clock too, which is what served rows carry, and by the counters."""
    if (before.status, before.stage) == (after.status, after.stage):
        return after
    counted = {s.release: (s.counts.requests, s.counts.errors) for s in observed.servers}
    return msgspec.structs.replace(after, stage_served_since=_machine.now(), counted=counted)


def _before(store: Store, live: Release) -> Release:
    """The release that was live before; its certificate holds, or it is refused."""
    if live.previous is None:
        raise conflict(
            "there is no release before this one", where=live.model, fix="rw release --down stops it altogether"
        )
    before = releases.get(store, live.previous)
    certificates.require(store, models.get(store, before.model))
    return before


def _save(work: _Work, kind: str, subject: Release, changed: list[Release]) -> None:
    lock = f"release:{work.place.project.name}:{work.name}"
    if not locks.renew(work.store, lock, work.token, now=_machine.now(), lease_s=LEASE_S):
        raise conflict("another process took over this target", where=work.name, fix="see rw status")
    detail = {
        "model": subject.model, "target": subject.target, "status": subject.status, "share": subject.share,
        "reason": subject.reason, "certificate": subject.certificate,
    }  # fmt: skip
    event = Event(kind=kind, subject=subject.id, project=work.place.project.name, detail=detail)
    releases.save(work.store, event, changed)


def _check_unchanged(plan: Plan, road: Road) -> None:
    now = road.live.id if road.live else None
    if plan.previous != now:
        raise conflict("the target changed since the plan was made", where=plan.target, fix="plan again")


def _busy(coming: Release) -> Fault:
    return conflict(
        f"{coming.model} is on its way there ({coming.status}, {coming.share:.0%})",
        where=coming.target,
        fix="wait for it with `rw release --continue --wait`, or take it back with `rw rollback`",
    )


def _told(release: Release) -> str:
    share = f" at {release.share:.0%}" if release.status == "canary" else ""
    return f"{release.model}: {release.status.replace('_', ' ')}{share}{': ' if release.reason else ''}{release.reason}"


def _silent(line: str) -> None:
    """Nobody listens."""
