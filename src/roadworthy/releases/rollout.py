"""The rollout of one release as a pure function: what it is, what was seen of it, what time it is; what follows.

`advance` takes a release and evidence and gives the release as it should be, and the actions that make the target so.
Records come first: apply.py writes what `settle` says and then carries the actions out, all of which are harmless when
repeated; so whoever is killed half-way is continued by calling `advance` again, with or without new evidence.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from roadworthy.gates import rules
from roadworthy.nouns.release import Release, ReleaseStatus
from roadworthy.nouns.rule import Outcome, refusals

# A server that has not answered for this long after it was started is not going to.
START_PATIENCE_S = 600.0
ACTIVE: tuple[ReleaseStatus, ...] = ("planned", "starting", "canary", "live")
UNDER_WAY: tuple[ReleaseStatus, ...] = ("planned", "starting", "canary")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a release at one moment.

    Args:
        release: the release it is about; evidence about another is no evidence.
        stage: the stage it was measured in; what comes late, from an earlier stage, decides nothing.
        live: the release that is live beside it, None when nothing is.
        healthy: whether its server answers; None when nobody looked.
        live_healthy: the same of the live one.
        problem: why its server cannot be started, empty if it can.
        rows: how many rows it answered since the stage began.
        facts: what rules see: `canary.*` and `live.*`.
    """

    release: str
    stage: int = 0
    live: str | None = None
    healthy: bool | None = None
    live_healthy: bool | None = None
    problem: str = ""
    rows: int = 0
    facts: dict[str, Any] = msgspec.field(default_factory=dict)


class Start(msgspec.Struct, frozen=True, tag=True):
    """Bring the release's server up; nothing when it is."""

    release: str


class Split(msgspec.Struct, frozen=True, tag=True):
    """Divide the traffic: release to share, adding up to 1."""

    shares: dict[str, float]


class Retire(msgspec.Struct, frozen=True, tag=True):
    """Note that a release is over; its server is stopped once it has answered what it was asked."""

    release: str
    status: ReleaseStatus
    reason: str


class Crown(msgspec.Struct, frozen=True, tag=True):
    """Make the release's model the champion of its name, once: whoever moves the alias by hand afterwards may."""

    release: str


Action = Start | Split | Retire | Crown


def advance(release: Release, seen: Seen, now: float) -> tuple[Release, tuple[Action, ...]]:
    """One step of a rollout.

    `planned` becomes `starting`; a server that answers goes to its first share, or `live` at once when there is
    nothing to compare it with; a `canary` that has answered enough rows goes on if every rule holds, and is rolled
    back if one does not. A rule that cannot be evaluated yet (no labels have arrived, say) is waited for, with
    patience; so are rows. Whatever is over stays so.

    Args:
        release: as recorded.
        seen: what is known now; `Seen(release=release.id)` when nothing is.
        now: seconds since the epoch, by the project's clock, which may have jumped.
    """
    if seen.release != release.id:
        seen = Seen(release=release.id, stage=release.stage, live=seen.live, live_healthy=seen.live_healthy)
    if now < release.stage_since:
        # The clock went back: patience counts from here, or it would last as long as the jump.
        release = msgspec.structs.replace(release, stage_since=now)
    if release.status == "planned":
        release = _to(release, "starting", now, reason="")
    elif release.status == "starting":
        release = _start(release, seen, now)
    elif release.status == "canary":
        release = _judge(release, seen, now)
    return release, actions(release, seen.live)


def actions(release: Release, live: str | None) -> tuple[Action, ...]:
    """What the release's state demands of the target; harmless when it is so already.

    Args:
        live: the release that is live beside it (not itself), if any.
    """
    beside = live if live != release.id else None
    keep: tuple[Action, ...] = (Start(beside), Split({beside: 1.0})) if beside else ()
    if release.status == "starting":
        return (*keep, Start(release.id))
    if release.status == "canary":
        shares = {release.id: release.share} | ({beside: 1.0 - release.share} if beside else {})
        return (*keep[:1], Start(release.id), Split(shares))
    if release.status == "live":
        taken_back = release.undoes is not None and release.undoes == beside
        over: tuple[Action, ...] = ()
        if beside:
            end: ReleaseStatus = "rolled_back" if taken_back else "superseded"
            over = (Retire(beside, end, f"{release.model} went live"),)
        crown: tuple[Action, ...] = () if release.crowned else (Crown(release.id),)
        return (Start(release.id), Split({release.id: 1.0}), *over, *crown)
    return keep


