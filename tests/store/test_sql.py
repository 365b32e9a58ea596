"""The SQL engine: transactions, dialects, migrations, and what it says when the database fails."""

import multiprocessing
import sqlite3
import threading
from pathlib import Path

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.event import Event
from roadworthy.store import log, migrating
from roadworthy.store.sql import Database, _numbered
from roadworthy.store.store import Store, open_store
from tests.postgres import Server


def count(store: Store) -> int:
    with store.read() as reader:
        row = reader.row("SELECT COUNT(*) FROM events")
    assert row is not None
    return int(row[0])


def test_parameters_are_rewritten_for_postgresql_outside_literals_and_casts() -> None:
    sql = "SELECT ':no', '100%', x::text FROM t WHERE a = :a AND b LIKE '%:b' AND (c = :c OR d = :a)"
    assert _numbered(sql) == (
        "SELECT ':no', '100%', x::text FROM t WHERE a = $1 AND b LIKE '%:b' AND (c = $2 OR d = $1)",
        ("a", "c"),
    )


def test_migrations_are_split_at_line_ends_and_lose_comments() -> None:
    assert migrating.statements("-- why;\nCREATE TABLE a (b TEXT);\n\nINSERT INTO a VALUES (';x');\n") == [
        "CREATE TABLE a (b TEXT)",
        "INSERT INTO a VALUES (';x')",
    ]


def test_what_fails_half_way_leaves_nothing(any_store: Store) -> None:
    with pytest.raises(RuntimeError), any_store.append() as tx:
        tx.execute("INSERT INTO aliases (name, alias, version) VALUES (:n, :a, :v)", n="m", a="x", v=1)
        raise RuntimeError
    with any_store.read() as reader:
        assert reader.rows("SELECT * FROM aliases") == []


def test_many_rows_go_in_at_once(any_store: Store) -> None:
    rows = [{"n": "m", "a": f"a{i}", "v": i} for i in range(100)]
    with any_store.append() as tx:
        tx.execute_many("INSERT INTO aliases (name, alias, version) VALUES (:n, :a, :v)", rows)
        tx.execute_many("INSERT INTO aliases (name, alias, version) VALUES (:n, :a, :v)", [])
    with any_store.read() as reader:
        assert reader.row("SELECT COUNT(*), MAX(version) FROM aliases") == (100, 99)


def test_a_read_inside_a_change_sees_it_and_a_change_inside_one_is_a_defect(any_store: Store) -> None:
    with any_store.change(Event(kind="a.b", subject="c")) as tx:
        tx.execute("INSERT INTO aliases (name, alias, version) VALUES ('m', 'a', 1)")
        with any_store.read() as reader:
            assert reader.rows("SELECT alias FROM aliases") == [("a",)]
        with pytest.raises(AssertionError, match="inside another"), any_store.append():
            pass
    assert count(any_store) == 1


def test_a_value_is_never_sql(any_store: Store) -> None:
    nasty = "x'); DROP TABLE aliases; -- %s %(a)s :a ☂"
    with any_store.append() as tx:
        tx.execute("INSERT INTO aliases (name, alias, version) VALUES (:n, :a, 1)", n=nasty, a="a")
    with any_store.read() as reader:
        assert reader.rows("SELECT name FROM aliases WHERE name = :n", n=nasty) == [(nasty,)]


def test_opening_again_migrates_nothing_and_keeps_everything(tmp_path: Path) -> None:
    for _ in range(3):
        with open_store(tmp_path / ".roadworthy") as store, store.change(Event(kind="a.b", subject="c")):
            pass
    with open_store(tmp_path / ".roadworthy") as store:
        assert count(store) == 3


def test_a_newer_store_is_not_touched(tmp_path: Path) -> None:
    open_store(tmp_path / ".roadworthy").close()
    path = tmp_path / ".roadworthy" / "store.db"
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_version (version, at) VALUES (999, 0)")
    connection.close()
    with pytest.raises(Fault) as caught:
        open_store(tmp_path / ".roadworthy")
    assert caught.value.code is Code.CONFLICT
    assert "upgrade roadworthy" in caught.value.fix


def test_threads_take_turns(any_store: Store) -> None:
    def work() -> None:
        for _ in range(20):
            with any_store.change(Event(kind="a.b", subject="c")):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with any_store.read() as reader:
        assert log.verify(reader, any_store.keys).size == 80
        assert log.verify(reader, any_store.keys).damage == ()


def _write_from_another_process(home: str, url: str) -> None:
    with open_store(Path(home), url=url) as store:
        for _ in range(25):
            with store.change(Event(kind="a.b", subject="c")):
                pass


def test_processes_take_turns(any_store: Store) -> None:
    url = any_store.sql.url if any_store.sql.dialect == "postgresql" else "sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_from_another_process, args=(str(any_store.home), url)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with any_store.read() as reader:
        assert log.verify(reader, any_store.keys).size == 75
        assert log.verify(reader, any_store.keys).damage == ()


def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    home = tmp_path / ".roadworthy"
    home.mkdir()
    (home / "store.db").write_bytes(b"this is not a database, whatever its name says " * 100)
    with pytest.raises(Fault) as caught:
        open_store(home)
    assert caught.value.code is Code.INVALID
    assert "damaged" in caught.value.what


def test_a_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="neither") as caught:
        open_store(tmp_path / ".roadworthy", url="mysql://root:secret@host/db")
    assert "secret" not in str(caught.value)


def test_a_postgresql_that_is_not_there_is_unavailable_and_keeps_its_password(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        open_store(tmp_path / ".roadworthy", url="postgresql://me:secret@127.0.0.1:1/db")
    assert caught.value.code is Code.UNAVAILABLE
    assert "secret" not in str(caught.value)


@pytest.mark.postgres
def test_a_postgresql_that_went_away_and_came_back_is_used_again(postgres: Server, tmp_path: Path) -> None:
    with open_store(tmp_path / ".roadworthy", url=postgres.new_database()) as store:
        with store.change(Event(kind="a.b", subject="before")):
            pass
        postgres.stop()
        try:
            with pytest.raises(Fault) as caught, store.change(Event(kind="a.b", subject="lost")):
                pass
            assert caught.value.code is Code.UNAVAILABLE
        finally:
            postgres.start()
        with store.change(Event(kind="a.b", subject="after")):
            pass
        assert count(store) == 2


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fault) as caught:
        open_store(tmp_path / "file" / ".roadworthy")
    assert caught.value.code in {Code.INVALID, Code.UNAVAILABLE}


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "x.db"))
    migrating.migrate(database)
    database.close()
    database.close()
