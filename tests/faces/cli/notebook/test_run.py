"""`rw notebook run`: what a person sees, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebooks.written import document, write


def test_a_notebook_runs_with_parameters_and_says_how_it_ended(rw, tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "lr = 0.1", "print(lr)\nlr", tags={0: ["parameters"]})
    before = notebook.path.read_bytes()
    done = rw("notebook", "run", "a.ipynb", "--set", "lr=0.5", "--out", "out.ipynb", "--name", "first")
    assert done.returncode == 0, done.stderr
    assert "2 cells ran" in done.stdout
    assert done.stderr.splitlines()[1].startswith("2/2  print(lr)")
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert cells[2]["outputs"][0]["text"] == ["0.5\n"]
    assert notebook.path.read_bytes() == before
    shown = json.loads(rw("runs", "show", "--json").stdout)
    assert (shown["name"], shown["params"], shown["status"]) == ("first", {"lr": 0.5}, "finished")
    assert [a["path"] for a in shown["artifacts"]] == ["a.ipynb"]


def test_a_failing_cell_shows_its_traceback_and_nothing_else(rw, tmp_path: Path) -> None:
    write(tmp_path / "a.ipynb", "def f(x):\n    return 1 / x", "f(0)", "never = 1")
    done = rw("notebook", "run", "a.ipynb", "--out", "out.ipynb")
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[1] == "a.ipynb, cell 2"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "----> 1 f(0)" in done.stderr
    assert "roadworthy" not in done.stderr
    assert "\x1b" not in done.stderr
    assert json.loads(rw("runs", "--json").stdout)[0]["status"] == "failed"
    assert json.loads((tmp_path / "out.ipynb").read_text())["cells"][1]["outputs"][0]["ename"] == "ZeroDivisionError"


def test_json_says_it_all(rw, tmp_path: Path) -> None:
    write(tmp_path / "a.ipynb", "x = 1", "raise ValueError('no')")
    done = rw("notebook", "run", "a.ipynb", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 1
    assert said["run"]["status"] == "failed"
    assert said["error"]["cell"] == 2
    assert [cell["status"] for cell in said["cells"]] == ["ran", "failed"]
    assert said["cells"][0]["memory_peak_mb"] > 10


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("input('your name?')", "cell 2: InputAsked: it asks for input"),
        ("import os; os._exit(3)", "cell 2: KernelDied: the kernel died (exit code 3)"),
        ("while True: pass", "cell 2: Timeout: it took longer than 3 s"),
    ],
)
def test_what_cannot_go_on_names_the_cell(rw, tmp_path: Path, cell: str, said: str) -> None:
    write(tmp_path / "a.ipynb", "x = 1", cell)
    limit = "3" if "while" in cell else "60"
    done = rw("notebook", "run", "a.ipynb", "--cell-timeout", limit)
    assert done.returncode == 1
    assert f"a.ipynb, {said}" in done.stderr
    assert "Traceback" not in done.stderr.replace("Traceback (most recent call last)\nCell", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"cells": [{"cell_type": "code", "sour', "cut off"),
        (json.dumps(document("x = 1") | {"nbformat": 9}).encode(), "nbformat 9"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a notebook"),
        (b"", "empty"),
        (json.dumps(document("x = 1", "def f(:")).encode(), "cell 2, line 1"),
        (json.dumps(document("x <- 1", language="r")).encode(), "written in r"),
    ],
)
def test_what_is_no_notebook_to_run_leaves_nothing_behind(rw, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.ipynb").write_bytes(content)
    done = rw("notebook", "run", "a.ipynb", "--out", "out.ipynb")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.ipynb").exists()
    assert (tmp_path / "a.ipynb").read_bytes() == content
    assert rw("runs").stdout == ""


def test_wrong_options_are_refused_before_anything_runs(rw, tmp_path: Path) -> None:
    write(tmp_path / "a.ipynb", "lr = 0.1\nopen('ran', 'w')", tags={0: ["parameters"]})
    for arguments, said in [
        (["--set", "lr=x"], "of type float"),
        (["--set", "l=1"], "did you mean `lr`?"),
        (["--out", "none/out.ipynb"], "cannot be written there"),
        (["--explain"], "--cached"),
        (["--kernel", "none"], "no kernel of this name"),
        (["--timeout", "0"], "range"),
    ]:
        done = rw("notebook", "run", "a.ipynb", *arguments)
        assert done.returncode in {2, 3}, said
        assert said in done.stderr
    assert not (tmp_path / "ran").exists()


def test_ctrl_c_stops_it_cleanly(rw, tmp_path: Path) -> None:
    write(tmp_path / "a.ipynb", "x = 1", "import time\nopen('begun', 'w').close()\ntime.sleep(600)")
    process = subprocess.Popen(
        [sys.executable, "-m", "roadworthy", "notebook", "run", "a.ipynb"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("ROADWORTHY_")},
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline().startswith("1/2")
    while not (tmp_path / "begun").exists() and process.poll() is None:
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == "stopped"
    run = json.loads(rw("runs", "--json").stdout)[0]
    assert (run["status"], [s["status"] for s in run["steps"]]) == ("killed", [])
    shown = json.loads(rw("runs", "show", "--json").stdout)
    assert [(s["step"], s["status"]) for s in shown["steps"]] == [("cell 1", "ran")]
    assert [a["path"] for a in shown["artifacts"]] == ["a.ipynb"]


def test_in_a_project_the_run_is_the_projects(rw, tmp_path: Path) -> None:
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "p"\n')
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "here.txt").touch()
    script = "# %%\nimport os\nprint(os.listdir())\n# %%\nimport roadworthy as rw\nrw.log_metric('m', 2)\n"
    (tmp_path / "notebooks" / "a.py").write_text(script)
    done = rw("notebook", "run", "notebooks/a.py", "--out", "out.ipynb")
    assert done.returncode == 0, done.stderr
    assert "metrics: m 2" in done.stdout
    run = json.loads(rw("runs", "show", "--json").stdout)
    assert (run["project"], run["tags"]["notebook"]) == ("p", "notebooks/a.py")
    assert "here.txt" in json.loads((tmp_path / "out.ipynb").read_text())["cells"][0]["outputs"][0]["text"][0]
