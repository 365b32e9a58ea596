"""`rw release` as users meet it: a process with arguments, output and an exit code."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from roadworthy.nouns.project import Place
from roadworthy.releases import grounds, releases
from roadworthy.store import project_file
from roadworthy.store.store import Store, open_store
from tests.releases import garage
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)
RW = (sys.executable, "-m", "roadworthy")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = garage.project(tmp_path / "flights", garage.free_port())
    return project_file.read(root / "roadworthy.toml")


@pytest.fixture
def shop(place: Place) -> Iterator[Store]:
    with open_store(place.home, actor="tester") as store:
        yield store
        grounds.open_target(store, place, "local").down()


def rw(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RW, *arguments], cwd=place.root, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_plan_apply_and_nothing_to_do(shop: Store, place: Place) -> None:
    model = garage.certified(shop, seed=1)
    shown = rw(place, "release", "--plan")
    assert shown.returncode == 0, shown.stderr
    assert "+ model" in shown.stdout
    assert model.id in shown.stdout
    assert f"127.0.0.1:{place.project.release['local'].port}" in shown.stdout
    assert releases.listing(shop, "flights") == []

    unasked = rw(place, "release")
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    assert releases.listing(shop, "flights") == []

    done = rw(place, "release", "--yes")
    assert done.returncode == 0, done.stderr
    assert "late@1 is live on local: http://127.0.0.1:" in done.stdout
    again = rw(place, "release", "--yes")
    assert (again.returncode, again.stdout) == (0, "Nothing to do: late@1 is live on local.\n")

    status = rw(place, "status")
    assert "late@1" in status.stdout
    assert "curl -s http://127.0.0.1:" in status.stdout
    curl = status.stdout[status.stdout.index("curl ") :].strip()
    body = json.loads(curl.split("-d '")[1].rstrip("'"))
    assert set(body["dataframe_records"][0]) == {"distance", "carrier", "tailnum", "id"}

    assert rw(place, "release", "--down").returncode == 0
    told = json.loads(rw(place, "status", "--json").stdout)[0]
    assert (told["healthy"], told["url"], told["versions"][0]["health"]) == (True, "", "stopped")
    assert rw(place, "release", "--down").returncode == 0
    assert rw(place, "release", "--up").returncode == 0
    told = json.loads(rw(place, "status", "--json").stdout)[0]
    assert (told["healthy"], told["versions"][0]["health"], told["versions"][0]["share"]) == (True, "up", 1.0)


def test_a_model_without_a_certificate_is_refused_with_its_own_code(shop: Store, place: Place) -> None:
    garage.certified(shop, seed=1, passed=False)
    refused = rw(place, "release", "--yes")
    assert refused.returncode == 5
    assert "would pass: metrics.auc >= 0.9" in refused.stderr
    missing = rw(place, "release", "late@7", "--json")
    assert missing.returncode == 3
    assert json.loads(missing.stdout)["error"]["code"] == "not_found"
    elsewhere = rw(place, "release", "--to", "moon")
    assert elsewhere.returncode == 3
    assert "there is: local" in elsewhere.stderr


@pytest.mark.slow
def test_a_canary_is_waited_for_until_it_goes_back(shop: Store, place: Place) -> None:
    garage.certified(shop, seed=1)
    assert rw(place, "release", "--yes").returncode == 0
    garage.certified(shop, seed=2, kind="erring")
    with subprocess.Popen(
        [*RW, "release", "--yes", "--canary", "50%", "--wait"], cwd=place.root, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    ) as waiting:  # fmt: skip
        seed = 0
        while waiting.poll() is None:
            seed += 1
            if releases.live(shop, "flights", "local"):
                garage.post(place.project.release["local"].port, garage.rows(1, seed))
            time.sleep(0.005)
        assert waiting.stderr is not None
        told = waiting.stderr.read()
    assert waiting.returncode == 5, told
    assert "late@2: canary at 50%" in told
    assert "late@2 was rolled back" in told
    assert "late@1 has all the traffic" in told
    assert rw(place, "rollback").returncode == 4


def processes_of(place: Place) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(place.home) in line and "roadworthy.serving" in line and process.status() != psutil.STATUS_ZOMBIE:
            found.append("router" if "serving.router" in line else "model")
    return sorted(found)


@pytest.mark.slow
def test_a_release_killed_anywhere_is_carried_on_by_the_same_command(shop: Store, place: Place) -> None:
    def newest(status: str) -> Callable[[], bool]:
        return lambda: bool(found := releases.listing(shop, "flights", limit=1)) and found[0].status == status

    moments: list[Callable[[], bool]] = [
        lambda: bool(releases.listing(shop, "flights")),
        newest("starting"),
        lambda: processes_of(place).count("model") > 1,
        newest("live"),
    ]
    for version, moment in enumerate(moments, start=1):
        garage.certified(shop, seed=version)
        command = [*RW, "release", f"late@{version}", "--yes", "--no-canary"]
        with subprocess.Popen(command, cwd=place.root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as killed:
            until(lambda m=moment, k=killed: m() or k.poll() is not None)
            if killed.poll() is None:
                os.kill(killed.pid, signal.SIGKILL)
        done = subprocess.run(command, cwd=place.root, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        live = releases.live(shop, "flights", "local")
        assert live is not None
        assert live.model == f"late@{version}"
        assert processes_of(place) == ["model", "router"]
        status, _, headers = garage.post(place.project.release["local"].port, garage.rows(1))
        assert (status, headers["x-roadworthy-model"]) == (200, live.model)
    assert [r.status for r in releases.listing(shop, "flights")] == ["live", "superseded", "superseded", "superseded"]
    back = rw(place, "rollback", "--json")
    assert json.loads(back.stdout)["model"] == "late@3"
    assert json.loads(back.stdout)["status"] == "live"


def test_on_a_terminal_it_asks_first(shop: Store, place: Place) -> None:
    garage.certified(shop, seed=1)
    ours, theirs = pty.openpty()
    with subprocess.Popen([*RW, "release"], cwd=place.root, stdin=theirs, stdout=theirs, stderr=theirs) as asked:
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, b"n\n")
        assert asked.wait(60) == 130
    os.close(ours)
    assert b"Apply this to local?" in shown
    assert releases.listing(shop, "flights") == []
