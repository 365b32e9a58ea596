"""Searches over runs, on both engines, against going through all runs one by one."""

import fnmatch
import math
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.faces.server.mlflow import run_search as tokens
from roadworthy.registry import groups, inputs, labels, metrics, run_conditions, run_search, runs
from roadworthy.registry.run_query import Condition, Order, Query
from roadworthy.registry.run_rows import Row
from roadworthy.store.clock import SeededIds, SimulatedClock
from roadworthy.store.store import Store, open_store

NUMBERS = [0.0, 0.5, 1.0, -3.0, math.inf, -math.inf, math.nan]
WORDS = ["a", "A", "ab", "b%", "b_", "[a]", "*", "é", "", "x" * 150, "x" * 150 + "y"]
DATASETS = [("d", "1", "training"), ("d", "2", None), ("E", "1", "test")]


class Known(NamedTuple):
    """A run, and what belongs to it."""

    row: Row
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    datasets: list[tuple[str, str, str | None]]


def filled(store: Store) -> tuple[list[int], list[Known]]:
    chance = random.Random(5)
    numbers = [0, *(groups.create(store, f"g{n}", location="s3://b" if n else "").id for n in range(2))]
    known = []
    for _ in range(70):
        group = chance.choice(numbers)
        end = chance.choice([None, 5, 6])
        row = Row(
            0,
            "",
            group,
            "",
            chance.choice(WORDS),
            chance.choice("uv"),
            "running",
            "active",
            chance.randrange(9),
            None,
            "",
        )
        row = runs.begin(store, row, {})
        params = {key: chance.choice(WORDS) for key in "pq" if chance.random() < 0.7}
        tags = {key: chance.choice(WORDS) for key in "pt" if chance.random() < 0.7}
        values = {key: chance.choice(NUMBERS) for key in "mn" if chance.random() < 0.7}
        read = [each for each in DATASETS if chance.random() < 0.3]
        with store.append() as tx:
            labels.put(tx, "params", row, params.items())
            labels.put(tx, "tags", row, tags.items())
            metrics.append(tx, row, {key: [(1, 0, value)] for key, value in values.items()})
            inputs.add_datasets(
                tx, row, [inputs.Read(dataset=inputs.Dataset(name=n, digest=d), context=c) for n, d, c in read]
            )
        row = row._replace(status=chance.choice(["running", "finished"]), end_ms=end)
        runs.conclude(store, row)
        if chance.random() < 0.3:
            runs.set_stage(store, row, "deleted")
            row = row._replace(stage="deleted")
        known.append(Known(row, params, tags, values, read))
    return numbers, known


@pytest.fixture(scope="module")
def sqlite_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[int], list[Known]]]:
    home = tmp_path_factory.mktemp("lasting") / ".roadworthy"
    with open_store(home, clock=SimulatedClock(1e9), ids=SeededIds(3)) as store:
        yield store, *filled(store)


@pytest.fixture(scope="module")
def postgresql_runs(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("lasting") / ".roadworthy"
    with open_store(home, url=postgres.new_database(), clock=SimulatedClock(1e9), ids=SeededIds(3)) as store:
        yield store, *filled(store)


def location(run: Known) -> str:
    return f"{'s3://b' if run.row.group_id == 2 else f'place:{run.row.group_id}'}/{run.row.id}/artifacts"


def values_of(run: Known, condition: Condition) -> list[Any]:
    kind, key = condition.kind, condition.key
    if kind == "attribute":
        return [location(run) if key == "location" else getattr(run.row, key)]
    if kind == "dataset":
        return [dict(zip(("name", "digest", "context"), each, strict=True))[key] for each in run.datasets]
    there = {"param": run.params, "tag": run.tags, "metric": run.metrics}[kind]
    return [there[key]] if key in there else []


def like(value: str, pattern: str) -> bool:
    signs = {"%": "*", "_": "?", "[": "[[]", "*": "[*]", "?": "[?]"}
    return fnmatch.fnmatchcase(value, "".join(signs.get(sign, sign) for sign in pattern))


def lowered(text: str) -> str:
    """Small letters of English alone, as SQLite knows them; PostgreSQL's would be more."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def meets(run: Known, condition: Condition) -> bool:
    found, comparator, value = values_of(run, condition), condition.comparator, condition.value
    if comparator == "IS NULL":
        return not found
    if comparator == "IS NOT NULL":
        return bool(found)
    tests = {
        "=": lambda x: x == value,
        "!=": lambda x: x != value,
        "<": lambda x: x < value,
        "<=": lambda x: x <= value,
        ">": lambda x: x > value,
        ">=": lambda x: x >= value,
        "LIKE": lambda x: like(x, value),
        "ILIKE": lambda x: like(lowered(x), lowered(value)),
        "IN": lambda x: x in value,
        "NOT IN": lambda x: x not in value,
    }
    return any(x is not None and tests[comparator](x) for x in found)


def sort_key(run: Known, query: Query) -> tuple:
    key: list[Any] = []
    for order in query.order:
        found = values_of(run, Condition(order.kind, order.key, "="))
        value = found[0] if found else None
        number = order.kind == "metric" or order.key in ("start_ms", "end_ms")
        nan = isinstance(value, float) and math.isnan(value)
        key.append((2 if order.kind == "metric" else 1) if value is None else 1 if nan else 0)
        value = (0 if number else "") if value is None or nan else value
        key.append(value if order.ascending else Down(value))
    return (*key, -run.row.start_ms, run.row.id)


class Down:
    """What sorts the other way round."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: "Down") -> bool:
        return other.value < self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Down) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]


