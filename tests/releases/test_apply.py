"""Records of releases: what follows what, whoever asks, on a target that keeps everything in memory."""

import msgspec
import pytest

from roadworthy.gates import certificate, rules
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.evidence import Evidence
from roadworthy.nouns.model import Model
from roadworthy.nouns.plan import Plan
from roadworthy.nouns.project import Place
from roadworthy.nouns.release import Release
from roadworthy.registry import models
from roadworthy.releases import apply as applying
from roadworthy.releases import grounds, plan, releases
from roadworthy.store import locks
from roadworthy.store.clock import SimulatedClock, SystemClock
from roadworthy.store.log import newest
from roadworthy.store.store import Store
from tests.releases import garage

TARGET = "parts"


def planned(store: Store, place: Place, model: Model, shares: tuple[float, ...] | None = None) -> Plan:
    return plan.make(store, model, certificate.require(store, model), place, TARGET, shares=shares)


def release(store: Store, place: Place, model: Model, shares: tuple[float, ...] | None = None) -> Release:
    return applying.apply(store, planned(store, place, model, shares), place)


def shares(store: Store, place: Place) -> dict[str, float]:
    road = releases.road(store, "flights", TARGET)
    target = grounds.open_target(store, place, TARGET).observe()
    assert target.shares == pytest.approx({r.id: r.share for r in road.all if r.share})
    return {r.model: r.share for r in road.all}


def test_the_first_release_is_live_at_once_and_again_there_is_nothing_to_do(store: Store, bazaar: Place) -> None:
    model = garage.certified(store, seed=1)
    shown = planned(store, bazaar, model)
    assert {c.what: c.action for c in shown.changes}["model"] == "create"
    one = applying.apply(store, shown, bazaar)
    assert (one.status, one.certificate) == ("live", certificate.require(store, model).id)
    assert planned(store, bazaar, model).empty
    with store.read() as reader:
        size = len(newest(reader))
    assert applying.apply(store, shown, bazaar).id == one.id
    assert applying.observe(store, bazaar, TARGET).id == one.id
    with store.read() as reader:
        assert len(newest(reader)) == size, "nothing changed, and yet it was logged"


def test_a_plan_says_what_would_change(store: Store, bazaar: Place) -> None:
    first, second = garage.certified(store, seed=1), garage.certified(store, seed=2)
    release(store, bazaar, first)
    shown = planned(store, bazaar, second)
    changes = {c.what: (c.before, c.after) for c in shown.changes}
    assert changes["model"] == ("late@1", "late@2")
    assert changes["traffic"] == ("100%", "10%, then 50%, then 100%")
    assert changes["certificate"][0] == certificate.require(store, first).id[:16]
    assert (shown.min_rows, len(shown.rules), shown.previous) == (1, 3, releases.live(store, "flights", TARGET).id)
    assert releases.under_way(store, "flights", TARGET) is None, "a plan changes nothing"


def test_the_total_share_is_one_at_each_step(store: Store, bazaar: Place, clock: SimulatedClock) -> None:
    release(store, bazaar, garage.certified(store, seed=1))
    assert shares(store, bazaar) == {"late@1": 1.0}
    two = release(store, bazaar, garage.certified(store, seed=2))
    assert two.status == "canary"
    assert shares(store, bazaar) == pytest.approx({"late@1": 0.9, "late@2": 0.1})
    assert applying.observe(store, bazaar, TARGET).status == "canary", "no rows, no verdict"
    clock.sleep(3601)
    ended = applying.observe(store, bazaar, TARGET)
    assert (ended.id, ended.status) == (two.id, "rolled_back")
    assert "0 of 1 rows" in ended.reason
    assert shares(store, bazaar) == {"late@1": 1.0}
    assert models.aliases(store, "late") == {"champion": 1}


def test_back_and_further_back(store: Store, bazaar: Place) -> None:
    for seed in (1, 2, 3):
        release(store, bazaar, garage.certified(store, seed=seed), (1.0,))
    assert applying.rollback(store, bazaar, TARGET).model == "late@2"
    assert models.aliases(store, "late") == {"champion": 2}
    assert applying.rollback(store, bazaar, TARGET).model == "late@1"
    assert shares(store, bazaar) == {"late@1": 1.0}
    with pytest.raises(Fault, match="no release before"):
        applying.rollback(store, bazaar, TARGET)
    told = [(r.model, r.status) for r in releases.listing(store, "flights", TARGET)]
    assert sorted(told) == [("late@1", "live"), ("late@2", "rolled_back"), ("late@3", "rolled_back")]
    assert release(store, bazaar, models.get(store, "late@3"), (1.0,)).status == "live"


def test_going_back_needs_a_certificate_that_still_holds(store: Store, bazaar: Place, clock: SimulatedClock) -> None:
    first, second = garage.certified(store, seed=1), garage.certified(store, seed=2)
    release(store, bazaar, first)
    release(store, bazaar, second, (1.0,))
    clock.sleep(1)
    take_back(store, first)
    with pytest.raises(Fault, match="gate refused") as fault:
        applying.rollback(store, bazaar, TARGET)
    assert fault.value.code == Code.REFUSED
    assert shares(store, bazaar) == {"late@2": 1.0}
    # but what is live is healed even so: a refusal is a reason to release another, not to have nothing
    take_back(store, second)
    grounds.open_target(store, bazaar, TARGET).down()
    assert applying.up(store, bazaar, TARGET).model == "late@2"
    assert shares(store, bazaar) == {"late@2": 1.0}


