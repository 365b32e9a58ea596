"""`rw rollback` as a process, with a real server behind it, while someone asks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy.releases import grounds
from roadworthy.store import project_file
from roadworthy.store.store import open_store
from tests.releases import garage

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]


def test_back_and_forward_again(tmp_path: Path) -> None:
    place = project_file.read(garage.project(tmp_path / "flights", garage.free_port()) / "roadworthy.toml")
    port = place.project.release["local"].port

    def rw(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "roadworthy", *arguments], cwd=place.root, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    with open_store(place.home, actor="tester") as store:
        try:
            for seed in (1, 2):
                garage.certified(store, seed=seed)
                assert rw("release", "--yes", "--no-canary").returncode == 0
            back = rw("rollback")
            assert (back.returncode, back.stdout) == (0, "late@1 has all the traffic of local.\n")
            assert "late@2: taken back" in back.stderr
            assert garage.post(port, garage.rows(1))[2]["x-roadworthy-model"] == "late@1"
            assert rw("release", "late@2", "--yes", "--no-canary", "--json").returncode == 0
            assert garage.post(port, garage.rows(1))[2]["x-roadworthy-model"] == "late@2"
            assert json.loads(rw("status", "--json").stdout)[0]["healthy"] is True
        finally:
            grounds.open_target(store, place, "local").down()
