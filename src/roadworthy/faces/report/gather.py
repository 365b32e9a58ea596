"""What the report shows, read from the store into plain records.

In: a project and its store. Out: a `Road`. Everything is read as it stands; certificates are read from their signed
envelopes, and the log is verified. What cannot be read leaves a note rather than no report. Called by page.py.
"""

import base64

import msgspec

from roadworthy.data import sensitive, snapshots
from roadworthy.faces.report.curves import Curves, curves
from roadworthy.gates import certificate as certificates
from roadworthy.gates.measures import quality
from roadworthy.nouns.certificate import Certificate
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.event import Checkpoint, Event
from roadworthy.nouns.evidence import Evidence, Finding
from roadworthy.nouns.model import Model
from roadworthy.nouns.monitor import Alert, Window
from roadworthy.nouns.project import Place, seconds
from roadworthy.nouns.release import Release
from roadworthy.nouns.run import Run
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.operate import alerts, journal, windows
from roadworthy.registry import artifacts, models, runs
from roadworthy.releases import releases
from roadworthy.store import log
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.log import Verification
from roadworthy.store.store import Store

RUNS_MAX = 16
VERSIONS_MAX = 30
EVENTS_MAX = 25
FIGURES_MAX = 6
FIGURE_BYTES_MAX = 400_000


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model with what the gate said of it and where it went.

    Args:
        problem: why its certificate cannot be shown, empty if it can or there is none.
        live_at, ended_at: when it got all traffic, and when it lost it; None when it did not.
    """

    model: Model
    certificate: Certificate | None = None
    evidence: Evidence | None = None
    problem: str = ""
    releases: tuple[Release, ...] = ()
    live_at: float | None = None
    ended_at: float | None = None
    aliases: tuple[str, ...] = ()


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor: its windows in order of time, and how long each is in seconds."""

    name: str
    width_s: float
    windows: tuple[Window, ...]
    action: str


class Contracted(msgspec.Struct, frozen=True, kw_only=True):
    """A data set as the newest run read it, and what its contract found."""

    name: str
    snapshot: Snapshot | None
    findings: tuple[Finding, ...] = ()
    problem: str = ""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that a run kept, as a data URI."""

    name: str
    uri: str


class Road(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the report shows. `now` is the project's clock, in seconds since the epoch."""

    project: str
    description: str
    now: float
    versions: tuple[Version, ...]
    champion: Version | None
    live: Release | None
    watched: tuple[Watched, ...]
    alerts: tuple[Alert, ...]
    actions: tuple[journal.Action, ...]
    replay: journal.Replay | None
    releases: tuple[Release, ...]
    runs: tuple[Run, ...]
    data: tuple[Contracted, ...]
    curves: Curves | None
    figures: tuple[Figure, ...]
    events: tuple[Event, ...]
    log: Verification
    checkpoints: tuple[Checkpoint, ...]
    notes: tuple[str, ...]


def gather(store: Store, place: Place) -> Road:
    """Read the road travelled so far."""
    project = place.project
    notes: list[str] = []
    released = releases.listing(store, project.name, limit=1000)
    versions = _versions(store, place, released)
    champion = next((v for v in versions if "champion" in v.aliases), None)
    live = releases.live(store, project.name, project.operate.target)
    state = journal.load(store, project.name)
    with store.read() as reader:
        events = tuple(log.newest(reader, limit=EVENTS_MAX))
        verified = log.verify(reader, store.keys)
        signed = tuple(log.checkpoints(reader))
    made = tuple(runs.get(store, run.id) for run in reversed(runs.listing(store, project=project.name, limit=RUNS_MAX)))
    shown = champion or (versions[-1] if versions else None)
    drawn = None
    if shown is not None:
        try:
            drawn = curves(store, shown.model, place.root)
        except Fault as problem:
            notes.append(f"{shown.model.id} could not be scored on its hold-out: {problem.what}")
    return Road(
        project=project.name,
        description=project.project.description,
        now=_newest_moment(store, events, state),
        versions=versions,
        champion=champion,
        live=live,
        watched=_watched(store, place),
        alerts=tuple(reversed(alerts.listing(store, project.name, most=1000))),
        actions=state.actions,
        replay=state.replay,
        releases=tuple(reversed(released)),
        runs=made,
        data=_data(store, place, made),
        curves=drawn,
        figures=_figures(store, shown),
        events=events,
        log=verified,
        checkpoints=signed,
        notes=tuple(notes),
    )


