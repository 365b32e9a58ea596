"""`rw report` as a user runs it: in a project where nothing happened, and in one that has come as far as the gate."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RW = Path(sys.executable).with_name("rw")


def rw(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RW, *words], cwd=folder, capture_output=True, text=True, timeout=180, check=False)


def test_where_nothing_has_happened_it_says_what_to_do(project_dir: Callable[..., Path]) -> None:
    root = project_dir({"roadworthy.toml": '[project]\nname = "shop"\n'})
    done = rw("report", folder=root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(root / "report.html")
    text = (root / "report.html").read_text("utf-8")
    assert "shop: the road so far" in text
    assert "rw run" in text


def test_a_place_that_cannot_be_written_is_one_message(project_dir: Callable[..., Path]) -> None:
    root = project_dir({"roadworthy.toml": '[project]\nname = "shop"\n'})
    done = rw("report", "--out", "nowhere/report.html", "--json", folder=root)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["where"] == "nowhere/report.html"
    assert not list(root.glob(".*.partial"))


@pytest.mark.slow
def test_a_new_project_at_the_gate_is_shown(tmp_path: Path) -> None:
    assert rw("new", "shop", folder=tmp_path).returncode == 0
    root = tmp_path / "shop"
    for words in (("run",), ("gate",)):
        done = rw(*words, folder=root)
        assert done.returncode in (0, 5), done.stderr
    done = rw("report", "--json", folder=root)
    assert done.returncode == 0, done.stderr
    text = Path(json.loads(done.stdout)["path"]).read_text("utf-8")
    for shown in ("ROC curve", "Calibration", "one row, 99th percentile", "whole"):
        assert shown in text
    assert "could not be scored" not in text
