"""`rw` as a process of its own, in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Rw = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def rw(tmp_path: Path) -> Rw:
    """`rw("runs", "--json")`: what it printed and how it ended; `cwd=`, `env=` and `stdin=` as needed."""

    def run(
        *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        variables = {k: v for k, v in os.environ.items() if not k.startswith("ROADWORTHY_")} | (env or {})
        return subprocess.run(
            [sys.executable, "-m", "roadworthy", *arguments],
            cwd=cwd or tmp_path, env=variables, input=stdin, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run
