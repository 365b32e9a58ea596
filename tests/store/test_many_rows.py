"""Many rows in one statement are the same rows one by one, on both engines."""

import time
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.store import many_rows, pipelined
from roadworthy.store.store import Store

PUT = """
INSERT INTO many (k, n, x, t) VALUES (:k, :n, :x, 'it''s :k')
ON CONFLICT (k) DO UPDATE SET n = excluded.n, x = excluded.x, t = excluded.t
"""
MADE = "CREATE TABLE IF NOT EXISTS many (k TEXT PRIMARY KEY, n BIGINT NOT NULL, x DOUBLE PRECISION, t TEXT NOT NULL)"
# PostgreSQL keeps no null characters in text, and neither takes half of a surrogate pair.
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
rows = st.dictionaries(
    words, st.tuples(st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(allow_nan=False)), max_size=150
).map(lambda found: [{"k": k, "n": n, "x": x} for k, (n, x) in found.items()])


@given(first=rows, second=rows)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_rows_are_there(any_store: Store, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    with any_store.append() as tx:
        tx.execute(MADE)
        tx.execute("DELETE FROM many")
        tx.insert_many(PUT, first)
        tx.insert_many(PUT, second)
        found = {k: (n, x, t) for k, n, x, t in tx.rows("SELECT k, n, x, t FROM many")}
    assert found == {row["k"]: (row["n"], row["x"], "it's :k") for row in first + second}


@given(first=rows, second=rows)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_known_to_be_new_go_with_others_that_may_replace_them(
    any_store: Store, first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    with any_store.append() as tx:
        tx.execute(MADE)
        tx.execute("DELETE FROM many")
    with any_store.sql.write(pipeline=True) as tx:
        for row in first:
            tx.insert_many(PUT, [row], new=True)
        tx.insert_many(PUT, second)
    with any_store.read() as reader:
        found = {k: (n, x) for k, n, x in reader.rows("SELECT k, n, x FROM many")}
    assert found == {row["k"]: (row["n"], row["x"]) for row in first + second}


@pytest.mark.postgres
def test_a_row_that_was_there_after_all_is_not_overwritten(pg_store: Store) -> None:
    with pg_store.append() as tx:
        tx.execute(MADE)
        tx.insert_many(PUT, [{"k": "a", "n": 1, "x": None}])
    with pytest.raises(psycopg.errors.UniqueViolation), pg_store.sql.write(pipeline=True) as tx:
        tx.insert_many(PUT, [{"k": "a", "n": 2, "x": None}], new=True)
    with pg_store.read() as reader:
        assert reader.rows("SELECT k, n FROM many") == [("a", 1)]


@pytest.mark.postgres
def test_rows_are_on_their_way_before_anything_is_asked(pg_store: Store) -> None:
    with pg_store.append() as tx:
        tx.execute(MADE)
    with psycopg.connect(pg_store.sql.url, autocommit=True) as other, pg_store.sql.write(pipeline=True) as tx:
        tx.insert_many(PUT, [{"k": str(n), "n": n, "x": None} for n in range(pipelined.UNSENT_MAX)])
        until = time.monotonic() + 30
        while _inserted(other) == 0:  # by the other transaction, which has asked for nothing
            assert time.monotonic() < until
            time.sleep(0.01)


def _inserted(connection: psycopg.Connection[Any]) -> int:
    """How large the table is on the disk: it grows before a transaction that fills it ends."""
    row = connection.execute("SELECT pg_relation_size('many')").fetchone()
    assert row is not None
    return int(row[0])


def test_a_statement_takes_no_more_rows_than_it_may() -> None:
    rows = [{"k": str(n), "n": n, "x": None} for n in range(2 * many_rows.TOGETHER_MAX + 1)]
    statements = list(many_rows.together(PUT, rows))
    assert [len(params) // 3 for _, params in statements] == [many_rows.TOGETHER_MAX, many_rows.TOGETHER_MAX, 1]
    text, params = statements[-1]
    assert text == PUT.replace(":k, :n, :x, 'it''s :k'", "$1, $2, $3, 'it''s :k'")
    assert params == [rows[-1]["k"], rows[-1]["n"], None]


@given(count=st.integers(0, 1_000))
def test_few_statements_take_any_number_of_rows(count: int) -> None:
    rows = [{"k": str(n), "n": n, "x": None} for n in range(count)]
    statements = list(many_rows.together(PUT, rows))
    assert [name for _, params in statements for name in params[::3]] == [row["k"] for row in rows]
    assert len(statements) <= count // many_rows.TOGETHER_MAX + 3
