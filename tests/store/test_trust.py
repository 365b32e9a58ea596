"""Trust: each time in vain makes it rarer, each time well makes it less so; and it is never lost for good."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.store.trust import WARY_MAX, Trust


def dared(trust: Trust, times: int, *, well: bool) -> list[bool]:
    found = []
    for _ in range(times):
        found.append(trust.dares())
        if found[-1]:
            trust.came(well=well)
    return found


def test_at_first_and_as_long_as_all_goes_well_there_is_trust() -> None:
    assert all(dared(Trust(), 100, well=True))


def test_in_vain_it_is_dared_ever_more_seldom() -> None:
    assert [n for n, each in enumerate(dared(Trust(), 100, well=False)) if each] == [0, 2, 7, 24, 89]


def test_when_all_is_well_again_it_comes_back_at_once_and_what_was_is_forgotten_by_and_by() -> None:
    trust = Trust()
    dared(trust, 10_000, well=False)
    while not trust.dares():
        pass
    assert all(dared(trust, 30, well=True))
    assert [n for n, each in enumerate(dared(trust, 6, well=False)) if each] == [0, 2]


@pytest.mark.parametrize(("in_vain", "share"), [(0.01, (0.95, 1.0)), (0.4, (0.0, 0.05))])
def test_who_is_often_wrong_hardly_dares(in_vain: float, share: tuple[float, float]) -> None:
    trust, chance, dares = Trust(), random.Random(1), 0
    for _ in range(20_000):
        if trust.dares():
            dares += 1
            trust.came(well=chance.random() >= in_vain)
    assert share[0] <= dares / 20_000 <= share[1]


@given(times=st.integers(0, 3_000), wells=st.integers(0, 3))
def test_it_is_tried_again_at_some_time(times: int, wells: int) -> None:
    trust = Trust()
    dared(trust, wells, well=True)
    dared(trust, times, well=False)
    assert any(trust.dares() for _ in range(WARY_MAX + 1))
