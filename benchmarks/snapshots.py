"""A snapshot of one large file and of many small ones, beside `dvc add`, `b3sum`, and keeping a copy by hand.

Each is a whole process in a fresh project whose store was made before, untimed: `dvc init` in a git repository for
DVC, `rw data list` for ours. The contenders take turns, so that a busy moment of the machine falls on all of them
alike, with the disk at rest before each; times are medians and ratios are of medians. `warm` files are in memory
already, `cold` ones are not (only root can make them so); `without a disk`, files and store are on a file system in
memory, which shows what the programs themselves take.

- `ours` hard-links the large file and makes it read-only, as `rw data add` does where the file system cannot clone;
  `ours, --copy` copies it, which is what DVC does there. Small files are copied into packs.
- `b3sum` hashes and keeps nothing. `b3sum, tar, sync` is what keeping costs with the system's own programs: the same
  hashes, then one archive of the files, written and synced to the disk. Ours has a synced copy of every small file when
  it returns; DVC's copy is not synced, and may be lost in a power cut.
- `disk alone` writes as many bytes of zeros and syncs them (`dd conv=fsync`): what no synced copy can be faster than,
  whatever hashes them.
- `CPU` is user and system time of ours over that of `b3sum`: unlike the clock, it does not wait for the disk.

Warm small files do not come within 1.5 times of `b3sum`: a synced copy alone (`disk alone`) takes as long as `b3sum`,
and cannot begin before a command has started and found its files. Links would make 20,000 files read-only that people
edit. So what they are held against is `b3sum, tar, sync`. Writing past the page cache (`O_DIRECT`, `O_DSYNC`) takes
nearly twice as long, and how often the copy is synced on the way (2 to 32 MiB) makes no difference.

Where ours goes, profiled on an idle machine (0.70 s, where `b3sum` takes 0.38 and `disk alone` 0.36): 0.16 s to start
and import, 0.05 s to find the files, 0.4 s until the copy is on the disk (0.32 s without a disk), in which two cores
read, hash and append while the disk is given the bytes and empties its cache; 0.1 s for the cache of hashes, the
manifest and the record, and to end. Of the 24 us of processor time that a file takes, `open`, `fstat`, `readv`, `close`
and BLAKE3 are 16 and the copy is 5.
"""

import functools
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.frame import our, timed

TITLE = "Snapshots"
PEERS = ["dvc"]

LARGE_BYTES = 2 << 30
SMALL_FILES = 20_000
SMALL_BYTES = 8 << 10
SMALL_PER_FOLDER = 200
RUNS = 5
FORGET = Path("/proc/sys/vm/drop_caches")
MEMORY = Path("/dev/shm")  # a file system in memory
_BLOCK_BYTES = 16 << 20
# As many names as one command line holds.
_BATCH = 10_000


class Cost(NamedTuple):
    """Seconds by the clock, and of processor time."""

    took: float
    cpu: float


# One process, or a few.
Contender = Callable[[], Cost]


def measure(work: Path, peers: Any) -> list[dict[str, Any]]:
    """Seconds for each contender and case; and how many times ours goes into DVC's, and b3sum's into ours."""
    dvc = str(Path(peers.python("dvc")).parent / "dvc")
    cases = [
        (f"one file of {LARGE_BYTES / (1 << 30):.3g} GiB", _large, True),
        (f"{SMALL_FILES:,} files of {SMALL_BYTES / 1024:.3g} KiB", _small, False),
    ]
    rows = []
    source = work / "source"
    for case, make, copied in cases:
        make(source)
        for state, before in (("warm", os.sync), ("cold", functools.partial(_forget, work, dvc))):
            if state == "warm" or _can_forget():
                rows.append({"case": f"{case}, {state}", **_row(work, source, dvc, before, copied=copied)})
        shutil.rmtree(source)
    if MEMORY.is_dir():
        with tempfile.TemporaryDirectory(dir=MEMORY) as memory:
            source = Path(memory, "source")
            _small(source)
            row = _row(Path(memory), source, dvc, os.sync, copied=False)
            rows.append({"case": f"{cases[-1][0]}, without a disk", **row})
    return rows


