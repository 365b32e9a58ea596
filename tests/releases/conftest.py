"""A project with a store on the machine's clock and a port of its own; whatever a test leaves running is stopped."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.nouns.project import Place
from roadworthy.releases import grounds
from roadworthy.store import project_file
from roadworthy.store.store import Store, open_store
from tests.releases import garage

BAZAAR = """
[release.whole]
type = "memory"
port = 8601

[release.parts]
type = "divided"
port = 8602
[release.parts.canary]
shares = ["10%", "50%"]
min_rows = 1
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = garage.project(tmp_path / "flights", garage.free_port())
    return project_file.read(root / "roadworthy.toml")


@pytest.fixture
def shop(place: Place) -> Iterator[Store]:
    """The project's store; its target is stopped at the end."""
    with open_store(place.home, actor="tester") as store:
        yield store
        grounds.open_target(store, place, "local").down()


@pytest.fixture
def bazaar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A project with targets of kinds that another package adds, with entry points as pip would have installed them."""
    info = tmp_path / "site" / "memory_target-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-target\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[roadworthy.targets]\n"
        "memory = tests.releases.memory_target:make\n"
        "divided = tests.releases.memory_target:make_divided\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    root = garage.project(tmp_path / "bazaar", 8600, BAZAAR)
    return project_file.read(root / "roadworthy.toml")
