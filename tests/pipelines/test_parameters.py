"""`--set`: typed by what is there, refused with the nearest name otherwise."""

import pytest

from roadworthy.nouns.errors import Fault
from roadworthy.pipelines.graph import Graph
from roadworthy.pipelines.parameters import effective

PARAMS = {"rate": 0.1, "depth": 3, "fast": True, "name": "a", "sizes": [1, 2], "trees": {"count": 10}}
NOTHING = Graph(entry="pipeline", nodes={})


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("rate=0.05", "rate", 0.05),
        ("rate=1", "rate", 1.0),
        ("depth = 5", "depth", 5),
        ("fast=no", "fast", False),
        ("name=x=y", "name", "x=y"),
        ("sizes=[3]", "sizes", [3]),
        ("trees.count=7", "trees", {"count": 7}),
    ],
)
def test_values_are_read_as_the_type_that_is_there(setting: str, name: str, value: object) -> None:
    found = effective(PARAMS, [setting], NOTHING)[name]
    assert found == value
    assert type(found) is type(value)
    assert PARAMS["trees"] == {"count": 10}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("rte=1", "did you mean `rate`?"),
        ("trees.cont=1", "did you mean `trees.count`?"),
        ("depth=deep", "of type int"),
        ("depth=1.5", "of type int"),
        ("fast=maybe", "of type bool"),
        ("sizes=3", "of type list"),
        ("rate", "NAME=VALUE"),
    ],
)
def test_what_cannot_be_set_is_explained(setting: str, said: str) -> None:
    with pytest.raises(Fault) as caught:
        effective(PARAMS, [setting], NOTHING)
    assert said in f"{caught.value.what} {caught.value.fix}"
