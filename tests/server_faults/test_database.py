"""A PostgreSQL that goes away and comes back, and stores that have more than one server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.server.wire import post, request
from tests.postgres import Server, find_binaries
from tests.server_faults.load import Load, check
from tests.server_faults.served import Served, is_mlflow_error

pytestmark = pytest.mark.slow


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """A server that a test may stop."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("the PostgreSQL server is not installed (Debian: apt-get install postgresql)")
    with Server(binaries) as server:
        yield server


@pytest.mark.postgres
def test_a_postgresql_that_goes_away_and_comes_back_is_waited_out(
    own_postgres: Server, tmp_path: Path, count: Callable[[str], None]
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder, own_postgres.new_database()) as served, Load([served]) as load:
        for mode in ("fast", "immediate"):
            load.wait_for(200)
            own_postgres.stop(mode)
            load.wait_for(10, refused=True)
            assert served.lives()
            assert served.answers("/health")
            assert not served.answers("/readyz")
            status, answer = served.call("runs/create", experiment_id="0")
            assert is_mlflow_error(status, answer)
            assert status == 503
            own_postgres.start()
            load.wait_for(200)
        load.stop()
        found = check(served, load)
        assert found.lost == []
        assert load.odd == []
        assert set(load.refused) == {"503 TEMPORARILY_UNAVAILABLE"}
        assert served.stop() == 0
    refused = load.refused.total()
    count(f"PostgreSQL away twice: {refused} refused with 503; {found.requests:,} acknowledged, 0 lost, not restarted")


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_two_servers_on_one_store_lose_nothing_even_if_one_is_killed(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest, count: Callable[[str], None]
) -> None:
    url = request.getfixturevalue("postgres").new_database() if engine == "postgresql" else ""
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder, url) as one, Served(folder, url) as other:
        with Load([one, other]) as load:
            load.wait_for(400)
            other.kill()
            load.wait_for(100)
            other.start()
            load.wait_for(400)
        assert load.odd == []
        assert not load.refused
        for each in (one, other):
            found = check(each, load)
            assert found.lost == []
            assert len({run.id for run in load.runs}) == len(load.runs)
        assert (one.stop(), other.stop()) == (0, 0)
    count(f"two servers on one {engine}, one killed: {found.requests:,} acknowledged, 0 lost, the same by either")


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_of_two_servers_either_knows_at_once_what_the_other_acknowledged(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").new_database() if engine == "postgresql" else ""
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder, url) as one, Served(folder, url) as other:
        with one.connected() as here, other.connected() as there:
            made = here.call("experiments/create", name="shared")["experiment_id"]
            for number in range(20):
                run = here.call("runs/create", experiment_id=made)["run"]["info"]["run_id"]
                there.ask(post("runs/log-metric", run_id=run, key="m", value=number, timestamp=1, step=number))
                data = here.get(f"runs/get?run_id={run}")["run"]["data"]
                assert [metric["value"] for metric in data["metrics"]] == [number]
            found = there.call("runs/search", experiment_ids=[made], filter="metrics.m >= 10", max_results=100)
            assert len(found["runs"]) == 10
        status, answer = other.call("experiments/create", name="shared")
        assert (status, answer["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")


def test_a_port_that_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder) as one:
        second = Served(folder)
        second.port = one.port
        with pytest.raises(AssertionError, match="the server ended"):
            start_beside(second)
        assert "Traceback" not in second.log.read_text()
        with one.connected() as connection:
            connection.ask(request("GET", "/health"))


def start_beside(second: Served) -> None:
    """As `start`, but the port answers already: what counts is that the second process ends."""
    second.answers = lambda path: False  # type: ignore[method-assign]
    second.start()
