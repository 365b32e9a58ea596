"""Blobs that another store's records name are neither swept nor left out of a backup by mistake."""

from pathlib import Path

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.event import Event
from roadworthy.nouns.project import Retention
from roadworthy.operate import retention
from roadworthy.store import backup, belonging, remote_blobs
from roadworthy.store.store import Store, open_store
from tests.postgres import Server


def used(store: Store, content: bytes) -> str:
    """A blob, and a record of something."""
    with store.change(Event(kind="thing.made", subject="thing")):
        pass
    return store.blobs.put(content)


def refused(store: Store, to: Path) -> str:
    """Why nothing is swept; the same is said of a backup, and with nothing touched."""
    said = []
    for dry_run in (True, False):
        with pytest.raises(Fault) as problem:
            retention.collect(store, Retention(), grace_s=0, dry_run=dry_run)
        assert problem.value.code is Code.CONFLICT
        said.append(str(problem.value))
    with pytest.raises(Fault) as problem:
        backup.make(store, to, files_only=True, progress=lambda *_: None)
    assert {*said, str(problem.value)} == {said[0]}
    assert not to.exists()
    return said[0]


def test_the_only_store_of_a_folder_sweeps_it(any_store: Store) -> None:
    digest = used(any_store, b"nobody names this")
    assert any_store.blobs.has(digest)
    retention.collect(any_store, Retention(), grace_s=0)
    assert not any_store.blobs.has(digest)


@pytest.mark.postgres
def test_blobs_of_records_in_postgresql_stay_when_the_variable_is_not_set(pg_store: Store, tmp_path: Path) -> None:
    digest = used(pg_store, b"named there")
    with open_store(pg_store.home) as forgotten:
        with forgotten.change(Event(kind="thing.made", subject="by mistake")):
            pass
        said = refused(forgotten, tmp_path / "backup")
        assert "postgresql://" in said
        assert "ROADWORTHY_STORE" in said
        assert forgotten.blobs.has(digest)
        (pg_store.home / belonging.NOTE).unlink()  # as the message says, when that database is gone
        retention.collect(forgotten, Retention(), grace_s=0)
        assert not forgotten.blobs.has(digest)


@pytest.mark.postgres
def test_blobs_of_records_in_store_db_stay_when_postgresql_was_opened(
    store: Store, postgres: Server, tmp_path: Path
) -> None:
    digest = used(store, b"named in store.db")
    with open_store(store.home, url=postgres.new_database()) as other:
        used(other, b"named there")
        assert "store.db" in refused(other, tmp_path / "backup")
        assert other.blobs.has(digest)


@pytest.mark.postgres
def test_blobs_of_another_database_stay(pg_store: Store, postgres: Server, tmp_path: Path) -> None:
    digest = used(pg_store, b"named in the first")
    with open_store(pg_store.home, url=postgres.new_database()) as other:
        used(other, b"named in the second")
        assert "test" in refused(other, tmp_path / "backup")
        assert other.blobs.has(digest)
    with open_store(pg_store.home, url=pg_store.sql.url):
        assert len((pg_store.home / belonging.NOTE).read_text().splitlines()) == 2


def test_a_store_without_any_records_sweeps_nothing(store: Store, tmp_path: Path) -> None:
    digest = store.blobs.put(b"whose is this?")
    assert "no records" in refused(store, tmp_path / "backup")
    assert store.blobs.has(digest)


def test_a_store_without_any_records_sweeps_no_bucket(store: Store, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    store.blobs = remote_blobs.connect(f"file://{tmp_path}/bucket", store.home / "blobs")
    assert "no records" in refused(store, tmp_path / "backup")


def test_a_folder_with_nothing_in_it_has_nothing_to_sweep_and_can_be_backed_up(store: Store, tmp_path: Path) -> None:
    retention.collect(store, Retention(), grace_s=0)
    backup.make(store, tmp_path / "backup", progress=lambda *_: None)
    assert (tmp_path / "backup" / backup.MANIFEST).is_file()


@pytest.mark.postgres
def test_no_password_is_noted(pg_store: Store) -> None:
    belonging.note(pg_store.home, "postgresql://ml:secret@db.example/road")
    belonging.note(pg_store.home, "postgresql://ml:other@db.example/road")
    noted = (pg_store.home / belonging.NOTE).read_text()
    assert noted.count("postgresql://ml:***@db.example/road") == 1
    assert "secret" not in noted
