"""Blobs: immutable bytes addressed by their BLAKE3 digest.

A blob is written beside its place, synced, and renamed into it, so that a digest that can be read is whole; what is
read is checked against its address. Two writers of one content make one blob. Many small ones share a file
(store/packs.py); a large file is cloned or linked rather than copied where that can be done (`keep_file`).
"""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from blake3 import blake3

from roadworthy.nouns.errors import Fault, invalid, not_found, unavailable
from roadworthy.store.packs import Packs, sync_folder, touch

CHUNK = 1 << 20
# From this size on, another thread costs less than it saves.
THREADS_FROM_BYTES = 1 << 20
# From this size on, a file is cloned or linked where the file system can; a smaller one is copied.
LINK_FROM_BYTES = 64 << 20
# No writer takes this long over one file.
UNFINISHED_S_MAX = 86_400.0
# The folder of marks: which of the blobs that are users' files too were used, and when.
USED = "used"
_FICLONE = 0x40049409
_DIGEST = re.compile(r"[0-9a-f]{64}")

How = Literal["present", "cloned", "linked", "copied"]


class Kept(NamedTuple):
    """What keeping a file came to: its digest, its size in bytes, and how its content got into the store."""

    digest: str
    size: int
    how: How


def digest_of(content: bytes) -> str:
    """BLAKE3 of bytes, 64 hex digits."""
    return blake3(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """BLAKE3 of a file's content, on all cores when it is large.

    Raises:
        Fault: invalid when it cannot be read.
    """
    try:
        if path.stat().st_size < THREADS_FROM_BYTES:
            return blake3(path.read_bytes()).hexdigest()
        hasher = blake3(max_threads=blake3.AUTO)
        hasher.update_mmap(path)
    except OSError as problem:
        raise invalid(f"cannot be read: {problem.strerror}", where=str(path)) from None
    return hasher.hexdigest()


class Blobs:
    """A folder of blobs.

    Args:
        folder: made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packs = Packs(folder / "packs")

    def put(self, content: bytes) -> str:
        """Keep bytes; their digest. Nothing is written when they are there already."""
        digest = digest_of(content)
        if not self.touch(digest):
            with self.new() as temporary:
                temporary.write_bytes(content)
                self._settle(temporary, self.path(digest))
        return digest

    def put_file(self, source: Path) -> str:
        """Keep a copy of a file's content; its digest."""
        return self.keep_file(source, copy=True).digest

    def keep_file(self, source: Path, *, copy: bool = False, digest: str = "") -> Kept:
        """Keep a file's content, by the cheapest way that holds.

        A file of `LINK_FROM_BYTES` or more on the same file system is cloned (copy on write) or, where that is not
        to be had, hard-linked and made read-only, as git-annex does: writing to it in place is then refused, and
        replacing it leaves the blob alone. Whatever reads a blob checks its digest, so a change by someone who may
        write to read-only files is found, not believed.

        Args:
            source: a file.
            copy: never link.
            digest: what it is known to be, to save reading it.

        Raises:
            Fault: invalid when it cannot be read, or changed meanwhile; unavailable when the store is full.
        """
        before = _stat(source)
        digest = digest or digest_of_file(source)
        if self.touch(digest):
            return Kept(digest, before.st_size, "present")
        with self.new() as temporary:
            how = self._fill(temporary, source, copy=copy or before.st_size < LINK_FROM_BYTES)
            # A copy is read again; a clone or link cannot differ from a file that has not moved since it was hashed.
            if how == "copied":
                same = temporary.stat().st_size == before.st_size and digest_of_file(temporary) == digest
            else:
                same = _same(before, _stat(source))
            if not same:
                if how == "linked":
                    source.chmod(before.st_mode & 0o7777)
                raise invalid("the file changed while it was read", where=str(source), fix="try again when it is still")
            if how == "linked":
                self._mark(digest)
            self._settle(temporary, self.path(digest))
        return Kept(digest, before.st_size, how)

    @contextlib.contextmanager
    def new(self) -> Iterator[Path]:
        """A path inside the store's disk to write a new blob at; `adopt` it before the block ends, or it is gone.

        Raises:
            Fault: unavailable when the disk is full or may not be written.
        """
        folder = self.folder / "incoming"
        temporary = folder / f"{os.getpid()}.{os.urandom(6).hex()}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield temporary
        except OSError as problem:
            raise unavailable(
                f"a blob cannot be written: {problem.strerror}",
                where=str(self.folder),
                fix="free space, or mend permissions",
            ) from problem
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def adopt(self, temporary: Path, digest: str = "") -> Kept:
        """Move a finished file, made by `new`, to where its content belongs; its digest, if known, saves reading it."""
        digest, size = digest or digest_of_file(temporary), temporary.stat().st_size
        if self.touch(digest):
            return Kept(digest, size, "present")
        self._settle(temporary, self.path(digest))
        return Kept(digest, size, "copied")

    def get(self, digest: str) -> bytes:
        """The bytes of a blob, checked against their digest."""
        try:
            content: bytes | None = self.path(digest).read_bytes()
        except FileNotFoundError:
            content = self.packs.read(digest)
        if content is None:
            raise _missing(digest)
        if digest_of(content) != digest:
            raise _damaged(digest)
        return content

    def has(self, digest: str) -> bool:
        return self.path(digest).exists() or self.packs.has(digest)

    def touch(self, digest: str) -> bool:
        """Whether a blob is there; from now on it is as good as new for whoever sweeps (store/sweeping.py).

        Whoever writes no blob since it is there already asks this, for its record may be the first that names it.
        """
        path = self.path(digest)
        try:
            if path.stat().st_nlink == 1:
                touch(path)
            else:
                self._mark(digest)
                path.stat()
        except FileNotFoundError:
            spot = self.packs.spots().get(bytes.fromhex(digest))
            return spot is not None and (self.packs.touch(spot[0]) or self.packs.has(digest))
        return True

    def file(self, digest: str, *, check: bool = True) -> Path:
        """Where a blob lies, for readers that want a file; never to be written to. A packed blob is unpacked."""
        path = self.path(digest)
        if not path.exists():
            content = self.get(digest)
            with self.new() as temporary:
                temporary.write_bytes(content)
                self._settle(temporary, path, durable=False)
        elif check and digest_of_file(path) != digest:
            raise _damaged(digest)
        return path

    def check(self, digest: str) -> int:
        """Read a blob again and hold it against its digest; its size in bytes.

        Raises:
            Fault: not found when it is gone, invalid when it is damaged.
        """
        path = self.path(digest)
        if not path.exists():
            return len(self.get(digest))
        if digest_of_file(path) != digest:
            raise _damaged(digest)
        return path.stat().st_size

    def path(self, digest: str) -> Path:
        """Where a blob of this digest lies or would lie, when it is not packed."""
        if not _DIGEST.fullmatch(digest):
            raise invalid("not a BLAKE3 digest: 64 lower-case hex digits are", where=digest[:80])
        return self.folder / digest[:2] / digest[2:]

    def sweep(self) -> int:
        """Take away what writers that were killed left unfinished a day ago or longer; how many files."""
        left = [*self.folder.glob("incoming/*"), *self.packs.folder.glob(".*")]
        if not left:
            return 0
        with self.new() as probe:
            probe.touch()
            limit_s = probe.stat().st_mtime - UNFINISHED_S_MAX  # by the clock that stamped the others
        swept = 0
        for path in left:
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < limit_s:
                    path.unlink()
                    swept += 1
        return swept

    def _mark(self, digest: str) -> None:
        """Note that a blob was used that is somebody's file too: its time of modification is theirs."""
        mark = self.folder / USED / digest
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        mark.touch(0o600)

    def _settle(self, temporary: Path, path: Path, *, durable: bool = True) -> None:
        """Give a finished file its name; with `durable`, it survives a power cut from then on."""
        temporary.chmod(0o444)
        if durable:
            with temporary.open("rb") as file:
                os.fdatasync(file.fileno())
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if durable:
                sync_folder(self.folder)
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)

    def _fill(self, temporary: Path, source: Path, *, copy: bool) -> How:
        if not copy:
            if _clone(source, temporary):
                return "cloned"
            if _link(source, temporary):
                return "linked"
        import shutil  # it loads every compression there is

        try:
            shutil.copyfile(source, temporary)
        except PermissionError as problem:
            raise invalid(f"cannot be read: {problem.strerror}", where=str(source)) from None
        return "copied"


def _clone(source: Path, target: Path) -> bool:
    """Share the file's extents, copy on write (Btrfs, XFS, bcachefs); False where that cannot be done."""
    with source.open("rb") as reading, target.open("xb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError:
            target.unlink()
            return False
    return True


def _link(source: Path, target: Path) -> bool:
    """Give the file a second name in the store and take away everyone's right to write to it."""
    if source.is_symlink():
        source = source.resolve()
    try:
        os.link(source, target)
        target.chmod(0o444)
    except OSError as problem:
        if problem.errno in {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP}:
            target.unlink(missing_ok=True)
            return False
        raise
    return True


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as problem:
        raise invalid(f"cannot be read: {problem.strerror}", where=str(path)) from None


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)


def _missing(digest: str) -> Fault:
    return not_found("the blob is not in the store", where=digest, fix="restore it from a backup, or make it again")


def _damaged(digest: str) -> Fault:
    return invalid("the blob's content no longer has its digest: the disk or someone changed it", where=digest)
