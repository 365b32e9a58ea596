"""A project with a store on the machine's clock and a port of its own; whatever a test leaves running is stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.nouns.project import Place
from roadworthy.releases import grounds
from roadworthy.store import project_file
from roadworthy.store.store import Store, open_store
from tests.releases import garage


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
