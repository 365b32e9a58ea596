"""What is where: each target's releases as recorded, beside what the target itself says. Called by `rw status`."""

from typing import Any

import msgspec

from roadworthy.gates.measures import drift
from roadworthy.nouns.model import FieldType, Model
from roadworthy.nouns.project import Place
from roadworthy.nouns.release import Release
from roadworthy.registry import models
from roadworthy.releases import grounds, releases
from roadworthy.releases.targets.protocol import Counts, Observed
from roadworthy.serving import inference_rows
from roadworthy.store.store import Store

EXAMPLES: dict[FieldType, Any] = {
    "integer": 1, "number": 1.0, "string": "text", "boolean": True, "datetime": "2024-01-31T12:00:00",
}  # fmt: skip


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One release on a target.

    Args:
        release, model, status, share: as recorded.
        given: the share that the target gives it.
        health: `up`, `silent` (does not answer), `down`, or `stopped` (by hand).
        counts: what the target counted since its router started.
        reason: why it is in this status.
        since: when this status or stage began, seconds since the epoch, by the project's clock.
    """

    release: str
    model: str
    status: str
    share: float
    given: float
    health: str
    counts: Counts
    reason: str
    since: float
    pid: int | None = None


class TargetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One target.

    Args:
        url: where rows are sent to, empty when nothing listens.
        healthy: whether all that should run does.
        rows_dropped: rows answered that the inference log lost.
        unrouted: requests that nothing could answer.
        example: a request as a shell command.
        advice: what to do, where something is wrong.
    """

    target: str
    url: str
    healthy: bool
    versions: tuple[Version, ...]
    rows_dropped: int = 0
    unrouted: int = 0
    logs: str = ""
    example: str = ""
    advice: str = ""


def look(store: Store, place: Place, target: str) -> TargetStatus:
    """A target as recorded and as found; nothing is changed."""
    observed = grounds.open_target(store, place, target).observe()
    road = releases.road(store, place.project.name, target)
    versions = tuple(_version(release, observed) for release in road.all)
    stopped = bool(versions) and all(version.health == "stopped" for version in versions)
    healthy = all(version.health in {"up", "stopped"} for version in versions) and (
        observed.up or stopped or not versions
    )
    advice = ""
    if not healthy:
        advice = f"rw release --up --to {target} brings back what should run"
    elif stopped:
        advice = f"stopped by hand; rw release --up --to {target} brings it back"
    elif not versions:
        advice = f"nothing is released here yet: rw release --to {target}"
    example = ""
    if observed.url and road.live is not None:
        example = curl(store, place, observed.url, models.get(store, road.live.model))
    return TargetStatus(
        target=target, url=observed.url, healthy=healthy, versions=versions, unrouted=observed.unrouted,
        rows_dropped=inference_rows.dropped(store.home, target), logs=str(observed.detail.get("logs", "")),
        example=example, advice=observed.problem or advice,
    )  # fmt: skip


def curl(store: Store, place: Place, url: str, model: Model) -> str:
    """A request as a shell command, with values such as the model was trained on."""
    usual = _usual(store, model)
    row = {field.name: usual.get(field.name, EXAMPLES[field.type]) for field in model.signature.inputs}
    serving = place.project.serving
    for extra in (serving.entity, serving.key):
        if extra and extra not in row:
            row[extra] = "text"
    body = msgspec.json.encode({"dataframe_records": [row]}).decode()
    quoted = body.replace("'", "'\\''")
    return f"curl -s {url}/invocations -H 'content-type: application/json' -d '{quoted}'"


def _usual(store: Store, model: Model) -> dict[str, Any]:
    """The most frequent category and the median of each column that the model's profile remembers."""
    if model.profile is None or not store.blobs.has(model.profile):
        return {}
    types = {field.name: field.type for field in model.signature.inputs}
    found: dict[str, Any] = {}
    for column in drift.decode(store.blobs.get(model.profile)).columns:
        if column.type == "string" and column.categories:
            found[column.name] = max(column.categories, key=lambda value: column.categories[value])
        elif column.type == "number" and column.sketch:
            median = column.sketch[len(column.sketch) // 2]
            found[column.name] = round(median) if types.get(column.name) == "integer" else round(median, 4)
    return found


def _version(release: Release, observed: Observed) -> Version:
    server = observed.server(release.id)
    return Version(
        release=release.id, model=release.model, status=release.status, share=release.share,
        given=observed.shares.get(release.id, 0.0),
        health="stopped" if release.stopped else server.state if server else "down",
        counts=server.counts if server else Counts(), reason=release.reason, since=release.stage_since,
        pid=server.pid if server else None,
    )  # fmt: skip
