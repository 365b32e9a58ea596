"""Blobs: immutable bytes addressed by their BLAKE3 digest.

A blob is written beside its place, synced, and renamed into it, so that a digest that can be read is whole; what is
read is checked against its address. Two writers of one content make one blob.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from roadworthy.nouns.errors import Fault, invalid, not_found, unavailable

CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_of(content: bytes) -> str:
    """BLAKE3 of bytes, 64 hex digits."""
    return blake3(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """BLAKE3 of a file's content, on all cores."""
    hasher = blake3(max_threads=blake3.AUTO)
    try:
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

    def put(self, content: bytes) -> str:
        """Keep bytes; their digest. Nothing is written when they are there already."""
        digest = digest_of(content)
        path = self.path(digest)
        if not path.exists():
            with self._new(path) as temporary, temporary.open("wb") as file:
                file.write(content)
                _sync(file.fileno())
        return digest

    def put_file(self, source: Path) -> str:
        """Keep a copy of a file's content; its digest."""
        digest = digest_of_file(source)
        path = self.path(digest)
        if not path.exists():
            with self._new(path) as temporary:
                shutil.copyfile(source, temporary)
                with temporary.open("rb") as file:
                    _sync(file.fileno())
                if digest_of_file(temporary) != digest:
                    raise invalid(
                        "the file changed while it was read",
                        where=str(source),
                        fix="try again when it is still",
                    )
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a blob, checked against their digest."""
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise _missing(digest) from None
        if digest_of(content) != digest:
            raise _damaged(digest)
        return content

    def has(self, digest: str) -> bool:
        return self.path(digest).exists()

    def file(self, digest: str, *, check: bool = True) -> Path:
        """Where a blob lies, for readers that want a file; never to be written to."""
        path = self.path(digest)
        if not path.exists():
            raise _missing(digest)
        if check and digest_of_file(path) != digest:
            raise _damaged(digest)
        return path

    def path(self, digest: str) -> Path:
        """Where a blob of this digest lies or would lie."""
        if not _DIGEST.fullmatch(digest):
            raise invalid("not a BLAKE3 digest: 64 lower-case hex digits are", where=digest[:80])
        return self.folder / digest[:2] / digest[2:]

    @contextlib.contextmanager
    def _new(self, path: Path) -> Iterator[Path]:
        """A temporary file that takes its place when the block ends well."""
        temporary = path.parent / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield temporary
            temporary.chmod(0o444)
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as problem:
            raise unavailable(
                f"a blob cannot be written: {problem.strerror}",
                where=str(self.folder),
                fix="free space, or mend permissions",
            ) from problem
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _sync(descriptor: int) -> None:
    os.fdatasync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(digest: str) -> Fault:
    return not_found("the blob is not in the store", where=digest, fix="restore it from a backup, or make it again")


def _damaged(digest: str) -> Fault:
    return invalid("the blob's content no longer has its digest: the disk or someone changed it", where=digest)