def _row(work: Path, source: Path, dvc: str, before: Callable[[], None], *, copied: bool) -> dict[str, Any]:
    contenders: dict[str, Contender] = {"ours": lambda: _ours(work, source, [], before)}
    contenders["ours, --copy"] = lambda: _ours(work, source, ["--copy"], before)
    if not copied:
        del contenders["ours, --copy"]
    contenders["dvc add"] = lambda: _dvc(work, source, dvc, before)
    if shutil.which("b3sum"):
        contenders["b3sum"] = lambda: _b3sum(source, before)
        contenders["b3sum, tar, sync"] = lambda: _kept_by_hand(work, source, before)
    if not copied:
        contenders["disk alone"] = lambda: _written(work, source, before)
    seen: dict[str, list[Cost]] = {name: [] for name in contenders}
    for _ in range(RUNS):
        for name, contender in contenders.items():
            seen[name].append(contender())
    took = {name: statistics.median(cost.took for cost in costs) for name, costs in seen.items()}
    row: dict[str, Any] = {**took}
    row["dvc over ours"] = f"{took['dvc add'] / took['ours']:.1f}"
    if "b3sum" in took:
        row["ours over b3sum"] = f"{took['ours'] / took['b3sum']:.2f}"
        cpu = {name: statistics.median(cost.cpu for cost in seen[name]) for name in ("ours", "b3sum")}
        row["CPU"] = f"{cpu['ours'] / cpu['b3sum']:.2f}"
    return row


def _timed(*commands: list[str], cwd: Path, environment: dict[str, str] | None = None) -> Cost:
    """What commands cost, one after another."""
    before = _cpu()
    took = sum(timed(command, cwd=cwd, environment=environment) for command in commands)
    return Cost(took, _cpu() - before)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _can_forget() -> bool:
    return os.access(FORGET, os.W_OK)


def _forget(work: Path, dvc: str) -> None:
    """Take files out of memory, but bring the programs that are measured back into it, by a snapshot of one file."""
    os.sync()
    FORGET.write_text("3")
    tiny = work / "tiny"
    tiny.mkdir()
    (tiny / "one.bin").write_bytes(b"1")
    _ours(work / "warm-up", tiny, [], os.sync)
    if shutil.which("b3sum"):
        _b3sum(tiny, os.sync)
    _dvc(work / "warm-up", tiny, dvc, os.sync)
    shutil.rmtree(tiny)


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


def _ours(work: Path, source: Path, options: list[str], before: Callable[[], None]) -> Cost:
    home = work / "ours"
    home.mkdir(parents=True)
    (home / "roadworthy.toml").write_text('[project]\nname = "bench"\n')
    for file in source.rglob("*.bin"):
        if not file.stat().st_mode & 0o200:
            file.chmod(0o644)
    subprocess.run([our(), "data", "list"], cwd=home, check=True, capture_output=True)
    before()
    took = _timed([our(), "data", "add", str(source), "--name", "source", *options], cwd=home)
    shutil.rmtree(home)
    return took


def _dvc(work: Path, source: Path, dvc: str, before: Callable[[], None]) -> Cost:
    home = work / "dvc"
    home.mkdir(parents=True)
    for command in (["git", "init", "-q"], [dvc, "init", "-q"], [dvc, "config", "core.analytics", "false"]):
        subprocess.run(command, cwd=home, check=True, capture_output=True)
    # DVC adds what lies in its project: the files are moved in and out, which costs nothing.
    inside = source.rename(home / "source")
    environment = {"DVC_SITE_CACHE_DIR": str(home / "site"), "DVC_NO_ANALYTICS": "1"}
    before()
    took = _timed([dvc, "add", "-q", "source"], cwd=home, environment=environment)
    inside.rename(source)
    shutil.rmtree(home)
    return took


def _b3sum(source: Path, before: Callable[[], None]) -> Cost:
    commands = _hashing(source)
    before()
    return _timed(*commands, cwd=source)


def _kept_by_hand(work: Path, source: Path, before: Callable[[], None]) -> Cost:
    archive = work / "kept.tar"
    keeping = [["tar", "-cf", str(archive), *(path.name for path in source.iterdir())], ["sync", str(archive)]]
    commands = _hashing(source) + keeping
    before()
    took = _timed(*commands, cwd=source)
    archive.unlink()
    return took


def _written(work: Path, source: Path, before: Callable[[], None]) -> Cost:
    written = work / "written"
    mib = sum(path.stat().st_size for path in source.rglob("*.bin")) >> 20
    before()
    took = _timed(
        ["dd", "if=/dev/zero", f"of={written}", "bs=1M", f"count={mib}", "conv=fsync", "status=none"], cwd=work
    )
    written.unlink()
    return took


def _hashing(source: Path) -> list[list[str]]:
    """b3sum in one process, or as few as the length of a command line allows."""
    files = [str(path.relative_to(source)) for path in sorted(source.rglob("*.bin"))]
    return [["b3sum", *files[start : start + _BATCH]] for start in range(0, len(files), _BATCH)]
