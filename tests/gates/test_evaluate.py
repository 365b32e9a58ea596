"""Evidence: measured here, on the hold-out rows, for challenger and champion alike."""

import msgspec
import pytest
from sklearn import metrics as sk

from roadworthy.data import snapshots
from roadworthy.gates import approvals, certificate
from roadworthy.gates.evaluate import evaluate, measured_from, rival
from roadworthy.gates.measures import cost
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.project import Place, Project
from roadworthy.registry import runs

from .conftest import flights, trained

COST = {"p50_ms": 1.0, "p99_ms": 2.0}


@pytest.fixture(autouse=True)
def _quick_cost(monkeypatch):
    """Costs have tests of their own (test_cost.py, and test_gate.py measures them for real)."""
    monkeypatch.setattr(cost, "measure", lambda *_, **__: dict(COST))


def test_metrics_are_measured_and_win_over_what_the_run_logged(store, place, register):
    model = register()
    lines = []
    evidence = evaluate(store, model, place(), progress=lines.append)
    holdout = flights(1_500, seed=1)
    score = trained(["carrier", "hour", "distance"]).predict_proba(holdout)[:, 1]
    assert evidence.facts["metrics"]["auc"] == pytest.approx(sk.roc_auc_score(holdout["late"], score))
    assert evidence.facts["metrics"]["train_rows"] == 2_000
    assert evidence.facts["cost"] == COST
    assert evidence.facts["champion"] == {}
    assert evidence.comparisons == ()
    assert evidence.facts["model"] == {"name": "late", "version": 1, "task": "classification", "rows": 1_500}
    assert "scoring 1,500 hold-out rows" in lines


def test_evidence_is_plain_json_and_comes_back_equal(store, place, register):
    evidence = evaluate(store, register(), place())
    assert msgspec.json.decode(msgspec.json.encode(evidence), type=type(evidence)) == evidence


def test_the_champion_is_scored_on_the_challengers_rows(store, place, register):
    champion = register(["distance"], holdout_rows=200)
    challenger = register()
    evidence = evaluate(store, challenger, place(), against=champion)
    holdout = flights(1_500, seed=1)
    theirs = trained(["distance"]).predict_proba(holdout)[:, 1]
    assert evidence.champion == "late@1"
    assert evidence.facts["champion"]["metrics"]["auc"] == pytest.approx(sk.roc_auc_score(holdout["late"], theirs))
    compared = {c.metric: c for c in evidence.comparisons}
    assert compared["auc"].rows == 1_500
    assert compared["auc"].probability_better == 1.0
    assert evidence.facts["compare"]["auc"]["low"] == compared["auc"].low > 0
    assert evidence.digests["champion"] == champion.value.digest


def test_a_champion_is_not_compared_with_itself(store, place, register):
    model = register()
    assert rival(model, model) is None
    assert evaluate(store, model, place(), against=model).champion == ""


def test_a_champion_that_cannot_score_the_rows_is_not_compared_and_does_not_exempt(store, place, register):
    champion = register()
    without = flights(400, seed=1).drop(columns="carrier")
    from roadworthy.data.formats.registry import save

    challenger = register(["hour", "distance"], holdout=save(store.blobs, without), slices=())
    evidence = evaluate(store, challenger, place(slices=[]), against=champion)
    assert evidence.facts["champion"]["metrics"] == {}
    assert "'carrier' is missing" in evidence.facts["champion"]["problem"]
    assert evidence.comparisons == ()


def test_slices_are_measured(store, place, register):
    evidence = evaluate(store, register(), place(slice_min_rows=10))
    values = evidence.facts["slices"]["carrier"]["values"]
    assert set(values) == {"AA", "B6", "9E"}
    assert evidence.facts["slices"]["carrier"]["min"]["recall"] == min(v["recall"] for v in values.values())


def test_digests_name_what_the_evidence_rests_on(store, place, register):
    model = register()
    digests = evaluate(store, model, place()).digests
    assert digests["model"] == model.value.digest
    assert digests["holdout"] == model.holdout.digest
    assert digests["record"] == certificate.record_digest(model)
    assert (digests["code"], digests["lock"]) == ("c" * 64, "e" * 64)
    assert "champion" not in digests


