"""Every kind of target keeps the same promises; kinds that packages add are found and released to as ours are."""

import sys
from pathlib import Path

import pytest

from roadworthy.gates import certificate
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Place
from roadworthy.releases import apply as applying
from roadworthy.releases import grounds, plan, releases
from roadworthy.releases.targets import conformance
from roadworthy.releases.targets.protocol import Unit, abilities
from roadworthy.store import project_file
from roadworthy.store.store import Store
from tests.releases import garage


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with an entry point, as pip would have installed it."""
    info = tmp_path / "site" / "memory_target-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-target\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[roadworthy.targets]\nmemory = tests.releases.memory_target:make\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])


def memory_place(tmp_path: Path) -> Place:
    root = garage.project(tmp_path / "flights", 8600, '\n[release.mem]\ntype = "memory"\nport = 8601\n')
    return project_file.read(root / "roadworthy.toml")


def unit(store: Store, model: Model, release: str) -> Unit:
    found = certificate.require(store, model)
    return Unit(release=release, model=model, envelope=certificate.export(store, found.id))


def test_local_keeps_every_promise(shop: Store, place: Place) -> None:
    first, second = garage.certified(shop, seed=1), garage.certified(shop, seed=2)
    report = conformance.check(
        lambda: grounds.open_target(shop, place, "local"), unit(shop, first, "a" * 32), unit(shop, second, "b" * 32)
    )
    assert report.skipped == {}
    assert {"shares", "shadow", "keep", "down_twice"} <= set(report.kept)
    assert abilities(grounds.open_target(shop, place, "local")) == {"splits traffic": True, "shadows": True}


@pytest.mark.usefixtures("installed")
def test_a_strangers_target_is_found_and_keeps_what_it_can(store: Store, tmp_path: Path) -> None:
    assert grounds.kinds() == ["local", "memory"]
    place = memory_place(tmp_path)
    first, second = garage.certified(store, seed=1), garage.certified(store, seed=2)
    report = conformance.check(
        lambda: grounds.open_target(store, place, "mem"), unit(store, first, "a" * 32), unit(store, second, "b" * 32)
    )
    assert set(report.skipped) == {"shares", "shadow"}


@pytest.mark.usefixtures("installed")
def test_a_target_that_cannot_divide_traffic_is_released_to_at_once(store: Store, tmp_path: Path) -> None:
    place = memory_place(tmp_path)
    for version in (1, 2):
        model = garage.certified(store, seed=version)
        shown = plan.make(store, model, certificate.require(store, model), place, "mem")
        assert shown.shares == (1.0,)
        assert applying.apply(store, shown, place).status == "live"
    assert [r.status for r in releases.listing(store, "flights", "mem")] == ["live", "superseded"]
    third = garage.certified(store, seed=3)
    with pytest.raises(Fault, match="cannot divide traffic"):
        plan.make(store, third, certificate.require(store, third), place, "mem", shares=(0.1,))
    assert applying.rollback(store, place, "mem").model == "late@1"


def test_a_kind_or_name_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    place = memory_place(tmp_path)
    with pytest.raises(Fault, match="no installed package"):
        grounds.open_target(store, place, "mem")
    with pytest.raises(Fault, match="no such target"):
        grounds.open_target(store, place, "moon")


def test_the_default_target(tmp_path: Path) -> None:
    place = memory_place(tmp_path)
    assert grounds.default(place) == "local"
    assert grounds.default(place, "mem") == "mem"
    assert grounds.names(place) == ["local", "mem"]
