"""`rw new`: a scaffold that runs at once, and never over somebody's files."""

import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from roadworthy.faces.cli import new
from roadworthy.nouns.errors import Fault
from roadworthy.store import project_file


def test_a_project_is_made(rw, tmp_path: Path) -> None:
    done = rw("new", "my-model")
    assert done.returncode == 0, done.stderr
    assert "cd my-model && rw run" in done.stdout
    made = {p.relative_to(tmp_path / "my-model").as_posix() for p in (tmp_path / "my-model").rglob("*") if p.is_file()}
    assert made == {".gitignore", "README.md", "pipeline.py", "roadworthy.toml", "source.py", "test_pipeline.py"}
    assert project_file.read(tmp_path / "my-model" / "roadworthy.toml").project.name == "my-model"
    assert not [
        p for p in (tmp_path / "my-model").rglob("*") if p.is_file() and "{{" in p.read_text().replace('{{"', "")
    ]


def test_its_code_is_as_clean_as_ours(rw, tmp_path: Path) -> None:
    rw("new", "p")
    for check in (["check"], ["format", "--check", "--line-length", "120"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--isolated", "."], cwd=tmp_path / "p", capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_what_is_there_is_named_and_left_alone(rw, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "pipeline.py").write_text("mine")
    (tmp_path / "p" / "other.py").write_text("mine")
    done = rw("new", "p")
    assert done.returncode == 4
    assert "pipeline.py" in done.stderr
    assert "other.py" not in done.stderr
    assert not (tmp_path / "p" / "roadworthy.toml").exists()
    assert json.loads(rw("new", "p", "--json").stdout)["error"]["files"] == ["pipeline.py"]
    assert (tmp_path / "p" / "pipeline.py").read_text() == "mine"
    assert rw("new", "p", "--force").returncode == 0
    assert (tmp_path / "p" / "pipeline.py").read_text() != "mine"
    assert (tmp_path / "p" / "other.py").read_text() == "mine"


@pytest.mark.parametrize(("answer", "code", "kept"), [("n", 130, True), ("y", 0, False)])
def test_on_a_terminal_it_asks(tmp_path: Path, answer: str, code: int, *, kept: bool) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "pipeline.py").write_text("mine")
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "roadworthy", "new", "p"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 1024)
    assert b"these would be overwritten: pipeline.py" in shown
    os.write(ours, answer.encode() + b"\n")
    assert child.wait(timeout=60) == code
    os.close(ours)
    assert ((tmp_path / "p" / "pipeline.py").read_text() == "mine") is kept


def test_a_link_in_the_way_is_not_followed(rw, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "pipeline.py").symlink_to(tmp_path / "precious")
    assert rw("new", "p").returncode == 4
    assert rw("new", "p", "--force").returncode == 4
    assert (tmp_path / "precious").read_text() == "mine"
    (tmp_path / "file").write_text("")
    assert rw("new", "file").returncode == 4


@pytest.mark.parametrize(
    ("name", "fix"),
    [("My Model", "rw new my-model"), ("3d", "rw new d"), ("a/b", "rw new b --dir a/b"), ("..", "my-model"), ("É", "my-model"), ("x" * 70, "x" * 63), ("-", "rw new"), ("a\n", "rw new a"), ("", "my-model")],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused_with_one_that_can(name: str, fix: str) -> None:
    with pytest.raises(Fault) as fault:
        new.check_name(name)
    assert fix in fault.value.fix


def test_a_folder_may_be_named(rw, tmp_path: Path) -> None:
    done = rw("new", "p", "--dir", ".", "--json")
    assert json.loads(done.stdout)["folder"] == str(tmp_path)
    assert tomllib.loads((tmp_path / "roadworthy.toml").read_text())["project"]["name"] == "p"


def test_an_unknown_template_is_named_with_those_there_are(rw) -> None:
    done = rw("new", "p", "--template", "tabluar")
    assert done.returncode == 3
    assert "did you mean tabular?" in done.stderr


def test_an_installed_package_brings_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rw) -> None:
    site = tmp_path / "site"
    (site / "plug" / "bare" / "sub").mkdir(parents=True)
    (site / "plug" / "__init__.py").write_text(
        "from pathlib import Path\ndef bare(): return Path(__file__).parent / 'bare'\n"
    )
    (site / "plug" / "bare" / "sub" / "dot-x.tmpl").write_text("{{name}}")
    (site / "plug-1.dist-info").mkdir()
    (site / "plug-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1\n")
    (site / "plug-1.dist-info" / "entry_points.txt").write_text(
        "[roadworthy.templates]\nbare = plug:bare\nbroken = plug:none\n"
    )
    done = rw("new", "p", "--template", "bare", env={"PYTHONPATH": str(site)})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p" / "sub" / ".x").read_text() == "p"
    broken = rw("new", "q", "--template", "broken", env={"PYTHONPATH": str(site)})
    assert broken.returncode == 6
    assert "plug" in broken.stderr


@pytest.mark.slow
def test_its_own_tests_pass(rw, tmp_path: Path) -> None:
    rw("new", "p")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path / "p", capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_it_runs_and_passes_its_gate_with_no_editing(rw, tmp_path: Path) -> None:
    rw("new", "p")
    folder = tmp_path / "p"
    ran = rw("run", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    run = json.loads(rw("runs", "show", "--json", cwd=folder).stdout)
    assert run["status"] == "finished"
    assert run["metrics"]["auc"] > 0.95
    assert run["models"] == ["p@1"]
    gated = rw("gate", cwd=folder)
    assert gated.returncode == 0, gated.stderr + gated.stdout
    assert rw("audit", "verify", cwd=folder).returncode == 0
