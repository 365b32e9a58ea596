"""`rw status` and `rw rollback` on targets that keep everything in memory, in this process."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from roadworthy.faces.cli import main
from roadworthy.faces.cli.main import rw
from roadworthy.nouns.errors import Code, Fault
from roadworthy.releases import status
from roadworthy.store import project_file
from roadworthy.store.store import open_store
from tests.releases import garage

TARGETS = """
[release.parts]
type = "divided"
port = 8602
[release.parts.canary]
shares = ["25%"]

[operate]
target = "parts"
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    info = tmp_path / "site" / "memory_target-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-target\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[roadworthy.targets]\ndivided = tests.releases.memory_target:make_divided\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.chdir(garage.project(tmp_path / "bazaar", 8600, TARGETS))
    return lambda *arguments: CliRunner().invoke(rw, arguments)


def certify(seed: int) -> str:
    place = project_file.read(Path.cwd() / "roadworthy.toml")
    with open_store(place.home) as store:
        return garage.certified(store, seed=seed).id


def test_status_of_nothing_names_what_to_do(run: Callable[..., Result]) -> None:
    shown = run("status")
    assert shown.exit_code == 0
    assert "nothing is released here yet: rw release --to parts" in shown.output
    assert [t["target"] for t in json.loads(run("status", "--json").stdout)] == ["local", "parts"]


def test_status_shows_both_versions_of_a_canary(run: Callable[..., Result]) -> None:
    certify(1)
    assert run("release", "--yes").exit_code == 0
    certify(2)
    assert run("release", "--yes").exit_code == 0
    told = json.loads(run("status", "--to", "parts", "--json").stdout)
    assert [(v["model"], v["status"], v["share"], v["given"], v["health"]) for v in told[0]["versions"]] == [
        ("late@1", "live", 0.75, 0.75, "up"), ("late@2", "canary", 0.25, 0.25, "up"),
    ]  # fmt: skip
    shown = run("status", "--to", "parts").output
    assert "late@2  canary  25%" in shown
    assert "curl -s http://memory/invocations" in shown

    back = run("rollback", "--json")
    assert json.loads(back.stdout)["model"] == "late@1"
    assert [v["model"] for v in json.loads(run("status", "--to", "parts", "--json").stdout)[0]["versions"]] == [
        "late@1"
    ]
    again = run("rollback")
    assert isinstance(again.exception, Fault)
    assert again.exception.code == Code.CONFLICT


def test_rollback_of_nothing_is_said(run: Callable[..., Result]) -> None:
    nothing = run("rollback")
    assert isinstance(nothing.exception, Fault)
    assert nothing.exception.code == Code.NOT_FOUND
    unknown = run("status", "--to", "moon")
    assert isinstance(unknown.exception, Fault)
    assert unknown.exception.code == Code.NOT_FOUND


def test_the_example_request_holds_values_the_model_was_trained_on(run: Callable[..., Result]) -> None:
    certify(1)
    place = project_file.read(Path.cwd() / "roadworthy.toml")
    with open_store(place.home) as store:
        from roadworthy.gates.measures import drift
        from roadworthy.registry import models

        model = models.get(store, "late")
        profile = store.blobs.put(drift.encode(drift.profile(garage.rows(200), tuple(garage.FEATURES))))
        import msgspec

        line = status.curl(store, place, "http://x", msgspec.structs.replace(model, profile=profile))
    row = json.loads(line.split("-d '")[1].rstrip("'"))["dataframe_records"][0]
    assert row["carrier"] in {"AA", "B6", "DL"}
    assert 800 < row["distance"] < 1200


def test_every_verb_here_has_help_with_examples(run: Callable[..., Result]) -> None:
    for verb in ("release", "rollback", "status"):
        assert verb in main.VERBS
        shown = run(verb, "--help").output
        assert "Examples:" in shown
        assert f"  rw {verb}" in shown
