"""The pipeline to PostgreSQL: what psycopg's own cursors would say, whatever fails on the way."""

import math
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.store import connecting, pipeline
from roadworthy.store.pipeline import Pipeline
from roadworthy.store.pipelined import pipelined
from tests.postgres import Server

pytestmark = pytest.mark.postgres
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)
VALUES = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(),
    st.none() | TEXT,
    st.none() | st.binary(max_size=100),
    st.none() | st.booleans(),
)


@pytest.fixture
def connection(postgres: Server) -> Iterator[Any]:
    found = connecting.to_postgresql(postgres.new_database(), to_write=True)
    found.execute("CREATE TABLE t (n BIGINT, x DOUBLE PRECISION, s TEXT, b BYTEA, y BOOLEAN)")
    found.execute("CREATE TABLE k (n BIGINT PRIMARY KEY)")
    yield found
    found.close()


LISTS = st.lists(TEXT, max_size=6) | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6) | st.lists(st.none() | TEXT)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=LISTS)
def test_lists_come_back_as_they_are(connection: Any, values: list[Any]) -> None:
    kind = "BIGINT" if values and isinstance(values[0], int) else "TEXT"
    piped = Pipeline(connection)
    for _ in range(3):  # plain, and then prepared
        with piped.opened():
            asked = f"SELECT CAST($1 AS {kind}[])"
            assert piped.rows(piped.send(asked, [values])) == [(values,)]
    assert connection.execute(f"SELECT CAST($1 AS {kind}[])", [values]).fetchall() == [(values,)]


INSERT = "INSERT INTO t (n, x, s, b, y) VALUES ($1, $2, $3, $4, $5)"
READ = "SELECT n, x, s, b, y FROM t ORDER BY ctid"


def same(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or (one == other and type(one) is type(other))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(VALUES, max_size=8))
def test_values_come_back_as_they_are_and_as_psycopg_reads_them(connection: Any, rows: list[tuple[Any, ...]]) -> None:
    connection.execute("TRUNCATE t")
    piped = Pipeline(connection)
    with piped.opened():
        sent = [piped.send(INSERT, row) for row in rows]
        found = piped.rows(piped.send(READ, ()))
        assert [piped.changed(answer) for answer in sent] == [1] * len(rows)
    assert len(found) == len(rows)
    for written, read, plain in zip(rows, found, connection.execute(READ).fetchall(), strict=True):
        assert all(map(same, written, read))
        assert all(map(same, plain, read))


def test_answers_may_be_asked_for_in_any_order(connection: Any) -> None:
    piped = Pipeline(connection)
    with piped.opened():
        asked = [piped.send("SELECT $1::BIGINT, $2::TEXT[]", (n, ["a", str(n)])) for n in range(50)]
        for n in (7, 3, 49, 0, 7):
            assert piped.rows(asked[n]) == [(n, ["a", str(n)])]


def test_a_transaction_is_there_when_its_block_ends_and_statements_are_prepared_once(connection: Any) -> None:
    piped = Pipeline(connection)
    for n in range(3):
        with pipelined(piped) as cursor:
            cursor.execute("INSERT INTO k (n) VALUES ($1)", (n,))
    assert connection.execute("SELECT n FROM k ORDER BY n").fetchall() == [(0,), (1,), (2,)]
    prepared = connection.execute("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'rw%'").fetchall()
    assert prepared == [("INSERT INTO k (n) VALUES ($1)",)]


