"""Compaction: a day's many small files become few, and days over the retention go.

A file's name says which flushes of which writer are in it: `<writer>.<first>-<last>.parquet`. A merged file spans those
it was made of, and whoever lists a folder leaves out files that another one spans. So one rename is the whole change:
killed before it, nothing happened; killed after it, what is left over is not read and goes next time. Called by
serving/inference_log.py and, to list files, serving/inference_rows.py.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SMALL_BYTES = 4 << 20
MERGED_BYTES_MAX = 64 << 20
_NAME = re.compile(r"([0-9a-f]+)\.(\d+)-(\d+)\.parquet")
_DAY = re.compile(r"date=\d{4}-\d{2}-\d{2}")


class Name(NamedTuple):
    """Flushes `first` to `last` of one writer."""

    writer: str
    first: int
    last: int

    def text(self) -> str:
        return f"{self.writer}.{self.first:08d}-{self.last:08d}.parquet"

    def spans(self, other: "Name") -> bool:
        return self.writer == other.writer and self.first <= other.first and other.last <= self.last


def day_folders(folder: Path) -> list[Path]:
    """The days of a target, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(day for day in folder.iterdir() if _DAY.fullmatch(day.name) and day.is_dir())


def current(day: Path) -> list[Path]:
    """The files of a day that hold each row once."""
    return [path for path, _, spanned in _listing(day) if not spanned]


def compact(day: Path, *, writer: str = "") -> int:
    """Merge each writer's files of a day into one; the number of files that went.

    Args:
        day: a day's folder: a closed one, or, with `writer`, the writer's own of today.
        writer: only this writer's files.

    Raises:
        OSError: when the disk is full; nothing changed then.
    """
    gone = 0
    with _held(day) as mine:
        if not mine:
            return 0
        for path, name, spanned in _listing(day):
            if spanned and writer in ("", name.writer):
                path.unlink(missing_ok=True)
                gone += 1
        for files in _groups([(path, name) for path, name, _ in _listing(day) if writer in ("", name.writer)]):
            _merge(day, files)
            gone += len(files)
    return gone


def expire(folder: Path, *, before: str) -> list[str]:
    """Remove the days before one (`2024-03-31`); their names."""
    over = [day for day in day_folders(folder) if day.name < f"date={before}"]
    for day in over:
        shutil.rmtree(day, ignore_errors=True)
    return [day.name for day in over]


def _listing(day: Path) -> list[tuple[Path, Name, bool]]:
    """Every file of a day with its name, and whether another spans it; in the order they were written."""
    named = []
    for path in day.iterdir():
        found = _NAME.fullmatch(path.name)
        if found:
            named.append((path, Name(found[1], int(found[2]), int(found[3]))))
    named.sort(key=lambda pair: (pair[1].writer, pair[1].first, -pair[1].last))
    listed: list[tuple[Path, Name, bool]] = []
    widest: Name | None = None
    for path, name in named:
        spanned = widest is not None and widest.spans(name)
        if not spanned:
            widest = name
        listed.append((path, name, spanned))
    return listed


def _groups(files: list[tuple[Path, Name]]) -> list[list[tuple[Path, Name]]]:
    """Neighbours that are worth merging: small files of one writer, up to a size that memory holds easily."""
    groups: list[list[tuple[Path, Name]]] = [[]]
    size = 0
    for path, name in files:
        own = path.stat().st_size
        group = groups[-1]
        if own >= SMALL_BYTES or size + own > MERGED_BYTES_MAX or (group and group[-1][1].writer != name.writer):
            groups.append([])
            size = 0
        if own < SMALL_BYTES:
            groups[-1].append((path, name))
            size += own
    return [group for group in groups if len(group) > 1]


def _merge(day: Path, files: list[tuple[Path, Name]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [name for _, name in files]
    merged = Name(names[0].writer, min(n.first for n in names), max(n.last for n in names))
    tables = [pq.read_table(path, partitioning=None) for path, _ in files]
    path = day / merged.text()
    temporary = day / f".{path.name}.tmp"
    try:
        with temporary.open("wb") as file:
            pq.write_table(pa.concat_tables(tables, promote_options="permissive"), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    for old, _ in files:
        if old != path:
            old.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(day: Path) -> Iterator[bool]:
    """Whether this process alone tidies the day now."""
    with (day / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
