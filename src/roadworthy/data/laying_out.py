"""A snapshot's files back on the disk: restored for a person, laid out for a step, or only read again to verify.

In: a list of files, whose names have been checked to stay inside. Out: a folder that is whole or not there. Called by
data/snapshots.py alone.
"""

import contextlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from roadworthy.data import gather
from roadworthy.data.gather import Progress
from roadworthy.nouns.errors import Fault, conflict, unavailable
from roadworthy.nouns.snapshot import File, Snapshot
from roadworthy.store.blobs import Blobs
from roadworthy.store.store import Store


def write(blobs: Blobs, files: Sequence[File], to: Path, *, progress: Progress, read_only: bool = False) -> None:
    """Copy files into a new folder `to`, under a name beside it until all are there.

    Raises:
        Fault: conflict when something is there; invalid or not found when a blob is damaged or gone; unavailable when
            the disk is full or may not be written.
    """
    import shutil  # it loads every compression there is, which commands that lay nothing out can do without

    to = to.absolute()
    if to.is_symlink() or (to.exists() and (not to.is_dir() or any(to.iterdir()))):
        raise conflict("there is something there already", where=str(to), fix="name a folder that does not exist")
    temporary = to.with_name(f".{to.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        temporary.mkdir(parents=True)
        for folder in sorted({Path(gather.contained(file.path)).parent for file in files}):
            (temporary / folder).mkdir(parents=True, exist_ok=True)
        for done, file in enumerate(files):
            _copy(blobs, file, temporary / file.path, read_only=read_only)
            progress("files", done + 1, len(files))
        with contextlib.suppress(FileNotFoundError):
            to.rmdir()  # an empty folder makes way
        temporary.rename(to)
    except OSError as problem:
        raise unavailable(f"the files cannot be written: {problem.strerror}", where=str(to)) from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def as_path(store: Store, snapshot: Snapshot, files: Sequence[File]) -> Path:
    """The files as a read-only path for code that opens files itself, laid out once and kept."""
    place = store.home / "unpacked" / snapshot.id
    try:
        os.utime(place)  # `rw gc` takes away what was not used for long
    except FileNotFoundError:
        try:
            write(store.blobs, files, place, progress=gather.quiet, read_only=True)
        except Fault:
            if not place.exists():  # someone else laid it out meanwhile
                raise
    alone = len(files) == 1 and snapshot.kind in {"csv", "parquet"}
    return place / files[0].path if alone else place


def verify(blobs: Blobs, files: Sequence[File], *, progress: Progress) -> list[tuple[str, str]]:
    """The files whose blob is gone or not what it should be, each with what is wrong."""
    from concurrent.futures import ThreadPoolExecutor

    wrong: list[tuple[str, str]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (file, problem) in enumerate(zip(files, pool.map(lambda f: _problem(blobs, f), files), strict=True)):
            if problem:
                wrong.append((file.path, problem))
            progress("files", done + 1, len(files))
    return wrong


def _problem(blobs: Blobs, file: File) -> str:
    try:
        size = blobs.check(file.digest)
    except Fault as fault:
        return fault.what
    return "" if size == file.size else f"it has {size} bytes and the manifest says {file.size}"


def _copy(blobs: Blobs, file: File, to: Path, *, read_only: bool) -> None:
    if blobs.packs.has(file.digest):
        to.write_bytes(blobs.get(file.digest))
    else:
        import shutil  # as above

        shutil.copyfile(blobs.file(file.digest), to)
    if read_only:
        to.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
