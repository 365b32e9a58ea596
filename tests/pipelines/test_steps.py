"""The decorator leaves a function as it was."""

import pytest

import roadworthy as rw
from roadworthy.nouns.errors import Fault
from roadworthy.pipelines.steps import MARK


def test_a_step_is_still_the_function() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert rw.step(double) is double
    assert rw.step(retries=2, timeout="3s", trusted=["a.B"])(double) is double
    assert double(4) == 8
    assert getattr(double, MARK).trusted == ("a.B",)


@pytest.mark.parametrize("wrong", [lambda: rw.step(3), lambda: rw.step(int), lambda: rw.step(retries=99)])
def test_what_is_no_function_is_no_step(wrong: object) -> None:
    with pytest.raises(Fault):
        wrong()