def expected(known: list[Known], query: Query) -> list[str]:
    found = [
        run
        for run in known
        if run.row.group_id in query.groups
        and query.stage in ("", run.row.stage)
        and all(meets(run, condition) for condition in query.conditions)
    ]
    return [run.row.id for run in sorted(found, key=lambda run: sort_key(run, query))]


def pages(store: Store, query: Query) -> list[str]:
    found: list[str] = []
    while True:
        with store.read() as reader:
            page = run_search.search(reader, query)
        assert len(page.rows) <= query.limit
        found += [row.id for row in page.rows]
        if not page.after:
            return found
        sent = tokens.after(tokens.token(page.after), query.order)
        query = msgspec.structs.replace(query, after=sent)


TEXTS = st.sampled_from(
    [*WORDS, "a%", "%b%", "_", "%", "[A]", "E", "d", "1", "training", "running", "place:0/%", "s3://b/%"]
)
TEXT_CONDITIONS = st.one_of(
    st.tuples(st.sampled_from(["=", "!=", "LIKE", "ILIKE"]), TEXTS),
    st.tuples(st.sampled_from(["IN", "NOT IN"]), st.lists(TEXTS, min_size=1, max_size=3).map(tuple)),
)
LABEL_CONDITIONS = st.one_of(
    st.tuples(st.sampled_from(["=", "!=", "LIKE", "ILIKE"]), TEXTS),
    st.sampled_from([("IS NULL", None), ("IS NOT NULL", None)]),
)
SIGNS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
CONDITIONS = st.one_of(
    st.builds(lambda k, c: Condition("param", k, *c), st.sampled_from("pqz"), LABEL_CONDITIONS),
    st.builds(lambda k, c: Condition("tag", k, *c), st.sampled_from("pt"), LABEL_CONDITIONS),
    st.builds(lambda k, s, v: Condition("metric", k, s, v), st.sampled_from("mn"), SIGNS, st.sampled_from(NUMBERS[:6])),
    st.builds(lambda k, s, v: Condition("attribute", k, s, v), st.sampled_from(["start_ms", "end_ms"]), SIGNS, st.integers(0, 9)),
    st.builds(lambda k, c: Condition("attribute", k, *c), st.sampled_from(["id", "name", "actor", "status", "location"]), TEXT_CONDITIONS),
    st.builds(lambda k, c: Condition("dataset", k, *c), st.sampled_from(["name", "digest", "context"]), TEXT_CONDITIONS),
)  # fmt: skip
ORDERS = st.builds(
    lambda what, up: Order(*what, up),
    st.sampled_from(
        [
            ("metric", "m"), ("metric", "n"), ("metric", "z"), ("param", "p"), ("tag", "t"), ("attribute", "start_ms"),
            ("attribute", "end_ms"), ("attribute", "name"), ("attribute", "status"), ("attribute", "id"),
        ]
    ),
    st.booleans(),
)  # fmt: skip
QUERIES = st.builds(
    lambda wanted, stage, conditions, order, limit: Query(
        groups=tuple(wanted), stage=stage, conditions=tuple(conditions), order=tuple(order), limit=limit, place="place:"
    ),
    st.lists(st.integers(0, 3), max_size=3, unique=True),
    st.sampled_from(["active", "active", "deleted", ""]),
    st.lists(CONDITIONS, max_size=3),
    st.lists(ORDERS, max_size=3, unique_by=lambda order: order[:2]),
    st.sampled_from([1, 3, 10, 1000]),
)


