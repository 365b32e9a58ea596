"""What is kept, and when it may be used again."""

import os
import time
from pathlib import Path

import pytest

from roadworthy.data.formats import registry as formats
from roadworthy.pipelines import cache
from roadworthy.pipelines.cache import Kept
from roadworthy.store.store import Store

LATER = 10**20  # as if long after any change


def test_the_newest_of_a_key_and_of_a_step(any_store: Store) -> None:
    one = Kept(key="k1", step="a", parts={"x": "1"}, run="r1", at=1.0, output=formats.save(any_store.blobs, 1))
    two = Kept(key="k2", step="a", parts={"x": "2"}, run="r2", at=2.0)
    cache.put(any_store, "shop", [one, two])
    assert cache.get(any_store, "k1") == one
    assert cache.newest(any_store, "shop", "a") == two
    assert cache.newest(any_store, "other", "a") is None
    again = Kept(key="k1", step="a", parts={"x": "1"}, run="r3", at=3.0)
    cache.put(any_store, "shop", [again])
    assert cache.get(any_store, "k1") == again
    assert cache.newest(any_store, "shop", "a") == again


def test_a_file_is_as_it_was_or_not(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    steady, fresh = cache.mark(file, LATER), cache.mark(file, time.time_ns())
    assert steady.changed_ns
    assert not fresh.changed_ns  # changed just now: its time cannot be relied on
    assert cache.unchanged(file, steady)
    stat = file.stat()
    file.write_text("two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the old time of content does not deceive
    assert not cache.unchanged(file, steady)
    assert not cache.unchanged(file, fresh)
    file.unlink()
    assert not cache.unchanged(file, steady)
    assert cache.unchanged(file, cache.mark(file, LATER))


def test_a_file_changed_while_it_was_read_is_never_believed(tmp_path: Path, store: Store) -> None:
    (tmp_path / "a.txt").write_text("one")
    marks = cache.marks(tmp_path, ["a.txt"], since_ns=0, now_ns=LATER)
    kept = Kept(key="k", step="a", parts={}, files=marks)
    assert cache.obstacle(store, kept, tmp_path) == "file a.txt was changed while it was read"


def test_folders_and_patterns_count_by_what_is_in_them(tmp_path: Path, store: Store) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.csv").write_text("x")
    names = cache.named(tmp_path, ["data", "data/*.csv", "nothing.csv", ".hidden", "..", "\0"], ())
    assert names == {"data", "data/*.csv"}
    kept = Kept(key="k", step="a", parts={}, files=cache.marks(tmp_path, ["data/*.csv"], since_ns=LATER, now_ns=LATER))
    assert cache.obstacle(store, kept, tmp_path) == ""
    (tmp_path / "data" / "2.csv").write_text("x")
    assert cache.obstacle(store, kept, tmp_path) == "file data/*.csv changed"


@pytest.mark.parametrize("written", [(), ("new.csv",)])
def test_a_named_file_that_was_not_there_is_new_unless_the_step_writes_it(
    written: tuple[str, ...], tmp_path: Path, store: Store
) -> None:
    kept = Kept(key="k", step="a", parts={}, written=written)
    assert cache.obstacle(store, kept, tmp_path, ["new.csv"]) == ""
    (tmp_path / "new.csv").write_text("x")
    assert cache.obstacle(store, kept, tmp_path, ["new.csv"]) == ("" if written else "file new.csv is new")


def test_a_record_of_another_version_is_made_anew(store: Store) -> None:
    cache.put(store, "shop", [Kept(key="k", step="a", parts={})])
    with store.append() as tx:
        tx.execute("UPDATE step_outputs SET record = :r WHERE key = 'k'", r='{"strange": 1}')
    assert cache.get(store, "k") is None
