"""Many small files into packs, on all cores: each is looked at, read once, hashed, and appended to one of a few files.

In: paths, from data/gather.py. Out: the state and digest of each. Each core works in a process of its own, made by
fork: reading 20,000 small files is nearly all interpreter, and processes that only read, hash and append need nothing
set up. What the files are is known before all of them are on the disk, so that a manifest can be written meanwhile.
"""

import functools
import mmap
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NoReturn, Self

from roadworthy.data import pack_share
from roadworthy.data.hashes import ENTRY_BYTES, Hashes
from roadworthy.data.pack_share import Kind, Share
from roadworthy.nouns.errors import Fault, unavailable
from roadworthy.store.blobs import Blobs
from roadworthy.store.packs import sync_folder

# Fewer files than this for each process are not worth another one.
FILES_PER_PROCESS_MIN = 400
# So many at a time are a megabyte or two while they are looked at, and few calls.
BLOCK_ENTRIES_MAX = 8192
# A word of a process: its number, the kind, a number, and the length of the text that follows. It is written at once,
# and what is written at once, up to Linux's 4,096 bytes (PIPE_BUF), is not mixed with what another process writes.
_WORD = struct.Struct("<HBqH")
_TEXT_BYTES_MAX = 2000


class Packing:
    """Files on their way into packs; used as a context, which waits for its processes.

    `blocks` says what the files are, then `settle` waits until they are on the disk.

    Args:
        paths: files.
        blobs: where to.
        hashes: what was hashed before; not written here.
        progress: told now and then how many files are done.

    Attributes:
        read: how many files were read, once all blocks were given.
        problems: the number of each file that cannot be kept, and why; the same.

    Raises:
        Fault: unavailable when the disk is full or may not be written, or no process can be made.
    """

    def __init__(self, paths: Sequence[str], blobs: Blobs, hashes: Hashes, *, progress: Callable[[int], None]) -> None:
        self.read = 0
        self.problems: list[tuple[int, str]] = []
        self._blobs = blobs
        self._progress = progress
        count = _processes(len(paths))
        self._reading = self._settling = count
        self._children: list[int] = []
        self._pipe: BinaryIO | None = None
        self._entries = mmap.mmap(-1, max(1, len(paths)) * ENTRY_BYTES)
        bounds = [i * len(paths) // count for i in range(count + 1)]
        self._shares = [Share(paths, bounds[i], bounds[i + 1], self._entries) for i in range(count)]
        self._filled = bounds[:-1]  # of each share, up to which file entries are filled
        blobs.packs.spots()  # before processes part, so that they share it
        if count == 1:
            pack_share.pack(self._shares[0], blobs, hashes, functools.partial(self._hear, 0))
        else:
            self._part(hashes)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Entries as they become known: the number of the first file, then states and digests of it and those after it.

        The digest is `pack_share.LEFT` for a file that is new and belongs in no pack; all is zeros for one that cannot
        be kept.
        """
        given = [share.first for share in self._shares]
        while True:
            for process, filled in enumerate(self._filled):
                for first in range(given[process], filled, BLOCK_ENTRIES_MAX):
                    end = min(first + BLOCK_ENTRIES_MAX, filled)
                    yield first, self._entries[first * ENTRY_BYTES : end * ENTRY_BYTES]
                given[process] = filled
            if not self._reading:
                break
            self._listen()
        self._progress(self._shares[-1].end)

    def settle(self) -> None:
        """Return when every pack is on the disk.

        Raises:
            Fault: unavailable when the disk is full, or a process has died.
        """
        while self._settling:
            self._listen()
        self._wait()
        # Of packs that were there before too: whoever wrote them may have died before their names were on the disk.
        if self._blobs.packs.folder.is_dir():
            sync_folder(self._blobs.packs.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()

    def _part(self, hashes: Hashes) -> None:
        reading, writing = os.pipe()
        self._pipe = open(reading, "rb")  # noqa: PTH123, SIM115 - a descriptor, open until the children have ended
        try:
            self._fork(hashes, reading, writing)
        except OSError as problem:
            self._wait()
            raise unavailable(f"no process can be made: {problem.strerror}", fix="end some others") from problem
        except BaseException:
            self._wait()
            raise
        finally:
            os.close(writing)

    def _fork(self, hashes: Hashes, reading: int, writing: int) -> None:
        with warnings.catch_warnings():
            # Native threads of numeric libraries may exist; a child touches none of their locks.
            warnings.simplefilter("ignore", DeprecationWarning)
            for number, share in enumerate(self._shares):
                process = os.fork()
                if not process:
                    os.close(reading)
                    _child(number, share, self._blobs, hashes, writing)
                self._children.append(process)

    def _listen(self) -> None:
        """One word of any process."""
        head = self._pipe.read(_WORD.size) if self._pipe else b""
        if len(head) < _WORD.size:
            raise unavailable("a process that packed files has died", fix="is the disk or the memory full?")
        process, kind, number, length = _WORD.unpack(head)
        self._hear(process, Kind(kind), number, self._pipe.read(length).decode() if self._pipe and length else "")

    def _hear(self, process: int, kind: Kind, number: int = 0, text: str = "") -> None:
        match kind:
            case Kind.FILLED:
                self._filled[process] = number
                self._progress(sum(self._filled) - sum(share.first for share in self._shares))
            case Kind.PROBLEM:
                self.problems.append((number, text))
            case Kind.READ:
                self.read += number
                self._filled[process] = self._shares[process].end
                self._reading -= 1
            case Kind.SETTLED:
                self._settling -= 1
            case Kind.FAILED:
                raise _unwritable(self._blobs, text)

    def _wait(self) -> None:
        if self._pipe is not None:
            self._pipe.close()  # whoever still tells something ends of it
            self._pipe = None
        while self._children:
            os.waitpid(self._children.pop(), 0)


def _processes(files: int) -> int:
    if threading.active_count() > 1 or not hasattr(os, "fork"):
        return 1  # a fork while another thread holds a lock would never get it
    return max(1, min(os.cpu_count() or 1, files // FILES_PER_PROCESS_MIN))


def _child(process: int, share: Share, blobs: Blobs, hashes: Hashes, writing: int) -> NoReturn:
    def tell(kind: Kind, number: int = 0, text: str = "") -> None:
        said = text.encode()[:_TEXT_BYTES_MAX]
        os.write(writing, _WORD.pack(process, kind, number, len(said)) + said)

    try:
        pack_share.pack(share, blobs, hashes, tell)
    finally:
        os._exit(0)


def _unwritable(blobs: Blobs, why: str) -> Fault:
    return unavailable(
        f"a pack of blobs cannot be written: {why}",
        where=str(blobs.packs.folder),
        fix="free space, or mend permissions",
    )
