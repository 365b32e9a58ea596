"""Whatever the cells do to lists and numbers, the pipeline ends with the same values as the notebook."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from roadworthy.nouns.errors import Fault
from tests.notebooks.convert.apart import both

NAMES = ("a", "b", "c", "d")
name = st.sampled_from(NAMES)
number = st.integers(0, 9)

# Every statement is whole whatever came before: all names are lists from the first cell on.
statement = st.one_of(
    st.builds("{} = [*{}, {}]".format, name, name, number),
    st.builds("{}.append({})".format, name, number),
    st.builds("{} += {}".format, name, name),
    st.builds("{} = {}".format, name, name),
    st.builds("{} = list({})[:6]".format, name, name),
    st.builds("{}, {} = {}[:3], [{}]".format, name, name, name, number),
    st.builds("for item in {}[:3]:\n    {}.insert(0, item)".format, name, name),
    st.builds("if len({}) > {}:\n    {} = [{}]".format, name, number, name, number),
    st.builds("{} = used({})".format, name, name),
    st.builds("grown({})".format, name),
    st.builds("{} = [sum({})]".format, name, name),
    st.builds("print(len({}))".format, name),
    st.builds("{}[:0] = [size]".format, name),
)
cell = st.lists(statement, min_size=1, max_size=3).map("\n".join)
heading = st.sampled_from(["", "md:## First part", "md:## Second part", "md:## Third"])
FIRST = "size = 4\na = [1]\nb = [2, 3]\nc = []\nd = [size, 0]"


def functions(of: str) -> str:
    return f"def used(rows):\n    return [*rows[:2], len({of})]\n\n\ndef grown(rows):\n    rows.append(len({of}))"


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(of=name, cells=st.lists(st.tuples(heading, cell), min_size=1, max_size=6))
def test_every_value_is_the_same(tmp_path: Path, monkeypatch, of: str, cells: list[tuple[str, str]]) -> None:
    written = [FIRST, functions(of)]
    for title, source in cells:
        written += [title, source] if title else [source]
    try:
        pairs = both(tmp_path, monkeypatch, *written)
    except Fault as fault:
        if "no cell makes anything" not in fault.what:
            raise
        return
    assert [(what, one) for what, one, _ in pairs] == [(what, two) for what, _, two in pairs]
