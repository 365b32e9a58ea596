"""The rollout as a pure function: each transition by itself, then thousands of random histories."""

import random
from dataclasses import dataclass, field

import msgspec
import pytest

from roadworthy.nouns.release import Release
from roadworthy.nouns.rule import Rule
from roadworthy.releases import rollout
from roadworthy.releases.rollout import Crown, Retire, Seen, Split, Start, advance, settle

OLD = Release(id="old", model="m@1", target="local", certificate="c", status="live", share=1.0, crowned=True)
RULES = (Rule(rule="canary.errors.share <= 0.1"),)


def coming(**more: object) -> Release:
    given = {
        "id": "new", "model": "m@2", "target": "local", "certificate": "c", "shares": (0.1, 0.5, 1.0), "rules": RULES,
        "min_rows": 100, "patience_s": 3600.0, "previous": "old", "stage_since": 1000.0, **more,
    }  # fmt: skip
    return Release(**given)


def seen(**more: object) -> Seen:
    return Seen(**{"release": "new", "live": "old", "healthy": True, "live_healthy": True, **more})


def errors(share: float) -> dict:
    return {"canary": {"errors": {"share": share}}}


def test_a_planned_release_starts_without_traffic() -> None:
    after, actions = advance(coming(), seen(healthy=False), 1001.0)
    assert after.status == "starting"
    assert after.share == 0.0
    assert Start("new") in actions
    assert Split({"old": 1.0}) in actions


def test_a_first_release_goes_live_as_soon_as_it_answers() -> None:
    after, actions = advance(coming(status="starting"), seen(live=None), 1001.0)
    assert (after.status, after.share) == ("live", 1.0)
    assert actions == (Start("new"), Split({"new": 1.0}), Crown("new"))


def test_a_release_beside_a_live_one_begins_with_its_first_share() -> None:
    after, actions = advance(coming(status="starting"), seen(), 1001.0)
    assert (after.status, after.share, after.stage_since) == ("canary", 0.1, 1001.0)
    assert Split({"new": 0.1, "old": 0.9}) in actions


def test_a_server_that_cannot_start_fails_the_release_and_leaves_the_live_one() -> None:
    after, actions = advance(coming(status="starting"), seen(healthy=False, problem="no such file"), 1001.0)
    assert (after.status, after.reason) == ("failed", "no such file")
    assert actions == (Start("old"), Split({"old": 1.0}))


def test_a_server_that_never_answers_fails_the_release() -> None:
    waiting, _ = advance(coming(status="starting"), seen(healthy=False), 1000.0 + rollout.START_PATIENCE_S)
    assert waiting.status == "starting"
    after, _ = advance(waiting, seen(healthy=False), 1001.0 + rollout.START_PATIENCE_S)
    assert after.status == "failed"


def test_a_canary_goes_through_its_shares_and_then_live() -> None:
    release = coming(status="canary", share=0.1)
    release, actions = advance(release, seen(stage=0, rows=100, facts=errors(0.0)), 1100.0)
    assert (release.status, release.stage, release.share) == ("canary", 1, 0.5)
    assert Split({"new": 0.5, "old": 0.5}) in actions
    release, actions = advance(release, seen(stage=1, rows=100, facts=errors(0.0)), 1200.0)
    assert (release.status, release.share) == ("live", 1.0)
    assert Retire("old", "superseded", "m@2 went live") in actions
    assert Crown("new") in actions


def test_too_few_rows_are_waited_for_and_then_it_is_given_up() -> None:
    release = coming(status="canary", share=0.1)
    waiting, _ = advance(release, seen(rows=99, facts=errors(0.0)), 1000.0 + 3600.0)
    assert waiting.status == "canary"
    after, actions = advance(waiting, seen(rows=99, facts=errors(0.0)), 1000.0 + 3601.0)
    assert after.status == "rolled_back"
    assert "99 of 100 rows" in after.reason
    assert actions == (Start("old"), Split({"old": 1.0}))


def test_a_rule_that_does_not_hold_rolls_back_at_once_and_says_what_was_measured() -> None:
    after, _ = advance(coming(status="canary", share=0.1), seen(rows=100, facts=errors(0.2)), 1001.0)
    assert after.status == "rolled_back"
    assert after.share == 0.0
    assert "canary.errors.share is 0.2" in after.reason
    assert not after.outcomes[0].passed


