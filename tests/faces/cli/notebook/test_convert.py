"""`rw notebook convert` and `rw new --from-notebook`: what they write, say, and end with."""

import json
from pathlib import Path

import pytest

from roadworthy.store import project_file
from tests.notebooks import written

CELLS = (
    "md:# Numbers", "LIMIT = 4", "md:## Small numbers", "small = [n for n in range(9) if n < LIMIT]\nprint(small)",
    "md:## Total", "total = sum(small)",
)  # fmt: skip


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    written.write(tmp_path / "Some Numbers.ipynb", *CELLS)
    return tmp_path / "Some Numbers.ipynb"


def test_without_a_proof_it_says_so_and_ends_with_5(rw, tmp_path: Path, notebook: Path) -> None:
    done = rw("notebook", "convert", notebook.name, "--no-proof")
    assert done.returncode == 5, done.stderr
    assert "NOT PROVEN" in done.stdout
    assert "NOT PROVEN EQUAL" in done.stderr
    project = project_file.read(tmp_path / "some-numbers" / "roadworthy.toml").project
    assert project.name == "some-numbers"
    assert project.params == {"limit": 4}
    assert {p.name for p in (tmp_path / "some-numbers").iterdir()} >= {"pipeline.py", ".gitignore", "README.md"}
    assert not list(tmp_path.glob(".rw-*"))


def test_what_it_writes_runs(rw, tmp_path: Path, notebook: Path) -> None:
    rw("new", "numbers", "--from-notebook", notebook.name, "--no-proof")
    done = rw("run", "--json", cwd=tmp_path / "numbers")
    assert done.returncode == 0, done.stderr
    assert "small" in done.stdout
    assert rw("run", "--set", "limit=2", cwd=tmp_path / "numbers").returncode == 0


def test_a_dry_run_prints_and_writes_nothing(rw, tmp_path: Path, notebook: Path) -> None:
    done = rw("notebook", "convert", notebook.name, "--dry-run", "--no-proof")
    assert "def small(limit: int)" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == [notebook.name]


def test_as_json(rw, notebook: Path) -> None:
    done = rw("notebook", "convert", notebook.name, "--no-proof", "--json")
    told = json.loads(done.stdout)
    assert told["steps"] == ["small", "total"]
    assert told["proof"]["verdict"] == "not proven"
    assert "import roadworthy as rw" in told["files"]["pipeline.py"]


@pytest.mark.slow
def test_with_a_proof_it_ends_with_0(rw, tmp_path: Path, notebook: Path) -> None:
    done = rw("notebook", "convert", notebook.name, "--out", "here")
    assert done.returncode == 0, done.stderr
    assert "equal: 2 values compared, all identical" in done.stdout
    assert "Next: cd here && rw run" in done.stdout
    assert json.loads((tmp_path / "here" / "proof.json").read_text())["verdict"] == "identical"
    again = rw("notebook", "convert", notebook.name, "--out", "here")
    assert again.returncode == 4
    assert "not empty" in again.stderr


def test_mistakes_get_one_message(rw, tmp_path: Path, notebook: Path) -> None:
    missing = rw("notebook", "convert", "gone.ipynb")
    assert missing.returncode == 3
    wrong = rw("new", "Not A Name", "--from-notebook", notebook.name)
    assert wrong.returncode == 2
    nothing = rw("new")
    assert nothing.returncode == 2
    assert "NAME" in nothing.stderr
    assert "Traceback" not in missing.stderr + wrong.stderr + nothing.stderr
    assert [p.name for p in tmp_path.iterdir()] == [notebook.name]
