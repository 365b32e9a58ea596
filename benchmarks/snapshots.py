"""A snapshot of one large file and of many small ones, beside `dvc add` and beside hashing alone with `b3sum`.

Each is a whole process on warm files, in a fresh project (a git repository with `dvc init` for DVC). `ours` hard-links
the large file and makes it read-only, as `rw data add` does where the file system cannot clone; `ours, --copy` copies
it, which is what DVC does there. Beside hashing alone, small files cost the start of a process and writing them. The
least of several runs is shown, with the disk at rest before each.
"""

import os
import shutil
import subprocess
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
_BLOCK_BYTES = 16 << 20


def measure(work: Path, peers: Any) -> list[dict[str, Any]]:
    """Seconds for each case: ours, the peer's, hashing alone; and how many times ours goes into them."""
    dvc = str(Path(peers.python("dvc")).parent / "dvc")
    cases = [
        (f"one file of {LARGE_BYTES / (1 << 30):.3g} GiB", _large, ["--copy"]),
        (f"{SMALL_FILES:,} files of {SMALL_BYTES / 1024:.3g} KiB", _small, None),
    ]
    rows = []
    for case, make, variant in cases:
        source = work / "source"
        make(source)
        row: dict[str, Any] = {"case": case, "ours": _best(lambda s=source: _ours(work, s, []))}
        if variant:
            row[f"ours, {variant[0]}"] = _best(lambda s=source, v=variant: _ours(work, s, v))
        row["dvc add"] = _best(lambda s=source: _dvc(work, s, dvc))
        if shutil.which("b3sum"):
            row["b3sum alone"] = _best(lambda s=source: _b3sum(s))
            row["of b3sum"] = f"{row['ours'] / row['b3sum alone']:.2f}"
        row["ratio"] = f"{row['dvc add'] / row['ours']:.1f}"
        rows.append(row)
        shutil.rmtree(source)
    return rows


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


def _best(run: Any) -> float:
    times = []
    for _ in range(RUNS):
        os.sync()
        times.append(run())
    return min(times)


def _ours(work: Path, source: Path, options: list[str]) -> float:
    home = work / "ours"
    home.mkdir()
    (home / "roadworthy.toml").write_text('[project]\nname = "bench"\n')
    for file in source.rglob("*.bin"):
        if not file.stat().st_mode & 0o200:
            file.chmod(0o644)
    took = timed([our(), "data", "add", str(source), "--name", "source", *options], cwd=home)
    shutil.rmtree(home)
    return took


def _dvc(work: Path, source: Path, dvc: str) -> float:
    home = work / "dvc"
    home.mkdir()
    for command in (["git", "init", "-q"], [dvc, "init", "-q"], [dvc, "config", "core.analytics", "false"]):
        subprocess.run(command, cwd=home, check=True, capture_output=True)
    # DVC adds what lies in its project: the files are moved in and out, which costs nothing.
    inside = source.rename(home / "source")
    environment = {"DVC_SITE_CACHE_DIR": str(home / "site"), "DVC_NO_ANALYTICS": "1"}
    took = timed([dvc, "add", "-q", "source"], cwd=home, environment=environment)
    inside.rename(source)
    shutil.rmtree(home)
    return took


def _b3sum(source: Path) -> float:
    files = [str(path.relative_to(source)) for path in sorted(source.rglob("*.bin"))]
    # In one process, or as few as the length of a command line allows.
    batches = [files[start : start + 10_000] for start in range(0, len(files), 10_000)]
    return sum(timed(["b3sum", *batch], cwd=source) for batch in batches)
