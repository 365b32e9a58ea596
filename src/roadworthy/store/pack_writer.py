"""Writes packs: contents are gathered in one buffer, handed to the system a mebibyte at a time, and synced on the way.

In: small contents with their digests, from data/pack_share.py and store/sweeping.py. Out: packs, as store/packs.py
reads them. A pack is written beside its place and renamed into it, so that a pack that can be seen is whole and on the
disk.
"""

import contextlib
import os
import struct
import threading
from pathlib import Path
from typing import Self

from blake3 import blake3

from roadworthy.store.packs import MARK, SUFFIX

# A pack is closed when it has grown to this, so that one damaged file never takes much with it.
PACK_BYTES_MAX = 256 << 20
_BUFFER_BYTES = 1 << 20
_SPACE_BYTES_MIN = 64 << 10
_PAGE_BYTES = 4 << 10
# How much is written before a sync is asked for: more than a disk's own overhead, less than waiting for it at the end.
_SYNC_BYTES = 8 << 20


class Writer:
    """Writes one pack after another into a folder; used as a context, which discards what was not finished.

    Args:
        folder: where packs are kept; made if absent.

    Attributes:
        space: room for the next content, of 64 KiB or more: what is read into it need not be copied again.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._buffer = self.space = memoryview(bytearray(_BUFFER_BYTES))
        self._waiting: int = 0
        self._written: int = 0
        self._descriptor = -1
        self._temporary = ""
        self._begin()

    def keep(self, digest: bytes, size: int) -> None:
        """Append the first `size` bytes of `space` under their 32-byte digest."""
        self._digests.append(digest)
        self._sizes.append(size)
        self._waiting += size
        self.space = self.space[size:]
        if len(self.space) < _SPACE_BYTES_MIN:
            self._flush()

    def add(self, digest: bytes, content: bytes) -> None:
        """Append one content under its 32-byte digest."""
        if len(content) <= len(self.space):
            self.space[: len(content)] = content
            self.keep(digest, len(content))
            return
        self._digests.append(digest)
        self._sizes.append(len(content))
        self._write(self._buffer[: self._waiting])
        self._waiting = 0
        self._write(content)
        self._flush()

    def finish(self) -> None:
        """Write the index, sync, and put the pack in its place. Nothing is left behind when it is empty."""
        if self._digests:
            columns = b"".join(self._digests) + struct.pack(f"<{len(self._sizes)}Q", *self._sizes)
            self._write(self._buffer[: self._waiting])
            self._write(b"".join((columns, len(columns).to_bytes(8, "little"), MARK)))
            self._syncing.finish()
            os.fchmod(self._descriptor, 0o444)
            Path(self._temporary).replace(self._folder / f"{blake3(columns).hexdigest()}{SUFFIX}")
        self._discard()

    def _begin(self) -> None:
        self._digests: list[bytes] = []
        self._sizes: list[int] = []
        self._waiting = 0
        self._written = 0
        self.space = self._buffer
        self._temporary = str(self._folder / f".{os.getpid()}.{os.urandom(6).hex()}")
        self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._syncing = _Syncing(self._descriptor)

    def _flush(self) -> None:
        """Hand the whole pages of the buffer to the system: it would write one that is begun twice."""
        whole = self._waiting - self._waiting % _PAGE_BYTES
        rest = self._waiting - whole
        self._write(self._buffer[:whole])
        self._buffer[:rest] = self._buffer[whole : self._waiting]
        self._waiting = rest
        self.space = self._buffer[rest:]
        if self._written + rest >= PACK_BYTES_MAX:
            self.finish()
            self._begin()

    def _write(self, content: bytes | memoryview) -> None:
        start, rest = self._written, memoryview(content)
        while rest:
            written = os.write(self._descriptor, rest)
            self._written += written
            rest = rest[written:]
        # The disk begins at once, while more is read.
        os.posix_fadvise(self._descriptor, start, 0, os.POSIX_FADV_DONTNEED)
        self._syncing.wrote(len(content))

    def _discard(self) -> None:
        self._syncing.stop()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with contextlib.suppress(FileNotFoundError):
                Path(self._temporary).unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard()


class _Syncing:
    """Brings a file to the disk while it is still written, in a thread, so that little is left at the end.

    A disk takes as long to empty its own cache as to be given the bytes, so both must go on while more is read. Each
    sync is for all that was written until it began: on a slow disk there are few of them.

    Args:
        descriptor: the file; open until `stop`.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread: threading.Thread | None = None
        self._due = threading.Event()
        self._ends = False
        self._problem: OSError | None = None
        self._unsynced = 0

    def wrote(self, size: int) -> None:
        """Sync, by and by, once enough was written."""
        self._unsynced += size
        if self._unsynced < _SYNC_BYTES:
            return
        self._unsynced = 0
        if self._thread is None:
            self._thread = threading.Thread(target=self._sync_when_due, daemon=True)
            self._thread.start()
        self._due.set()

    def finish(self) -> None:
        """Return when everything is on the disk.

        Raises:
            OSError: when some of it cannot be: the system says so once, to whichever sync comes first.
        """
        self.stop()
        if self._problem is not None:
            raise self._problem
        os.fdatasync(self._descriptor)

    def stop(self) -> None:
        self._ends = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _sync_when_due(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._ends:
                return
            try:
                os.fdatasync(self._descriptor)
            except OSError as problem:
                self._problem = problem
                return
