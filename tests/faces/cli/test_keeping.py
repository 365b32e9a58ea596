"""`rw gc`, `rw backup`, `rw restore`: as processes, on a store that tracking made."""

import json
import os
import shutil
from pathlib import Path

import pytest

from roadworthy.store.store import open_store
from tests.faces.cli.conftest import Rw

TOML = '[project]\nname = "p"\n\n[retention]\nkeep_runs = 5\nstep_outputs = "30d"\n'


@pytest.fixture
def project(tmp_path: Path, rw: Rw) -> Path:
    """A project with a snapshot, and a blob that nothing names, both ten days old."""
    root = tmp_path / "p"
    root.mkdir()
    (root / "roadworthy.toml").write_text(TOML)
    (root / "d.csv").write_text("a,b\n1,2\n")
    assert rw("data", "add", "d.csv", cwd=root).returncode == 0
    with open_store(root / ".roadworthy") as store:
        store.blobs.put(b"orphan" * 1000)
    for path in (root / ".roadworthy" / "blobs").rglob("*"):
        stat = path.stat()
        os.utime(path, (stat.st_atime - 864_000, stat.st_mtime - 864_000))
    return root


def test_a_plan_then_the_deed_then_nothing(project: Path, rw: Rw) -> None:
    plan = json.loads(rw("gc", "--dry-run", "--json", cwd=project).stdout)
    assert (plan["dry_run"], plan["freed"]) == (True, 6000)
    assert rw("gc", "--dry-run", cwd=project).stdout.endswith("6 KB would be free\n")
    done = rw("gc", cwd=project)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "6 KB are free"
    assert json.loads(rw("gc", "--json", cwd=project).stdout)["freed"] == 0
    assert rw("data", "verify", cwd=project).returncode == 0
    assert "store.collected" in rw("audit", cwd=project).stdout
    assert rw("audit", "verify", cwd=project).returncode == 0


def test_a_wrong_grace_and_a_wrong_rule_are_said(project: Path, rw: Rw) -> None:
    wrong = rw("gc", "--grace", "soon", cwd=project)
    assert (wrong.returncode, "no duration" in wrong.stderr) == (2, True)
    (project / "roadworthy.toml").write_text(TOML.replace("keep_runs = 5", "keep_run = 5"))
    wrong = rw("gc", cwd=project)
    assert wrong.returncode == 2
    assert "keep_runs" in wrong.stderr
    (project / "roadworthy.toml").write_text(TOML.replace("keep_runs = 5", "keep_runs = 0"))
    assert rw("gc", cwd=project).returncode == 2


def test_a_store_is_moved_by_backup_and_restore(project: Path, rw: Rw, tmp_path: Path) -> None:
    made = rw("backup", "../kept", "--json", cwd=project)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["database"] == "sqlite"
    before = rw("data", "list", cwd=project).stdout
    there = rw("restore", "../kept", cwd=project)
    assert there.returncode == 4
    assert "move it away" in there.stderr
    shutil.rmtree(project / ".roadworthy")
    assert "all checked" in rw("restore", "../kept", cwd=project).stdout
    assert rw("data", "list", cwd=project).stdout == before
    assert rw("data", "verify", cwd=project).returncode == 0
    assert rw("backup", "../kept", cwd=project).returncode == 4


def test_damage_is_refused_and_with_partial_told(project: Path, rw: Rw, tmp_path: Path) -> None:
    assert rw("backup", "../kept", "--copy", cwd=project).returncode == 0
    shutil.rmtree(project / ".roadworthy")
    path = min((tmp_path / "kept" / "home" / "blobs").glob("[0-9a-f][0-9a-f]/*"))
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    refused = rw("restore", "../kept", cwd=project)
    assert (refused.returncode, path.name in refused.stderr) == (2, True)
    assert not (project / ".roadworthy").exists()
    partial = rw("restore", "../kept", "--partial", "--json", cwd=project)
    assert partial.returncode == 5
    assert json.loads(partial.stdout)["left_out"] == [f"{path.parent.name}/{path.name}"]


def test_no_backup_is_no_backup(project: Path, rw: Rw) -> None:
    shutil.rmtree(project / ".roadworthy")
    missing = rw("restore", "nowhere", cwd=project)
    assert missing.returncode == 3
    assert not (project / ".roadworthy").exists()
