"""Readers: what a thread that reads sees of connections that were lost."""

from collections.abc import Iterator

import pytest

from roadworthy.nouns.errors import Fault
from roadworthy.store.sql import Database
from tests.postgres import Server, end_connections
from tests.waiting import until

pytestmark = pytest.mark.postgres


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    """One that has two reading connections open."""
    database = Database(postgres.new_database())
    database.read_beside()
    read_twice(database)
    yield database
    database.close()


def read_twice(database: Database) -> None:
    with database.read() as one, database.read() as other:
        assert one.row("SELECT 1") == other.row("SELECT 1") == (1,)


def test_what_reads_after_postgresql_ended_all_connections_gets_another(database: Database) -> None:
    end_connections(database.url)
    read_twice(database)


def test_a_connection_that_ends_while_it_is_read_from_is_said_and_the_next_read_gets_another(
    database: Database,
) -> None:
    with pytest.raises(Fault, match="does not answer"), database.read() as reader:
        assert reader.row("SELECT 1") == (1,)
        end_connections(database.url)
        reader.row("SELECT 1")
    read_twice(database)


def test_all_that_are_free_are_closed_and_reading_goes_on_after(database: Database) -> None:
    database.close()
    until(lambda: connections(database) == 1)  # PostgreSQL ends them a moment later


def connections(database: Database) -> int:
    with database.read() as reader:
        [(count,)] = reader.rows("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()")
    return int(count)
