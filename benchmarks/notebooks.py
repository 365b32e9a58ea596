"""Checking real notebooks (`tests/notebooks/wild.toml`).

In one process, notebook by notebook, and as a whole command beside `nbqa ruff` and `pynblint` on the same folder.
Processor time on one core counts, because it does not depend on what else the machine does; elapsed time is beside it.
Ours reads outputs too and follows names from cell to cell; nbqa hands each notebook's code to ruff as a file of its
own; pynblint looks for two dozen habits. pynblint 0.1.6 needs a click older than 8.2.
"""

import os
import resource
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.frame import Peers, our
from roadworthy.notebooks.check import check_all
from roadworthy.notebooks.rules.catalogue import every
from roadworthy.notebooks.rules.subject import Surroundings
from tests.notebooks import wild

TITLE = "Check of notebooks"
PEERS = ("nbqa", "pynblint")
PACKAGES = ("statsmodels", "seaborn", "dowhy", "tsfresh", "arch", "linearmodels", "xarray", "scikit-survival")
ROUNDS = 2


def measure(work: Path, peers: Peers) -> list[dict]:
    rows = [_in_one_process()]
    folder = _same_set(work / "set")
    count = len(list(folder.iterdir()))
    commands = {
        "rw notebook check": [our(), "notebook", "check", str(folder), "--format", "json"],
        "nbqa ruff": [_nbqa(peers), "ruff", str(folder)],
        "pynblint": [_pynblint(peers), str(folder), "--quiet", "--yes", "-o", str(work / "out.json")],
    }
    times = {name: [] for name in commands}
    for _ in range(ROUNDS):  # in turn, so that a busy minute meets all of them
        for name, command in commands.items():
            times[name].append(_run(command, work))
        (work / "out.json").unlink()  # pynblint's: it must have written one
    ours = min(cpu for cpu, _ in times["rw notebook check"])
    for name, taken in times.items():
        cpu, elapsed = min(taken)
        rows.append(
            {
                "what": f"{name}, {count} notebooks",
                "processor time": cpu,
                "elapsed": elapsed,
                "notebooks a second": count / cpu,
                "beside ours": f"{cpu / ours:.1f} x",
            }
        )
    return rows


def _in_one_process() -> dict:
    """Every notebook of the manifest, read and checked; the median and what it makes in a second."""
    paths = wild.notebooks()
    rules = every()
    best: list[list[float]] = []
    for _ in range(ROUNDS):
        taken: list[float] = []
        begun = time.process_time()
        for _ in check_all(paths, rules, Surroundings()):
            now = time.process_time()
            taken.append(now - begun)
            begun = now
        best.append(taken)
    each = [min(times) for times in zip(*best, strict=True)]
    median = statistics.median(each)
    return {
        "what": f"the median of {len(paths)} notebooks, in one process",
        "processor time": median,
        "notebooks a second": 1 / median,
    }


def _same_set(folder: Path) -> Path:
    folder.mkdir()
    for number, path in enumerate(wild.notebooks(*PACKAGES)):
        shutil.copyfile(path, folder / f"n{number:03}.ipynb")
    return folder


def _nbqa(peers: Peers) -> str:
    python = peers.python("nbqa")
    if not (python.parent / "ruff").exists():
        subprocess.run([python, "-m", "pip", "install", "--quiet", "ruff"], check=True)
    return peers.program("nbqa")


def _pynblint(peers: Peers) -> str:
    python = peers.python("pynblint")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "click<8.2"], check=True)
    return peers.program("pynblint")


def _run(command: list[str], work: Path) -> tuple[float, float]:
    """(processor seconds, elapsed seconds) of a command and what it starts; finding something is no failure."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    variables["PATH"] = f"{Path(command[0]).parent}:{variables['PATH']}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=work, env=variables, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in {0, 1, 5}:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, elapsed
