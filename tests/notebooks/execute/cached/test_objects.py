"""Which values share an object, and which were changed in place."""

import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.notebooks.execute.cached.objects import TooMany, fingerprint, is_atom, is_code, reached

VALUES = st.recursive(
    st.integers() | st.floats() | st.text(max_size=5) | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_a_value_that_did_not_change_says_the_same(value: object) -> None:
    assert fingerprint(value) == fingerprint(value)


@given(st.lists(st.integers(), min_size=1), st.data())
def test_a_change_in_place_is_seen(value: list[int], data: st.DataObject) -> None:
    before = fingerprint([value])
    value[data.draw(st.integers(0, len(value) - 1))] += 1
    assert fingerprint([value]) != before


def test_changes_of_tables_and_arrays_are_seen() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    before = fingerprint(frame)
    frame.loc[1, "b"] = "z"
    assert fingerprint(frame) != before
    assert fingerprint(pd.DataFrame({"a": [[1], [2]]})) is not None
    array = np.arange(6).reshape(2, 3)
    before = fingerprint(array)
    array[0, 0] = 9
    assert fingerprint(array) != before
    assert fingerprint(i for i in range(3)) is None


def test_what_shares_an_object_meets() -> None:
    inner: list[int] = []
    a, b, c = [inner], {"k": inner}, [[]]
    assert reached(a, 0) & reached(b, 0)
    assert not reached(a, 0) & reached(c, 0)
    array = np.arange(10)
    assert reached(array[2:], 0) & reached(array, 0)
    assert not reached([1, "a", (2, 3)], 0) & reached([1, "a", (2, 3)], 0)

    def closing() -> list[int]:
        return inner

    assert reached(closing, 0) & reached(a, 0)


def test_functions_do_not_reach_the_notebook_through_its_names() -> None:
    names: dict[str, object] = {"data": []}
    exec("def f(): return data", names)
    assert not reached(names["f"], id(names)) & reached(names["data"], id(names))


def test_too_many_objects_are_not_followed() -> None:
    with pytest.raises(TooMany):
        reached([[i] for i in range(60_000)], 0)


def test_kinds_of_values_are_told_apart() -> None:
    assert all(is_atom(v) for v in (1, "a", None, (1, ("b",)), np.float64(1.0), frozenset({1})))
    assert not any(is_atom(v) for v in ([], (1, []), {}, np.zeros(1)))
    assert all(is_code(v) for v in (random, print, str, is_atom, "a".upper))
