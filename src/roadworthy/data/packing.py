"""Many small files into packs, on all cores: looked at, read once, hashed, and appended to a few files.

In: paths, from data/gather.py. Out: the state and digest of each. Each core works in a process of its own, made by
fork: reading 20,000 small files is nearly all interpreter, and processes that only read, hash and append need nothing
set up.
"""

import itertools
import os
import stat
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from blake3 import blake3

from roadworthy.data.hashes import Hashes, size_of, state
from roadworthy.nouns.errors import unavailable
from roadworthy.store.blobs import Blobs
from roadworthy.store.packs import Writer, sync_folder

# Fewer files than this for each process are not worth another one.
FILES_PER_PROCESS_MIN = 400
# Up to this size a file may go into a pack, and from this many new such files on (for each process), they do.
PACK_FILE_BYTES_MAX = 4 << 20
PACK_FILES_MIN = 32
_READ_BYTES = 64 << 10
_REPORT_EVERY = 500
# In place of a digest: the file is left to the caller.
LEFT = bytes(32)


class Packed(NamedTuple):
    """What became of files.

    Args:
        entries: the state and digest of each file; the digest is `LEFT` for one that is new and belongs in no pack.
        read: how many were read.
        problems: the number of each file that cannot be kept, and why.
    """

    entries: list[bytes]
    read: int
    problems: list[tuple[int, str]]


def pack(paths: Sequence[str], blobs: Blobs, hashes: Hashes, *, progress: Callable[[int], None]) -> Packed:
    """Hash files that are not as they were when they were last hashed, and append new content to packs.

    Args:
        paths: files.
        blobs: where to.
        hashes: what was hashed before; not written here.
        progress: told now and then how many files are done.

    Raises:
        Fault: unavailable when the disk is full or may not be written.
    """
    blobs.packs.spots()  # before processes part, so that they share it
    count = _processes(len(paths))
    bounds = [i * len(paths) // count for i in range(count + 1)]
    shares = [paths[start:end] for start, end in itertools.pairwise(bounds)]
    children = [_fork(share, blobs, hashes) for share in shares[1:]]
    try:
        answers = [_pack(shares[0], blobs, hashes, lambda done: progress(done * count))]
    finally:
        theirs = [_answer(*child) for child in children]
    answers += theirs
    read = sum(answer.read for answer in answers)
    if read:
        sync_folder(blobs.packs.folder)
    progress(len(paths))
    problems = [
        (start + at, problem) for start, answer in zip(bounds, answers, strict=False) for at, problem in answer.problems
    ]
    return Packed([entry for answer in answers for entry in answer.entries], read, problems)


def _processes(files: int) -> int:
    if threading.active_count() > 1 or not hasattr(os, "fork"):
        return 1  # a fork while another thread holds a lock would never get it
    return max(1, min(os.cpu_count() or 1, files // FILES_PER_PROCESS_MIN))


def _pack(paths: Sequence[str], blobs: Blobs, hashes: Hashes, progress: Callable[[int], None]) -> Packed:
    entries = [b""] * len(paths)
    problems: list[tuple[int, str]] = []
    new = _changed(paths, blobs, hashes, entries, problems)
    if len(new) < PACK_FILES_MIN:
        for at in new:
            entries[at] = entries[at] or _look(paths[at], at, problems) + LEFT
        return Packed(entries, 0, problems)
    known = _Present(blobs)
    written: set[bytes] = set()
    read = 0
    try:
        with Writer(blobs.packs.folder) as writer:
            for done, at in enumerate(new):
                found = _read(paths[at])
                if isinstance(found, str):
                    problems.append((at, found))
                    continue
                seen, content = found
                if content is None:
                    entries[at] = seen + LEFT
                    continue
                digest = blake3(content).digest()
                if digest not in known and digest not in written:
                    writer.add(digest, content)
                    written.add(digest)
                entries[at] = seen + digest
                read += 1
                if not done % _REPORT_EVERY:
                    progress(done)
            writer.finish()
    except OSError as problem:
        raise unavailable(
            f"a pack of blobs cannot be written: {problem.strerror}",
            where=str(blobs.packs.folder),
            fix="free space, or mend permissions",
        ) from problem
    return Packed(entries, read, problems)


def _changed(
    paths: Sequence[str], blobs: Blobs, hashes: Hashes, entries: list[bytes], problems: list[tuple[int, str]]
) -> Sequence[int]:
    """The numbers of the files that are not as they were, or whose content is gone; the others' entries are filled."""
    if not len(hashes):
        return range(len(paths))  # nothing was hashed before: their state is seen as they are opened
    packed = _Present(blobs)
    new = []
    for at, path in enumerate(paths):
        seen = _look(path, at, problems)
        if not seen:
            continue
        digest = hashes.known(path, seen)
        if digest is not None and (digest in packed or blobs.touch(digest.hex())):
            entries[at] = seen + digest
        else:
            new.append(at)
    return new


class _Present:
    """The digests that packs hold; each pack that is relied on is marked as used, once."""

    def __init__(self, blobs: Blobs) -> None:
        self._packs = blobs.packs
        self._spots = blobs.packs.spots()
        self._there: dict[str, bool] = {}

    def __contains__(self, digest: bytes) -> bool:
        spot = self._spots.get(digest)
        if spot is None:
            return False
        if spot[0] not in self._there:
            self._there[spot[0]] = self._packs.touch(spot[0])
        return self._there[spot[0]]


def _look(path: str, at: int, problems: list[tuple[int, str]]) -> bytes:
    try:
        return state(os.stat(path))  # noqa: PTH116 - strings throughout
    except OSError as problem:
        problems.append((at, _why(problem)))
        return b""


def _read(path: str) -> tuple[bytes, bytes | None] | str:
    """A file's state and its content (None when it is too large to be packed); or why it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as problem:
        return _why(problem)
    try:
        found = os.fstat(descriptor)
        seen = state(found)
        if found.st_size > PACK_FILE_BYTES_MAX:
            return seen, None
        if not stat.S_ISREG(found.st_mode):
            return "cannot be read: it is no file any more"
        content = os.read(descriptor, _READ_BYTES)
        if len(content) == _READ_BYTES:
            parts = [content]
            while part := os.read(descriptor, 1 << 20):
                parts.append(part)
            content = b"".join(parts)
    except OSError as problem:
        return _why(problem)
    finally:
        os.close(descriptor)
    return (seen, content) if len(content) == size_of(seen) else "the file changed while it was read"


def _why(problem: OSError) -> str:
    return f"cannot be read: {problem.strerror}"


def _fork(paths: Sequence[str], blobs: Blobs, hashes: Hashes) -> tuple[int, int]:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Native threads of numeric libraries may exist; the child touches none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    code = 1
    try:
        os.close(reading)
        answer = msgspec.msgpack.encode(_pack(paths, blobs, hashes, lambda _: None))
        with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
            pipe.write(answer)
        code = 0
    finally:
        os._exit(code)


def _answer(process: int, reading: int) -> Packed:
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(process, 0)
    try:
        return msgspec.msgpack.decode(answer, type=Packed)
    except msgspec.DecodeError:
        raise unavailable("a process that packed files has died", fix="is the disk or the memory full?") from None
