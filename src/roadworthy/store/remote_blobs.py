"""Remote blobs: the same content, addressed by the same digests, in S3, Google's or Azure's store, or another folder.

In: a URL such as `s3://bucket/prefix`; credentials as the cloud's own tools find them. Out: what store/blobs.py gives,
and more: bodies as streams, URLs by which clients fetch and send bytes without passing through us. The local folder is
where uploads are spooled and where whoever wants a file finds one; blobs that are there already are read from there.
Used by `rw server --blobs`; several servers on one database share a bucket.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from blake3 import blake3

from roadworthy.nouns.errors import Fault, invalid, not_found, unavailable
from roadworthy.store.blobs import Blobs, Kept, digest_of, digest_of_file

SCHEMES = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "file")
# A range is asked for anew in pieces, so that no body is too long for one request's time.
PIECE = 8 << 20
PART = 16 << 20
PARTS_MAX = 10_000
PARTS_S = 6 * 3_600
# A blob that is relied upon again is written again when it is this old, so that no sweep thinks it forgotten.
FRESH_S = 12 * 3_600.0
INCOMING = "incoming"
_UPLOAD = re.compile(r"[0-9a-f]{32}")


@runtime_checkable
class CanStream(Protocol):
    """Blobs that give a body in pieces."""

    def stream(self, digest: str, start: int, length: int, *, whole: bool) -> AsyncIterator[bytes]: ...


@runtime_checkable
class CanSign(Protocol):
    """Blobs that clients may reach themselves, by URLs that end after a while."""

    def signed(self, digest: str, seconds: int) -> str: ...

    def begin_parts(self, upload: str, count: int) -> list[str]: ...

    def end_parts(self, upload: str, count: int) -> Kept: ...

    def drop_parts(self, upload: str, count: int) -> None: ...


class RemoteBlobs(Blobs):
    """Blobs in an object store.

    Args:
        remote: obstore's store, its prefix included.
        folder: a local one, for spooling.
        where: how messages name it.
    """

    def __init__(self, remote: Any, folder: Path, where: str) -> None:
        super().__init__(folder)
        self.remote = remote
        self.where = where

    def note(self, key: str, text: str) -> None:
        """Put a small object beside the blobs."""
        import obstore

        with self.named(key):
            obstore.put(self.remote, key, text.encode())

    def noted(self, under: str) -> list[str]:
        """The names of the objects that were put there."""
        import obstore

        with self.named(under):
            return [str(found["path"]).rpartition("/")[2] for found in obstore.list(self.remote, under).collect()]

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        self._keep(digest, content)
        return digest

    def keep_file(self, source: Path, *, copy: bool = False, digest: str = "") -> Kept:
        del copy  # it always is
        if not source.is_file():
            raise invalid("there is no such file", where=str(source))
        digest = digest or digest_of_file(source)
        return Kept(digest, source.stat().st_size, "copied" if self._keep(digest, source) else "present")

    def adopt(self, temporary: Path, digest: str = "") -> Kept:
        return self.keep_file(temporary, digest=digest)

    def get(self, digest: str) -> bytes:
        if super().has(digest):
            return super().get(digest)
        with self.named(digest):
            content = bytes(_obstore().get(self.remote, self._key(digest)).bytes())
        if digest_of(content) != digest:
            raise _damaged(digest)
        return content

    def has(self, digest: str) -> bool:
        return super().has(digest) or self._age_s(digest) is not None

    def touch(self, digest: str) -> bool:
        # Whoever has the content writes it again when it is old (`_keep`); whoever has not can only ask.
        return super().touch(digest) or self._age_s(digest) is not None

    def file(self, digest: str, *, check: bool = True) -> Path:
        if not super().has(digest):
            with self.new() as temporary:
                if self._fetch([self._key(digest)], temporary, digest) != digest:
                    raise _damaged(digest)
                self._settle(temporary, self.path(digest), durable=False)
        return super().file(digest, check=check)

    def check(self, digest: str) -> int:
        if super().has(digest):
            return super().check(digest)
        hasher, size = blake3(), 0
        for chunk in self._chunks(self._key(digest), digest):
            hasher.update(chunk)
            size += len(chunk)
        if hasher.hexdigest() != digest:
            raise _damaged(digest)
        return size

    async def stream(self, digest: str, start: int, length: int, *, whole: bool) -> AsyncIterator[bytes]:
        """A part of a blob in pieces; the `whole` is cut off before its end when it is not what its digest says."""
        hasher = blake3()
        key, end = self._key(digest), start + length
        while start < end:
            with self.named(digest):
                piece = bytes(
                    await _obstore().get_range_async(self.remote, key, start=start, end=min(start + PIECE, end))
                )
            start += len(piece)
            hasher.update(piece)
            if not piece or (whole and start >= end and hasher.hexdigest() != digest):
                raise _damaged(digest)
            yield piece

    def _keep(self, digest: str, content: bytes | Path) -> bool:
        """Write a blob, unless it is there and young; whether it was written."""
        age_s = self._age_s(digest)
        if age_s is not None and age_s < FRESH_S:
            return False
        with self.named(digest):
            _obstore().put(self.remote, self._key(digest), content, chunk_size=PART, max_concurrency=4)
        return True

    def _age_s(self, digest: str) -> float | None:
        """How long ago a blob was written there; None when it was not."""
        try:
            with self.named(digest):
                found = _obstore().head(self.remote, self._key(digest))
        except Fault as problem:
            if problem.code == "not_found":
                return None
            raise
        written: datetime = found["last_modified"]
        return (datetime.now(UTC) - written).total_seconds()

    def _fetch(self, keys: list[str], temporary: Path, about: str) -> str:
        """Write objects one after another into a file; the digest of it all."""
        hasher = blake3()
        with temporary.open("xb") as file:
            for key in keys:
                for chunk in self._chunks(key, about):
                    hasher.update(chunk)
                    file.write(chunk)
        return hasher.hexdigest()

    def _chunks(self, key: str, about: str) -> Iterator[bytes]:
        obstore = _obstore()
        with self.named(about):
            size, start = int(obstore.head(self.remote, key)["size"]), 0
            while start < size:
                piece = bytes(obstore.get_range(self.remote, key, start=start, end=min(start + PIECE, size)))
                start += len(piece)
                yield piece

    def _key(self, digest: str) -> str:
        self.path(digest)  # a digest and nothing else
        return f"{digest[:2]}/{digest[2:]}"

    @contextlib.contextmanager
    def named(self, about: str) -> Iterator[None]:
        """Failures of the object store as ours."""
        from obstore.exceptions import BaseError, NotFoundError

        try:
            yield
        except (NotFoundError, FileNotFoundError):
            raise not_found("the blob is not in the store", where=about, fix="restore it from a backup") from None
        except (BaseError, OSError) as problem:
            said = str(problem).strip().splitlines()[0][:300]
            raise unavailable(f"the blob store does not answer: {said}", where=self.where) from problem


class SignedBlobs(RemoteBlobs):
    """Those of a cloud, which signs URLs; a folder does not."""

    def signed(self, digest: str, seconds: int) -> str:
        """A URL by which anybody reads a blob for a while."""
        return self._sign("GET", self._key(digest), seconds)

    def begin_parts(self, upload: str, count: int) -> list[str]:
        """URLs by which somebody sends the parts of a blob to come."""
        if not 0 < count <= PARTS_MAX:
            raise invalid(f"a body comes in 1 to {PARTS_MAX} parts")
        return [self._sign("PUT", key, PARTS_S) for key in _parts(upload, count)]

    def end_parts(self, upload: str, count: int) -> Kept:
        """The blob whose parts were sent; they are gone after that.

        Raises:
            Fault: not found when one of them is not there.
        """
        with self.new() as temporary:
            kept = self.adopt(temporary, self._fetch(_parts(upload, count), temporary, upload))
        self.drop_parts(upload, count)
        return kept

    def drop_parts(self, upload: str, count: int) -> None:
        """Forget the parts of a blob that does not come."""
        with self.named(upload), contextlib.suppress(FileNotFoundError):
            _obstore().delete(self.remote, _parts(upload, count))

    def _sign(self, method: Any, key: str, seconds: int) -> str:
        with self.named(key):
            url: str = _obstore().sign(self.remote, method, key, timedelta(seconds=seconds))
        return url


def connect(url: str, folder: Path) -> Blobs:
    """The blobs at a URL, tried once.

    Args:
        url: `s3://bucket/prefix`, `gs://…`, `az://account/container/prefix`, `file:///folder`.
        folder: local, for spooling.

    Raises:
        Fault: invalid for another URL, unavailable when it does not answer or may not be read.
    """
    scheme = url.partition("://")[0]
    if "://" not in url or scheme not in SCHEMES:
        raise invalid("not the URL of a blob store", where=url[:200], fix="such as s3://bucket/prefix")
    try:
        from obstore.store import from_url
    except ImportError:
        raise invalid("a blob store needs obstore", fix="pip install 'roadworthy[s3]'") from None
    more: dict[str, Any] = {"mkdir": True}
    if scheme != "file":
        more = {
            "client_options": {"timeout": "120s", "connect_timeout": "5s", "allow_http": True},
            "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
        }
    try:
        remote = from_url(url, **more)
    except Exception as problem:
        raise invalid(f"the blob store cannot be used: {problem}", where=url[:200]) from None
    kind: Callable[[Any, Path, str], RemoteBlobs] = RemoteBlobs if scheme == "file" else SignedBlobs
    made = kind(remote, folder, url)
    made.touch(digest_of(b""))
    return made


def _parts(upload: str, count: int) -> list[str]:
    if not _UPLOAD.fullmatch(upload):
        raise not_found("no such upload", where=upload[:80])
    return [f"{INCOMING}/{upload}/{number}" for number in range(1, min(count, PARTS_MAX) + 1)]


def _obstore() -> Any:
    import obstore

    return obstore


def _damaged(digest: str) -> Fault:
    return invalid("the blob's content no longer has its digest", where=digest)
