"""Bodies: an upload into the store, and a blob out of it, a chunk at a time, whatever their size.

In: a request that streams, a digest. Out: a kept blob, an answer with ranges and an entity tag. Large bodies pass
through threads made for the disk, two chunks in memory at once, so that neither memory nor the loop is held. Called by
the handlers of artifacts; `of_file` by app.py.
"""

import asyncio
import contextlib
import mimetypes
import os
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

from blake3 import blake3

from roadworthy.faces.server import errors
from roadworthy.faces.server.http import Body, FileBody, Reply, Request
from roadworthy.faces.server.server import Server
from roadworthy.store.blobs import Kept
from roadworthy.store.remote_blobs import CanStream

SMALL = 256 << 10  # a body up to this is gathered in memory
BATCH = 1 << 20
FILE_CHUNK = 256 << 10
WRITE_BEHIND = 8 << 20
# What MLflow's pages show as text.
TEXT = re.compile(
    "txt|log|err|cfg|conf|cnf|cf|ini|properties|prop|hocon|toml|ya?ml|xml|json|js|py3?|csv|tsv|md|rst|ipynb"
    "|MLmodel|MLproject"
)
Headers = tuple[tuple[bytes, bytes], ...]
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# Whatever a stranger uploaded runs no script, loads nothing and is shown in no page of ours.
_HARMLESS = (
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"cache-control", b"private, no-cache"),
    (b"accept-ranges", b"bytes"),
)


async def receive(server: Server, request: Request, bytes_max: int | None = None) -> Kept:
    """The body of a request that streams, as a blob in the store, durable.

    Args:
        bytes_max: a lower cap than the server's.

    Raises:
        TooLarge: over the server's cap.
        Fault: unavailable when the disk is full.
    """
    limit = server.settings.uploads_bytes_max if bytes_max is None else bytes_max
    length = request.headers.get(b"content-length")
    if length.isdigit() and int(length) > limit:
        raise errors.TooLarge(limit)
    if request.headers.get(b"content-encoding").strip().lower() not in ("", "identity"):
        raise errors.UnreadBody("compressed bodies are not read; send the body as it is")
    chunks = _capped(request.receive(), limit)
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > SMALL:
            return await _spool(server, parts, chunks)
    content = b"".join(parts)
    return Kept(await server.disk(server.store.blobs.put, content), size, "copied")


async def reply(server: Server, request: Request, kept: Kept, name: str) -> Reply:
    """The answer that gives a blob under a file's name: whole, a range of it, or nothing when the client has it."""
    tag = f'"{kept.digest}"'
    if tag in [part.strip().removeprefix("W/") for part in request.headers.get(b"if-none-match").split(",")]:
        return Reply(304, b"", headers=((b"etag", tag.encode()), *_HARMLESS))
    headers: Headers = ((b"etag", tag.encode()), (b"content-disposition", attachment(name)), *_HARMLESS)
    wanted = None
    if request.headers.get(b"if-range").strip() in ("", tag):
        wanted = ranged(request.headers.get(b"range"), kept.size)
    if wanted is None:
        body = await _body(server, kept, Range(0, kept.size), whole=True)
        return Reply(200, body, content_type(name), (*headers, (b"content-length", str(kept.size).encode())))
    if wanted.length <= 0:
        headers = ((b"content-range", f"bytes */{kept.size}".encode()), *headers)
        return Reply(416, b"", "application/json", headers)
    shown = f"bytes {wanted.start}-{wanted.start + wanted.length - 1}/{kept.size}"
    length = (b"content-length", str(wanted.length).encode())
    body = await _body(server, kept, wanted, whole=False)
    return Reply(206, body, content_type(name), ((b"content-range", shown.encode()), *headers, length))


