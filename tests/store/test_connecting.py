"""Connections to the engines: one that is lost is found out before anything is asked of it."""

import select

import psycopg
import pytest

from roadworthy.store import connecting
from roadworthy.store.sql import Database
from tests.postgres import Server, end_connections


@pytest.mark.postgres
def test_a_connection_is_lost_once_postgresql_ended_it_and_not_for_a_notice(postgres: Server) -> None:
    url = postgres.new_database()
    connection = connecting.to_postgresql(url, to_write=True)
    assert not connecting.is_lost(connection)
    connection.execute("LISTEN road")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("NOTIFY road, 'hear this'")
    assert select.select([connection.pgconn.socket], [], [], 10)[0], "something came that nobody asked for"
    assert not connecting.is_lost(connection)
    assert connection.execute("SELECT 1").fetchone() == (1,)
    end_connections(url)
    assert connecting.is_lost(connection)
    assert connection.closed
    assert connecting.is_lost(connection)


@pytest.mark.postgres
@pytest.mark.parametrize("pipeline", [False, True])
def test_what_writes_after_postgresql_ended_all_connections_is_not_refused(postgres: Server, pipeline: bool) -> None:
    url = postgres.new_database()
    database = Database(url)
    with database.write() as tx:
        tx.execute("CREATE TABLE kept (number INTEGER)")
    for number in range(3):
        end_connections(url)
        with database.write(pipeline=pipeline) as tx:
            tx.execute("INSERT INTO kept (number) VALUES (:number)", number=number)
    with database.read() as reader:
        assert reader.rows("SELECT number FROM kept ORDER BY number") == [(0,), (1,), (2,)]
    database.close()