def test_the_run_is_described(store, place, register):
    run = evaluate(store, register(), place()).facts["run"]
    assert run["clean"] is True
    assert run["reproducible"] is True
    assert run["params"] == {"seed": 7}


def test_approvals_are_facts_without_their_comments(store, place, register):
    model = register()
    approvals.approve(store, model.id, "owner", "a private remark")
    facts = evaluate(store, model, place()).facts["approvals"]
    assert [(a["role"], a["actor"]) for a in facts] == [("owner", "tester")]
    assert "private" not in str(facts)


def test_the_contract_is_checked_on_what_the_run_read(store, place, register, tmp_path):
    model = register()
    flights(50, seed=3).to_csv(tmp_path / "flights.csv", index=False)
    taken = snapshots.take(store, "flights", tmp_path / "flights.csv", project="flights")
    run = runs.get(store, model.run)
    runs.update(store, msgspec.structs.replace(run, snapshots={"flights": taken.id}))
    columns = {
        "carrier": {"type": "string", "values": ["AA", "B6"], "level": "warn"},
        "hour": {"min": 0, "max": 10},
        "late": {"values": [0, 1]},
    }
    table = {
        "project": {"name": "flights"},
        "data": {"flights": {"path": "flights.csv", "contract": {"columns": columns}}},
    }
    facts = evaluate(store, model, Place(root=tmp_path, project=msgspec.convert(table, Project))).facts["data"]
    assert facts["contract"]["failed"] >= 1
    assert facts["contract"]["warned"] == 1
    assert facts["contract"]["checked"] > 2
    assert facts["flights"]["failed"] == facts["contract"]["failed"]
    assert facts["snapshots"] == {"flights": taken.id}


def test_data_is_as_fresh_as_when_it_was_trained_on(store, place, register, tmp_path, clock):
    model = register()
    flights(50, seed=3).assign(at="2023-11-14 00:00:00").to_csv(tmp_path / "flights.csv", index=False)
    taken = snapshots.take(store, "flights", tmp_path / "flights.csv", project="flights")
    runs.update(store, msgspec.structs.replace(runs.get(store, model.run), snapshots={"flights": taken.id}))
    contract = {"fresh": {"column": "at", "max_age": "1d"}}
    table = {"project": {"name": "flights"}, "data": {"flights": {"path": "flights.csv", "contract": contract}}}
    clock.sleep(30 * 86_400)
    facts = evaluate(store, model, Place(root=tmp_path, project=msgspec.convert(table, Project))).facts["data"]
    assert facts["contract"]["failed"] == 0


def test_without_contracts_nothing_failed_and_nothing_was_checked(store, place, register):
    assert evaluate(store, register(), place()).facts["data"]["contract"] == {"failed": 0, "warned": 0, "checked": 0}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (({}, {"holdout": None}), "no hold-out rows to be judged on"),
        (({}, {"label": "lat"}), "the hold-out rows have no column `lat`"),
        (({"slices": ["carier"]}, {}), "no column `carier`"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_nearest_name(store, place, register, asked, said):
    gate, changes = asked
    with pytest.raises(Fault, match=said) as caught:
        evaluate(store, register(**changes), place(**gate))
    assert caught.value.code is Code.INVALID
    assert caught.value.fix


def test_what_evidence_is_measured_from_changes_with_each_thing_it_rests_on(store, place, register):
    first, second = register(), register(["hour"])
    base = measured_from(store, first, place(), against=None)
    assert base == measured_from(store, first, place(rules=["metrics.auc > 0"]), against=None)
    assert base == measured_from(store, first, place(), against=first)
    others = [
        measured_from(store, second, place(), against=None),
        measured_from(store, first, place(), against=second),
        measured_from(store, first, place(slices=["hour"]), against=None),
        measured_from(store, first, place(resamples=200), against=None),
        measured_from(store, msgspec.structs.replace(first, threshold=0.4), place(), against=None),
    ]
    assert len({base, *others}) == 6
