"""Plans: what a release would change on a target, found by looking at both; nothing is changed here.

In: a model with the certificate that allows it, and the target as it is. Out: a `Plan`, for people to read and for
apply.py to carry out. Called by `rw release` and the operate loop.
"""

from roadworthy.gates import rules
from roadworthy.nouns.certificate import Certificate
from roadworthy.nouns.errors import invalid, refused
from roadworthy.nouns.model import Model
from roadworthy.nouns.plan import Change, Plan
from roadworthy.nouns.project import Place, seconds, share
from roadworthy.nouns.project import Target as Settings
from roadworthy.nouns.project import rules as as_rules
from roadworthy.nouns.release import Release
from roadworthy.releases import grounds, releases
from roadworthy.releases.releases import Road
from roadworthy.releases.targets.protocol import CanSplitTraffic, Observed, Target
from roadworthy.store.store import Store

FACTS = frozenset({"canary", "live"})


def make(
    store: Store,
    model: Model,
    certificate: Certificate,
    place: Place,
    target: str,
    *,
    shares: tuple[float, ...] | None = None,
) -> Plan:
    """What releasing `model` to `target` would change.

    Args:
        certificate: of this very model; apply asks again whether it holds.
        shares: of traffic that it goes through, each over 0, rising, up to 1 (which is added); the project's when
            None. The first release of a target has nothing to be compared with and goes live at once.

    Raises:
        Fault: refused when the certificate is of another model or did not pass; invalid for shares that do not rise,
            rules that are none, or a target that cannot divide traffic.
    """
    if (certificate.model, certificate.model_digest) != (model.id, model.value.digest) or not certificate.passed:
        raise refused("the certificate does not allow this model", where=model.id, fix=f"rw gate {model.id}")
    settings = grounds.settings_of(place, target)
    for rule in as_rules(settings.canary.rules):
        rules.check(rule, known=FACTS)
    ground = grounds.open_target(store, place, target)
    road = releases.road(store, place.project.name, target)
    observed = ground.observe()
    stages = _stages(settings, shares, road, model, ground)
    return Plan(
        model=model.id,
        target=target,
        certificate=certificate.id,
        shares=stages,
        changes=(*_changes(model, certificate, stages, road, observed), _router(settings, observed)),
        rules=as_rules(settings.canary.rules) if stages != (1.0,) else (),
        min_rows=settings.canary.min_rows,
        patience_s=seconds(settings.canary.patience),
        previous=road.live.id if road.live else None,
        project=place.project.name,
    )


def _stages(
    settings: Settings, shares: tuple[float, ...] | None, road: Road, model: Model, target: Target
) -> tuple[float, ...]:
    if shares is not None and (any(not 0.0 < s <= 1.0 for s in shares) or list(shares) != sorted(set(shares))):
        raise invalid("shares are over 0 %, at most 100 %, and rise", where=", ".join(f"{s:.4g}" for s in shares))
    if road.coming is not None and road.coming.model == model.id:
        return road.coming.shares
    if road.live is None or road.live.stopped or road.live.model == model.id:
        return (1.0,)
    wanted = shares if shares is not None else tuple(share(s) for s in settings.canary.shares)
    stages = (*(s for s in wanted if 0.0 < s < 1.0), 1.0)
    if len(stages) > 1 and not isinstance(target, CanSplitTraffic):
        if shares is not None:
            raise invalid("this kind of target cannot divide traffic", where=settings.type, fix="leave --canary out")
        return (1.0,)
    return stages


def _changes(
    model: Model, certificate: Certificate, stages: tuple[float, ...], road: Road, seen: Observed
) -> tuple[Change, ...]:
    live = road.live
    if road.coming is not None and road.coming.model == model.id:
        coming = road.coming
        going_on = f"{coming.status}, goes on at {coming.share:.0%}"
        return (Change(action="update", what="release under way", before=coming.model, after=going_on),
                _server(model, coming, road, seen))  # fmt: skip
    if live is not None and live.model == model.id:
        return (
            _change("model", live.model, model.id),
            _change("certificate", live.certificate[:16], live.certificate[:16]),
            _change("traffic", _shares(road), "100%"),
            _server(model, live, road, seen),
        )
    return (
        _change("model", live.model if live else "", model.id),
        _change("certificate", live.certificate[:16] if live else "", certificate.id[:16]),
        _change("traffic", _shares(road), ", then ".join(f"{100 * s:.4g}%" for s in stages)),
        _server(model, None, road, seen),
    )


def _server(model: Model, running: Release | None, road: Road, seen: Observed) -> Change:
    """Its server: there already (`running` is the release it would be of), or to be started."""
    what = "model server"
    after = f"a process for {model.id}"
    if running is not None:
        server = seen.server(running.id)
        if server is not None and server.state == "up":
            return Change(action="keep", what=what, before=_process(server.pid), after=_process(server.pid))
        return Change(action="create", what=what, after=after)
    server = seen.server(road.live.id) if road.live is not None else None
    if server is None or server.state != "up":
        return Change(action="create", what=what, after=after)
    return Change(
        action="update", what=what, before=f"{server.model} ({_process(server.pid)})",
        after=f"{after}; the other stops once it is live",
    )  # fmt: skip


def _router(settings: Settings, seen: Observed) -> Change:
    if settings.type != "local":
        return Change(action="keep" if seen.up else "create", what="endpoint", before=seen.url, after=seen.url or "new")
    wanted = f"127.0.0.1:{settings.port}"
    if not seen.up:
        return Change(action="create", what="router", before="", after=wanted)
    return _change("router", f"127.0.0.1:{seen.port}", wanted)


def _change(what: str, before: str, after: str) -> Change:
    if before == after:
        return Change(action="keep", what=what, before=before, after=after)
    return Change(action="update" if before else "create", what=what, before=before, after=after)


def _shares(road: Road) -> str:
    if road.live is not None and road.live.stopped:
        return "stopped"
    return ", ".join(f"{r.model} {r.share:.0%}" for r in road.all) if len(road.all) > 1 else "100%" if road.live else ""


def _process(pid: int | None) -> str:
    return f"process {pid}" if pid else "running"