def test_a_rule_that_only_warns_holds_nothing_up() -> None:
    warning = (Rule(rule="canary.errors.share <= 0.1", level="warn"),)
    after, _ = advance(coming(status="canary", rules=warning), seen(rows=100, facts=errors(0.2)), 1001.0)
    assert after.stage == 1


def test_a_rule_over_what_is_not_known_yet_is_waited_for_with_patience() -> None:
    release = coming(status="canary", rules=(Rule(rule="canary.performance.auc >= 0.6"),))
    waiting, _ = advance(release, seen(rows=500, facts=errors(0.0)), 1001.0)
    assert waiting.status == "canary"
    facts = {"canary": {"performance": {"auc": 0.7}}}
    assert advance(waiting, seen(rows=500, facts=facts), 1002.0)[0].stage == 1
    after, _ = advance(waiting, seen(rows=500, facts=errors(0.0)), 5000.0)
    assert after.status == "rolled_back"
    assert "not measured" in after.reason


def test_evidence_of_another_stage_or_release_decides_nothing() -> None:
    release = coming(status="canary", stage=1, share=0.5)
    late, _ = advance(release, seen(stage=0, rows=10_000, facts=errors(0.0)), 1001.0)
    other, _ = advance(release, seen(release="other", stage=1, rows=10_000, facts=errors(0.9)), 1001.0)
    assert (late.status, late.stage) == (other.status, other.stage) == ("canary", 1)


def test_a_canary_whose_server_died_is_rolled_back_unless_the_machine_died() -> None:
    release = coming(status="canary", share=0.1)
    assert advance(release, seen(healthy=False), 1001.0)[0].status == "rolled_back"
    both, actions = advance(release, seen(healthy=False, live_healthy=False), 1001.0)
    assert both.status == "canary"
    assert {Start("old"), Start("new")} <= {a for a in actions if isinstance(a, Start)}


def test_a_clock_that_goes_back_does_not_prolong_patience() -> None:
    release = coming(status="canary", share=0.1, stage_since=1e9)
    release, _ = advance(release, seen(), 1000.0)
    assert release.stage_since == 1000.0
    assert advance(release, seen(), 1000.0 + 3601.0)[0].status == "rolled_back"


def test_a_former_release_that_comes_back_takes_all_and_ends_the_other() -> None:
    former = coming(id="older", status="starting", undoes="new", crowned=False)
    now_live = coming(id="new", status="live", share=1.0)
    after, actions = advance(former, Seen(release="older", live="new", healthy=True, live_healthy=True), 1001.0)
    changed = settle({"older": former, "new": now_live}, after, actions)
    assert (changed["older"].status, changed["older"].share) == ("live", 1.0)
    assert (changed["new"].status, changed["new"].share) == ("rolled_back", 0.0)


def test_what_is_over_stays_so() -> None:
    for status in ("superseded", "rolled_back", "failed"):
        release = coming(status=status)
        assert advance(release, seen(rows=1000, facts=errors(0.0)), 1e9)[0] == release


def test_the_live_release_is_healed_and_crowned_once() -> None:
    assert advance(OLD, Seen(release="old", healthy=False), 1.0)[1] == (Start("old"), Split({"old": 1.0}))


# --- histories ---


@dataclass
class World:
    """Records that are kept, and a target that can die at any moment."""

    records: dict[str, Release]
    up: set[str] = field(default_factory=set)
    shares: dict[str, float] = field(default_factory=dict)
    champion: str = "m@1"

    def carry_out(self, action: rollout.Action) -> None:
        if isinstance(action, Start):
            self.up.add(action.release)
        elif isinstance(action, Split):
            self.shares = dict(action.shares)
        elif isinstance(action, Crown):
            self.champion = self.records[action.release].model
            crowned = msgspec.structs.replace(self.records[action.release], crowned=True)
            self.records[action.release] = crowned

    def sweep(self) -> None:
        self.up &= {key for key, r in self.records.items() if r.status in rollout.ACTIVE}

    def snapshot(self) -> tuple:
        return dict(self.records), set(self.up), dict(self.shares), self.champion


