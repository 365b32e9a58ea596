"""Inference log: rows and scores as served, kept as Parquet by a thread that serving never waits for.

    <home>/inference/<target>/date=2024-03-31/<writer>.00000001-00000001.parquet
    <home>/inference/<target>/dropped/<writer>.json

In: entries from serving/app.py, into a bounded buffer. Out: files, each of which appears whole or not at all; days are
those of serving (UTC). Columns: `_model _request _row _at _served_at _key _entity _score _latency_ms _route`, then the
features; sensitive ones are masked before anything is written. serving/inference_rows.py reads them.

What can be lost: a process that is killed loses what it served since its last flush, at most `flush` (and the time one
write takes). When the disk is full or too slow, rows beyond the buffer are dropped; they are counted, in the metrics
and in the counter file, and serving goes on.
"""

import contextlib
import datetime as dt
import errno
import logging
import os
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.data.sensitive import mask
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.model import Field, FieldType, Model
from roadworthy.nouns.project import seconds
from roadworthy.serving.bundle import Settings
from roadworthy.serving.compaction import Name, compact, day_folders, expire
from roadworthy.serving.living import Home
from roadworthy.serving.routes import canonical
from roadworthy.store.clock import Clock

BUFFER_ROWS_MAX = 100_000
FLUSH_ROWS = 20_000
FILES_MAX = 64  # a writer's small files of one day are made one when there are more
UPKEEP_S = 600.0
JOINED = ("label", "_label_at")  # columns that readers add
RESERVED = ("_model", "_request", "_row", "_at", "_served_at", "_key", "_entity", "_score", "_latency_ms", "_route")
_log = logging.getLogger("roadworthy.serving")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One answered request.

    Args:
        request: its id.
        rows: the place of each row in the request as the client sent it.
        columns: the checked values, in the signature's order.
        scores: one per row.
        served_at: seconds since the epoch.
        latency_ms: from its arrival to its scores.
        at, keys, entities: per row, where the project names such columns.
        route: how it came: `live`, `canary`, `shadow`, or empty without a router.
    """

    request: str
    rows: Sequence[int]
    columns: list[Sequence[Any]]
    scores: list[float]
    served_at: float
    latency_ms: float
    at: Sequence[float | None] | None = None
    keys: Sequence[Any] | None = None
    entities: Sequence[Any] | None = None
    route: str = ""


class InferenceLog:
    """Writes what one model server answered.

    Args:
        folder: of the target, see `folder_of`.
        model: whose rows they are.
        settings: what is sensitive, how often to write, how long to keep.
        clock: for days and retention.
        home: the store's folder; once it is gone, it is not made again.

    Raises:
        Fault: invalid, when columns are sensitive and no secret for masks is given, or a feature has a reserved name.
    """

    def __init__(
        self, folder: Path, model: Model, settings: Settings, clock: Clock, *, home: Home | None = None
    ) -> None:
        check_names(model)
        if settings.sensitive and len(_secret(settings)) != 32:
            raise invalid("columns are sensitive, but the bundle has no secret to mask them with", where=model.id)
        self.folder = folder
        self.rows_dropped = 0
        self.rows_written = 0
        self.rows_waiting = 0
        self._model = model
        self._settings = settings
        self._clock = clock
        self._home = home
        self._flush_s = seconds(settings.serving.flush)
        self._retention_s = seconds(settings.serving.retention)
        self._writer = secrets.token_hex(6)
        self._files = 0
        self._files_today = 0
        self._reported = 0
        self._failing = False
        self._entries: deque[Entry] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._upkeep_at = 0.0
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._thread.start()

    def offer(self, entry: Entry) -> bool:
        """Take an entry, at once; False when the buffer is full, and its rows are counted as dropped."""
        count = len(entry.scores)
        with self._lock:
            if self.rows_waiting + count > BUFFER_ROWS_MAX:
                self.rows_dropped += count
                return False
            self._entries.append(entry)
            self.rows_waiting += count
        if self.rows_waiting >= FLUSH_ROWS and not self._failing:
            self._wake.set()
        return True

    def close(self) -> None:
        """Write what is left, and end the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._flush_s)
            self._wake.clear()
            self._turn()
        self._turn()
        with self._lock:
            self.rows_dropped += self.rows_waiting  # the disk would not take them to the end
            self.rows_waiting = 0
        if self._home is None or self._home.is_there():
            self._report()

    def _turn(self) -> None:
        """One flush, and upkeep when it is due; nothing that goes wrong here may reach serving."""
        try:
            self._flush()
            self._report()
            if self._clock.now() >= self._upkeep_at and not self._closing:
                self._upkeep_at = self._clock.now() + UPKEEP_S
                self._upkeep()
        except OSError as problem:
            if not self._failing:
                _log.warning("the inference log cannot be written (%s); rows wait in memory", problem.strerror)
            self._failing = True
        except Exception:
            _log.exception("the inference log failed")
            self._drop_unkeepable()

    def _flush(self) -> None:
        if self._home is not None and not self._home.is_there():
            raise FileNotFoundError(errno.ENOENT, "the store's folder is gone")
        with self._lock:
            entries = list(self._entries)
        if not entries:
            return
        table = self._table(entries)
        day = self.folder / f"date={_day(self._clock.now())}"
        if not day.exists():
            day.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._files_today = 0
        name = Name(self._writer, self._files + 1, self._files + 1)
        write_table(table, day / name.text())
        self._files += 1
        self._files_today += 1
        if self._failing:
            _log.warning("the inference log can be written again")
            self._failing = False
        with self._lock:
            for _ in entries:
                self.rows_waiting -= len(self._entries.popleft().scores)
        self.rows_written += table.num_rows
        if self._files_today >= FILES_MAX:
            self._files_today = 1
            compact(day, writer=self._writer)

    def _drop_unkeepable(self) -> None:
        """Leave out entries that no table can be made of; else they would hold up all that follow."""
        with self._lock:
            entries = list(self._entries)
        bad = set()
        for place, entry in enumerate(entries):
            try:
                self._table([entry])
            except Exception:
                bad.add(place)
        with self._lock:
            later = list(self._entries)[len(entries) :]
            self._entries = deque([e for place, e in enumerate(entries) if place not in bad] + later)
            lost = sum(len(entries[place].scores) for place in bad)
            self.rows_dropped += lost
            self.rows_waiting -= lost

    def _upkeep(self) -> None:
        expire(self.folder, before=_day(self._clock.now() - self._retention_s))
        for day in day_folders(self.folder):
            if day.name < f"date={_day(self._clock.now())}":
                compact(day)

    def _report(self) -> None:
        """The counter file: what monitors read to know how much of the traffic they do not see."""
        if self.rows_dropped == self._reported:
            return
        dropped = self.rows_dropped
        said = {"model": self._model.id, "rows_dropped": dropped, "updated_at": self._clock.now()}
        with contextlib.suppress(OSError):
            replace_file(self.folder / "dropped" / f"{self._writer}.json", msgspec.json.encode(said))
            self._reported = dropped

    def _table(self, entries: list[Entry]) -> Any:
        import pyarrow as pa

        counts = [len(entry.scores) for entry in entries]
        rows = sum(counts)
        sensitive = frozenset(self._settings.sensitive)
        serving = self._settings.serving
        columns: dict[str, Any] = {
            "_model": pa.array([self._model.id] * rows, pa.string()),
            "_request": pa.array(_spread([e.request for e in entries], counts), pa.string()),
            "_row": pa.array(chain.from_iterable(e.rows for e in entries), pa.int32()),
            "_at": pa.array(chain.from_iterable(map(_moments, entries)), pa.float64()),
            "_served_at": pa.array(_spread([e.served_at for e in entries], counts), pa.float64()),
            "_key": self._names([e.keys for e in entries], counts, masked=serving.key in sensitive),
            "_entity": self._names([e.entities for e in entries], counts, masked=serving.entity in sensitive),
            "_score": pa.array(chain.from_iterable(e.scores for e in entries), pa.float64()),
            "_latency_ms": pa.array(_spread([e.latency_ms for e in entries], counts), pa.float64()),
            "_route": pa.array(_spread([e.route for e in entries], counts), pa.string()),
        }
        for place, field in enumerate(self._model.signature.inputs):
            values = chain.from_iterable(e.columns[place] for e in entries)
            if field.name in sensitive:
                columns[field.name] = pa.array(self._masked(values), pa.string())
            else:
                columns[field.name] = _array(field, values)
        return pa.table(columns)

    def _names(self, found: list[Sequence[Any] | None], counts: list[int], *, masked: bool) -> Any:
        """Keys or entities as text; null where requests carry none."""
        import pyarrow as pa

        values = chain.from_iterable(
            names if names is not None else [None] * count for names, count in zip(found, counts, strict=True)
        )
        return pa.array(self._masked(values) if masked else map(canonical, values), pa.string())

    def _masked(self, values: Any) -> list[Any]:
        secret = _secret(self._settings)
        known: dict[Any, Any] = {}
        masks = []
        for value in values:
            if value not in known:
                known[value] = mask(value, secret=secret)
            masks.append(known[value])
        return masks


