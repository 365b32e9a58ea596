"""Releases to this machine with real servers, real traffic and real kills."""

import http.client
import os
import signal
import threading
import time
from typing import Self

import msgspec
import psutil
import pytest

from roadworthy.gates import certificate
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.model import Model
from roadworthy.nouns.plan import Plan
from roadworthy.nouns.project import Place
from roadworthy.nouns.release import Release
from roadworthy.registry import models
from roadworthy.releases import apply as applying
from roadworthy.releases import grounds, plan, releases
from roadworthy.store.log import newest
from roadworthy.store.store import Store
from tests.releases import garage
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)


def planned(store: Store, place: Place, model: Model, shares: tuple[float, ...] | None = None) -> Plan:
    return plan.make(store, model, certificate.require(store, model), place, "local", shares=shares)


def release(store: Store, place: Place, model: Model, shares: tuple[float, ...] | None = None) -> Release:
    return applying.apply(store, planned(store, place, model, shares), place)


def port(place: Place) -> int:
    return place.project.release["local"].port


class Traffic:
    """Clients that never stop asking, some over one connection; every answer but 200 is kept."""

    def __init__(self, port: int, clients: int = 3) -> None:
        self.port = port
        self.bad: list[object] = []
        self.answered = 0
        self.met: dict[str, set[str]] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, seed: int) -> None:
        table = garage.rows(5_000, seed + 100)
        at = 0
        kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30.0) if seed % 2 else None
        while not self._stop.is_set():
            row = table.iloc[at % len(table) : at % len(table) + 1]
            at += 1
            try:
                status, body, headers = garage.post(self.port, row, kept=kept)
            except OSError as problem:
                self.bad.append(repr(problem))
                continue
            if status != 200:
                self.bad.append((status, body))
                continue
            self.answered += 1
            self.met.setdefault(row["tailnum"].iloc[0], set()).add(headers["x-roadworthy-model"])
        if kept is not None:
            kept.close()


def served_by(place: Place, count: int = 60, seed: int = 5) -> dict[str, str]:
    """Entity to the version that answered it."""
    table = garage.rows(count, seed)
    found = {}
    for i in range(count):
        status, _, headers = garage.post(port(place), table.iloc[i : i + 1])
        assert status == 200
        found[table["tailnum"].iloc[i]] = headers["x-roadworthy-model"]
    return found


def observe_until_over(
    store: Store, place: Place, known: Release, *, feed: bool = True, patience_s: float = 60
) -> Release:
    end = time.monotonic() + patience_s
    seed = 1_000
    while True:
        if feed:
            for i in range(40):
                garage.post(port(place), garage.rows(1, seed + i))
            seed += 40
        applying.observe(store, place, "local")
        now = releases.get(store, known.id)
        if now.status != "canary" or time.monotonic() > end:
            return now


def kinds(store: Store, release_id: str) -> list[str]:
    with store.read() as reader:
        return [event.kind for event in reversed(newest(reader, subject=release_id))]


def test_the_road_of_two_versions(shop: Store, place: Place) -> None:
    first, second = garage.certified(shop, seed=1), garage.certified(shop, seed=2)
    shown = planned(shop, place, first)
    assert not shown.empty
    assert shown.shares == (1.0,)
    one = applying.apply(shop, shown, place)
    assert (one.status, one.share) == ("live", 1.0)
    assert kinds(shop, one.id) == ["release.planned", "release.starting", "release.live", "release.crowned"]
    assert planned(shop, place, first).empty
    assert set(served_by(place, 5).values()) == {first.id}
    assert models.champion(shop, "late") == first

    two = release(shop, place, second)
    assert (two.status, two.share) == ("canary", 0.3)
    assert models.champion(shop, "late") == first
    with Traffic(port(place)) as traffic:
        met = served_by(place)
        assert set(met.values()) == {first.id, second.id}
        assert served_by(place) == met, "an entity met another version"
        two = until(lambda: live_now(shop, place, two))
        assert releases.get(shop, one.id).status == "superseded"
        assert models.champion(shop, "late") == second
        assert set(served_by(place, 20).values()) == {second.id}

        back = applying.rollback(shop, place, "local")
        assert (back.id, back.status) == (one.id, "live")
        assert set(served_by(place, 20).values()) == {first.id}
    assert traffic.bad == []
    assert traffic.answered > 100
    assert releases.get(shop, two.id).status == "rolled_back"
    assert models.champion(shop, "late") == first
    observed = grounds.open_target(shop, place, "local").observe()
    assert [server.release for server in observed.servers] == [one.id]
    assert observed.shares == {one.id: 1.0}
    with pytest.raises(Fault, match="no release before"):
        applying.rollback(shop, place, "local")


def live_now(store: Store, place: Place, known: Release) -> Release | None:
    applying.observe(store, place, "local")
    now = releases.get(store, known.id)
    assert now.status in {"canary", "live"}, now.reason
    return now if now.status == "live" else None


def test_a_canary_that_errs_is_rolled_back_by_itself(shop: Store, place: Place) -> None:
    release(shop, place, garage.certified(shop, seed=1))
    bad = release(shop, place, garage.certified(shop, seed=2, kind="erring"))
    assert bad.status == "canary"
    ended = observe_until_over(shop, place, bad)
    assert ended.status == "rolled_back"
    assert "canary.errors.share" in ended.reason
    assert set(served_by(place, 10).values()) == {"late@1"}
    assert models.aliases(shop, "late")["champion"] == 1


