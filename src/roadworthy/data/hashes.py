"""What files were hashed to before, so that a file that has not moved since is not read again.

A file is taken for unchanged when its path, size, inode, and times of modification and of change are as they were: the
latter cannot be set back. By git's rule for racy entries, a file that changed within the clock's grain of being hashed
is not remembered, for it could change again without showing. A cache: losing it costs time and nothing else.
"""

import contextlib
import os
from pathlib import Path

import msgspec

# Local file systems stamp in ticks of up to 10 ms; twice that, and to spare.
RACY_NS = 100_000_000
ENTRIES_MAX = 2_000_000

# size, inode, mtime_ns, ctime_ns, digest as 32 bytes
Entry = tuple[int, int, int, int, bytes]


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

    def known(self, path: str, stat: os.stat_result) -> bytes | None:
        """The digest of a file as `stat` has it, if it was hashed in that state."""
        entry = self._entries.get(path)
        if entry is not None and entry[:4] == (stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns):
            return entry[4]
        return None

    def remember(self, path: str, stat: os.stat_result, digest: bytes) -> None:
        self._new[path] = (stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, digest)

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
                settled = {path: entry for path, entry in self._new.items() if max(entry[2], entry[3]) < limit}
                if not settled:
                    return
                kept = {**self._entries, **settled}
                temporary.write_bytes(msgspec.msgpack.encode(kept if len(kept) <= ENTRIES_MAX else settled))
                temporary.replace(self._path)
            finally:
                temporary.unlink(missing_ok=True)
