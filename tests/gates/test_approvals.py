"""Approvals: who, in which role, of which version."""

import pytest

from roadworthy.gates import approvals, rules
from roadworthy.nouns.errors import Code, Fault
from roadworthy.store import log


def test_an_approval_is_kept_and_logged(any_store):
    store = any_store
    made = approvals.approve(store, "late@3", "ml-engineer", "looked at the slices", project="flights")
    assert approvals.listing(store, "late@3") == [made]
    assert (made.actor, made.at) == ("tester", store.clock.now())
    assert approvals.listing(store, "late@2") == []
    with store.read() as reader:
        event = log.newest(reader)[0]
    assert (event.kind, event.subject, event.project) == ("model.approved", "late@3", "flights")
    assert "looked" not in str(event.detail)


def test_a_role_counts_people(store):
    facts = [{"actor": a.actor, "role": a.role} for a in (approvals.approve(store, "m@1", "owner") for _ in range(2))]
    assert rules.judge(['approvals.count("owner") == 1'], {"approvals": facts})[0].passed


@pytest.mark.parametrize(
    ("model", "role", "comment", "said"),
    [
        ("m@1", "ML Engineer", "", "a role has lower-case letters"),
        ("m@1", "", "", "a role has"),
        ("m", "owner", "", "an approval is of one version"),
        ("m@champion", "owner", "", "an approval is of one version"),
        ("m@1", "owner", "x" * 5_000, "at most 4000 characters"),
    ],
)
def test_what_is_no_approval_is_refused(store, model, role, comment, said):
    with pytest.raises(Fault, match=said) as caught:
        approvals.approve(store, model, role, comment)
    assert caught.value.code is Code.INVALID