def _newest_moment(store: Store, events: tuple[Event, ...], state: journal.State) -> float:
    """The project's now: after a replay its clock stands where the replay ended, not where the machine's does."""
    if state.replay is not None:
        return max([state.replay.moment, state.turned_at or 0.0])
    return max([store.clock.now(), *(event.at for event in events)])


def _versions(store: Store, place: Place, released: list[Release]) -> tuple[Version, ...]:
    spec = place.project.model
    if spec is None or spec.name not in models.names(store, place.project.name):
        return ()
    pointing = models.aliases(store, spec.name)
    found = sorted(models.versions(store, spec.name), key=lambda model: model.version)[-VERSIONS_MAX:]
    spans = _spans(released)
    return tuple(
        _version(
            store,
            model,
            tuple(r for r in released if r.model == model.id),
            spans.get(model.id, (None, None)),
            tuple(sorted(alias for alias, version in pointing.items() if version == model.version)),
        )
        for model in found
    )


def _version(
    store: Store,
    model: Model,
    released: tuple[Release, ...],
    span: tuple[float | None, float | None],
    aliases: tuple[str, ...],
) -> Version:
    listed = certificates.listing(store, model.id, limit=1)
    blank = Version(model=model, releases=released, live_at=span[0], ended_at=span[1], aliases=aliases)
    if not listed:
        return blank
    try:
        statement = certificates.read(store, listed[0].id)
    except Fault as problem:
        return msgspec.structs.replace(blank, certificate=listed[0], problem=str(problem))
    return msgspec.structs.replace(blank, certificate=listed[0], evidence=statement.predicate.evidence)


def _spans(released: list[Release]) -> dict[str, tuple[float | None, float | None]]:
    """From when to when each model had all the traffic, by the releases' records."""
    spans: dict[str, tuple[float | None, float | None]] = {}
    order = sorted((r for r in released if r.status in ("live", "superseded")), key=lambda r: r.stage_since)
    ends = [*(release.stage_since for release in order[1:]), None]
    for release, end in zip(order, ends, strict=False):
        begin = spans.get(release.model, (release.stage_since, None))[0]
        spans[release.model] = (begin, end)
    return spans


def _watched(store: Store, place: Place) -> tuple[Watched, ...]:
    return tuple(
        Watched(
            name=name,
            width_s=seconds(spec.window),
            windows=tuple(windows.listing(store, place.project.name, monitor=name)),
            action=spec.action,
        )
        for name, spec in place.project.monitor.items()
    )


def _data(store: Store, place: Place, made: tuple[Run, ...]) -> tuple[Contracted, ...]:
    run = next((r for r in reversed(made) if r.snapshots), None)
    if run is None:
        return ()
    masked = sensitive.sensitive_columns(place.project)
    # data is as fresh as it was when the run read it
    then = Store(store.home, store.sql, clock=SimulatedClock(run.started_at), ids=store.ids, actor=store.actor)
    found = []
    for name, snapshot_id in run.snapshots.items():
        spec = place.project.data.get(name)
        try:
            snapshot = snapshots.get(store, snapshot_id, place.project.name)
            findings = quality.check(then, snapshot, spec.contract, sensitive=masked) if spec and spec.contract else ()
        except Fault as problem:
            found.append(Contracted(name=name, snapshot=None, problem=problem.what))
            continue
        found.append(Contracted(name=name, snapshot=snapshot, findings=findings))
    return tuple(found)


def _figures(store: Store, version: Version | None) -> tuple[Figure, ...]:
    """The pictures that the model's run logged."""
    if version is None:
        return ()
    kept = [a for a in artifacts.listing(store, version.model.run) if a.path.endswith(".png")]
    shown = []
    for artifact in kept[:FIGURES_MAX]:
        if artifact.size <= FIGURE_BYTES_MAX:
            content = base64.b64encode(artifacts.read(store, artifact)).decode()
            shown.append(Figure(name=artifact.path, uri=f"data:image/png;base64,{content}"))
    return tuple(shown)