def settle(releases: Mapping[str, Release], after: Release, wanted: tuple[Action, ...]) -> dict[str, Release]:
    """Every record that changes with this step, by id: they are written together, before anything is carried out."""
    settled = {**releases, after.id: after}
    for action in wanted:
        if isinstance(action, Split):
            for key, share in action.shares.items():
                if key in settled:
                    settled[key] = msgspec.structs.replace(settled[key], share=share)
        elif isinstance(action, Retire) and action.release in settled:
            settled[action.release] = msgspec.structs.replace(
                settled[action.release], status=action.status, share=0.0, reason=action.reason, undoes=None
            )
    return {key: record for key, record in settled.items() if releases.get(key) != record}


def roll_back(release: Release, reason: str, now: float) -> Release:
    """Take a release under way off the road; what was live beside it gets all traffic again."""
    return _to(release, "rolled_back", now, reason=reason)


def _start(release: Release, seen: Seen, now: float) -> Release:
    if seen.problem or (not seen.healthy and now - release.stage_since > START_PATIENCE_S):
        reason = seen.problem or f"its server did not answer within {START_PATIENCE_S:.0f} s"
        # A former release that cannot come back is what it was before: history.
        return _to(release, "superseded" if release.undoes else "failed", now, reason=reason)
    if not seen.healthy:
        return release
    first = release.shares[0] if release.shares else 1.0
    if seen.live in {None, release.id} or release.undoes or first >= 1.0:
        return _live(release, now, "its server answers")
    started = _to(release, "canary", now, reason=f"{first:.0%} of the traffic")
    return msgspec.structs.replace(started, share=first, stage=0)


def _judge(release: Release, seen: Seen, now: float) -> Release:
    if seen.live is None:
        return _live(release, now, "nothing else is live")
    if seen.healthy is False and seen.live_healthy:
        # Had both gone, it would have been the machine and not the model.
        return roll_back(release, "its server died", now)
    waited = now - release.stage_since > release.patience_s
    if seen.stage != release.stage or seen.rows < release.min_rows:
        if waited:
            few = f"{seen.rows if seen.stage == release.stage else 0} of {release.min_rows} rows"
            return roll_back(release, f"only {few} within {release.patience_s:g} s", now)
        return release
    outcomes = rules.judge(release.rules, seen.facts)
    release = msgspec.structs.replace(release, outcomes=tuple(outcomes))
    failing = refusals(outcomes)
    broken = [o for o in failing if not o.problem]
    if broken:
        return roll_back(release, "; ".join(_told(o) for o in broken), now)
    if failing:
        if waited:
            told = "; ".join(_told(o) for o in failing)
            return roll_back(release, f"undecided after {release.patience_s:g} s: {told}", now)
        return release
    return _next(release, now)


def _next(release: Release, now: float) -> Release:
    stage = release.stage + 1
    share = release.shares[stage] if stage < len(release.shares) else 1.0
    held = f"every rule held at {release.share:.0%}"
    if share >= 1.0:
        return _live(release, now, held)
    return msgspec.structs.replace(_to(release, "canary", now, reason=held), share=share, stage=stage)


def _live(release: Release, now: float, reason: str) -> Release:
    last = max(len(release.shares) - 1, 0)
    return msgspec.structs.replace(_to(release, "live", now, reason=reason), share=1.0, stage=last, stopped=False)


def _to(release: Release, status: ReleaseStatus, now: float, *, reason: str) -> Release:
    share = release.share if status in ACTIVE else 0.0
    # Those still under way keep what they undo; `live` needs it once more, to end the other in the same step.
    undoes = release.undoes if status in ACTIVE else None
    return msgspec.structs.replace(
        release, status=status, share=share, stage_since=now, updated_at=now, reason=reason, undoes=undoes
    )


def _told(outcome: Outcome) -> str:
    measured = ", ".join(f"{path} is {_number(value)}" for path, value in outcome.measured.items())
    return f"{outcome.name or outcome.rule}: {outcome.problem or measured or 'does not hold'}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
