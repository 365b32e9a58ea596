"""Trust: each time in vain, twice as many times nobody dares; once well makes good for all of them."""

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
    assert [n for n, each in enumerate(dared(Trust(), 64, well=False)) if each] == [0, 2, 5, 10, 19, 36]


def test_once_well_is_as_at_first() -> None:
    trust = Trust()
    dared(trust, 37, well=False)
    while not trust.dares():
        pass
    trust.came(well=True)
    assert [n for n, each in enumerate(dared(trust, 6, well=False)) if each] == [0, 2, 5]


@given(times=st.integers(0, 3_000), wells=st.integers(0, 3))
def test_it_is_tried_again_at_some_time(times: int, wells: int) -> None:
    trust = Trust()
    dared(trust, wells, well=True)
    dared(trust, times, well=False)
    assert any(trust.dares() for _ in range(WARY_MAX + 1))
