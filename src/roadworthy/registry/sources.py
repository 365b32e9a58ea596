"""The source files of two runs held against each other, from the archives that the runs kept.

In: two tar blobs. Out: which files differ, and how. Called by registry/compare.py.
"""

import difflib
import io
import tarfile

import msgspec

from roadworthy.nouns.errors import Fault
from roadworthy.store.blobs import Blobs

FILES_MAX = 20_000
FILE_SIZE_MAX = 4 << 20
DIFF_LINES_MAX = 400


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file that differs: `added`, `removed` or `changed`, with a unified diff where it is text."""

    path: str
    status: str
    diff: str = ""


def differences(blobs: Blobs, before: str | None, after: str | None) -> tuple[FileChange, ...] | None:
    """The files that differ between two archives, by path; None when an archive is not there any more."""
    if before is None or after is None:
        return None
    try:
        old, new = _files(blobs.get(before)), _files(blobs.get(after))
    except (Fault, tarfile.TarError):
        return None
    found: list[FileChange] = []
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) == new.get(path):
            continue
        status = "added" if path not in old else "removed" if path not in new else "changed"
        diff = _diff(path, old.get(path, b""), new.get(path, b"")) if status == "changed" else ""
        found.append(FileChange(path=path, status=status, diff=diff))
    return tuple(found)


def _files(archive: bytes) -> dict[str, bytes]:
    """Names and contents; read in memory, nothing is unpacked."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as tar:
        for member in tar:
            if member.isfile() and len(found) < FILES_MAX:
                file = tar.extractfile(member)
                found[member.name] = file.read(FILE_SIZE_MAX) if file else b""
    return found


def _diff(path: str, old: bytes, new: bytes) -> str:
    before, after = _lines(path, old), _lines(path, new)
    if before is None or after is None:
        return ""
    lines = list(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm="", n=2))
    if len(lines) > DIFF_LINES_MAX:
        lines = [*lines[:DIFF_LINES_MAX], f"… {len(lines) - DIFF_LINES_MAX} more lines"]
    return "\n".join(lines)


def _lines(path: str, content: bytes) -> list[str] | None:
    """Lines of text, of a notebook those of its cells; None for what is no text."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if path.endswith(".ipynb"):
        text = _cells(text) or text
    return text.splitlines()


def _cells(text: str) -> str:
    """The sources of a notebook's cells, without outputs, which differ at every execution."""
    try:
        cells = msgspec.json.decode(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (msgspec.DecodeError, KeyError, TypeError):
        return ""
    return "\n".join(f"# [{place}]\n{source}" for place, source in enumerate(sources))
