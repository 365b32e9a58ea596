"""Many small files into packs, on all cores: read once, hashed, and appended to a few files.

In: paths, from data/gather.py. Out: a digest for each. Each core works in a process of its own, made by fork: reading
20,000 small files is nearly all interpreter, and processes that only read, hash and append need nothing set up.
"""

import os
import threading
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from blake3 import blake3

from roadworthy.nouns.errors import unavailable
from roadworthy.store.packs import Writer, sync_folder

# Fewer files than this for each process are not worth another one.
FILES_PER_PROCESS_MIN = 400
_READ_BYTES = 64 << 10
_REPORT_EVERY = 500


class Packed(NamedTuple):
    """One file as it was packed; `problem` says why it was not."""

    digest: bytes
    size: int
    problem: str = ""


def pack(
    paths: Sequence[str], folder: Path, known: Collection[bytes], *, progress: Callable[[int], None]
) -> list[Packed]:
    """Hash files and append those whose digest is not in `known` to packs.

    Args:
        paths: files, small enough to be held in memory one at a time.
        folder: where packs are kept.
        known: digests (32 bytes) that the store has.
        progress: told now and then how many files are done.

    Raises:
        Fault: unavailable when the disk is full or may not be written.
    """
    count = _processes(len(paths))
    shares = [paths[i * len(paths) // count : (i + 1) * len(paths) // count] for i in range(count)]
    children = [_fork(share, folder, known) for share in shares[1:]]
    try:
        own = _pack(shares[0], folder, known, lambda done: progress(done * count))
    finally:
        answers = [_answer(*child) for child in children]
    packed = [*own]
    for answer in answers:
        packed += answer
    sync_folder(folder)
    progress(len(paths))
    return packed


def _processes(files: int) -> int:
    if threading.active_count() > 1 or not hasattr(os, "fork"):
        return 1  # a fork while another thread holds a lock would never get it
    return max(1, min(os.cpu_count() or 1, files // FILES_PER_PROCESS_MIN))


def _pack(
    paths: Sequence[str], folder: Path, known: Collection[bytes], progress: Callable[[int], None]
) -> list[Packed]:
    packed = []
    written: set[bytes] = set()
    try:
        with Writer(folder) as writer:
            for done, path in enumerate(paths):
                content = _read(path)
                if isinstance(content, str):
                    packed.append(Packed(b"", 0, content))
                    continue
                digest = blake3(content).digest()
                if digest not in known and digest not in written:
                    writer.add(digest, content)
                    written.add(digest)
                packed.append(Packed(digest, len(content)))
                if not done % _REPORT_EVERY:
                    progress(done)
            writer.finish()
    except OSError as problem:
        raise unavailable(
            f"a pack of blobs cannot be written: {problem.strerror}",
            where=str(folder),
            fix="free space, or mend permissions",
        ) from problem
    return packed


def _read(path: str) -> bytes | str:
    """A file's content, or why it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as problem:
        return problem.strerror or "cannot be opened"
    try:
        content = os.read(descriptor, _READ_BYTES)
        if len(content) < _READ_BYTES:
            return content  # a regular file gives all it has
        parts = [content]
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    except OSError as problem:
        return problem.strerror or "cannot be read"
    finally:
        os.close(descriptor)


def _fork(paths: Sequence[str], folder: Path, known: Collection[bytes]) -> tuple[int, int]:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Native threads of numeric libraries may exist; the child touches none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    code = 1
    try:
        os.close(reading)
        answer = msgspec.msgpack.encode(_pack(paths, folder, known, lambda _: None))
        with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
            pipe.write(answer)
        code = 0
    finally:
        os._exit(code)


def _answer(process: int, reading: int) -> list[Packed]:
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(process, 0)
    try:
        return [Packed(*each) for each in msgspec.msgpack.decode(answer, type=list[tuple[bytes, int, str]])]
    except msgspec.DecodeError:
        raise unavailable("a process that packed files has died", fix="is the disk or the memory full?") from None
