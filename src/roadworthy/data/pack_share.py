"""One process's share of files into packs: looked at, read once, hashed, and appended to a pack.

In: paths, from data/packing.py, and a row of entries to fill. Out: what it tells on the way: how far it is, what cannot
be read, that all is read, that all is on the disk.
"""

import mmap
import os
import stat
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from blake3 import blake3

from roadworthy.data.hashes import Hashes, enter, state
from roadworthy.store.blobs import Blobs
from roadworthy.store.pack_writer import Writer

# Up to this size a file may go into a pack, and from this many new such files on (for each process), they do.
PACK_FILE_BYTES_MAX = 4 << 20
PACK_FILES_MIN = 32
# In place of a digest: the file is left to the caller.
LEFT = bytes(32)
_REPORT_EVERY = 500
_READING = os.O_RDONLY | os.O_NONBLOCK


class Kind(IntEnum):
    """What a share tells, and what the number beside it counts."""

    FILLED = 0  # the number after the last file whose entry is filled, as are all before it
    PROBLEM = 1  # the number of the file, with why it cannot be kept
    READ = 2  # how many were read: every entry is filled
    SETTLED = 3  # nothing: every pack is on the disk
    FAILED = 4  # nothing: why packs cannot be written


class Tell(Protocol):
    """Takes what a share tells."""

    def __call__(self, kind: Kind, number: int = 0, text: str = "") -> None: ...


class Share(NamedTuple):
    """Files that one process packs.

    Args:
        paths: all files, of all shares.
        first: the number of the share's first file.
        end: the number after its last.
        entries: a row of entries, one for each of all files; the share fills its own. What cannot be kept stays zeros.
    """

    paths: Sequence[str]
    first: int
    end: int
    entries: mmap.mmap


def pack(share: Share, blobs: Blobs, hashes: Hashes, tell: Tell) -> None:
    """Pack the files of a share that are not as they were when they were last hashed.

    A problem with writing is told, not raised: it may have come about in a process of its own.
    """
    try:
        _pack(share, blobs, hashes, tell)
    except OSError as problem:
        tell(Kind.FAILED, text=problem.strerror or str(problem))


def _pack(share: Share, blobs: Blobs, hashes: Hashes, tell: Tell) -> None:
    paths, entries = share.paths, share.entries
    new = _changed(share, blobs, hashes, tell)
    if len(new) < PACK_FILES_MIN:
        for at in new:
            found = _look(paths[at], at, tell)
            if found is not None:
                enter(entries, at, found, LEFT)
        tell(Kind.READ)
        tell(Kind.SETTLED)
        return
    known = _Present(blobs)
    written: set[bytes] = set()
    read = 0
    # Twenty thousand times: everything here is measured (benchmarks/snapshots.py); a call of ours for each shows.
    with Writer(blobs.packs.folder) as writer:
        for done, at in enumerate(new):
            space = writer.space
            try:
                descriptor = os.open(paths[at], _READING)
                try:
                    seen = os.fstat(descriptor)
                    if seen.st_size > PACK_FILE_BYTES_MAX or not stat.S_ISREG(seen.st_mode):
                        _leave(entries, at, seen, tell)
                        continue
                    size = os.readv(descriptor, (space,))
                    content = space[:size] if size < len(space) else _whole(descriptor, space)
                finally:
                    os.close(descriptor)
            except OSError as problem:
                tell(Kind.PROBLEM, at, _why(problem))
                continue
            if len(content) != seen.st_size:
                tell(Kind.PROBLEM, at, "the file changed while it was read")
                continue
            digest = blake3(content).digest()
            enter(entries, at, seen, digest)
            if digest not in written and digest not in known:
                written.add(digest)
                if type(content) is memoryview:
                    writer.keep(digest, size)
                else:
                    writer.add(digest, content)
            read += 1
            if not done % _REPORT_EVERY:
                tell(Kind.FILLED, at + 1)
        tell(Kind.READ, read)
        writer.finish()
    tell(Kind.SETTLED)


def _changed(share: Share, blobs: Blobs, hashes: Hashes, tell: Tell) -> Sequence[int]:
    """The numbers of the files that are not as they were, or whose content is gone; the others' entries are filled."""
    if not len(hashes):
        return range(share.first, share.end)  # nothing was hashed before: their state is seen as they are opened
    packed = _Present(blobs)
    new = []
    for at in range(share.first, share.end):
        path = share.paths[at]
        found = _look(path, at, tell)
        if found is None:
            continue
        digest = hashes.known(path, state(found))
        if digest is not None and (digest in packed or blobs.touch(digest.hex())):
            enter(share.entries, at, found, digest)
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


def _look(path: str, at: int, tell: Tell) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - strings throughout
    except OSError as problem:
        tell(Kind.PROBLEM, at, _why(problem))
        return None


def _leave(entries: mmap.mmap, at: int, seen: os.stat_result, tell: Tell) -> None:
    """Leave what belongs in no pack to the caller."""
    if stat.S_ISREG(seen.st_mode):
        enter(entries, at, seen, LEFT)
    else:
        tell(Kind.PROBLEM, at, "cannot be read: it is no file any more")


def _whole(descriptor: int, begun: memoryview) -> bytes:
    """The content of a file of which so much was read, which has no room in a writer's space."""
    parts = [bytes(begun)]
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _why(problem: OSError) -> str:
    return f"cannot be read: {problem.strerror}"
