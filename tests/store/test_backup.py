"""Backup and restore: of one moment under write load, whole or not there, and nothing damaged comes back unseen."""

import os
import threading
from pathlib import Path

import pytest

from roadworthy.data import snapshots
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.event import Event
from roadworthy.store import backup, locks, log, restoring
from roadworthy.store.blobs import digest_of
from roadworthy.store.clock import SystemClock
from roadworthy.store.store import Store, open_store


def quiet(_what: str, _done: int, _total: int) -> None:
    """No progress shown."""


def make(store: Store, to: Path, **options: bool) -> backup.Made:
    return backup.make(store, to, progress=quiet, **options)


def restore(source: Path, home: Path, *, partial: bool = False) -> restoring.Restored:
    return restoring.restore(source, home, partial=partial, progress=quiet)


def fill(store: Store, folder: Path, count: int = 3) -> list[str]:
    """A few snapshots, a signed checkpoint, labels; the ids."""
    ids = []
    for i in range(count):
        root = folder / f"data{i}"
        root.mkdir(parents=True)
        for j in range(40):
            (root / f"{j}.txt").write_bytes(f"{i} {j}".encode() * 50)
        ids.append(snapshots.take(store, f"d{i}", root).id)
    with store.append() as tx:
        log.checkpoint(tx, store.keys, origin="test", at=0.0)
    (store.home / "labels").mkdir()
    (store.home / "labels" / "a.parquet").write_bytes(b"labels")
    return ids


def content(store: Store, ref: str, to: Path) -> dict[str, bytes]:
    snapshots.restore(store, snapshots.get(store, ref), to)
    return {path.relative_to(to).as_posix(): path.read_bytes() for path in to.rglob("*") if path.is_file()}


@pytest.mark.parametrize("copy", [False, True])
def test_what_is_restored_is_what_was_backed_up(store: Store, tmp_path: Path, *, copy: bool) -> None:
    ids = fill(store, tmp_path / "in")
    made = make(store, tmp_path / "backup", copy=copy)
    assert (made.linked == made.manifest.blobs) is not copy
    restored = restore(tmp_path / "backup", tmp_path / "again" / ".roadworthy")
    assert restored.manifest == made.manifest
    assert restored.left_out == ()
    home = tmp_path / "again" / ".roadworthy"
    assert (home / "labels" / "a.parquet").read_bytes() == b"labels"
    assert (home / "keys" / "signing.pem").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    with open_store(home) as again:
        for i, ref in enumerate(ids):
            assert content(again, ref, tmp_path / f"out{i}") == content(store, ref, tmp_path / f"in{i}")
        with again.read() as reader:
            found = log.verify(reader, again.keys)
        assert (found.size, found.root, found.damage) == (made.manifest.events, made.manifest.root, ())
        # It goes on as the other would.
        again.blobs.put(b"new")
        with again.change(Event(kind="test.done", subject="x")):
            pass
    assert not list(tmp_path.glob(".*partial"))