def folder_of(home: Path, target: str) -> Path:
    """Where the rows of a target lie: `<home>/inference/<target>`."""
    if not target or target.startswith(".") or "/" in target or "\0" in target:
        raise invalid(f"{target!r} cannot be a target's name", fix="use letters, digits, - and _")
    return home / "inference" / target


def check_names(model: Model) -> None:
    """Refuse features whose names the log needs itself.

    Raises:
        Fault: invalid, naming the feature.
    """
    for field in model.signature.inputs:
        if field.name in (*RESERVED, *JOINED):
            raise invalid(
                f"a feature cannot be called {field.name!r}: a column of the inference log is",
                where=model.id,
                fix="rename the column in the step that makes the features",
            )


def write_table(table: Any, path: Path) -> None:
    """Write a Parquet file beside its place, sync it, and rename it into it.

    Raises:
        OSError: when the disk is full, or not there; nothing is left behind.
    """
    import pyarrow.parquet as pq

    temporary = path.parent / f".{path.name}.tmp"
    try:
        with temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.tmp"
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def arrow_type(kind: FieldType) -> Any:
    """How a feature's column is kept."""
    import pyarrow as pa

    types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "datetime": pa.timestamp("us", "UTC"),
    }
    return types[kind]


def _array(field: Field, values: Any) -> Any:
    import pyarrow as pa

    if field.type == "datetime":
        values = [value and (value if value.tzinfo else value.replace(tzinfo=dt.UTC)) for value in values]
    if field.type == "integer":
        # What was unsigned at training may not fit; it is kept as near as a 64-bit integer is.
        values = [value if value is None or value < 2**63 else 2**63 - 1 for value in values]
    return pa.array(values, arrow_type(field.type))


def _moments(entry: Entry) -> Sequence[float]:
    if entry.at is None:
        return [entry.served_at] * len(entry.scores)
    return [entry.served_at if at is None else at for at in entry.at]


def _spread(values: list[Any], counts: list[int]) -> list[Any]:
    return list(chain.from_iterable([value] * count for value, count in zip(values, counts, strict=True)))


def _day(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).date().isoformat()


def _secret(settings: Settings) -> bytes:
    try:
        return bytes.fromhex(settings.salt)
    except ValueError:
        return b""