def history(seed: int) -> World:
    chance = random.Random(seed)
    with_old = chance.random() < 0.85
    release = coming(
        status="planned", stage_since=0.0, min_rows=chance.choice([1, 50, 100]), previous="old" if with_old else None,
        shares=chance.choice([(1.0,), (0.1, 1.0), (0.1, 0.5, 1.0), (0.05, 0.25, 0.5, 1.0)]),
    )  # fmt: skip
    world = World({"old": OLD, "new": release} if with_old else {"new": release})
    if with_old:
        world.up, world.shares = {"old"}, {"old": 1.0}
    quality, now, rows = chance.choice([0.0, 0.05, 0.3]), 0.0, 0
    delivered: list[Seen] = []
    for _ in range(300):
        now += chance.choice([1.0, 10.0, 60.0, 600.0])
        if chance.random() < 0.05:
            now += chance.choice([-1e5, 1e5])
        if chance.random() < 0.1 and world.up:
            world.up.discard(chance.choice(sorted(world.up)))
        rows += chance.randrange(0, 60)
        record = world.records["new"]
        evidence = look(world, chance, rows, quality)
        delivered.append(evidence)
        if chance.random() < 0.3:
            evidence = chance.choice(delivered)  # late, or once more
        if step(world, record, evidence, now, chance):
            rows = 0
        check(world, record, evidence)
        if world.records["new"].status not in rollout.UNDER_WAY and chance.random() < 0.5:
            break
    return world


def look(world: World, chance: random.Random, rows: int, quality: float) -> Seen:
    record = world.records["new"]
    live = next((r.id for r in world.records.values() if r.status == "live" and r.id != "new"), None)
    problem = "it ends at once" if chance.random() < 0.01 else ""
    return Seen(
        release="new" if chance.random() < 0.95 else "another", stage=record.stage, live=live, rows=rows,
        healthy="new" in world.up, live_healthy=live in world.up, problem=problem,
        facts=errors(quality) if chance.random() < 0.9 else {},
    )  # fmt: skip


def step(world: World, record: Release, evidence: Seen, now: float, chance: random.Random) -> bool:
    """One step as apply.py makes it, killed at a random point; whether a stage began."""
    live = next((r.id for r in world.records.values() if r.status == "live" and r.id != "new"), None)
    # What is live is read under the lock, never taken from evidence that may be old.
    after, actions = advance(record, msgspec.structs.replace(evidence, live=live), now)
    if chance.random() < 0.1:
        return False  # killed before anything was written
    world.records.update(settle(world.records, after, actions))
    for action in actions:
        if chance.random() < 0.05:
            return after.stage_since == now  # killed in the middle
        world.carry_out(action)
        once = world.snapshot()
        world.carry_out(action)
        assert world.snapshot() == once, "an action carried out twice did harm"
    world.sweep()
    return after.stage_since == now


def check(world: World, before: Release, evidence: Seen) -> None:
    after = world.records["new"]
    given = {key: r.share for key, r in world.records.items() if r.status in {"canary", "live"}}
    if any(r.status == "live" for r in world.records.values()):
        assert sum(given.values()) == pytest.approx(1.0)
    assert all(r.share == 0.0 for r in world.records.values() if r.status not in {"canary", "live"})
    assert sum(r.status == "live" for r in world.records.values()) <= 1
    if world.shares:
        assert sum(world.shares.values()) == pytest.approx(1.0)
    went_on = before.status == "canary" and (after.stage > before.stage or after.status == "live")
    if went_on:
        assert evidence.release == "new"
        assert evidence.stage == before.stage
        assert evidence.rows >= before.min_rows
        assert evidence.facts["canary"]["errors"]["share"] <= 0.1
    if before.status not in rollout.UNDER_WAY:
        assert after.status == before.status


def histories(seeds: range) -> dict[str, int]:
    ends: dict[str, int] = {}
    for seed in seeds:
        try:
            world = history(seed)
        except AssertionError as wrong:
            raise AssertionError(f"history {seed}: {wrong}") from wrong
        end = world.records["new"].status
        assert end in {"live", "rolled_back", "failed"}, f"history {seed} did not end: {end}"
        if "old" in world.records and end != "live":
            assert world.records["old"].status == "live"
        # Whoever comes last finds it whole, wherever the others were killed.
        live = world.records["new"] if end == "live" else world.records.get("old")
        if live is not None:
            for action in rollout.actions(live, None):
                world.carry_out(action)
            world.sweep()
            assert world.shares == {live.id: 1.0}
            assert world.up == {live.id}
            assert world.champion == live.model
        ends[end] = ends.get(end, 0) + 1
    return ends


def test_random_histories_keep_the_promises() -> None:
    ends = histories(range(3_000))
    assert set(ends) == {"live", "rolled_back", "failed"}


@pytest.mark.slow
def test_thousands_of_random_histories_keep_the_promises() -> None:
    histories(range(10_000, 40_000))
