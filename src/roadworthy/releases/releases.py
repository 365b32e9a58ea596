"""Records of releases: what each target should be doing, and what it did. This file owns the table `releases`."""

from collections.abc import Iterable

import msgspec

from roadworthy.nouns.errors import not_found
from roadworthy.nouns.event import Event
from roadworthy.nouns.release import Release
from roadworthy.releases.rollout import ACTIVE, UNDER_WAY
from roadworthy.store.sql import Reader, Transaction
from roadworthy.store.store import Store

LISTED_MAX = 1_000

_SAVE = """
INSERT INTO releases (id, project, target, model, status, created_at, record)
VALUES (:id, :project, :target, :model, :status, :created_at, :record)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, record = excluded.record
"""
_GET = "SELECT record FROM releases WHERE id = :id"
_OF_TARGET = """
SELECT record FROM releases WHERE project = :project AND target = :target ORDER BY created_at DESC, id LIMIT :limit
"""
_OF_PROJECT = "SELECT record FROM releases WHERE project = :project ORDER BY created_at DESC, id LIMIT :limit"
_ACTIVE = """
SELECT record FROM releases WHERE project = :project AND target = :target
AND status IN ('planned', 'starting', 'canary', 'live') ORDER BY created_at, id
"""


class Road(msgspec.Struct, frozen=True, kw_only=True):
    """The releases of a target that are not over: the one that is live, and the one on its way there."""

    live: Release | None = None
    coming: Release | None = None

    @property
    def all(self) -> tuple[Release, ...]:
        return tuple(r for r in (self.live, self.coming) if r is not None)

    @property
    def by_id(self) -> dict[str, Release]:
        return {r.id: r for r in self.all}


def save(store: Store, event: Event, changed: Iterable[Release]) -> None:
    """Write records that change together, with the one event that says why."""
    with store.change(event) as tx:
        for release in changed:
            _write(tx, release)


def get(store: Store, release_id: str) -> Release:
    """A release by id.

    Raises:
        Fault: not found.
    """
    with store.read() as reader:
        row = reader.row(_GET, id=release_id)
    if row is None:
        raise not_found("no such release", where=release_id)
    return _release(row)


def live(store: Store, project: str, target: str) -> Release | None:
    """What is live on a target: what gets the traffic that no canary gets."""
    return road(store, project, target).live


def under_way(store: Store, project: str, target: str) -> Release | None:
    """The release that is planned, starting or a canary on a target, if there is one."""
    return road(store, project, target).coming


def road(store: Store, project: str, target: str) -> Road:
    """Both of these, of one moment."""
    with store.read() as reader:
        found = _active(reader, project, target)
    return Road(
        live=next((r for r in reversed(found) if r.status == "live"), None),
        coming=next((r for r in reversed(found) if r.status in UNDER_WAY), None),
    )


def listing(store: Store, project: str, target: str = "", *, limit: int = 50) -> list[Release]:
    """Releases of a project, or of one of its targets, newest first.

    Args:
        limit: at most this many, up to 1,000.
    """
    limit = min(limit, LISTED_MAX)
    with store.read() as reader:
        if target:
            rows = reader.rows(_OF_TARGET, project=project, target=target, limit=limit)
        else:
            rows = reader.rows(_OF_PROJECT, project=project, limit=limit)
    return [_release(row) for row in rows]


def _active(reader: Reader, project: str, target: str) -> list[Release]:
    found = [_release(row) for row in reader.rows(_ACTIVE, project=project, target=target)]
    return [release for release in found if release.status in ACTIVE]


def _write(tx: Transaction, release: Release) -> None:
    tx.execute(
        _SAVE, id=release.id, project=release.project, target=release.target, model=release.model,
        status=release.status, created_at=release.created_at, record=msgspec.json.encode(release).decode(),
    )  # fmt: skip


def _release(row: tuple[object, ...]) -> Release:
    release: Release = msgspec.json.decode(str(row[0]), type=Release)
    return release
