"""Blobs that another store's records name are neither swept nor left out of a backup by mistake."""

import asyncio
from pathlib import Path

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.event import Event
from roadworthy.nouns.project import Retention
from roadworthy.operate import retention
from roadworthy.store import backup, belonging, remote_blobs
from roadworthy.store.group import GroupCommit
from roadworthy.store.sql import Database
from roadworthy.store.store import Store, open_store
from tests.postgres import Server


def used(store: Store, content: bytes) -> str:
    """A blob, and a record of something else."""
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
@pytest.mark.parametrize(("first", "named"), [("store", "store.db"), ("pg_store", "test")])
def test_blobs_of_the_first_store_stay_when_another_database_was_opened(
    request: pytest.FixtureRequest, postgres: Server, tmp_path: Path, first: str, named: str
) -> None:
    store: Store = request.getfixturevalue(first)
    digest = used(store, b"named in the first")
    with open_store(store.home, url=postgres.new_database()) as other:
        used(other, b"named in the second")
        assert named in refused(other, tmp_path / "backup")
        assert other.blobs.has(digest)


@pytest.mark.postgres
def test_another_database_that_was_only_looked_at_is_no_hindrance(
    store: Store, pg_store: Store, postgres: Server, tmp_path: Path
) -> None:
    used(store, b"named in store.db")
    used(pg_store, b"somewhere else")
    for url in (postgres.new_database(), pg_store.sql.url):
        with open_store(store.home, url=url) as looked, looked.read() as reader:
            reader.rows("SELECT 1 FROM events")
    retention.collect(store, Retention(), grace_s=0)
    backup.make(store, tmp_path / "backup", progress=lambda *_: None)


@pytest.mark.postgres
def test_a_database_is_the_same_however_its_url_is_written(pg_store: Store) -> None:
    used(pg_store, b"one")
    other = pg_store.sql.url.replace("postgresql://", "postgres://") + "&application_name=other"
    with open_store(pg_store.home, url=other) as again:
        used(again, b"two")
        retention.collect(again, Retention(), grace_s=0)
    assert len((pg_store.home / belonging.NOTE).read_text().splitlines()) == 1


@pytest.mark.postgres
def test_what_a_server_writes_in_groups_is_noted_too(pg_store: Store) -> None:
    async def scene() -> None:
        group = GroupCommit(pg_store)

        def work(store: Store) -> None:
            with store.change(Event(kind="thing.made", subject="thing")):
                pass

        await group.submit(work)
        await group.drain()

    asyncio.run(scene())
    assert "postgresql://" in (pg_store.home / belonging.NOTE).read_text()


def test_a_store_without_any_records_sweeps_nothing(store: Store, tmp_path: Path) -> None:
    digest = store.blobs.put(b"whose is this?")
    assert "no records" in refused(store, tmp_path / "backup")
    assert store.blobs.has(digest)


def bucket(tmp_path: Path, store: Store) -> None:
    (tmp_path / "bucket").mkdir(exist_ok=True)
    store.keep_blobs(remote_blobs.connect(f"file://{tmp_path}/bucket", store.home / "blobs"))


def test_a_store_without_any_records_sweeps_no_bucket(store: Store, tmp_path: Path) -> None:
    bucket(tmp_path, store)
    assert "no records" in refused(store, tmp_path / "backup")


def test_a_bucket_that_another_store_keeps_its_blobs_in_is_not_swept(store: Store, tmp_path: Path) -> None:
    bucket(tmp_path, store)
    used(store, b"named by the first")
    retention.collect(store, Retention(), grace_s=0)
    with open_store(tmp_path / "other" / ".roadworthy") as other:
        with other.change(Event(kind="thing.made", subject="of its own")):
            pass
        bucket(tmp_path, other)
        assert "another store" in refused(other, tmp_path / "backup")
    retention.collect(store, Retention(), grace_s=0)  # to have tried is no claim


def test_a_folder_with_nothing_in_it_has_nothing_to_sweep_and_can_be_backed_up(store: Store, tmp_path: Path) -> None:
    retention.collect(store, Retention(), grace_s=0)
    backup.make(store, tmp_path / "backup", progress=lambda *_: None)
    assert (tmp_path / "backup" / backup.MANIFEST).is_file()


def test_a_database_that_cannot_be_read_is_nobodys_to_give_up(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database at all, and longer than its head" * 10)
    assert belonging._first_leaf(tmp_path / "store.db")
    assert not belonging._first_leaf(tmp_path / "none.db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ml:secret@db.example/road",
        "postgresql://db.example/road?user=ml&password=secret",
        "postgresql://:secret@db.example:5433/road",
        "postgresql://ml:a@secret@DB.example/road",
    ],
)
def test_neither_users_nor_passwords_are_noted(url: str) -> None:
    assert belonging._shown(Database(url)) == "postgresql://db.example/road"


@pytest.mark.postgres
def test_the_note_is_for_its_owner_alone(pg_store: Store) -> None:
    used(pg_store, b"one")
    assert (pg_store.home / belonging.NOTE).stat().st_mode & 0o077 == 0
