"""What every test may ask for: a store with a held clock, on SQLite or on a PostgreSQL server of our own."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from roadworthy.store.clock import SeededIds, SimulatedClock
from roadworthy.store.store import Store, open_store
from tests.postgres import Server, find_binaries

START = 1_700_000_000.0

# A shell that starts the tests in the background has them ignore Ctrl-C, and the commands that they start and interrupt
# would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(START)


@pytest.fixture
def store(tmp_path: Path, clock: SimulatedClock) -> Iterator[Store]:
    with open_store(tmp_path / ".roadworthy", clock=clock, ids=SeededIds(7), actor="tester") as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server that these tests start, on a socket of their own; `make test-all` in CI may not skip it."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("the PostgreSQL server is not installed (Debian: apt-get install postgresql)")
    with Server(binaries) as server:
        yield server


@pytest.fixture
def pg_store(postgres: Server, tmp_path: Path, clock: SimulatedClock) -> Iterator[Store]:
    url = postgres.new_database()
    with open_store(tmp_path / ".roadworthy", url=url, clock=clock, ids=SeededIds(7), actor="tester") as opened:
        yield opened


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def any_store(request: pytest.FixtureRequest) -> Store:
    """The same test on both engines."""
    opened: Store = request.getfixturevalue("store" if request.param == "sqlite" else "pg_store")
    return opened


@pytest.fixture
def project_dir(tmp_path: Path) -> Callable[..., Path]:
    """Write a project: `project_dir({"roadworthy.toml": "…", "pipeline.py": "…"})` gives its folder."""

    def write(files: dict[str, str], name: str = "project") -> Path:
        root = tmp_path / name
        for path, text in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        return root

    return write
