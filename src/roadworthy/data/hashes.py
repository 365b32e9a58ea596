"""What files were hashed to before, so that a file that has not moved since is not read again.

A file is taken for unchanged when its path, size, inode, and times of modification and of change are as they were: the
latter cannot be set back. By git's rule for racy entries, a file that changed within the clock's grain of being hashed
is not remembered, for it could change again without showing. A cache: losing it costs time and nothing else.
"""

import contextlib
import mmap
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

# Local file systems stamp in ticks of up to 10 ms; twice that, and to spare.
RACY_NS = 100_000_000
ENTRIES_MAX = 2_000_000

# A file's state (size, inode, times of modification and of change in ns) as 32 bytes, then its digest as 32 more: one
# value and no row of five, as there are as many of them as there are files.
_STATE = struct.Struct("<QQqq")
STATE_BYTES = 32
_ENTRY = struct.Struct("<QQqq32s")
ENTRY_BYTES = 64
Entry = bytes
_EACH = struct.Struct("64s")
_SIZES = struct.Struct("<Q56x")
_TIMES = struct.Struct("<16xqq")
_WORDS = ENTRY_BYTES // 8


def state(stat: os.stat_result) -> bytes:
    """What tells a file from the same one changed, as 32 bytes."""
    return _STATE.pack(stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)


def enter(entries: mmap.mmap, at: int, stat: os.stat_result, digest: bytes) -> None:
    """Write an entry into the `at`-th place of a row of them: the state and the digest, one after the other."""
    _ENTRY.pack_into(entries, at * ENTRY_BYTES, stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, digest)


def entries_of(block: bytes) -> list[Entry]:
    """The entries that a block is made of."""
    return [entry for (entry,) in _EACH.iter_unpack(block)]


def digests_of(block: bytes) -> list[str]:
    """The digest of each entry of a block, as 64 hex digits."""
    text = block.hex()
    return [text[at : at + 64] for at in range(2 * STATE_BYTES, len(text), 2 * ENTRY_BYTES)]


def sizes_of(block: bytes) -> list[int]:
    """The size in bytes that each entry of a block speaks of."""
    return [size for (size,) in _SIZES.iter_unpack(block)]


class Hashes:
    """The cache of one store.

    Args:
        path: its file; unreadable or absent, it is empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new: dict[str, Entry] = {}
        try:
            self._entries = msgspec.msgpack.decode(path.read_bytes(), type=dict[str, Entry])
        except (OSError, msgspec.MsgspecError):
            self._entries = {}

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, path: str, state: bytes) -> bytes | None:
        """The digest of a file, if it was hashed in this state."""
        entry = self._entries.get(path)
        return entry[STATE_BYTES:] if entry is not None and entry[:STATE_BYTES] == state else None

    def remember(self, path: str, entry: Entry) -> None:
        """Keep a file's state and digest, one after the other."""
        self._new[path] = entry

    def remember_all(self, entries: Mapping[str, Entry]) -> None:
        """Keep the entries of paths."""
        self._new.update(entries)

    def save(self) -> None:
        """Write what is new, less what is too fresh to be told from a later change."""
        if not self._new:
            return
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        with contextlib.suppress(OSError):
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                temporary.touch(0o600)
                # The file system's own clock: the machine's may be another.
                limit = temporary.stat().st_mtime_ns - RACY_NS
                settled = _before(self._new, limit)
                if not settled:
                    return
                kept = {**self._entries, **settled}
                temporary.write_bytes(msgspec.msgpack.encode(kept if len(kept) <= ENTRIES_MAX else settled))
                temporary.replace(self._path)
            finally:
                temporary.unlink(missing_ok=True)


def _before(entries: dict[str, Entry], limit: int) -> dict[str, Entry]:
    """The entries of files that changed before a time, in ns: nearly always all of them, so that is seen first."""
    words = memoryview(b"".join(entries.values())).cast("q")
    modified, changed = max(words[2::_WORDS]), max(words[3::_WORDS])
    if sys.byteorder == "little" and modified < limit and changed < limit:
        return entries
    return {path: entry for path, entry in entries.items() if max(_TIMES.unpack_from(entry)) < limit}
