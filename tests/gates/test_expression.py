"""The text of a rule, taken apart."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.gates import expression


def test_docstring_examples_hold():
    assert doctest.testmod(expression).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b >= 1", ["a.b"]),
        ("a['b c'].d > x[0].y", ["a['b c'].d", "x[0].y"]),
        ('approvals.count("ml") >= 1', ["approvals"]),
        ("size(a.list) > 1", ["a.list"]),
        ("a.values.all(v, a.values[v].recall > lower.bound)", ["a.values", "lower.bound"]),
        ("has(a.b) ? a.b > 1 : true", ["a.b"]),
        ("'a.b' == \"c.d\"", []),
        ("a[b.c].d > 1", ["a", "b.c"]),
        ("x in [1, 2] // y.z", ["x"]),
    ],
)
def test_the_facts_that_are_named(text, expected):
    assert [path.text for path in expression.paths(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + 1 > 2", "a + 1.0 > 2.0"),
        ("a[1] > 1", "a[1] > 1.0"),
        ("a['x'][2].b + 1", "a['x'][2].b + 1.0"),
        ("a in [1, 2]", "a in [1.0, 2.0]"),
        ("'1' + a", "'1' + a"),
        ("1u + 0x1F + 1e3 + .5", "1u + 0x1F + 1e3 + .5"),
        ("f(1)[0]", "f(1.0)[0]"),
    ],
)
def test_whole_numbers_become_doubles_outside_an_index(text, expected):
    assert expression.as_doubles(text) == expected


@pytest.mark.parametrize("text", ["a && b || c", "a ? b && c : d", "f(a && b)", "!(a && b)"])
def test_what_is_no_conjunction_is_one_part(text):
    assert expression.parts(text) == [text]


def test_no_comparison_is_seen_where_there_is_more_than_one():
    assert expression.comparison("a < b || c < d") is None
    assert expression.comparison("(a < b) == (c < d)") == ("(a < b)", "==", "(c < d)")
    assert expression.comparison("a in [1]") is None


@given(st.text(alphabet="ab.c&|()[]{}<>=!'\"\\ 10?:,+-*/\n", max_size=60))
def test_any_text_is_taken_apart_without_failing(text):
    assert "".join(t.text for t in expression.tokens(text)) is not None
    assert expression.parts(text)
    expression.comparison(text)
    expression.paths(text)
    expression.calls(text, frozenset({"count"}))
    expression.as_doubles(text)
    assert expression.depth(text) >= 0
