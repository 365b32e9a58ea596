import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.faces.report import svg
from roadworthy.faces.report.svg import Drawing, Scale

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


@given(FINITE, FINITE, st.integers(2, 10))
def test_ticks_are_round_few_and_inside_the_axis(a: float, b: float, count: int) -> None:
    scale = Scale(min(a, b), max(a, b), 0, 100)
    ticks = scale.ticks(count)
    slack = 1e-6 * max(abs(scale.low), abs(scale.high), 1.0)
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)
    assert len(ticks) <= 2 * count + 2
    assert ticks == sorted(ticks)


@given(FINITE, st.floats(1e-3, 1e6), st.floats(0, 1))
def test_a_scale_keeps_proportions(low: float, span: float, part: float) -> None:
    scale = Scale(low, low + span, 50, 250)
    assert scale(low) == pytest.approx(50)
    assert scale(low + part * span) == pytest.approx(50 + 200 * part, abs=max(1e-3, abs(low) / span * 1e-9))


@given(st.floats(0, 2e9), st.floats(10, 5e8))
def test_moments_lie_inside_the_axis_and_can_be_read(start: float, span: float) -> None:
    scale = Scale(start, start + span, 0, 900)
    moments = scale.moments()
    assert len(moments) <= 14
    assert all(scale.low <= at <= scale.high for at, _ in moments)
    assert all(words for _, words in moments)


@given(st.text(max_size=40))
def test_words_cannot_leave_their_place(words: str) -> None:
    drawable = "".join(c for c in words if c.isprintable())
    drawing = Drawing(drawable, 100, about=drawable)
    drawing.text((1, 1), drawable)
    drawing.box((0, 0), (5, 5), "bar", tip=drawable)
    drawing.path([(0, 0), (math.nan, 1), (2, 2)], "line", tip=drawable)
    root = ET.fromstring(drawing.done())
    assert {child.tag.rpartition("}")[2] for child in root.iter()} <= {"svg", "title", "desc", "text", "rect", "path"}


def test_a_line_is_broken_where_a_value_is_missing() -> None:
    drawing = Drawing("gap", 10)
    drawing.path([(0, 0), (1, 1), (2, math.nan), (3, 3)], "line")
    assert 'd="M0 0L1 1M3 3"' in drawing.done()


@pytest.mark.parametrize(
    ("value", "words"), [(0.66, "0.66"), (1234.0, "1,234"), (12_345.6, "12,346"), (math.nan, "nan")]
)
def test_numbers_read_well(value: float, words: str) -> None:
    assert svg.plain(value) == words
