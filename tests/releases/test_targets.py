"""Every kind of target keeps the same promises; kinds that packages add are found and released to as ours are."""

import sys

import pytest

from roadworthy.gates import certificate
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Place
from roadworthy.releases import apply as applying
from roadworthy.releases import grounds, plan, releases
from roadworthy.releases.targets import conformance
from roadworthy.releases.targets.protocol import Unit, abilities
from roadworthy.store.store import Store
from tests.releases import garage


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


@pytest.mark.parametrize("name", ["whole", "parts"])
def test_a_strangers_target_is_found_and_keeps_what_it_can(store: Store, bazaar: Place, name: str) -> None:
    assert grounds.kinds() == ["divided", "local", "memory"]
    first, second = garage.certified(store, seed=1), garage.certified(store, seed=2)
    report = conformance.check(
        lambda: grounds.open_target(store, bazaar, name), unit(store, first, "a" * 32), unit(store, second, "b" * 32)
    )
    assert set(report.skipped) == ({"shares", "shadow"} if name == "whole" else {"shadow"})


def test_a_target_that_cannot_divide_traffic_is_released_to_at_once(store: Store, bazaar: Place) -> None:
    for version in (1, 2):
        model = garage.certified(store, seed=version)
        shown = plan.make(store, model, certificate.require(store, model), bazaar, "whole")
        assert shown.shares == (1.0,)
        assert applying.apply(store, shown, bazaar).status == "live"
    assert [r.status for r in releases.listing(store, "flights", "whole")] == ["live", "superseded"]
    third = garage.certified(store, seed=3)
    with pytest.raises(Fault, match="cannot divide traffic"):
        plan.make(store, third, certificate.require(store, third), bazaar, "whole", shares=(0.1,))
    assert applying.rollback(store, bazaar, "whole").model == "late@1"


def test_a_kind_or_name_that_is_not_there_is_named(
    store: Store, bazaar: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[1:])
    with pytest.raises(Fault, match="no installed package"):
        grounds.open_target(store, bazaar, "parts")
    with pytest.raises(Fault, match="no such target"):
        grounds.open_target(store, bazaar, "moon")


def test_the_default_target(bazaar: Place) -> None:
    assert grounds.default(bazaar) == "local"
    assert grounds.default(bazaar, "parts") == "parts"
    assert grounds.names(bazaar) == ["local", "parts", "whole"]