def test_under_write_load_a_backup_is_of_one_moment(tmp_path: Path) -> None:
    home = tmp_path / ".roadworthy"
    stop = threading.Event()
    written = [0, 0]
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            with open_store(home) as mine:
                while not stop.is_set():
                    root = tmp_path / "in" / f"{writer}-{written[writer]}"
                    root.mkdir(parents=True)
                    for j in range(40):
                        (root / f"{j}").write_bytes(os.urandom(64))
                    snapshots.take(mine, f"w{writer}-{written[writer]}", root)
                    written[writer] += 1
        except BaseException as problem:
            failures.append(problem)

    with open_store(home) as store:
        threads = [threading.Thread(target=write, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        try:
            while min(written) < 3 and not failures:
                stop.wait(0.01)
            for turn in range(2):
                before = min(written)
                make(store, tmp_path / f"backup{turn}")
                while min(written) < before + 2 and not failures:
                    stop.wait(0.01)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert failures == []
    for turn in range(2):
        again_home = tmp_path / f"again{turn}"
        restore(tmp_path / f"backup{turn}", again_home)
        with open_store(again_home) as again:
            taken = snapshots.listing(again)
            assert len(taken) >= 6
            assert all(snapshots.verify(again, snapshot) == [] for snapshot in taken)


def test_a_killed_backup_is_carried_on_and_a_killed_restore_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, tmp_path / "in")
    calls = [0]
    put = backup._put

    def dying(path: Path, place: Path, *, copy: bool) -> bool:
        calls[0] += 1
        if calls[0] > 3:
            raise KeyboardInterrupt
        return put(path, place, copy=copy)

    monkeypatch.setattr(backup, "_put", dying)
    with pytest.raises(KeyboardInterrupt):
        make(store, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    monkeypatch.undo()
    made = make(store, tmp_path / "backup")
    assert made.resumed == 3
    monkeypatch.setattr(restoring, "_check_log", dying)
    with pytest.raises((KeyboardInterrupt, TypeError)):
        restore(tmp_path / "backup", tmp_path / "again")
    assert not list(tmp_path.glob("again*"))
    monkeypatch.undo()
    assert restore(tmp_path / "backup", tmp_path / "again").left_out == ()


def blob_of(source: Path, pattern: str) -> Path:
    return min((source / "home" / "blobs").glob(pattern))


def damage(path: Path) -> None:
    path.chmod(0o644)
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 1
    other = path.with_name("other")
    other.write_bytes(text)
    other.replace(path)  # a file of its own: the store's may be the same one


@pytest.mark.parametrize("pattern", ["[0-9a-f][0-9a-f]/*", "packs/*.pack"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_or_missing_blob_is_named_and_the_rest_can_be_had(
    store: Store, tmp_path: Path, pattern: str, *, gone: bool
) -> None:
    fill(store, tmp_path / "in")
    make(store, tmp_path / "backup")
    path = blob_of(tmp_path / "backup", pattern)
    if gone:
        path.unlink()
    else:
        damage(path)
    with pytest.raises(Fault, match=path.name) as caught:
        restore(tmp_path / "backup", tmp_path / "again")
    assert caught.value.code is Code.INVALID
    assert not (tmp_path / "again").exists()
    assert [
        name.partition("/")[2] for name in restore(tmp_path / "backup", tmp_path / "again", partial=True).left_out
    ] == [path.name]


@pytest.mark.parametrize("name", ["home/store.db", "home/keys/signing.pem", "blobs.list", "backup.json"])
def test_any_other_damage_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    fill(store, tmp_path / "in")
    make(store, tmp_path / "backup")
    path = tmp_path / "backup" / name
    if name == "backup.json":
        path.write_text(path.read_text().replace('"version"', '"versoin"'))
    else:
        damage(path)
    with pytest.raises(Fault) as caught:
        restore(tmp_path / "backup", tmp_path / "again")
    assert caught.value.code is Code.INVALID
    assert not (tmp_path / "again").exists()


def test_a_log_that_was_changed_is_not_backed_up(store: Store, tmp_path: Path) -> None:
    fill(store, tmp_path / "in")
    with store.append() as tx:
        tx.execute("UPDATE events SET record = replace(record, 'd0', 'dX') WHERE seq = 0")
    with pytest.raises(Fault, match="the log was changed"):
        make(store, tmp_path / "backup")


def test_what_must_not_be_overwritten_is_not(store: Store, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    for to in (tmp_path / "backup", store.home / "inside"):
        with pytest.raises(Fault):
            make(store, to)
    make(store, tmp_path / "good")
    with pytest.raises(Fault, match="a store here already"):
        restore(tmp_path / "good", store.home)
    with pytest.raises(Fault, match="no backup") as caught:
        restore(tmp_path / "backup", tmp_path / "again")
    assert caught.value.code is Code.NOT_FOUND


def test_locks_of_the_living_are_not_those_of_the_copy(store: Store, tmp_path: Path) -> None:
    now = SystemClock().now()
    locks.take(store, "loop of somebody", now=now)
    make(store, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    with open_store(tmp_path / "again") as again:
        locks.take(again, "gc", now=now)
        locks.take(again, "loop of somebody", now=now)
    with locks.held(store, "gc", now=now), pytest.raises(Fault, match="held by"):
        make(store, tmp_path / "second")


@pytest.mark.postgres
def test_records_in_postgresql_are_left_to_its_own_dump(pg_store: Store, tmp_path: Path) -> None:
    with pg_store.change(Event(kind="test.done", subject="x")):
        digest = pg_store.blobs.put(b"kept")
    with pytest.raises(Fault, match="PostgreSQL") as caught:
        make(pg_store, tmp_path / "backup")
    assert "pg_dump" in caught.value.fix
    made = make(pg_store, tmp_path / "backup", files_only=True)
    assert made.manifest.database == "postgresql"
    restore(tmp_path / "backup", tmp_path / "again")
    assert (tmp_path / "again" / "blobs" / digest[:2] / digest[2:]).read_bytes() == b"kept"
    assert digest == digest_of(b"kept")
