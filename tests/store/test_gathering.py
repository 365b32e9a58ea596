"""Gathering: clients who ask one thing after another come together, and whoever is alone is not made to wait."""

from hypothesis import given
from hypothesis import strategies as st

from roadworthy.store.gathering import PROBE_EVERY_MAX, WAIT_S_MAX, Gathering


def rounds(gathering: Gathering, clients: int, count: int) -> tuple[list[int], int]:
    """Sizes of groups of clients who each ask again when answered, and how many groups waited in vain.

    While one group is committed all others ask; whoever was just answered asks within the wait.
    """
    sizes, vain = [], 0
    waiting = 1
    for _ in range(count):
        size = waiting
        if gathering.wait_s(waiting):
            while size < clients and not gathering.enough(size):
                size += 1
            vain += size == waiting
        gathering.committed(size, 0.004)
        sizes.append(size)
        waiting = clients - size or 1
    return sizes, vain


def test_clients_in_two_halves_come_together() -> None:
    gathering = Gathering()
    sizes, _ = rounds(gathering, 8, 100)
    assert sizes[-30:] == [8] * 30


def test_one_client_hardly_ever_waits() -> None:
    sizes, vain = rounds(Gathering(), 1, 4 * PROBE_EVERY_MAX)
    assert set(sizes) == {1}
    assert vain <= 8


def test_clients_who_left_are_soon_not_waited_for() -> None:
    gathering = Gathering()
    rounds(gathering, 64, 100)
    rounds(gathering, 1, 20)
    assert gathering.expected == 1


@given(st.lists(st.tuples(st.integers(1, 256), st.floats(0, 10))))
def test_no_wait_is_longer_than_its_limit(history: list[tuple[int, float]]) -> None:
    gathering = Gathering()
    for size, took_s in history:
        assert 0 <= gathering.wait_s(size) <= WAIT_S_MAX
        gathering.committed(size, took_s)
        assert gathering.expected >= 1
