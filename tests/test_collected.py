"""Every process that runs a part of the tests finds the same tests, whatever the time and the order of its sets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_two_processes_find_the_same_tests() -> None:
    first, second = (collected(seed) for seed in "12")  # the second a few seconds after the first
    assert len(first) > 1_000
    assert first == second


def collected(hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if "::" in line]
