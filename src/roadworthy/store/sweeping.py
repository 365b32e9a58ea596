"""Sweeping: blobs that nothing names any more leave the disk.

In: the digests that are named (`live`), from operate/retention.py. Out: what would go, or went. Safe beside writers and
at any point of dying:

- What was written or used within the grace period stays, for its record may be on the way. Writers mark what they rely
  on (`Blobs.touch`), and whether something was used is asked once more after it was moved out of the way: a writer that
  came before finds its blob put back, one that comes after finds none and writes its own.
- A pack of which little is live is written anew with that, durably, before the old one goes.
- What a killed sweep had moved aside is put back by the next, and judged again.
"""

import contextlib
import os
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from blake3 import blake3

from roadworthy.nouns.errors import Fault
from roadworthy.store import packs
from roadworthy.store.blobs import USED, Blobs
from roadworthy.store.pack_writer import Writer
from roadworthy.store.packs import Spot, sync_folder

# No blob goes that was written or used within this time: no writer takes as long to name what it wrote.
GRACE_S = 86_400.0
# A pack is written anew when at least this share of it is dead; less is not worth the writing.
DEAD_SHARE_MIN = 0.25
TRASH = "trash"


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep takes away, or would.

    Args:
        blobs: how many contents go.
        freed: bytes that the disk gets back.
        shared: how many files that go have another name (a user's file, a backup on this disk) and give no space.
        rewritten: how many packs are written anew without what is dead.
        kept: dead bytes that stay in packs which are mostly live.
        young: how many contents nobody names that were written or used too recently to go.
        damaged: packs that were left as they are, for a live content in them is damaged.
    """

    blobs: int = 0
    freed: int = 0
    shared: int = 0
    rewritten: int = 0
    kept: int = 0
    young: int = 0
    damaged: tuple[str, ...] = ()


class _Pack(NamedTuple):
    """A pack: its file, what of it is still needed, how many contents are dead, and how many bytes they are."""

    path: Path
    needed: list[tuple[bytes, Spot]]
    dead: int
    dead_bytes: int


def sweep(blobs: Blobs, live: Container[bytes], *, grace_s: float = GRACE_S, dry_run: bool = False) -> Sweep:
    """Take away every blob whose digest (32 bytes) is not in `live` and that was not written or used of late.

    Args:
        blobs: a local folder of blobs.
        live: digests that records name, read after the last sweep began.
        grace_s: the time within which nothing goes, by the file system's own clock.
        dry_run: say what would go, and touch nothing.
    """
    if not blobs.folder.is_dir():
        return Sweep()
    if not dry_run:
        _put_back(blobs)
    with blobs.new() as probe:
        probe.touch()
        limit_ns = probe.stat().st_mtime_ns - int(grace_s * 1e9)
    loose = _sweep_loose(blobs, live, limit_ns, dry_run=dry_run)
    packed = _sweep_packs(blobs, live, limit_ns, dry_run=dry_run)
    if not dry_run:
        _forget_marks(blobs, limit_ns)
    return Sweep(
        blobs=loose.blobs + packed.blobs,
        freed=loose.freed + packed.freed,
        shared=loose.shared + packed.shared,
        rewritten=packed.rewritten,
        kept=packed.kept,
        young=loose.young + packed.young,
        damaged=packed.damaged,
    )


def _sweep_loose(blobs: Blobs, live: Container[bytes], limit_ns: int, *, dry_run: bool) -> Sweep:
    gone = freed = shared = young = 0
    for path, digest in _loose(blobs):
        if bytes.fromhex(digest) in live:
            continue
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        if _used_ns(blobs, path, digest) >= limit_ns:
            young += 1
            continue
        if dry_run or _discard(blobs, path, digest, limit_ns):
            gone += 1
            alone = stat.st_nlink == 1
            freed += stat.st_size if alone else 0
            shared += not alone
        else:
            young += 1
    return Sweep(blobs=gone, freed=freed, shared=shared, young=young)


def _sweep_packs(blobs: Blobs, live: Container[bytes], limit_ns: int, *, dry_run: bool) -> Sweep:
    gone = freed = shared = rewritten = kept = young = 0
    damaged: list[str] = []
    for pack in _packs(blobs, live):
        if not pack.dead:
            continue
        stat = pack.path.stat()
        if stat.st_mtime_ns >= limit_ns:
            young += pack.dead
            continue
        if pack.needed and pack.dead_bytes < DEAD_SHARE_MIN * stat.st_size:
            kept += pack.dead_bytes
            continue
        if not dry_run:
            try:
                _write_anew(blobs, pack)
            except Fault:
                damaged.append(pack.path.name)
                continue
            if not _discard(blobs, pack.path, pack.path.name, limit_ns):
                young += pack.dead
                continue
        gone += pack.dead
        alone = stat.st_nlink == 1
        freed += (pack.dead_bytes if pack.needed else stat.st_size) if alone else 0
        shared += not alone
        rewritten += bool(pack.needed)
    return Sweep(
        blobs=gone, freed=freed, shared=shared, rewritten=rewritten, kept=kept, young=young, damaged=tuple(damaged)
    )


def _packs(blobs: Blobs, live: Container[bytes]) -> list[_Pack]:
    """Every pack and what of it is needed; of a content that two packs hold, the newer one's is."""
    found = []
    first: dict[bytes, tuple[Path, Spot]] = {}
    paths = [path for path in blobs.packs.folder.glob(f"*{packs.SUFFIX}") if not path.name.startswith(".")]
    for path in sorted(paths, key=lambda each: (-each.stat().st_mtime_ns, each.name)):
        needed, dead, dead_bytes = [], 0, 0
        for digest, spot in packs.index(path):
            if digest in live and (digest not in first or not _whole(digest, *first[digest])):
                needed.append((digest, spot))
            else:
                dead += 1
                dead_bytes += spot[2]
            first.setdefault(digest, (path, spot))
        found.append(_Pack(path, needed, dead, dead_bytes))
    return found


def _whole(digest: bytes, path: Path, spot: Spot) -> bool:
    """Whether a content in a pack is as it should be."""
    with path.open("rb") as file:
        return blake3(os.pread(file.fileno(), spot[2], spot[1])).digest() == digest


def _write_anew(blobs: Blobs, pack: _Pack) -> None:
    """Copy what is needed into a new pack, which is on the disk when this returns.

    Raises:
        Fault: when a content is damaged: the old pack is then the best there is.
    """
    if not pack.needed:
        return
    with Writer(blobs.packs.folder) as writer:
        descriptor = os.open(pack.path, os.O_RDONLY)
        try:
            for digest, (_, offset, size) in pack.needed:
                content = os.pread(descriptor, size, offset)
                if blake3(content).digest() != digest:
                    blobs.check(digest.hex())  # it is said to be damaged, unless there is a good copy beside
                    continue
                writer.add(digest, content)
        finally:
            os.close(descriptor)
        writer.finish()
    sync_folder(blobs.packs.folder)


def _discard(blobs: Blobs, path: Path, name: str, limit_ns: int) -> bool:
    """Move a file aside, and take it away unless it was used meanwhile; then it is put back."""
    trash = blobs.folder / TRASH
    trash.mkdir(mode=0o700, exist_ok=True)
    aside = trash / name
    try:
        path.replace(aside)
    except FileNotFoundError:
        return False
    if _used_ns(blobs, aside, name) < limit_ns:
        aside.unlink(missing_ok=True)
        return True
    _restore(aside, path)
    return False


def _put_back(blobs: Blobs) -> None:
    """What a killed sweep had moved aside."""
    trash = blobs.folder / TRASH
    for aside in trash.iterdir() if trash.is_dir() else ():
        packed = aside.suffix == packs.SUFFIX
        _restore(aside, blobs.packs.folder / aside.name if packed else blobs.path(aside.name))


def _restore(aside: Path, path: Path) -> None:
    with contextlib.suppress(FileExistsError):  # a writer made it again meanwhile
        os.link(aside, path)
    aside.unlink()


def _loose(blobs: Blobs) -> Iterator[tuple[Path, str]]:
    """Every blob that has a file of its own."""
    for folder in blobs.folder.iterdir():
        if len(folder.name) == 2 and folder.is_dir():
            for path in folder.iterdir():
                digest = folder.name + path.name
                if len(digest) == 64 and not set(digest) - set("0123456789abcdef"):
                    yield path, digest


def _used_ns(blobs: Blobs, path: Path, name: str) -> int:
    """When a file was last written or used: its own time, or that of its mark when it is a user's file too."""
    try:
        return max(path.stat().st_mtime_ns, (blobs.folder / USED / name).stat().st_mtime_ns)
    except FileNotFoundError:
        return path.stat().st_mtime_ns


def _forget_marks(blobs: Blobs, limit_ns: int) -> None:
    marks = blobs.folder / USED
    for mark in marks.iterdir() if marks.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if mark.stat().st_mtime_ns < limit_ns:
                mark.unlink()
