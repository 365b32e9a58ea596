"""Files on disk into the store: walk, hash on all cores, keep what is new.

In: paths, from data/snapshots.py. Out: the list of files with their digests. Files that were hashed before and have not
moved since are not read; small ones go into packs, large ones are cloned or linked (store/blobs.py).
"""

import operator
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from roadworthy.data import packing
from roadworthy.data.hashes import ENTRY_BYTES, Hashes, digests_of, entries_of, sizes_of, state
from roadworthy.data.pack_share import LEFT
from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.snapshot import File
from roadworthy.store.blobs import LINK_FROM_BYTES, Blobs, Kept

# Not data, wherever they lie: a repository's and our own insides.
SKIPPED = {".git", ".roadworthy"}
_LEFT = LEFT.hex()

# what is being done, how much of it, of how much
Progress = Callable[[str, int, int], None]


def quiet(what: str, done: int, total: int) -> None:
    """No progress shown."""


class Found(NamedTuple):
    """A file on disk: where it is, and what it is called in the snapshot."""

    path: str
    name: str


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What gathering came to; used as a context, which waits for the processes that still work.

    Args:
        files: by name, in order.
        linked: how many files became hard links to read-only blobs.
        read: how many were read at all.
        packing: what is on its way into packs.
    """

    files: list[File]
    linked: int
    read: int
    packing: packing.Packing | None

    def settle(self) -> None:
        """Return when the content of every file is on the disk: before that, nothing may be said to be kept.

        Raises:
            Fault: unavailable when the disk is full, or a process has died.
        """
        if self.packing is not None:
            self.packing.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.packing is not None:
            self.packing.__exit__(*error)


def find(paths: Sequence[Path]) -> list[Found]:
    """The files that `paths` stand for, named relative to the folder they share, in order of name.

    Raises:
        Fault: not found when there is nothing; invalid for links that lead out, and for what is no file.
    """
    whole_folder = len(paths) == 1 and paths[0].is_dir()
    found = _walk(str(paths[0].resolve())) if whole_folder else _listed(paths)
    if not found:
        raise not_found("there are no files", where=", ".join(str(path) for path in paths[:3]) or "no path")
    if not "".join([each.name for each in found]).isascii():
        for each in found:
            if any("\ud800" <= letter <= "\udfff" for letter in each.name):
                raise invalid("a file's name is not UTF-8", where=repr(each.name), fix="rename it")
    found.sort(key=operator.itemgetter(1))
    return found


def gather(
    blobs: Blobs, found: Sequence[Found], hashes: Hashes, *, pack: bool, copy: bool = False, progress: Progress = quiet
) -> Gathered:
    """Keep the content of files that the store does not have, and say what each is.

    What small files are is said while they are still brought to the disk: see `Gathered.settle`.

    Args:
        blobs: where to.
        found: from `find`.
        hashes: what was hashed before; saved again here.
        pack: whether small files may share a pack (tabular files may not: they are read in place).
        copy: never link a large file.
        progress: told what is done.

    Raises:
        Fault: invalid when a file cannot be read, or changes while it is.
    """
    if not pack:
        kept, left = _known(blobs, found, hashes)
        linked = _keep_alone(blobs, found, left, kept, hashes, copy=copy, progress=progress)
        hashes.save()
        return Gathered(files=_files(found, kept), linked=linked, read=len(left), packing=None)
    packed = packing.Packing(
        [each.path for each in found],
        blobs,
        hashes,
        progress=lambda done: progress("files", done, len(found)),
    )
    try:
        kept, left = _entered(found, packed, hashes)
        _readable(found, packed)
        linked = _keep_alone(blobs, found, left, kept, hashes, copy=copy, progress=progress)
        hashes.save()
        return Gathered(files=_files(found, kept), linked=linked, read=packed.read + len(left), packing=packed)
    except BaseException:
        packed.__exit__()
        raise


def _known(blobs: Blobs, found: Sequence[Found], hashes: Hashes) -> tuple[list[tuple[str, int]], list[int]]:
    """The digest and size of each file that is as it was, with an empty digest for the others; and their numbers."""
    kept: list[tuple[str, int]] = []
    left: list[int] = []
    for index, each in enumerate(found):
        stat = _stat(Path(each.path))
        known = hashes.known(each.path, state(stat))
        if known is None or not blobs.touch(known.hex()):
            known = b""
            left.append(index)
        kept.append((known.hex(), stat.st_size))
    return kept, left


def _entered(
    found: Sequence[Found], packed: packing.Packing, hashes: Hashes
) -> tuple[list[tuple[str, int]], list[int]]:
    """The digest and size of each packed file, which is remembered; and the numbers of those that belong in no pack."""
    kept = [("", 0)] * len(found)
    left: list[int] = []
    # As many files at a time as there are: a call for each would take as long as a core takes to hash them.
    for first, block in packed.blocks():
        paths = [each.path for each in found[first : first + len(block) // ENTRY_BYTES]]
        digests, entries = digests_of(block), dict(zip(paths, entries_of(block), strict=True))
        kept[first : first + len(paths)] = zip(digests, sizes_of(block), strict=True)
        if _LEFT in digests:
            for at, digest in enumerate(digests):
                if digest == _LEFT:
                    left.append(first + at)
                    entries.pop(paths[at], None)  # None: a file and a link to it have one path
        hashes.remember_all(entries)
    return kept, sorted(left)


def _files(found: Sequence[Found], kept: Sequence[tuple[str, int]]) -> list[File]:
    return [File(path=each.name, digest=digest, size=size) for each, (digest, size) in zip(found, kept, strict=True)]


def _keep_alone(
    blobs: Blobs, found: Sequence[Found], indices: list[int], kept: list[tuple[str, int]], hashes: Hashes, *,
    copy: bool, progress: Progress,
) -> int:  # fmt: skip
    """Huge files one after another, each hashed on all cores; the others side by side."""
    total = sum(kept[index][1] for index in indices)
    done = linked = 0
    huge = [index for index in indices if kept[index][1] >= LINK_FROM_BYTES]
    others = [index for index in indices if kept[index][1] < LINK_FROM_BYTES]

    def keep(index: int) -> tuple[int, Kept, os.stat_result]:
        path = Path(found[index].path)
        before = _stat(path)
        return index, blobs.keep_file(path, copy=copy), before

    def settle(index: int, new: Kept, before: os.stat_result) -> None:
        nonlocal done, linked
        kept[index] = (new.digest, new.size)
        # A link's change of mode is a change of the file, so its state is asked for again.
        after = _stat(Path(found[index].path)) if new.how == "linked" else before
        if (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns):
            hashes.remember(found[index].path, state(after) + bytes.fromhex(new.digest))
        done += new.size
        linked += new.how == "linked"
        progress("bytes", done, total)

    for index in huge:
        settle(*keep(index))
    if len(others) < 2:
        for index in others:
            settle(*keep(index))
    else:
        from concurrent.futures import ThreadPoolExecutor  # it loads logging: a tenth of a command's start

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for result in pool.map(keep, others):
                settle(*result)
    return linked


def _readable(found: Sequence[Found], packed: packing.Packing) -> None:
    """Every file could be read; else the first that could not is named."""
    if packed.problems:
        at, problem = min(packed.problems)
        more = f" (and {len(packed.problems) - 1} more)" if len(packed.problems) > 1 else ""
        again = "while" in problem
        raise invalid(
            f"{problem}{more}",
            where=found[at].path,
            fix="try again when it is still" if again else "mend permissions",
        )


def _listed(paths: Sequence[Path]) -> list[Found]:
    """Files given one by one, or by a glob; folders among them are passed over."""
    kept = [path for path in paths if not path.is_dir()] if len(paths) > 1 else list(paths)
    for path in kept:
        if not path.exists():
            raise not_found("there is no such file", where=str(path))
        if not path.is_file():
            raise invalid("this is no file: a device, a pipe or a socket", where=str(path))
    if not kept:
        return []
    parents = [path.absolute().parent for path in kept]
    root = os.path.commonpath(parents)
    return [Found(str(path.absolute()), str(path.absolute().relative_to(root).as_posix())) for path in kept]


def _walk(root: str) -> list[Found]:
    """Every file below a folder. Strings and no paths, one list and no generators: there may be a million."""
    found: list[Found] = []
    waiting = [(root, "")]
    while waiting:
        folder, below = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as problem:
            raise invalid(f"the folder cannot be read: {problem.strerror}", where=folder) from None
        for entry in entries:
            if entry.name in SKIPPED:
                continue
            if entry.is_file(follow_symlinks=False):
                found.append(Found(entry.path, below + entry.name))
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{below}{entry.name}/"))
            elif entry.is_symlink():
                found.append(_follow(root, entry.path, below + entry.name))
            else:
                raise invalid("this is no file: a device, a pipe or a socket", where=entry.path, fix="take it away")
    return found


def _follow(root: str, path: str, name: str) -> Found:
    """A link's file, when it lies in the same folder: what lies elsewhere was not meant, or is somebody's trick."""
    target = os.path.realpath(path)
    if os.path.commonpath([root, target]) != root:
        raise invalid("a link leads out of the folder", where=path, fix=f"put the file there instead of {target}")
    if not os.path.isfile(target):  # noqa: PTH113 - strings throughout
        raise invalid("a link leads to no file", where=path, fix="take it away, or link to a file")
    return Found(target, name)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as problem:
        raise invalid(f"cannot be read: {problem.strerror}", where=str(path)) from None


def contained(name: str) -> str:
    """A file's name in a manifest, when it stays inside the folder it is restored to.

    Raises:
        Fault: refused when it does not.
    """
    parts = name.split("/")
    if not name or "\0" in name or "\\" in name or any(part in {"", ".", ".."} for part in parts):
        raise _escapes(name)
    return name


def _escapes(name: str) -> Fault:
    return invalid("a file's name in the manifest leads out of the snapshot", where=repr(name[:200]))
