"""The journey makes its project once, and does not write over what a person wrote into it."""

import json
from pathlib import Path

import journey
import pytest


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made project in a folder of the test's own."""
    folder = tmp_path / "late-flights"
    folder.mkdir()
    for name in journey.MADE_FILES:
        (folder / name).write_text(f"# {name}\n")
    monkeypatch.setattr(journey, "PROJECT", folder)
    monkeypatch.setattr(journey, "MADE", folder / ".made.json")
    return folder


def made_of(project: Path, sources: dict[str, str]) -> None:
    files = journey.digests(project, journey.MADE_FILES)
    (project / ".made.json").write_text(json.dumps({"from": sources, "files": files}))


def test_a_project_of_the_same_notebook_is_not_made_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_of(project, journey.digests(journey.HERE, journey.MADE_FROM))
    (project / "pipeline.py").write_text("# mine\n")
    journey.make_project()
    assert "nothing has changed since" in capsys.readouterr().out
    assert (project / "pipeline.py").read_text() == "# mine\n"


def test_what_a_person_wrote_is_not_written_over(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_of(project, {"train.ipynb": "another"})
    (project / "roadworthy.toml").write_text("# mine\n")
    journey.make_project()
    said = capsys.readouterr().out
    assert "taken as it is" in said
    assert "rm -r" in said
    assert (project / "roadworthy.toml").read_text() == "# mine\n"
