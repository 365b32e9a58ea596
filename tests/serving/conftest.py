"""Small real models in real bundles, and the processes that serve them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.servers import Launcher, Maker, Served


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "store")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path_factory.mktemp("run"))
    yield launcher
    launcher.close()


@pytest.fixture(scope="session")
def launch_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path_factory.mktemp("run"))
    yield launcher
    launcher.close()


@pytest.fixture(scope="session")
def serve_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def server(shared: Maker, launch_shared: Launcher, serve_home: Path) -> Served:
    """One model server for all tests that only ask."""
    made = shared.bundle(shared.model())
    return launch_shared.app(made, None, "--log", str(serve_home / "inference")).wait()
