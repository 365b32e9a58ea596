"""Backup: a copy of a live store that is of one moment, made while others write to it.

In: a store. Out: a folder with everything needed to go on elsewhere: records, blobs, keys, what was served. The records
are copied first, in one transaction; what they name was written before them, so it is there when blobs are copied after
them. A sweep is kept out meanwhile. The folder has another name until it is whole and on the disk; a backup that was
killed is carried on by the next one to the same place. Called by `rw backup`; store/restoring.py reads it.
"""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from roadworthy.nouns.errors import conflict, invalid, unavailable
from roadworthy.nouns.version import __version__
from roadworthy.store import belonging, locks, log, packs, sqlite_file
from roadworthy.store.blobs import digest_of_file
from roadworthy.store.clock import SystemClock
from roadworthy.store.keys import Keys
from roadworthy.store.sql import Database
from roadworthy.store.store import Store

VERSION = 1
MANIFEST = "backup.json"
LIST = "blobs.list"
HOME = "home"
DATABASE = "store.db"
LEASE = "gc"  # a sweep and a backup keep each other out
LEASE_S = 24 * 3600.0
# What is made again when it is asked for, and what is of this machine and this moment.
LEFT_OUT = frozenset(
    {"blobs", "cache", "environments", "reproductions", "serving", "steps", "tmp", "unpacked", "rules-checked"}
)
# Files that are merged while they are copied are listed again, so often.
ATTEMPTS = 10

# what is being copied, how much is done, of how much
Progress = Callable[[str, int, int], None]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds.

    Args:
        version: of the layout.
        made_by, at: which Roadworthy made it, and when (seconds since the epoch).
        database: `sqlite` when the records are in it; `postgresql` when they must come from a dump of that.
        events: how many events the log has.
        root: the log's root hash, in hex; `rw audit verify` shows it too.
        blobs, size: how many files of blobs there are, and their bytes.
        files: everything but blobs: path and BLAKE3.
    """

    version: int
    made_by: str
    at: float
    database: str
    events: int
    root: str
    blobs: int
    size: int
    files: dict[str, str]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup came to: its manifest, how many blobs were there from one that was killed, and were linked."""

    manifest: Manifest
    resumed: int
    linked: int


def make(store: Store, to: Path, *, copy: bool = False, files_only: bool = False, progress: Progress) -> Made:
    """Back a store up into a folder that does not exist yet.

    Args:
        store: open, and in use by whoever.
        to: the folder.
        copy: copy blobs even where a second name for the same file would do (on the same disk).
        files_only: leave the records to a dump of PostgreSQL, which was made before.
        progress: told what is done.

    Raises:
        Fault: conflict when something is there, or a sweep is at work, or the records are in PostgreSQL and that was
            not said, or others name the blobs; unavailable when the disk is full or may not be written; invalid when
            the database is damaged.
    """
    to = to.absolute()
    if to.exists() or to.is_symlink():
        raise conflict("there is something there already", where=str(to), fix="name a folder that does not exist")
    if to.is_relative_to(store.home.absolute()):
        raise invalid("a backup inside the store is none", where=str(to), fix="name a folder elsewhere")
    if store.sql.dialect != "sqlite" and not files_only:
        raise conflict(
            "the records are in PostgreSQL, which has its own way to copy them",
            fix="dump them first with pg_dump, then add the rest: rw backup DEST --files-only",
        )
    belonging.require(store.home, store.sql, store.blobs)
    with locks.held(store, LEASE, now=SystemClock().now(), lease_s=LEASE_S):
        try:
            return _make(store, to, copy=copy, progress=progress)
        except OSError as problem:
            raise unavailable(
                f"the backup cannot be written: {problem.strerror}", where=str(problem.filename or to),
                fix="free space, or mend permissions; the same command carries on",
            ) from problem  # fmt: skip


