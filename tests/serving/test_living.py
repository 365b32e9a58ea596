"""Servers whose store was removed or moved end by themselves, and make nothing of it anew."""

import shutil
import subprocess
from pathlib import Path

import pytest

from roadworthy.serving.living import MISSES, POLL_S, Home
from roadworthy.serving.routes import State, write_state
from tests.serving.servers import ROW, Launcher, Maker, free_port

PATIENCE_S = POLL_S * (MISSES + 1) + 30


def test_another_folder_in_its_place_is_not_it(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    never = Home(folder)
    folder.mkdir()
    home = Home(folder)
    assert home.is_there()
    folder.rename(tmp_path / "moved")
    assert not home.is_there()
    folder.mkdir()
    assert not home.is_there()
    assert never.is_there()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["removed", "moved"])
def test_servers_end_when_their_store_is_gone(maker: Maker, launch: Launcher, tmp_path: Path, how: str) -> None:
    home = tmp_path / "p" / ".roadworthy"
    home.mkdir(parents=True)
    server = launch.app(maker.bundle(maker.model()), None, "--log", str(home / "inference"))
    state = home / "serving" / "local" / "state.json"
    write_state(state, State())
    port = free_port()
    router = launch(
        "router", port, "--state", str(state), "--port", str(port), "--control", str(tmp_path / "control")
    )  # fmt: skip
    other = launch.app(maker.bundle(maker.model(2)), None)  # of no store: nothing that it could miss
    server.wait()
    other.wait()
    assert server.predict(ROW).status == 200
    if how == "removed":
        while (tmp_path / "p").exists():  # a row may be written into it meanwhile
            shutil.rmtree(tmp_path / "p", ignore_errors=True)
    else:
        (tmp_path / "p").rename(tmp_path / "q")
    # Rows that wait are not written to a store that is gone.
    assert server.predict(ROW).status == 200
    for each in (server, router):
        assert each.process.wait(timeout=PATIENCE_S) == 0, each.log.read_text()
        assert "is gone: ending" in each.log.read_text()
    assert not (tmp_path / "p").exists()
    with pytest.raises(subprocess.TimeoutExpired):
        other.process.wait(timeout=0.1)
