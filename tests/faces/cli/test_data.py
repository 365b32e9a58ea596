"""`rw data` as a process: what it prints, its JSON, its exit codes."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

RW = pathlib.Path(sys.executable).parent / "rw"
TOML = """
[project]
name = "demo"
[params]
rows = 2
[data.trips]
path = "data/*.csv"
[data.trips.contract.columns.id]
type = "integer"
max = 10
[data.trips.contract.columns.name]
sensitive = true
[data.made]
python = "source:made"
"""
SOURCE = """
import pandas as pd
def made(rows, now):
    return pd.DataFrame({"i": range(rows)})
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(project_dir: Callable[..., pathlib.Path]) -> pathlib.Path:
    files = {"roadworthy.toml": TOML, "source.py": SOURCE, "data/a.csv": "id,name\n1,Ann\n2,Bob\n"}
    return project_dir(files)


@pytest.fixture
def rw(root: pathlib.Path) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ROADWORTHY")}
        done = subprocess.run(
            [RW, "data", *arguments],
            check=False,
            cwd=root,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def parsed(answer: tuple[int, str, str]) -> Any:
    assert answer[0] == 0, answer
    return json.loads(answer[1])


def test_the_whole_way(rw: Run, root: pathlib.Path) -> None:
    first = parsed(rw("add", "trips", "--json"))
    assert (first["new"], first["snapshot"]["rows"]) == (True, 2)
    code, out, _ = rw("add", "trips")
    assert code == 0
    assert "(unchanged)" in out
    (root / "data" / "a.csv").write_text("id,name\n1,Ann\n11,Bob\n")
    code, out, _ = rw("check", "trips")
    assert code == 5
    assert "BROKEN" in out
    assert "Bob" not in out
    code, out, _ = rw("check", "trips", "--snapshot", first["snapshot"]["id"][:8], "--json")
    assert code == 0
    assert json.loads(out)["passed"]
    listed = parsed(rw("list", "--json"))["snapshots"]
    assert [s["rows"] for s in listed] == [2, 2]
    code, _, _ = rw("restore", first["snapshot"]["id"][:8], "--to", "old")
    assert code == 0
    assert (root / "old" / "a.csv").read_text() == "id,name\n1,Ann\n2,Bob\n"
    assert rw("restore", "trips", "--to", "old")[0] == 4
    assert parsed(rw("show", "trips", "--json"))["files"][0]["path"] == "a.csv"
    assert "2 of 2 snapshots" in rw("verify")[1]
    blob = max((root / ".roadworthy" / "blobs").glob("??/*"), key=lambda p: p.stat().st_mtime_ns)
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    code, out, _ = rw("verify", "--json")
    assert code == 5
    assert not json.loads(out)["passed"]


def test_functions_and_paths_beside_the_project_file(rw: Run, root: pathlib.Path) -> None:
    assert parsed(rw("add", "made", "--set", "rows=5", "--json"))["snapshot"]["rows"] == 5
    assert parsed(rw("add", "source:made", "--name", "other", "--json"))["snapshot"]["rows"] == 2
    assert parsed(rw("add", "data", "--json"))["snapshot"]["name"] == "data"
    code, out, _ = rw("list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["data", "other", "made"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["add", "nope"], 3, "neither a data set"),
        (["add", "*.nope"], 3, "no file fits"),
        (["add", "roadworthy.toml", "--name", "X Y"], 2, "data set's name"),
        (["add", "made", "--set", "rows"], 2, "KEY=VALUE"),
        (["check", "nope"], 3, "no such data set"),
        (["check", "made"], 3, "no contract"),
        (["show", "nope"], 3, "no such snapshot"),
        (["restore", "nope", "--to", "x"], 3, "no such snapshot"),
        (["restore", "nope"], 2, "--to"),
    ],
)
def test_mistakes_are_one_message_and_their_exit_code(rw: Run, arguments: list[str], code: int, message: str) -> None:
    found, _, error = rw(*arguments)
    assert (found, message in error) == (code, True), error


@pytest.mark.parametrize("verb", ["", "add", "list", "show", "check", "restore", "verify"])
def test_help_has_examples(rw: Run, verb: str) -> None:
    code, out, _ = rw(*([verb] if verb else []), "--help")
    assert code == 0
    assert "Examples:\n  " in out


def test_a_large_file_is_said_to_be_linked_unless_copied(rw: Run, root: pathlib.Path) -> None:
    for name, options in (("one", []), ("two", ["--copy"])):
        with (root / f"{name}.bin").open("wb") as file:
            file.truncate(64 << 20)
            file.write(name.encode())
        answer = parsed(rw("add", f"{name}.bin", "--json", *options))
        writable = bool((root / f"{name}.bin").stat().st_mode & 0o200)
        assert (answer["linked"] == 0) is writable
        assert writable or not options
    assert rw("verify")[0] == 0
