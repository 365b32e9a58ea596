"""`kill -9` under full load, again and again: what was acknowledged is there afterwards, counted by who was told so."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.postgres import Server
from tests.server_faults.load import Load, check
from tests.server_faults.served import Served

pytestmark = pytest.mark.slow
KILLS = 4
BETWEEN = (100, 300)  # acknowledged requests from one start to the next kill


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_what_was_acknowledged_survives_kills_under_load(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest, count: Callable[[str], None]
) -> None:
    url = ""
    if engine == "postgresql":
        postgres: Server = request.getfixturevalue("postgres")
        url = postgres.new_database()
    chance = random.Random(11)
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder, url) as served, Load([served]) as load:
        for _ in range(KILLS):
            load.wait_for(chance.randint(*BETWEEN))
            served.kill()
            served.start()
        load.wait_for(100)
        load.stop()
        found = check(served, load)
        assert load.odd == []
        assert load.broken > 0, "no kill met a request under way"
        assert found.lost == []
        assert served.stop() == 0
    count(
        f"{engine}: {KILLS} kills, {found.requests:,} requests acknowledged ({found.runs:,} runs, {found.points:,} points"
        f" found), 0 lost; {found.unknown} under way at a kill, {found.unknown_there} of them there, whole"
    )


def test_a_server_that_is_told_to_stop_answers_what_it_took_on(tmp_path: Path, count: Callable[[str], None]) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder) as served:
        with Load([served]) as load:
            load.wait_for(300)
            assert served.stop() == 0
        served.start()
        found = check(served, load)
        assert found.lost == []
        assert load.odd == []
    count(f"SIGTERM under load: {found.requests:,} requests acknowledged, 0 lost")