async def _body(server: Server, kept: Kept, part: "Range", *, whole: bool) -> Body:
    blobs = server.store.blobs
    if isinstance(blobs, CanStream) and not blobs.path(kept.digest).exists():
        return blobs.stream(kept.digest, part.start, part.length, whole=whole)
    path = await server.disk(partial(blobs.file, kept.digest, check=False))
    return FileBody(path, part.start, part.length, kept.digest if whole else "")


class Range(NamedTuple):
    """A part of a body; of no length when there is no such part."""

    start: int
    length: int


def ranged(header: str, size: int) -> Range | None:
    """The one range that a header asks for; None to send the whole, as for what is not understood (RFC 9110)."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size)
        return Range(size - length, length)
    start = int(match[1])
    end = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < start:
        return None
    return Range(start, end - start + 1 if start < size else 0)


def content_type(name: str) -> str:
    """As MLflow guesses it by a file's name."""
    ending = PurePosixPath(name).suffix[1:] or name
    return "text/plain" if TEXT.fullmatch(ending) else mimetypes.guess_type(name)[0] or "application/octet-stream"


def attachment(name: str) -> bytes:
    """A Content-Disposition header (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    written = f'attachment; filename="{plain}"'
    if plain != name:
        written += f"; filename*=UTF-8''{quote(name, safe='')}"
    return written.encode("ascii")


async def of_file(body: FileBody) -> AsyncIterator[bytes]:
    """A file's bytes: read on the loop when they are in memory, which takes less than handing over, else in a thread.

    Raises:
        OSError: at its end when the whole is not what its digest says, so that the client sees it cut off.
    """
    hasher = blake3() if body.digest else None
    descriptor = os.open(body.path, os.O_RDONLY)
    try:
        at, end = body.start, body.start + body.length
        while at < end:
            chunk = await _read(descriptor, min(FILE_CHUNK, end - at), at)
            at += len(chunk)
            if hasher is not None:
                hasher.update(chunk)
            if not chunk or (at == end and hasher is not None and hasher.hexdigest() != body.digest):
                raise OSError(f"the blob {body.path} is damaged")
            yield chunk
    finally:
        os.close(descriptor)


async def _read(descriptor: int, length: int, at: int) -> bytes:
    buffer = bytearray(length)
    try:
        count = os.preadv(descriptor, [buffer], at, os.RWF_NOWAIT)
    except BlockingIOError:
        return await asyncio.to_thread(os.pread, descriptor, length, at)
    except OSError:  # a file system that cannot say whether it would wait
        return os.pread(descriptor, length, at)
    return bytes(buffer) if count == length else bytes(memoryview(buffer)[:count])


async def _capped(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise errors.TooLarge(limit)
        yield chunk


async def _spool(server: Server, parts: list[bytes], chunks: AsyncIterator[bytes]) -> Kept:
    """Write what came and what comes into a new blob: one batch is hashed and written while the next arrives."""
    blobs = server.store.blobs
    with blobs.new() as temporary:
        writing = _Writing(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        doing: asyncio.Future[None] | None = None
        try:
            gathered = sum(map(len, parts))
            async for chunk in chunks:
                parts.append(chunk)
                gathered += len(chunk)
                if gathered >= BATCH:
                    if doing is not None:
                        await doing
                    doing = server.disk(writing.write, parts)
                    parts, gathered = [], 0
            if doing is not None:
                await doing
            doing = server.disk(writing.write, parts)
            await doing
        finally:
            if doing is not None:
                with contextlib.suppress(OSError):
                    await doing  # it uses the file
            os.close(writing.descriptor)
        return await server.disk(blobs.adopt, temporary, writing.hasher.hexdigest())


class _Writing:
    """A file that is written and hashed in one pass."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.hasher = blake3()
        self._size = 0
        self._begun = 0

    def write(self, parts: list[bytes]) -> None:
        content = b"".join(parts)
        self.hasher.update(content)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        self._size += len(content)
        if self._size - self._begun >= WRITE_BEHIND:
            # The disk begins while more arrives, so that the sync at the end is short.
            os.posix_fadvise(self.descriptor, self._begun, self._size - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self._size