@pytest.mark.slow
def test_a_canary_whose_scores_drift_is_rolled_back_by_itself(shop: Store, place: Place) -> None:
    release(shop, place, garage.certified(shop, seed=1))
    odd = release(shop, place, garage.certified(shop, seed=2, kind="drifting"), (0.5,))
    ended = observe_until_over(shop, place, odd)
    assert ended.status == "rolled_back"
    assert "canary.score.psi" in ended.reason
    assert [o.passed for o in ended.outcomes] == [True, False]


def test_a_server_that_is_killed_is_seen_and_healed(shop: Store, place: Place) -> None:
    one = release(shop, place, garage.certified(shop, seed=1))
    target = grounds.open_target(shop, place, "local")
    pid = target.observe().server(one.id).pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")
    assert not target.observe().healthy(one.id)
    assert not planned(shop, place, models.get(shop, "late@1")).empty
    healed = applying.up(shop, place, "local")
    assert healed.id == one.id
    assert target.observe().healthy(one.id)
    assert set(served_by(place, 5).values()) == {"late@1"}


@pytest.mark.slow
def test_a_machine_that_was_restarted_gets_back_live_and_canary(shop: Store, place: Place) -> None:
    one = release(shop, place, garage.certified(shop, seed=1))
    two = release(shop, place, garage.certified(shop, seed=2))
    target = grounds.open_target(shop, place, "local")
    seen = target.observe()
    for pid in [seen.detail["router"], *(server.pid for server in seen.servers)]:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not target.observe().up)
    assert applying.up(shop, place, "local").status == "canary"
    seen = target.observe()
    assert seen.healthy(one.id)
    assert seen.healthy(two.id)
    assert seen.shares == pytest.approx({one.id: 0.7, two.id: 0.3})


@pytest.mark.slow
def test_down_and_up_again(shop: Store, place: Place) -> None:
    one = release(shop, place, garage.certified(shop, seed=1))
    for _ in range(2):
        assert applying.down(shop, place, "local").id == one.id
    seen = grounds.open_target(shop, place, "local").observe()
    assert (seen.up, seen.servers) == (False, ())
    assert releases.get(shop, one.id).stopped
    # what was stopped by hand is not brought back by the loop
    applying.observe(shop, place, "local")
    assert not grounds.open_target(shop, place, "local").observe().up
    assert applying.up(shop, place, "local").status == "live"
    assert set(served_by(place, 3).values()) == {"late@1"}


def test_a_taken_port_is_named_and_leaves_no_process(shop: Store, place: Place) -> None:
    import socket

    with socket.create_server(("127.0.0.1", port(place))):
        with pytest.raises(Fault, match=f"port {port(place)} is taken") as fault:
            release(shop, place, garage.certified(shop, seed=1))
        assert str(os.getpid()) in fault.value.what
    assert [r.status for r in releases.listing(shop, "flights")] == ["failed"]
    assert grounds.open_target(shop, place, "local").observe().servers == ()


@pytest.mark.slow
def test_another_port_moves_the_router_alone(shop: Store, place: Place) -> None:
    one = release(shop, place, garage.certified(shop, seed=1))
    before = grounds.open_target(shop, place, "local").observe()
    target = msgspec.structs.replace(place.project.release["local"], port=garage.free_port())
    moved = msgspec.structs.replace(place, project=msgspec.structs.replace(place.project, release={"local": target}))
    shown = planned(shop, moved, models.get(shop, "late@1"))
    assert [change.what for change in shown.changes if change.action != "keep"] == ["router"]
    assert applying.apply(shop, shown, moved).id == one.id
    after = grounds.open_target(shop, moved, "local").observe()
    assert after.port == target.port
    assert [s.pid for s in after.servers] == [s.pid for s in before.servers]
    assert set(served_by(moved, 3).values()) == {"late@1"}


@pytest.mark.slow
def test_a_canary_whose_server_dies_is_rolled_back(shop: Store, place: Place) -> None:
    one = release(shop, place, garage.certified(shop, seed=1))
    two = release(shop, place, garage.certified(shop, seed=2))
    target = grounds.open_target(shop, place, "local")
    os.kill(target.observe().server(two.id).pid, signal.SIGKILL)
    until(lambda: not target.observe().healthy(two.id))
    ended = applying.observe(shop, place, "local")
    assert (ended.id, ended.status, ended.reason) == (two.id, "rolled_back", "its server died")
    assert target.observe().shares == {one.id: 1.0}


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_fails_and_what_was_live_stays(shop: Store, place: Place) -> None:
    release(shop, place, garage.certified(shop, seed=1))
    with pytest.raises(Fault, match="late@2 could not be started") as fault:
        release(shop, place, garage.certified(shop, seed=2, kind="unloadable"))
    assert fault.value.fix == "late@1 stays live"
    assert set(served_by(place, 3).values()) == {"late@1"}
    assert [r.status for r in releases.listing(shop, "flights")] == ["failed", "live"]
