"""What every benchmark uses: peers in environments of their own, timed processes, and the table of results.

A benchmark is a module of this package with `TITLE`, `PEERS` and `measure(work, peers) -> list[dict]`; `make bench`
runs them all and writes RESULTS.md, with versions, sizes and the command.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


class Peers:
    """Environments with one peer each, made on first use and kept in `.benchmarks/`."""

    def __init__(self, folder: Path = ROOT / ".benchmarks") -> None:
        self._folder = folder

    def python(self, requirement: str) -> Path:
        """The interpreter of an environment that has `requirement` (such as `dvc` or `mlflow==3.18`)."""
        home = self._folder / requirement.replace("=", "-")
        ready = home / "ready"
        if not ready.exists():
            print(f"installing {requirement}", file=sys.stderr)
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=True)
            command = [
                home / "bin" / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                requirement,
            ]
            subprocess.run(command, check=True)
            ready.touch()
        return home / "bin" / "python"

    def program(self, requirement: str, name: str = "") -> str:
        """A console script of that environment."""
        return str(self.python(requirement).parent / (name or requirement.partition("=")[0]))

    def version(self, requirement: str) -> str:
        name = requirement.partition("=")[0]
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        return subprocess.run(
            [self.python(requirement), "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()


def our(name: str = "rw") -> str:
    """A console script of the environment that runs the benchmark."""
    return str(Path(sys.executable).parent / name)


def timed(command: Sequence[str], *, cwd: Path, environment: dict[str, str] | None = None) -> float:
    """Seconds one process took; it must succeed."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | (environment or {})
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return took


def median(measure: Callable[[], float], runs: int) -> float:
    """The median of `runs` measurements, after one that warms the caches."""
    measure()
    return statistics.median(measure() for _ in range(runs))
