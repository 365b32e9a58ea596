"""The gate as a whole: measure, judge, certify; and once only."""

import msgspec
import pytest

from roadworthy.gates import approvals, certificate, gate
from roadworthy.gates.measures import cost
from roadworthy.gates.rules import NO_CHAMPION
from roadworthy.nouns.errors import Code, Fault
from roadworthy.registry import models


@pytest.fixture
def quick_cost(monkeypatch):
    """Measured costs differ from time to time; here they count how often they were measured."""
    calls = []

    def measure(*_, **__):
        calls.append(1)
        return {"p99_ms": 1.0 + len(calls)}

    monkeypatch.setattr(cost, "measure", measure)
    return calls


@pytest.mark.timeout(120)
def test_a_good_first_model_passes_with_costs_measured(store, place, register):
    model = register()
    rules = [
        "metrics.auc >= 0.66",
        "metrics.auc >= champion.metrics.auc - 0.005",
        "cost.p99_ms <= 5000",
        "cost.model_mb <= 50",
    ]
    said = gate.pass_through(store, place(rules=rules), model)
    assert said.certificate.passed
    assert (said.measured, said.issued) == (True, True)
    assert [o.problem for o in said.certificate.outcomes] == ["", NO_CHAMPION, "", ""]
    assert certificate.require(store, model) == said.certificate
    assert models.champion(store, "late") is None
    gate.refuse_unless_passed(said.certificate)


def test_a_worse_challenger_is_refused(store, place, register, quick_cost):
    models.set_alias(store, "late", "champion", register().version)
    worse = register(["distance"])
    said = gate.pass_through(store, place(rules=["metrics.auc >= champion.metrics.auc - 0.005"]), worse)
    assert not said.certificate.passed
    with pytest.raises(
        Fault, match=r"the gate refuses: metrics\.auc >= champion\.metrics\.auc - 0\.005; measured"
    ) as caught:
        gate.refuse_unless_passed(said.certificate)
    assert caught.value.code is Code.REFUSED
    assert caught.value.fix.startswith("would pass: metrics.auc >= 0.")
    with pytest.raises(Fault, match="the gate refused the model"):
        certificate.require(store, worse)


def test_a_second_gate_finds_everything_as_it_was(store, place, register, quick_cost):
    model = register()
    first = gate.pass_through(store, place(), model)
    lines = []
    again = gate.pass_through(store, place(), model, progress=lines.append)
    assert again.certificate == first.certificate
    assert (again.measured, again.issued) == (False, False)
    assert lines == ["nothing it rests on has changed: evidence from before is used"]
    assert len(quick_cost) == 1
    assert len(certificate.listing(store)) == 1


def test_force_measures_again(store, place, register, quick_cost, clock):
    model = register()
    first = gate.pass_through(store, place(), model)
    clock.sleep(1)
    again = gate.pass_through(store, place(), model, force=True)
    assert again.certificate.id != first.certificate.id
    assert (again.measured, again.issued) == (True, True)
    assert len(quick_cost) == 2


def test_other_rules_are_judged_over_the_evidence_that_is_there(store, place, register, quick_cost, clock):
    model = register()
    gate.pass_through(store, place(), model)
    clock.sleep(1)
    said = gate.pass_through(store, place(rules=["metrics.auc >= 0.99"]), model)
    assert (said.measured, said.issued, said.certificate.passed) == (False, True, False)
    clock.sleep(1)
    back = gate.pass_through(store, place(), model)
    # the newest certificate counts, so an earlier pass is issued anew rather than dug out
    assert (back.measured, back.issued, back.certificate.passed) == (False, True, True)
    assert certificate.require(store, model) == back.certificate
    assert len(quick_cost) == 1


def test_an_approval_opens_the_gate(store, place, register, quick_cost, clock):
    model = register()
    asking = place(rules=['approvals.count("ml-engineer") >= 1'])
    said = gate.pass_through(store, asking, model)
    assert not said.certificate.passed
    assert said.certificate.outcomes[0].measured == {'approvals.count("ml-engineer")': 0}
    approvals.approve(store, model.id, "ml-engineer")
    clock.sleep(1)
    said = gate.pass_through(store, asking, model)
    assert said.certificate.passed
    assert not said.measured
    assert certificate.read(store, said.certificate.id).predicate.evidence.facts["approvals"][0]["actor"] == "tester"


def test_a_damaged_certificate_is_not_used_again(store, place, register, quick_cost, clock):
    model = register()
    first = gate.pass_through(store, place(), model)
    path = store.blobs.path(first.certificate.id)
    path.chmod(0o600)
    path.write_bytes(b"{}")
    clock.sleep(1)
    again = gate.pass_through(store, place(), model)
    assert again.measured
    assert certificate.require(store, model) == again.certificate


def test_changed_model_bytes_do_not_pass_on_old_evidence(store, place, register, quick_cost):
    model = register()
    gate.pass_through(store, place(), model)
    path = store.blobs.path(model.value.digest)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Fault, match="not those that were certified"):
        gate.pass_through(store, place(), model)


def test_a_warning_does_not_close_the_gate(store, place, register, quick_cost):
    rules = ["metrics.auc >= 0.66", {"rule": "metrics.auc >= 0.99", "name": "dream", "level": "warn"}]
    said = gate.pass_through(store, place(rules=rules), register())
    assert said.certificate.passed
    assert [o.passed for o in said.certificate.outcomes] == [True, False]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([], "the project has no gate rules"),
        (["metrics.auc >="], "no CEL expression"),
        (["metric.auc >= 0.6"], "there is no fact called `metric`"),
    ],
)
def test_rules_are_checked_before_anything_is_measured(store, place, register, written, said):
    lines = []
    with pytest.raises(Fault, match=said):
        gate.pass_through(store, place(rules=written), register(), progress=lines.append)
    assert lines == []


def test_evidence_of_a_hostile_name_stays_data(store, place, register, quick_cost):
    model = register()
    said = gate.pass_through(store, place(), msgspec.structs.replace(model, tags={"x": "'); DROP TABLE models;--"}))
    assert said.certificate.passed