def _make(store: Store, to: Path, *, copy: bool, progress: Progress) -> Made:
    partial = to.with_name(f".{to.name}.partial")
    home = partial / HOME
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _start_afresh(partial)
    events, root = 0, ""
    if store.sql.dialect == "sqlite":
        progress("records", 0, 1)
        sqlite_file.copy(
            Path(store.sql.url), home / DATABASE, progress=lambda done, whole: progress("records", done, whole)
        )
        _without_leases(home / DATABASE)
    blobs, resumed, linked = _blobs(store.blobs.folder, home / "blobs", copy=copy, progress=progress)
    _others(store.home, home)
    if store.sql.dialect == "sqlite":
        events, root = _log_of(home)
    listed = "".join(f"{name} {size}\n" for name, size in sorted(blobs.items()))
    (partial / LIST).write_text(listed)
    manifest = Manifest(
        version=VERSION, made_by=__version__, at=SystemClock().now(), database=store.sql.dialect, events=events,
        root=root, blobs=len(blobs), size=sum(blobs.values()), files=_digests(partial),
    )  # fmt: skip
    (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    os.sync()  # one for all of them
    partial.rename(to)
    packs.sync_folder(to.parent)
    return Made(manifest=manifest, resumed=resumed, linked=linked)


def _start_afresh(partial: Path) -> None:
    """Of a backup that was killed, only blobs are of use: they cannot have changed since."""
    for path in (partial / HOME).iterdir():
        if path.name != "blobs":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in (LIST, MANIFEST):
        (partial / name).unlink(missing_ok=True)


def _without_leases(database: Path) -> None:
    """Whoever holds a lock of the live store holds none of the copy."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(locks.CLEAR)


def _log_of(home: Path) -> tuple[int, str]:
    """How many events the copied log has, and its root.

    Raises:
        Fault: invalid when the log was changed: a backup would only keep that.
    """
    database = Database(str(home / DATABASE))
    try:
        with database.read() as reader:
            found = log.verify(reader, Keys(home / "keys"))
    finally:
        database.close()
        for suffix in ("-wal", "-shm"):
            (home / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    if found.damage:
        raise invalid(f"the log was changed: {found.damage[0].what}", fix="see what else: rw audit verify")
    return found.size, found.root


def blob_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file of blobs below a folder of them, by its name in it: `ab/cdef…` or `packs/….pack`."""
    for below in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (len(below.name) == 2 or below.name == "packs") and below.is_dir():
            for path in below.iterdir():
                if not path.name.startswith("."):
                    yield f"{below.name}/{path.name}", path


def _blobs(source: Path, target: Path, *, copy: bool, progress: Progress) -> tuple[dict[str, int], int, int]:
    """Link or copy every blob that is not there yet: names and sizes, how many were there, how many are linked."""
    found = list(blob_files(source))
    sizes: dict[str, int] = {}
    resumed = linked = 0
    for done, (name, path) in enumerate(found):
        with contextlib.suppress(FileNotFoundError):  # a writer's, unpacked for reading and gone again
            size = path.stat().st_size
            place = target / name
            if place.exists() and place.stat().st_size == size:
                resumed += 1
            else:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                linked += _put(path, place, copy=copy)
            sizes[name] = size
        progress("blobs", done + 1, len(found))
    return sizes, resumed, linked


def _put(path: Path, place: Path, *, copy: bool) -> bool:
    """A second name for an immutable file where that can be, else a copy; whether it is linked."""
    place.unlink(missing_ok=True)
    if not copy:
        with contextlib.suppress(OSError):
            os.link(path, place)
            return True
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        shutil.copyfile(path, temporary)
        temporary.chmod(0o444)
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    return False


def _others(source: Path, target: Path) -> None:
    """Everything else that must be kept: keys, served rows, labels. What is merged meanwhile is looked for again."""
    for _ in range(ATTEMPTS):
        if all(_tree(path, target / path.name) for path in sorted(source.iterdir()) if _is_kept(path)):
            return
    raise unavailable("its files keep changing while they are copied", where=str(source), fix="try again")


def _is_kept(path: Path) -> bool:
    return path.name not in LEFT_OUT and not path.name.startswith((DATABASE, ".probe"))


def _tree(source: Path, target: Path) -> bool:
    """Copy files below a folder, with their modes; False when one went while it was copied."""
    whole = True
    paths = [source, *source.rglob("*")] if source.is_dir() else [source]
    for path in paths:
        place = target / path.relative_to(source)
        try:
            if path.is_dir():
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif path.is_file() and not path.is_symlink():
                shutil.copy2(path, place)
        except FileNotFoundError:
            whole = False
    return whole


def _digests(partial: Path) -> dict[str, str]:
    """Path and digest of everything but blobs and the manifest."""
    found = {}
    for path in sorted(partial.rglob("*")):
        name = path.relative_to(partial).as_posix()
        if path.is_file() and not name.startswith(f"{HOME}/blobs/") and name != MANIFEST:
            found[name] = digest_of_file(path)
    return found
