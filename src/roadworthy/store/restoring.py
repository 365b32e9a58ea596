"""Restoring: a store from its backup, every byte checked before anybody can use it.

In: a folder made by store/backup.py. Out: a `.roadworthy` folder that is whole, or none. Blobs are held against their
digests, the rest against the manifest, the log against its own hashes and signed checkpoints. Called by `rw restore`.
"""

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from blake3 import blake3

from roadworthy.nouns.errors import Fault, conflict, invalid, not_found, unavailable
from roadworthy.store import log, packs
from roadworthy.store.backup import DATABASE, HOME, LIST, MANIFEST, VERSION, Manifest, Progress, blob_files
from roadworthy.store.blobs import digest_of_file
from roadworthy.store.keys import Keys
from roadworthy.store.sql import Database

NAMED_MAX = 5
GITIGNORE = "*\n"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored: the backup's manifest, and the blobs that were left out as they are damaged or gone."""

    manifest: Manifest
    left_out: tuple[str, ...]


def restore(source: Path, home: Path, *, partial: bool = False, progress: Progress) -> Restored:
    """Make the store of a backup.

    Args:
        source: the backup.
        home: the `.roadworthy` folder to make; nothing may be there.
        partial: leave damaged blobs out, rather than refuse.
        progress: told what is done.

    Raises:
        Fault: conflict when there is a store already; not found when `source` is no backup; invalid when anything is
            not as it was backed up; unavailable when the disk is full or may not be written.
    """
    if home.is_symlink() or (home.exists() and any(path.name != ".gitignore" for path in home.iterdir())):
        raise conflict("there is a store here already", where=str(home), fix="move it away, or restore elsewhere")
    manifest = read(source)
    building = home.with_name(f"{home.name}.restoring")
    shutil.rmtree(building, ignore_errors=True)
    try:
        left_out = _build(source, manifest, building, partial=partial, progress=progress)
        os.sync()  # one for all of them
        if home.exists():
            shutil.rmtree(home)
        building.rename(home)
        packs.sync_folder(home.parent)
    except OSError as problem:
        raise unavailable(
            f"the store cannot be written: {problem.strerror}", where=str(problem.filename or home),
            fix="free space, or mend permissions",
        ) from problem  # fmt: skip
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Restored(manifest=manifest, left_out=left_out)


def read(source: Path) -> Manifest:
    """A backup's manifest.

    Raises:
        Fault: not found when there is none; invalid when it is damaged, or of a newer layout.
    """
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except OSError:
        raise not_found("this is no backup: it has no manifest", where=str(source), fix="make one: rw backup") from None
    except msgspec.MsgspecError as problem:
        raise invalid(f"the backup's manifest is damaged: {problem}", where=str(source / MANIFEST)) from None
    if manifest.version > VERSION:
        raise invalid(
            f"the backup has layout {manifest.version}, this Roadworthy knows {VERSION}",
            where=str(source),
            fix="upgrade roadworthy",
        )
    return manifest


def _build(source: Path, manifest: Manifest, building: Path, *, partial: bool, progress: Progress) -> tuple[str, ...]:
    building.mkdir(mode=0o700, parents=True)
    _files(source, manifest, building)
    left_out = _blobs(source, building / "blobs", progress)
    if left_out and not partial:
        more = f" and {len(left_out) - NAMED_MAX} more" if len(left_out) > NAMED_MAX else ""
        raise invalid(
            f"blobs of the backup are damaged or gone: {', '.join(left_out[:NAMED_MAX])}{more}",
            where=str(source),
            fix="restore another backup, or what is whole of this one: --partial",
        )
    if manifest.database == "sqlite":
        _check_log(manifest, building)
    return left_out


def _files(source: Path, manifest: Manifest, building: Path) -> None:
    """Everything but blobs, each file held against its digest after it was copied."""
    for name, digest in manifest.files.items():
        inside, _, path = name.partition("/")
        if inside != HOME:
            if not (source / name).is_file() or digest_of_file(source / name) != digest:
                raise invalid("a file of the backup is damaged or gone", where=str(source / name))
            continue
        target = building / path
        if not target.resolve().is_relative_to(building.resolve()):
            raise invalid("a name in the backup leads out of it", where=name)
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(source / name, target)
        except FileNotFoundError:
            raise invalid("a file of the backup is gone", where=str(source / name)) from None
        if digest_of_file(target) != digest:
            raise invalid("a file of the backup is damaged", where=str(source / name))
    (building / ".gitignore").write_text(GITIGNORE)


def _blobs(source: Path, target: Path, progress: Progress) -> tuple[str, ...]:
    """Copy blobs and read each copy again; the names of those that are damaged or gone, which are left out."""
    expected = dict(line.rsplit(" ", 1) for line in (source / LIST).read_text().splitlines())
    there = dict(blob_files(source / HOME / "blobs"))
    wanted = sorted(expected)
    bad: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        copies = pool.map(lambda name: name in there and _copy(name, there[name], target / name), wanted)
        for done, (name, good) in enumerate(zip(wanted, copies, strict=True)):
            if not good:
                bad.append(name)
            progress("blobs", done + 1, len(wanted))
    return tuple(bad)


def _copy(name: str, path: Path, place: Path) -> bool:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(path, place)
    place.chmod(0o444)
    if _is_whole(name, place):
        return True
    place.unlink()
    return False


def _is_whole(name: str, path: Path) -> bool:
    """Whether a file of blobs is what its name says: a digest, or a pack whose contents have theirs."""
    folder, _, rest = name.partition("/")
    if folder != "packs":
        return digest_of_file(path) == folder + rest
    try:
        entries: Sequence[tuple[bytes, packs.Spot]] = list(packs.index(path))
    except Fault:
        return False
    with path.open("rb") as file:
        return all(
            blake3(os.pread(file.fileno(), size, offset)).digest() == digest for digest, (_, offset, size) in entries
        )


def _check_log(manifest: Manifest, building: Path) -> None:
    database = Database(str(building / DATABASE))
    try:
        with database.read() as reader:
            found = log.verify(reader, Keys(building / "keys"))
    finally:
        database.close()
    if found.damage:
        raise invalid(f"the backup's log was changed: {found.damage[0].what}", where=DATABASE)
    if (found.size, found.root) != (manifest.events, manifest.root):
        raise invalid(
            f"the backup's log has {found.size} events and the root {found.root[:12]}, its manifest says "
            f"{manifest.events} and {manifest.root[:12]}",
            where=DATABASE,
        )
