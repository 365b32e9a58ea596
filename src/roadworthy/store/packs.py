"""Packs: many small blobs in one file, so that twenty thousand files cost a few syncs and not twenty thousand.

In: packs that store/pack_writer.py wrote. Out: each of their contents by its digest, to store/blobs.py.
A pack is its contents one after another, then an index, the index's length and a mark. The index is two columns: the
digests of the contents (32 bytes each), then their sizes (8 bytes each, little-endian); columns are read in one step,
where twenty thousand rows would cost a tenth of a command. A pack is named after the BLAKE3 of its index; it is written
beside its place and renamed into it, so that a pack that can be seen is whole.
"""

import contextlib
import itertools
import os
import struct
from collections.abc import Iterable
from pathlib import Path

import msgspec
from blake3 import blake3

from roadworthy.nouns.errors import invalid

MARK = b"RWPACK02"
# Version 0.1 wrote the index as MessagePack rows of (digest, offset, size).
MARK_OF_ROWS = b"RWPACK01"
SUFFIX = ".pack"
_TAIL_BYTES = len(MARK) + 8
_DIGEST_BYTES = 32
_ENTRY_BYTES = _DIGEST_BYTES + 8
# How often a blob is looked for again when packs are swept while it is read.
ATTEMPTS = 3


# Where a small blob lies: the pack's file name, the offset of its first byte in it, and how many bytes.
Spot = tuple[str, int, int]


class Packs:
    """A folder of packs; their indexes are read when first asked for, and again when a pack has been added.

    Args:
        folder: made by the first writer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: set[str] = set()
        self._spots: dict[bytes, Spot] = {}
        self._changed_ns = -1

    def spots(self) -> dict[bytes, Spot]:
        """Every packed blob: its digest as 32 bytes, and where it is."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return self._spots
        if changed_ns != self._changed_ns:
            there = {path.name for path in self.folder.iterdir() if path.suffix == SUFFIX}
            if self._seen - there:
                self.forget()  # a pack was swept away; what it held may be in another one
            for name in there - self._seen:
                with contextlib.suppress(FileNotFoundError):
                    self._spots.update(index(self.folder / name))
                    self._seen.add(name)
            self._changed_ns = changed_ns
        return self._spots

    def forget(self) -> None:
        """Read every index again when next asked."""
        self._seen, self._spots, self._changed_ns = set(), {}, -1

    def read(self, digest: str) -> bytes | None:
        """The bytes kept under a digest, unchecked; None when no pack has them."""
        for _ in range(ATTEMPTS):
            spot = self.spots().get(bytes.fromhex(digest))
            if spot is None:
                return None
            pack, offset, size = spot
            try:
                descriptor = os.open(self.folder / pack, os.O_RDONLY)
            except FileNotFoundError:
                self.forget()  # swept away since its index was read
                continue
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        return None

    def has(self, digest: str) -> bool:
        return bytes.fromhex(digest) in self.spots()

    def touch(self, pack: str) -> bool:
        """Mark a pack as used now, so that no sweep takes it; False when it is gone."""
        try:
            touch(self.folder / pack)
        except FileNotFoundError:
            self.forget()
            return False
        return True


def touch(path: Path) -> None:
    """Mark a file as used now; in somebody else's store, where that may not be done, only see that it is there.

    Raises:
        FileNotFoundError: when it is gone.
    """
    with contextlib.suppress(PermissionError):
        os.utime(path)
    path.stat()  # a sweep that took it between finding it and marking it has moved it by now


def sync_folder(folder: Path) -> None:
    """Make a folder's names durable, after files were renamed into it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def index(path: Path) -> Iterable[tuple[bytes, Spot]]:
    """What a pack holds: each digest and where its content lies.

    Raises:
        Fault: invalid when the pack was cut or its index changed.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail = b"" if size < _TAIL_BYTES else os.pread(file.fileno(), _TAIL_BYTES, size - _TAIL_BYTES)
        length = int.from_bytes(tail[:8], "little")
        columns = b"" if length > size - _TAIL_BYTES else os.pread(file.fileno(), length, size - _TAIL_BYTES - length)
    if tail[8:] not in {MARK, MARK_OF_ROWS} or blake3(columns).hexdigest() != path.name.removesuffix(SUFFIX):
        raise invalid("a pack of blobs is damaged", where=str(path), fix="restore it from a backup")
    if tail[8:] == MARK_OF_ROWS:
        rows = msgspec.msgpack.decode(columns, type=list[tuple[bytes, int, int]])
        return [(digest, (path.name, offset, length)) for digest, offset, length in rows]
    count = length // _ENTRY_BYTES
    digests = (columns[at : at + _DIGEST_BYTES] for at in range(0, count * _DIGEST_BYTES, _DIGEST_BYTES))
    sizes = struct.unpack_from(f"<{count}Q", columns, count * _DIGEST_BYTES)
    offsets = itertools.accumulate(sizes, initial=0)
    return zip(digests, zip(itertools.repeat(path.name, count), offsets, sizes, strict=False), strict=True)
