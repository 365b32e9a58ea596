"""Filters of the registry: whatever is written, there are conditions or one clear refusal."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import model_filters
from roadworthy.registry.model_search import Condition

WORDS = st.sampled_from(
    [
        "name",
        "run_id",
        "source_path",
        "version_number",
        "tags.a",
        "tag.`b",
        "c`",
        "attribute.name",
        "=",
        "!=",
        "<>",
        "<",
        ">=",
        "LIKE",
        "ilike",
        "IN",
        "NOT",
        "AND",
        "and",
        "OR",
        "'x'",
        '"y"',
        "'it''s'",
        "3",
        "-1.5",
        "(",
        ")",
        ",",
        "('a','b')",
        "`",
        "'",
        '"',
        "\\",
        "☃",
        "name='a'",
        "tags.\"q\"='z'",
        "metrics.m",
        "IS",
        "NULL",
    ]
)


def parsed(parse: Callable[[Any], Sequence[Any]], said: Any) -> tuple[Sequence[Any], WireError | None]:
    try:
        return parse(said), None
    except WireError as refusal:
        return (), refusal


@given(st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=80)))
def test_any_text_gives_conditions_or_a_refusal(text: str) -> None:
    for parse in (model_filters.names, model_filters.versions):
        found, refusal = parsed(parse, text)
        assert all(isinstance(each, Condition) for each in found)
        assert refusal is None or (refusal.code, refusal.status) == ("INVALID_PARAMETER_VALUE", 400)
        assert len(str(refusal)) < 1_000


@given(st.text(st.characters(exclude_characters="'\\\0", exclude_categories=["Cs"]), max_size=40))
def test_a_quoted_value_comes_through_as_it_is(value: str) -> None:
    (found,) = model_filters.names(f"name = '{value}'")
    assert found == Condition(key="name", comparator="=", value=value)


@given(st.lists(st.text("abc_ %.-", max_size=8), min_size=1, max_size=5))
def test_lists_come_through(values: list[str]) -> None:
    written = ", ".join(f"'{value}'" for value in values)
    (found,) = model_filters.versions(f"run_id NOT IN ({written})")
    assert found == Condition(key="run_id", comparator="NOT IN", value=tuple(values))


@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_order_is_taken_or_refused(clauses: list[str]) -> None:
    for parse in (model_filters.name_order, model_filters.version_order):
        _, refusal = parsed(parse, clauses)
        assert refusal is None or refusal.status == 400


def test_an_endless_filter_is_refused_at_once() -> None:
    with pytest.raises(WireError, match="exceeds"):
        model_filters.names("name = 'a' AND " * 10_000)
    with pytest.raises(WireError, match="at most"):
        model_filters.names(" AND ".join(["name = 'a'"] * 200))
