"""A snapshot of one large file and of many small ones, beside `dvc add` and beside hashing alone with `b3sum`.

Each is a whole process in a fresh project (a git repository with `dvc init` for DVC); the least of several runs, with
the disk at rest before each. `ours` hard-links the large file and makes it read-only, as `rw data add` does where the
file system cannot clone; `ours, --copy` copies it, which is what DVC does there. `warm` files are in memory already,
`cold` ones are not (only root can make them so). Beside hashing alone, warm small files cost an interpreter's start
(0.1 s) and keeping a synced copy of them: hashing 160 MB that is in memory is quicker than writing it can be.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.frame import our, timed

TITLE = "Snapshots"
PEERS = ["dvc"]

LARGE_BYTES = 2 << 30
SMALL_FILES = 20_000
SMALL_BYTES = 8 << 10
SMALL_PER_FOLDER = 200
RUNS = 3
FORGET = Path("/proc/sys/vm/drop_caches")
_BLOCK_BYTES = 16 << 20


def measure(work: Path, peers: Any) -> list[dict[str, Any]]:
    """Seconds for each case: ours, the peer's, hashing alone; and how many times ours goes into them."""
    dvc = str(Path(peers.python("dvc")).parent / "dvc")
    cases = [
        (f"one file of {LARGE_BYTES / (1 << 30):.3g} GiB", _large, ["--copy"]),
        (f"{SMALL_FILES:,} files of {SMALL_BYTES / 1024:.3g} KiB", _small, None),
    ]
    rows = []
    source = work / "source"
    for case, make, variant in cases:
        make(source)
        for state, before in (("warm", os.sync), ("cold", functools.partial(_forget, dvc))):
            if state == "warm" or _can_forget():
                rows.append({"case": f"{case}, {state}", **_row(work, source, dvc, variant, before)})
        shutil.rmtree(source)
    return rows


def _row(work: Path, source: Path, dvc: str, variant: list[str] | None, before: Callable[[], None]) -> dict[str, Any]:
    row: dict[str, Any] = {"ours": _best(lambda: _ours(work, source, [], before))}
    if variant:
        row[f"ours, {variant[0]}"] = _best(lambda: _ours(work, source, variant, before))
    row["dvc add"] = _best(lambda: _dvc(work, source, dvc, before))
    if shutil.which("b3sum"):
        row["b3sum alone"] = _best(lambda: _b3sum(source, before))
        row["of b3sum"] = f"{row['ours'] / row['b3sum alone']:.2f}"
    row["ratio"] = f"{row['dvc add'] / row['ours']:.1f}"
    return row


def _can_forget() -> bool:
    return os.access(FORGET, os.W_OK)


def _forget(dvc: str) -> None:
    """Take files out of memory, but leave the programs that are measured in it."""
    os.sync()
    FORGET.write_text("3")
    for program in ([our(), "--version"], ["b3sum", "--version"], [dvc, "--version"]):
        if shutil.which(program[0]):
            subprocess.run(program, check=True, capture_output=True)


def _large(folder: Path) -> None:
    folder.mkdir()
    with (folder / "large.bin").open("wb") as file:
        for _ in range(0, LARGE_BYTES, _BLOCK_BYTES):
            file.write(os.urandom(min(_BLOCK_BYTES, LARGE_BYTES)))


def _small(folder: Path) -> None:
    for first in range(0, SMALL_FILES, SMALL_PER_FOLDER):
        below = folder / f"{first:06d}"
        below.mkdir(parents=True)
        for each in range(first, min(first + SMALL_PER_FOLDER, SMALL_FILES)):
            (below / f"{each:06d}.bin").write_bytes(os.urandom(SMALL_BYTES))


def _best(run: Callable[[], float]) -> float:
    return min(run() for _ in range(RUNS))


def _ours(work: Path, source: Path, options: list[str], before: Callable[[], None]) -> float:
    home = work / "ours"
    home.mkdir()
    (home / "roadworthy.toml").write_text('[project]\nname = "bench"\n')
    for file in source.rglob("*.bin"):
        if not file.stat().st_mode & 0o200:
            file.chmod(0o644)
    before()
    took = timed([our(), "data", "add", str(source), "--name", "source", *options], cwd=home)
    shutil.rmtree(home)
    return took


def _dvc(work: Path, source: Path, dvc: str, before: Callable[[], None]) -> float:
    home = work / "dvc"
    home.mkdir()
    for command in (["git", "init", "-q"], [dvc, "init", "-q"], [dvc, "config", "core.analytics", "false"]):
        subprocess.run(command, cwd=home, check=True, capture_output=True)
    # DVC adds what lies in its project: the files are moved in and out, which costs nothing.
    inside = source.rename(home / "source")
    environment = {"DVC_SITE_CACHE_DIR": str(home / "site"), "DVC_NO_ANALYTICS": "1"}
    before()
    took = timed([dvc, "add", "-q", "source"], cwd=home, environment=environment)
    inside.rename(source)
    shutil.rmtree(home)
    return took


def _b3sum(source: Path, before: Callable[[], None]) -> float:
    files = [str(path.relative_to(source)) for path in sorted(source.rglob("*.bin"))]
    before()
    # In one process, or as few as the length of a command line allows.
    batches = [files[start : start + 10_000] for start in range(0, len(files), 10_000)]
    return sum(timed(["b3sum", *batch], cwd=source) for batch in batches)