def test_more_statements_than_are_prepared_are_asked_too(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PREPARED_MAX", 3)
    piped = Pipeline(connection)
    for _ in range(3):
        with piped.opened():
            asked = [piped.send(f"SELECT $1::BIGINT + {n}", (1,)) for n in range(10)]
            assert [piped.rows(answer) for answer in asked] == [[(1 + n,)] for n in range(10)]
    # Those that were used last.
    kept = connection.execute("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'rw%'").fetchall()
    assert sorted(kept) == [(f"SELECT $1::BIGINT + {n}",) for n in (7, 8, 9)]


def test_a_null_does_not_make_another_statement(connection: Any) -> None:
    piped = Pipeline(connection)
    rows = [(1, 0.5), (2, None), (None, 1.5), (None, None), (3, 2.5)]
    for _ in range(2):
        with piped.opened():
            for n, x in rows:
                piped.send("INSERT INTO t (n, x) VALUES ($1, $2)", (n, x))
    assert connection.execute("SELECT n, x FROM t ORDER BY ctid").fetchall() == rows * 2
    assert connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'rw%'").fetchone() == (1,)


def test_a_statement_that_is_asked_once_is_not_prepared(connection: Any) -> None:
    piped = Pipeline(connection)
    with piped.opened():
        assert piped.rows(piped.send("SELECT $1::BIGINT", (5,))) == [(5,)]
    assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_prepared_statements_that_somebody_took_away_are_prepared_again(connection: Any) -> None:
    piped = Pipeline(connection)

    def ask() -> list[tuple[Any, ...]]:
        with piped.opened():
            return piped.rows(piped.send("SELECT $1::BIGINT", (5,)))

    assert [ask() for _ in range(3)] == [[(5,)]] * 3
    connection.execute("DEALLOCATE ALL")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        ask()
    assert [ask() for _ in range(3)] == [[(5,)]] * 3


def test_the_drivers_own_cursors_do_not_take_them_away(connection: Any) -> None:
    piped = Pipeline(connection)
    for _ in range(3):
        with piped.opened():
            piped.send("INSERT INTO k (n) VALUES ($1) ON CONFLICT DO NOTHING", (1,))
    for _ in range(10):  # psycopg would prepare these, and forget all that is prepared at a rollback
        connection.execute("BEGIN")
        connection.execute("SAVEPOINT piece")
        connection.execute("RELEASE SAVEPOINT piece")
        connection.execute("COMMIT")
    connection.execute("BEGIN")
    connection.execute("ROLLBACK")
    with piped.opened():
        piped.send("INSERT INTO k (n) VALUES ($1) ON CONFLICT DO NOTHING", (2,))
    assert connection.execute("SELECT n FROM k ORDER BY n").fetchall() == [(1,), (2,)]


def test_a_failure_is_raised_at_the_next_wait_and_nothing_after_it_happens(connection: Any) -> None:
    piped = Pipeline(connection)
    with pytest.raises(psycopg.errors.UniqueViolation), pipelined(piped) as cursor:
        cursor.execute("INSERT INTO k (n) VALUES ($1)", (1,))
        cursor.execute("INSERT INTO k (n) VALUES ($1)", (1,))
        cursor.execute("INSERT INTO k (n) VALUES (2)", ())
    assert connection.execute("SELECT count(*) FROM k").fetchone() == (0,)
    # The connection goes on, with what it has prepared.
    with pipelined(piped) as cursor:
        cursor.execute("INSERT INTO k (n) VALUES ($1)", (3,))
    assert connection.execute("SELECT n FROM k").fetchall() == [(3,)]


def test_what_was_not_prepared_as_something_before_it_failed_is_prepared_later(connection: Any) -> None:
    piped = Pipeline(connection)
    with pytest.raises(psycopg.errors.UndefinedTable), piped.opened():
        piped.send("SELECT n FROM nowhere WHERE n = $1", (1,))
        piped.rows(piped.send("SELECT $1::BIGINT", (5,)))
    with pytest.raises(psycopg.errors.UndefinedTable), piped.opened():
        piped.send("SELECT n FROM nowhere WHERE n = $1", (1,))
    with piped.opened():
        asked = [piped.send(f"SELECT $1::BIGINT + {n}", (5,)) for n in range(5)]
        assert [piped.rows(answer) for answer in asked] == [[(5 + n,)] for n in range(5)]
        assert piped.rows(piped.send("SELECT $1::BIGINT", (5,))) == [(5,)]


def test_what_the_block_raises_is_raised_and_nothing_of_it_is_kept(connection: Any) -> None:
    said: list[str] = []
    connection.add_notice_handler(lambda diagnostic: said.append(diagnostic.message_primary))
    piped = Pipeline(connection)
    for asked in (False, True):
        with pytest.raises(KeyError), piped.opened():
            sent = piped.send("INSERT INTO k (n) VALUES ($1)", (1,))
            if asked:
                assert piped.changed(sent) == 1
            raise KeyError
        assert not connection.closed
        with piped.opened():
            assert piped.rows(piped.send("SELECT count(*) FROM k", ())) == [(0,)]
    assert said == []  # the server's log is not filled with warnings either


def test_what_the_commit_refuses_is_raised_and_nothing_of_it_is_kept(connection: Any) -> None:
    connection.execute("CREATE TABLE late (n BIGINT REFERENCES k (n) DEFERRABLE INITIALLY DEFERRED)")
    piped = Pipeline(connection)
    for _ in range(2):
        with pytest.raises(psycopg.errors.ForeignKeyViolation), piped.opened():
            assert piped.changed(piped.send("INSERT INTO late (n) VALUES ($1)", (1,))) == 1
        assert not connection.closed
    with piped.opened():
        assert piped.rows(piped.send("SELECT count(*) FROM late", ())) == [(0,)]


def test_nothing_is_committed_before_the_block_ends(connection: Any) -> None:
    piped = Pipeline(connection)
    with psycopg.connect(connection.info.dsn, autocommit=True) as other, piped.opened():
        assert piped.changed(piped.send("INSERT INTO k (n) VALUES ($1)", (1,))) == 1
        assert piped.rows(piped.send("SELECT n FROM k", ())) == [(1,)]
        assert other.execute("SELECT n FROM k").fetchall() == []
    assert connection.execute("SELECT n FROM k").fetchall() == [(1,)]


def test_what_no_driver_can_write_is_refused_and_the_connection_goes_on(connection: Any) -> None:
    piped = Pipeline(connection)
    for bad in (object(), "a\0b", 1 << 70):
        with pytest.raises((psycopg.Error, OverflowError)), piped.opened():
            piped.rows(piped.send("SELECT $1", (bad,)))
    with piped.opened():
        assert piped.rows(piped.send("SELECT $1::TEXT", ("fine",))) == [("fine",)]


def test_what_is_larger_than_any_buffer_goes_both_ways(connection: Any) -> None:
    piped = Pipeline(connection)
    large = "x" * (20 << 20)
    with piped.opened():
        asked = [piped.send("SELECT $1::TEXT", (large + str(n),)) for n in range(3)]
        assert [piped.rows(answer)[0][0] == large + str(n) for n, answer in enumerate(asked)] == [True] * 3


def test_a_connection_that_is_ended_is_said_so(connection: Any, postgres: Server) -> None:
    piped = Pipeline(connection)
    with psycopg.connect(connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError), piped.opened():
        piped.rows(piped.send("SELECT $1::BIGINT", (1,)))
    assert connection.closed


def test_a_connection_that_ends_with_its_transaction_half_done_is_said_so(connection: Any) -> None:
    piped = Pipeline(connection)
    with (
        psycopg.connect(connection.info.dsn, autocommit=True) as other,
        pytest.raises(psycopg.OperationalError),
        pipelined(piped) as cursor,
    ):
        cursor.execute("INSERT INTO k (n) VALUES ($1) RETURNING n", (1,))
        assert cursor.fetchall() == [(1,)]
        other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    assert connection.closed


def test_rows_come_in_pages(connection: Any) -> None:
    with pipelined(Pipeline(connection)) as cursor:
        cursor.execute("SELECT generate_series(1, $1)", (7,))
        assert [cursor.fetchmany(3) for _ in range(4)] == [[(1,), (2,), (3,)], [(4,), (5,), (6,)], [(7,)], []]
        cursor.execute("SELECT generate_series(1, $1)", (3,))
        assert cursor.fetchone() == (1,)
        assert cursor.fetchone() == (2,)
        assert cursor.fetchall() == [(3,)]
        assert cursor.fetchone() is None


def test_words_are_the_same_in_lists_as_alone_in_a_database_of_another_encoding(postgres: Server) -> None:
    url = postgres.new_database()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        name = admin.info.dbname
    latin = connecting.to_postgresql(url.replace(f"/{name}", "/latin"), to_write=True)
    piped = Pipeline(latin)
    for _ in range(3):
        with piped.opened():
            asked = piped.send("SELECT CAST($1 AS TEXT) = ANY(CAST($2 AS TEXT[])), $3::text", ("grün", ["grün"], "ü"))
            assert piped.rows(asked) == [(True, "ü")]
    latin.close()