def take_back(store: Store, model: Model) -> None:
    facts = {"metrics": {"auc": 0.1}}
    evidence = Evidence(model=model.id, model_digest=model.value.digest, facts=facts)
    certificate.issue(store, evidence, rules.judge(["metrics.auc >= 0.7"], facts), project="flights")


def test_nothing_is_released_without_a_certificate_that_holds(store: Store, bazaar: Place) -> None:
    refused = garage.certified(store, seed=1, passed=False)
    with pytest.raises(Fault, match="gate refused") as fault:
        planned(store, bazaar, refused)
    assert fault.value.code == Code.REFUSED
    good = garage.certified(store, seed=2)
    with pytest.raises(Fault, match="does not allow"):
        plan.make(store, refused, certificate.require(store, good), bazaar, TARGET)
    shown = planned(store, bazaar, good)
    path = store.blobs.path(good.value.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(Fault) as fault:
        applying.apply(store, shown, bazaar)
    assert fault.value.code == Code.REFUSED
    assert releases.listing(store, "flights") == []


def test_a_plan_that_the_world_overtook_is_not_applied(store: Store, bazaar: Place, clock: SimulatedClock) -> None:
    first, second, third = (garage.certified(store, seed=seed) for seed in (1, 2, 3))
    release(store, bazaar, first)
    old = planned(store, bazaar, second)
    release(store, bazaar, third, (1.0,))
    with pytest.raises(Fault, match="changed since the plan") as fault:
        applying.apply(store, old, bazaar)
    assert fault.value.code == Code.CONFLICT
    other = msgspec.structs.replace(planned(store, bazaar, second), certificate="0" * 64)
    with pytest.raises(Fault, match="not the one that was planned"):
        applying.apply(store, other, bazaar)


def test_one_release_at_a_time_and_the_same_again_carries_on(store: Store, bazaar: Place) -> None:
    first, second, third = (garage.certified(store, seed=seed) for seed in (1, 2, 3))
    release(store, bazaar, first)
    two = release(store, bazaar, second)
    with pytest.raises(Fault, match="on its way"):
        release(store, bazaar, third)
    assert release(store, bazaar, second).id == two.id
    assert applying.rollback(store, bazaar, TARGET).model == first.id
    assert releases.get(store, two.id).status == "rolled_back"


def test_whoever_holds_the_target_is_alone(store: Store, bazaar: Place) -> None:
    model = garage.certified(store, seed=1)
    shown = planned(store, bazaar, model)
    lock = locks.held(store, f"release:flights:{TARGET}", now=SystemClock().now())
    with lock, pytest.raises(Fault, match="is held by") as fault:
        applying.apply(store, shown, bazaar)
    assert fault.value.code == Code.CONFLICT
    assert applying.apply(store, shown, bazaar).status == "live"


def test_stopped_by_hand_stays_stopped_until_started_by_hand(store: Store, bazaar: Place) -> None:
    assert applying.down(store, bazaar, TARGET) is None
    with pytest.raises(Fault, match="nothing is released"):
        applying.up(store, bazaar, TARGET)
    one = release(store, bazaar, garage.certified(store, seed=1))
    two = release(store, bazaar, garage.certified(store, seed=2))
    for _ in range(2):
        assert applying.down(store, bazaar, TARGET).id == one.id
    assert releases.get(store, two.id).status == "rolled_back"
    applying.observe(store, bazaar, TARGET)
    target = grounds.open_target(store, bazaar, TARGET)
    assert target.observe().servers == ()
    assert applying.up(store, bazaar, TARGET).id == one.id
    assert shares(store, bazaar) == {"late@1": 1.0}
    # a new version beside a stopped one has nothing to be compared with
    applying.down(store, bazaar, TARGET)
    assert release(store, bazaar, models.get(store, "late@2")).status == "live"
    assert releases.get(store, one.id).status == "superseded"
    assert shares(store, bazaar) == {"late@2": 1.0}


def test_shares_that_make_no_sense_are_refused(store: Store, bazaar: Place) -> None:
    release(store, bazaar, garage.certified(store, seed=1))
    second = garage.certified(store, seed=2)
    for wrong in ((0.0,), (0.5, 0.1), (0.5, 0.5), (1.5,)):
        with pytest.raises(Fault, match="shares are over 0"):
            planned(store, bazaar, second, wrong)
    assert planned(store, bazaar, second, (0.2,)).shares == (0.2, 1.0)
    assert planned(store, bazaar, second, (1.0,)).shares == (1.0,)


def test_records_are_kept_alike_on_both_engines(any_store: Store) -> None:
    made = Release(id="a" * 32, model="m@1", target="t", certificate="c", project="p", status="live", share=1.0)
    releases.save(any_store, releases.Event(kind="release.live", subject=made.id), [made])
    coming = msgspec.structs.replace(made, id="b" * 32, model="m@2", status="canary", share=0.0, created_at=1.0)
    releases.save(any_store, releases.Event(kind="release.canary", subject=coming.id), [coming])
    assert releases.road(any_store, "p", "t") == releases.Road(live=made, coming=coming)
    over = msgspec.structs.replace(coming, status="failed")
    releases.save(any_store, releases.Event(kind="release.failed", subject=coming.id), [over])
    assert releases.road(any_store, "p", "t") == releases.Road(live=made)
    assert releases.listing(any_store, "p") == [over, made]
    assert releases.listing(any_store, "p", "t", limit=1) == [over]
    with pytest.raises(Fault, match="no such release"):
        releases.get(any_store, "c")
