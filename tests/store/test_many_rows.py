"""Many rows in one statement are the same rows one by one, on both engines."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.store import many_rows
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
