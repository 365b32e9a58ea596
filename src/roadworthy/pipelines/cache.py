"""The cache: what a step with a certain key made, and the files it was seen to read.

In: settled steps. Out: what was made before, if every file it read is as it was and its blobs are still there. The
same table keeps what was found about data (the snapshot a source gave, a contract's findings), under keys of their
own. This file owns the table `step_outputs`. Called by the planner and the runner.
"""

import glob
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec
from blake3 import blake3

from roadworthy.data.formats import registry as formats
from roadworthy.nouns.evidence import Finding
from roadworthy.nouns.step import Value
from roadworthy.registry.tracked import Line
from roadworthy.store.blobs import digest_of_file
from roadworthy.store.store import Store

# A file changed within this time of being looked at may change again without its time telling (file systems tick).
RACY_NS = 2_000_000_000
LISTED_MAX = 10_000
ABSENT = "absent"
UNSTEADY = "unsteady"

_GET = "SELECT record FROM step_outputs WHERE key = :key"
_NEWEST = """
SELECT record FROM step_outputs WHERE project = :project AND step = :step ORDER BY created_at DESC, key LIMIT 1
"""
_PUT = """
INSERT INTO step_outputs (key, step, project, run, created_at, record)
VALUES (:key, :step, :project, :run, :created_at, :record)
ON CONFLICT (key) DO UPDATE SET
run = excluded.run, created_at = excluded.created_at, record = excluded.record
"""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How a file was when it was looked at: digest (or `absent`), size, and time of change if that can be relied on.

    The time is that of the last change of any kind (ctime), which nobody can set back.
    """

    digest: str
    size: int = 0
    changed_ns: int = 0


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept under a key.

    Args:
        key, step: whose it is; data sets are kept as `data:NAME` and contracts as `contract:NAME`.
        parts: what the key was made of, to say later what changed.
        run, at: which run made it, and when (seconds since the epoch, the project's clock).
        output: of a step.
        snapshot: id of what a data source gave.
        findings: of a contract.
        files: what was read beside the inputs, relative to the project where inside it.
        written: what it wrote there.
        tracked: what the step logged; artifacts by digest in `file`.
        log: digest of what it printed.
        wall_s, cpu_s, memory_peak_mb: what it cost.
    """

    key: str
    step: str
    parts: dict[str, str]
    run: str = ""
    at: float = 0.0
    output: Value | None = None
    snapshot: str = ""
    findings: tuple[Finding, ...] = ()
    files: dict[str, Mark] = msgspec.field(default_factory=dict)
    written: tuple[str, ...] = ()
    tracked: tuple[Line, ...] = ()
    log: str | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_peak_mb: float = 0.0


def get(store: Store, key: str) -> Kept | None:
    """What is kept under a key, whether or not it still holds."""
    with store.read() as reader:
        row = reader.row(_GET, key=key)
    return None if row is None else _read(str(row[0]))


def newest(store: Store, project: str, step: str) -> Kept | None:
    """The newest of a step, to compare with."""
    with store.read() as reader:
        row = reader.row(_NEWEST, project=project, step=step)
    return None if row is None else _read(str(row[0]))


def put(store: Store, project: str, kept: Iterable[Kept]) -> None:
    """Keep results; their events are those of the run that settles the steps."""
    rows = [
        {
            "key": each.key,
            "step": each.step,
            "project": project,
            "run": each.run,
            "created_at": each.at,
            "record": msgspec.json.encode(each, enc_hook=str).decode(),
        }
        for each in kept
    ]
    with store.append() as tx:
        tx.execute_many(_PUT, rows)


def apart(run_id: str, step: str) -> str:
    """A key of its own for what a run made that later ones may not reuse; kept to say what it was made of."""
    return f"{run_id}/{step}"


def obstacle(store: Store, kept: Kept, root: Path, texts: Iterable[str] = ()) -> str:
    """Why a kept result may not be used again; empty when it may.

    Args:
        root: the project's folder.
        texts: those in the code that may name files; one that names a file only now is new.
    """
    new = named(root, texts, kept.written) - kept.files.keys()
    if new:
        return f"file {min(new)} is new"
    for name, before in kept.files.items():
        if before.digest == UNSTEADY:
            return f"file {name} was changed while it was read"
        if not unchanged(root / name, before):
            return f"file {name} changed"
    if kept.output is not None:
        for value in (kept.output, *formats.parts(kept.output)):
            if not store.blobs.touch(value.digest):
                return "its stored output is gone"
    for line in kept.tracked:
        if line.kind == "artifact" and not store.blobs.touch(line.file):
            return f"its artifact {line.key} is gone"
    return ""


def marks(root: Path, names: Iterable[str], *, since_ns: int, now_ns: int) -> dict[str, Mark]:
    """How the files are that a step read.

    Args:
        names: absolute, or relative to `root`.
        since_ns: real time at which the step began; what of a file changed later was read, nobody knows.
        now_ns: real time; a file that changed just before is hashed again next time, whatever its time says.
    """
    found = {}
    for name in sorted(set(names)):
        path = root / name
        try:
            moved = path.is_file() and path.stat().st_ctime_ns >= since_ns
        except OSError:
            moved = False
        found[name] = Mark(UNSTEADY) if moved else mark(path, now_ns)
    return found


def mark(path: Path, now_ns: int) -> Mark:
    """How a file, a folder or a pattern's files are now; with `now_ns` 0, its time is not relied on."""
    if any(c in path.name for c in "*?["):
        return Mark(_listing(Path(p) for p in sorted(glob.glob(str(path)))[:LISTED_MAX]))  # noqa: PTH207 - as given
    try:
        stat = path.stat()
        if path.is_dir():
            return Mark(_listing(sorted(path.iterdir())[:LISTED_MAX]))
        digest = digest_of_file(path)
    except OSError:
        return Mark(ABSENT)
    steady = now_ns - stat.st_ctime_ns > RACY_NS
    return Mark(digest, stat.st_size, stat.st_ctime_ns if steady else 0)


def unchanged(path: Path, before: Mark) -> bool:
    """Whether a file is as it was; one with its old size and time is not read again."""
    if before.changed_ns:
        try:
            stat = path.stat()
        except OSError:
            return False
        if (stat.st_size, stat.st_ctime_ns) == (before.size, before.changed_ns):
            return True
    return mark(path, 0).digest == before.digest


def named(root: Path, texts: Iterable[str], skipped: Collection[str]) -> set[str]:
    """Those of the texts in a step's code that name a file, a folder or a pattern with files, relative where inside.

    Args:
        skipped: names that do not count (what the step itself writes).
    """
    found = set()
    for text in texts:
        path = root / text
        try:
            there = bool(glob.glob(str(path))) if any(c in text for c in "*?[") else path.exists()  # noqa: PTH207
        except (OSError, ValueError):
            continue
        if there and text not in skipped and not root.resolve().is_relative_to(path.resolve()) and _counts(root, path):
            found.add(text)
    return found


def _counts(root: Path, path: Path) -> bool:
    inside = path.relative_to(root).parts if path.is_relative_to(root) else ()
    return not any(part.startswith(".") and part not in {".", ".."} for part in inside)


def _listing(paths: Iterable[Path]) -> str:
    hasher = blake3()
    for path in paths:
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        try:
            stat = os.lstat(path)
        except OSError:
            continue
        hasher.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return hasher.hexdigest()


def _read(text: str) -> Kept | None:
    try:
        return msgspec.json.decode(text, type=Kept)
    except msgspec.DecodeError:
        return None  # of an older version: made anew