@settings(deadline=None, max_examples=300)
@given(QUERIES)
def test_a_search_finds_what_going_through_all_would(sqlite_runs: Any, query: Query) -> None:
    store, _, known = sqlite_runs
    assert pages(store, query) == expected(known, query)


@pytest.mark.postgres
@settings(deadline=None, max_examples=100)
@given(QUERIES)
def test_a_search_on_postgresql_finds_the_same(postgresql_runs: Any, query: Query) -> None:
    store, _, known = postgresql_runs
    assert pages(store, query) == expected(known, query)


@settings(deadline=None, max_examples=150)
@given(query=QUERIES, few=st.sampled_from([(0, 0), (10**6, 10**6)]))
def test_beginning_with_few_finds_the_same(sqlite_runs: Any, query: Query, few: tuple[int, int]) -> None:
    store, _, known = sqlite_runs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_search, "FEW_MIN", few[0])
        patch.setattr(run_search, "FEW_MAX", few[1])
        assert pages(store, query) == expected(known, query)


def test_many_groups_are_sorted_together(sqlite_runs: Any) -> None:
    store, _, known = sqlite_runs
    for order in ((), (Order("metric", "m"),)):
        query = Query(groups=tuple(range(run_search.GROUPS_APART_MAX + 1)), order=order, limit=4)
        assert pages(store, query) == expected(known, query)


def test_a_run_that_begins_meanwhile_moves_no_page(any_store: Store) -> None:
    def begin(start_ms: int) -> str:
        row = Row(0, "", 0, "", "", "", "running", "active", start_ms, None, "")
        return runs.begin(any_store, row, {}).id

    ids = [begin(at) for at in range(6)]
    query = Query(groups=(0,), limit=3)
    with any_store.read() as reader:
        first = run_search.search(reader, query)
    begin(100)
    with any_store.read() as reader:
        second = run_search.search(reader, msgspec.structs.replace(query, after=first.after))
    assert [row.id for row in (*first.rows, *second.rows)] == ids[::-1]


@pytest.mark.parametrize(
    "place", [(), (0, 1), (0, "a", "b"), (1, 0, "x", 0, "id"), (2, 0, 1, 5, "id"), (3,), ("x",), (2, 0, 0.5, 5)]
)
def test_a_place_of_another_order_is_refused(place: tuple) -> None:
    with pytest.raises(ValueError, match="another order"):
        run_search.as_place(place, (Order("param", "p"),))


def test_the_indexes_serve_what_they_were_made_for(store: Store) -> None:
    """The plans of the statements that searches over many runs wait for."""

    def plan(query: Query) -> str:
        seen: list[str] = []

        class Watched:
            dialect = "sqlite"

            def rows(self, sql: str, **params: Any) -> list:
                with store.read() as reader:
                    seen.extend(str(row[3]) for row in reader.rows(f"EXPLAIN QUERY PLAN {sql}", **params))
                    return reader.rows(sql, **params)

            def row(self, sql: str, **params: Any) -> Any:
                return (self.rows(sql, **params) or [None])[0]

        run_search.search(Watched(), query)  # type: ignore[arg-type]
        return "\n".join(seen)

    newest = plan(Query(groups=(0,)))
    assert "runs_newest (group_id=? AND stage=?)" in newest
    assert "TEMP B-TREE" not in newest
    oldest = plan(Query(groups=(0,), order=(Order("attribute", "start_ms", ascending=True),)))
    assert "runs_newest (group_id=? AND stage=?)" in oldest
    assert "FOR ORDER BY" not in oldest
    by_metric = plan(Query(groups=(0,), order=(Order("metric", "m", ascending=False),)))
    # The runs with a value come first; those that are NaN are few and sorted.
    with_value, _, nan = by_metric.partition("SEARCH m ")[2].partition("SEARCH m ")
    assert "metrics_value (group_id=? AND key=? AND value>?)" in with_value
    assert "FOR ORDER BY" not in with_value
    assert "value=?" in nan
    rare = plan(Query(groups=(0,), conditions=(Condition("param", "p", "=", "x"), Condition("metric", "m", ">", 1.0))))
    assert "run_params_value (group_id=? AND key=? AND <expr>=?)" in rare
    assert "COVERING INDEX metrics_value (group_id=? AND key=? AND value>?)" in rare
    assert run_conditions.has_index(Condition("tag", "t", "=", "x"))
