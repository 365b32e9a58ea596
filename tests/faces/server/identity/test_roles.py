"""Roles: as people write them, and never more than one has."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from roadworthy.faces.server.identity import roles
from roadworthy.faces.server.identity.who import RANK, Identity
from roadworthy.nouns.errors import Fault

ROLES = some.dictionaries(some.sampled_from(["*", "a", "b"]), some.sampled_from(roles.ROLES), max_size=3)


def test_words_are_read_and_written() -> None:
    found = roles.parse(["editor", "viewer@churn"])
    assert found == {"*": "editor", "churn": "viewer"}
    assert roles.parse(roles.written(found)) == found
    assert roles.highest(["viewer@a", "admin@a", "editor@a"]) == {"a": "admin"}


@pytest.mark.parametrize("word", ["", "owner", "Editor", "viewer@", "viewer@a\nb", "@a"])
def test_what_is_no_role_is_refused(word: str) -> None:
    with pytest.raises(Fault):
        roles.parse([word])


@given(ROLES, ROLES)
def test_a_token_may_only_what_both_it_and_its_owner_may(mine: dict, owners: dict) -> None:
    both = Identity(name="t", roles=roles.capped(mine, owners))
    for project in ("a", "b", "c", ""):
        for need in RANK:
            expected = Identity(name="", roles=mine).may(need, project) and Identity(name="", roles=owners).may(
                need, project
            )
            assert both.may(need, project) == expected


@given(ROLES, ROLES)
def test_nobody_hands_out_what_they_have_not(mine: dict, wanted: dict) -> None:
    if roles.covers(mine, wanted):
        assert all(
            Identity(name="", roles=mine).may(role, project) for project, role in wanted.items() if project != "*"
        )
        if "*" in wanted:
            assert Identity(name="", roles=mine).projects(wanted["*"]) is None
