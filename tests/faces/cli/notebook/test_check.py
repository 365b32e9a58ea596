"""`rw notebook check` as a process: what it prints, its forms, its exit codes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.notebooks.making import code, write

RW = Path(sys.executable).parent / "rw"


def rw(folder: Path, *words: str | Path) -> tuple[int, str, str]:
    done = subprocess.run([RW, "notebook", "check", *words], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_finding_is_shown_with_its_line_a_caret_why_and_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "x = 1\nprint(x, näme)")
    code_, out, err = rw(tmp_path, "made.ipynb")
    assert code_ == 5
    assert out.splitlines()[:5] == [
        "error[RWN104] undefined-name: `näme` is made by no cell",
        "  --> made.ipynb:cell 1:2:10",
        "   |",
        " 2 | print(x, näme)",
        "   |          ^^^^",
    ]
    assert "= why: " in out
    assert "= fix: " in out
    assert re.fullmatch(r"1 notebook in .*: 1 error\n", err)


def test_a_sound_notebook_ends_with_0_and_so_do_notes(tmp_path: Path) -> None:
    write(tmp_path, code("x = 1\nprint(x)", count=1), name="sound.ipynb")
    assert rw(tmp_path, "sound.ipynb")[:2] == (0, "")
    write(tmp_path, "import os", "import os\nos", name="note.ipynb")
    code_, out, _ = rw(tmp_path, "note.ipynb")
    assert code_ == 0
    assert out.startswith("note[RWN206]")


def test_why_is_told_once_for_each_rule(tmp_path: Path) -> None:
    write(tmp_path, "a\nb\nc")
    assert rw(tmp_path)[1].count("= why:") == 1


def test_json_has_everything(tmp_path: Path) -> None:
    write(tmp_path, "import os\nunknown")
    code_, out, _ = rw(tmp_path, "--json")
    assert code_ == 5
    told = json.loads(out)
    assert told["summary"] == {"notebooks": 1, "error": 1, "warn": 1, "note": 0}
    first, second = told["notebooks"][0]["findings"]
    assert (first["code"], first["cell"], first["line"], first["column"], first["fixable"]) == ("RWN202", 1, 1, 8, True)
    assert second["why"]


def test_sarif_and_annotations_go_to_standard_output(tmp_path: Path) -> None:
    write(tmp_path, "unknown")
    assert json.loads(rw(tmp_path, "--format", "sarif")[1])["version"] == "2.1.0"
    assert rw(tmp_path, "--format", "github")[1].startswith("::error file=made.ipynb,line=")


def test_what_cannot_be_read_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "cut.ipynb").write_text('{"nbformat": 4, "cells": [')
    code_, _, err = rw(tmp_path, "cut.ipynb")
    assert code_ == 2
    assert "cut off" in err
    assert "Traceback" not in err
    write(tmp_path, "x = 1")
    code_, out, err = rw(tmp_path, ".")
    assert code_ == 2
    assert "unreadable: cut.ipynb" in out
    assert "2 notebooks" in err
    assert rw(tmp_path, "none.ipynb")[0] == 3
    assert rw(tmp_path, "--select", "RWN9")[0] == 2


def test_fix_changes_the_file_and_says_how_much(tmp_path: Path) -> None:
    path = write(tmp_path, "import os\nprint(1)")
    code_, out, err = rw(tmp_path, "--fix")
    assert (code_, out) == (0, "")
    assert "1 fixed" in err
    assert "import os" not in path.read_text()
    before = path.read_bytes()
    assert rw(tmp_path, "--fix")[0] == 0
    assert path.read_bytes() == before


def test_without_fix_the_file_is_not_touched(tmp_path: Path) -> None:
    path = write(tmp_path, "import os\nprint(1)")
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert "--fix fixes 1" in rw(tmp_path)[2]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_the_project_file_says_what_is_looked_for(tmp_path: Path) -> None:
    write(tmp_path, "import os\nunknown")
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "p"\n[notebook]\nselect = ["unused-import"]\n')
    assert "RWN104" not in rw(tmp_path)[1]
    assert "RWN104" in rw(tmp_path, "--select", "RWN104")[1]
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "p"\n[notebook]\nselect = ["nothing"]\n')
    code_, _, err = rw(tmp_path)
    assert code_ == 2
    assert "roadworthy.toml:4:" in err


def test_from_outside_the_project_of_the_notebook_counts(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    write(inside, "unknown")
    (inside / "roadworthy.toml").write_text('[project]\nname = "p"\n[notebook]\nignore = ["RWN104"]\n')
    assert rw(tmp_path, "inside")[0] == 0
    assert rw(tmp_path, "inside/made.ipynb")[0] == 0


def test_rules_are_listed(tmp_path: Path) -> None:
    code_, out, _ = rw(tmp_path, "--rules")
    assert code_ == 0
    assert "RWN502  fit-before-split" in out
    assert len(json.loads(rw(tmp_path, "--rules", "--json")[1])["rules"]) > 35


PLUGIN = """
from roadworthy.notebooks.rules.finding import Finding
class Shout:
    '''A cell shouts.

    Nobody likes to be shouted at by a notebook, least of all in a review.

    Fix: whisper.
    '''
    code, name, severity = "SHO001", "shout", "warn"
    def find(self, subject):
        for cell in subject.notebook.code:
            if "!!" in cell.source:
                yield subject.finding(self, cell.index, None, "this cell shouts", fix="whisper")
RULES = (Shout(),)
"""


def test_a_package_may_bring_rules(tmp_path: Path) -> None:
    site = tmp_path / "site"
    information = site / "shout-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "shout.py").write_text(PLUGIN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: shout\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[roadworthy.notebook_rules]\nshout = shout:RULES\n")
    write(tmp_path, "print('Hi!!')")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [RW, "notebook", "check", "made.ipynb", "--select", "SHO"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 5
    assert done.stdout.startswith("warning[SHO001] shout: this cell shouts")
    (site / "shout.py").write_text("RULES = 1 / 0")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "shout:RULES" in done.stderr


def test_what_a_notebook_holds_is_shown_not_obeyed(tmp_path: Path) -> None:
    write(tmp_path, "x = '\x1b[31m' + unknown")
    out = rw(tmp_path)[1]
    assert "\x1b" not in out
    assert "\\x1b[31m" in out
