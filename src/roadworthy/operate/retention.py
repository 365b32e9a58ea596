"""Retention: what the project's rules let go leaves the store, and the disk gets its space back.

In: the rules of `[retention]`. Out: what went, or would. Called by `rw gc`. Rows go first, in transactions with their
events; then blobs that nothing names (store/sweeping.py), laid-out copies and environments that nobody used, and what
killed processes left; the database gives back its free pages last. Killed anywhere, the next one carries on: nothing
that goes is named by anything that stays. It runs beside runs, servers and the loop; a second one is refused.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from roadworthy.data import expiry as data_expiry
from roadworthy.data import snapshots
from roadworthy.nouns.event import Event
from roadworthy.nouns.project import Retention, seconds
from roadworthy.pipelines import expiry as cache_expiry
from roadworthy.registry import expiry
from roadworthy.serving import inference_rows
from roadworthy.store import belonging, locks, references, remote_sweeping, sqlite_file, sweeping
from roadworthy.store.clock import SystemClock
from roadworthy.store.remote_blobs import RemoteBlobs
from roadworthy.store.store import Store
from roadworthy.store.sweeping import Sweep

LEASE = "gc"
LEASE_S = 6 * 3600.0
# What is laid out for reading is used for as long as a step runs.
LAID_OUT_S = 7 * 86_400.0
_OWN = frozenset({"runs", "artifacts", "step_runs", "step_outputs", "snapshots"})
_clock = SystemClock()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of what goes: how many, and the bytes that the disk gets back (for rows, the database gives them)."""

    what: str
    count: int
    freed: int = 0


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection took away, or would.

    Args:
        dry_run: whether nothing was touched.
        lines: by kind.
        freed: bytes in all.
        shared: files of blobs that went and have another name on this disk: they give no space.
        young: blobs that nothing names, written or used too recently to go.
        kept: dead bytes in packs of blobs that are mostly alive.
        damaged: packs that hold a damaged blob, left as they are.
    """

    dry_run: bool
    lines: tuple[Line, ...]
    freed: int
    shared: int
    young: int
    kept: int
    damaged: tuple[str, ...]


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    runs: tuple[str, ...]
    outputs: tuple[str, ...]
    snapshots: tuple[data_expiry.Row, ...]
    live: set[bytes]


def collect(
    store: Store,
    rules: Retention,
    *,
    grace_s: float = sweeping.GRACE_S,
    dry_run: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Collected:
    """Take away what nothing needs.

    Args:
        rules: of the project; the defaults outside one.
        grace_s: blobs written or used within this time stay, named or not.
        dry_run: say what would go, and touch nothing.
        tell: told what is being done.

    Raises:
        Fault: conflict when another collection or a backup is at work, or a snapshot's manifest cannot be read, or
            blobs may be those of records elsewhere.
    """
    belonging.require(store.home, store.sql, store.blobs)
    if dry_run:
        return _collect(store, rules, grace_s, tell, dry_run=True)
    with locks.held(store, LEASE, now=_clock.now(), lease_s=LEASE_S):
        return _collect(store, rules, grace_s, tell, dry_run=False)


def _collect(
    store: Store, rules: Retention, grace_s: float, tell: Callable[[str], None], *, dry_run: bool
) -> Collected:
    tell("reading what the records name")
    plan = _plan(store, rules)
    if not dry_run and (plan.runs or plan.outputs or plan.snapshots):
        counts = f"{len(plan.runs):,} runs, {len(plan.outputs):,} outputs, {len(plan.snapshots):,} snapshots"
        tell(f"removing {counts}")
        expiry.remove(store, plan.runs)
        cache_expiry.remove(store, plan.outputs)
        data_expiry.remove(store, plan.snapshots)
        plan = msgspec.structs.replace(plan, live=_plan(store, rules, removed=True).live)
    tell("sweeping blobs")
    swept = sweeping.sweep(store.blobs, plan.live, grace_s=grace_s, dry_run=dry_run)
    if isinstance(store.blobs, RemoteBlobs):
        far = remote_sweeping.sweep(store.blobs, plan.live, grace_s=grace_s, dry_run=dry_run)
        swept = msgspec.structs.replace(
            swept, blobs=swept.blobs + far.blobs, freed=swept.freed + far.freed, young=swept.young + far.young
        )
    folders = _folders(store.home, rules, dry_run=dry_run)
    tell("compacting")
    labels = inference_rows.merge_labels(store.home, dry_run=dry_run)
    database = store.home / "store.db"
    pages = sqlite_file.free(database, dry_run=dry_run) if store.sql.dialect == "sqlite" else 0
    lines = (
        Line(what="runs", count=len(plan.runs)),
        Line(what="outputs of steps", count=len(plan.outputs)),
        Line(what="snapshots", count=len(plan.snapshots)),
        Line(what="blobs", count=swept.blobs, freed=swept.freed),
        *folders,
        Line(what="files of labels, merged", count=labels),
        Line(what="free space in the database", count=int(pages > 0), freed=pages),
    )
    made = Collected(
        dry_run=dry_run, lines=lines, freed=sum(line.freed for line in lines), shared=swept.shared,
        young=swept.young, kept=swept.kept,
        damaged=swept.damaged,
    )  # fmt: skip
    if not dry_run and any(line.count for line in lines):
        _log(store, made, swept)
    return made


def _plan(store: Store, rules: Retention, *, removed: bool = False) -> _Plan:
    """What goes by the rules, and the digests that all the rest names.

    Rows are looked at in one moment; a blob that a writer names later was written or used within the grace period.

    Args:
        removed: the rows that go are gone; whatever is there now stays, even if it grew old meanwhile.
    """
    ages = expiry.Ages(
        keep=rules.keep_runs,
        outputs_s=seconds(rules.step_outputs),
        runs_s=seconds(rules.runs) if rules.runs is not None and not removed else None,
        deleted_s=None if removed else seconds(rules.deleted),
    )
    with store.read() as reader:
        judged = expiry.judge(reader, ages, now=store.clock.now())
        steps = expiry.steps(reader, judged)
        cached = cache_expiry.judge(reader, runs=judged.stay, keys=steps.keys, known=judged.known)
        live = references.named(reader, but=_OWN)
        live |= expiry.rows(reader, frozenset(judged.gone)) | steps.digests | cached.digests
        live |= cached.of_gone if removed else set()
        age_s = None if removed or rules.snapshots is None else seconds(rules.snapshots)
        old = data_expiry.judge(reader, age_s, named=live)
    manifests, content = snapshots.kept(store, {row[:3] for row in old})
    live |= manifests
    live |= references.within(store.blobs, live - manifests, data=content | manifests)
    return _Plan(runs=judged.gone, outputs=cached.gone, snapshots=old, live=live | content)


def _folders(home: Path, rules: Retention, *, dry_run: bool) -> list[Line]:
    """Folders that were not used for long: environments, laid-out copies, and what killed processes left."""
    now = _folder_clock(home)
    found = []
    for what, folder, age_s in (
        ("rebuilt environments", home / "environments", seconds(rules.environments)),
        ("laid-out copies of data", home / "unpacked", LAID_OUT_S),
        ("laid-out copies of values", home / "blobs" / "unpacked", LAID_OUT_S),
        ("what killed runs left", home / "steps", LAID_OUT_S),
        ("what killed reproductions left", home / "reproductions", LAID_OUT_S),
        ("what killed checks left", home / "tmp", LAID_OUT_S),
    ):
        count = freed = 0
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if now - _used(path) >= age_s and not _at_work(path):
                count += 1
                freed += _size(path)
                if not dry_run:
                    _remove(path)
        found.append(Line(what=what, count=count, freed=freed))
    return found


def _folder_clock(home: Path) -> float:
    """The file system's own time, by which it stamped everything else."""
    probe = home / f".probe.{os.getpid()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _used(path: Path) -> float:
    """When a folder was last used: whoever uses it touches it, or the mark in it that says it is ready."""
    times = [each.stat(follow_symlinks=False).st_mtime for each in (path, path / "ready") if each.exists()]
    return max(times, default=0.0)


def _at_work(path: Path) -> bool:
    """Whether a folder is named after a process that lives (those of a run's orders are)."""
    return path.name.isdigit() and Path(f"/proc/{path.name}").exists()


def _size(path: Path) -> int:
    """Bytes that go with a folder; what has other names stays."""
    paths = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
    stats = [each.stat(follow_symlinks=False) for each in paths if not each.is_dir() or each.is_symlink()]
    return sum(stat.st_size for stat in stats if stat.st_nlink == 1)


def _remove(path: Path) -> None:
    """Under another name first, so that nobody meets half of it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    aside = path.with_name(f".{path.name}.gone") if not path.name.startswith(".") else path
    if aside != path:
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _log(store: Store, made: Collected, swept: Sweep) -> None:
    event = Event(
        kind="store.collected",
        subject=f"{made.freed} bytes",
        detail={**{line.what: line.count for line in made.lines if line.count}, "packs rewritten": swept.rewritten},
    )
    with store.change(event):
        pass  # what went is gone from the disk; the log says that it did
