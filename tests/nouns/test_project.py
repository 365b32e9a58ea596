"""Durations and shares as the project file writes them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.nouns.project import Duration, Percent, rules, seconds, share
from roadworthy.nouns.rule import Rule


@pytest.mark.parametrize(
    ("written", "meant"), [("500ms", 0.5), ("30s", 30), ("15m", 900), ("1.5h", 5400), ("7d", 604800), ("4w", 2419200)]
)
def test_durations_are_seconds(written: str, meant: float) -> None:
    assert seconds(written) == meant


@given(st.floats(0, 100).map(lambda x: f"{x:.3f}%"))
def test_every_valid_percent_is_a_share(written: str) -> None:
    assert 0.0 <= share(msgspec.convert(written, Percent)) <= 1.0


@pytest.mark.parametrize("wrong", ["", "10", "m", "-1s", "1 s", "1y", "1sm"])
def test_other_durations_are_refused(wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Duration)


@pytest.mark.parametrize("wrong", ["101%", "-1%", "10", "%", "100.5%"])
def test_other_percents_are_refused(wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Percent)


def test_a_bare_string_is_a_rule() -> None:
    assert rules(("a > 1", Rule(rule="b", level="warn"))) == (Rule(rule="a > 1"), Rule(rule="b", level="warn"))
