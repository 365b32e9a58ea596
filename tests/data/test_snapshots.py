"""Snapshots: equal content is one snapshot, kept once, restored whole; and bad inputs are one message each."""

import gzip
import os
import pathlib
import threading
from collections.abc import Callable

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from roadworthy.data import gather, pack_share, packing, snapshots
from roadworthy.data.hashes import RACY_NS, Hashes
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.snapshot import File
from roadworthy.store.blobs import LINK_FROM_BYTES
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store


def tree(root: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def content(root: pathlib.Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def events(store: Store) -> int:
    with store.read() as reader:
        row = reader.row("SELECT count(*) FROM events WHERE kind = 'snapshot.taken'")
    assert row
    return int(row[0])


def kept_bytes(store: Store) -> int:
    return sum(p.stat().st_size for p in store.blobs.folder.rglob("*") if p.is_file())


FILES = {"a.txt": b"a", "deep/er/b.bin": b"\x00" * 100, "deep/same": b"a", "ünï.txt": "ü".encode()}


def test_a_folder_is_kept_and_restored_byte_for_byte(any_store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", FILES)
    snapshot = snapshots.take(any_store, "photos", root, project="p", source="in/")
    assert (snapshot.kind, snapshot.files, snapshot.rows) == ("folder", 4, None)
    assert snapshot.size == sum(map(len, FILES.values()))
    assert [f.path for f in snapshots.files(any_store, snapshot)] == sorted(FILES)
    snapshots.restore(any_store, snapshot, tmp_path / "out")
    assert content(tmp_path / "out") == FILES
    assert snapshots.verify(any_store, snapshot) == []
    # As a value for a step: read-only, laid out once.
    laid = snapshots.read(any_store, snapshot, pathlib.Path)
    assert content(laid) == FILES
    assert laid == snapshots.read(any_store, snapshot, pathlib.Path)
    assert not any(p.stat().st_mode & 0o222 for p in laid.rglob("*") if p.is_file())


def test_the_same_content_is_the_same_snapshot_and_writes_nothing(any_store: Store, tmp_path: pathlib.Path) -> None:
    one = snapshots.take(any_store, "d", tree(tmp_path / "one", FILES), project="p")
    size = kept_bytes(any_store)
    two = snapshots.take(any_store, "d", tree(tmp_path / "two", FILES), project="p")
    assert (one.id, events(any_store), kept_bytes(any_store)) == (two.id, 1, size)


def test_going_back_makes_the_old_one_the_newest(
    any_store: Store, tmp_path: pathlib.Path, clock: SimulatedClock
) -> None:
    one = snapshots.take(any_store, "d", tree(tmp_path / "d", {"a": b"1"}))
    clock.sleep(1)
    snapshots.take(any_store, "d", tree(tmp_path / "d", {"a": b"2"}))
    clock.sleep(1)
    snapshots.take(any_store, "d", tree(tmp_path / "d", {"a": b"1"}))
    assert snapshots.get(any_store, "d").id == one.id
    assert len(snapshots.listing(any_store)) == 2


def test_found_by_id_by_its_beginning_and_by_name(any_store: Store, tmp_path: pathlib.Path) -> None:
    snapshot = snapshots.take(any_store, "d", tree(tmp_path / "d", {"a": b"1"}), project="p")
    for ref in (snapshot.id, snapshot.id[:8], "d"):
        assert snapshots.get(any_store, ref) == snapshot
        assert snapshots.get(any_store, ref, "p") == snapshot
    for ref, project in (("d", "other"), (snapshot.id, "other"), ("nope", ""), (snapshot.id[:3], ""), ("%", "")):
        with pytest.raises(Fault) as caught:
            snapshots.get(any_store, ref, project)
        assert caught.value.code is Code.NOT_FOUND
    assert [s.id for s in snapshots.listing(any_store, "p", "d")] == [snapshot.id]
    assert snapshots.listing(any_store, "p", "e") == []


def test_many_small_files_share_packs_and_only_new_ones_are_added(store: Store, tmp_path: pathlib.Path) -> None:
    files = {f"{i % 7}/{i}.txt": str(i).encode() * 20 for i in range(2000)}
    root = tree(tmp_path / "in", files)
    seen: list[tuple[str, int, int]] = []
    snapshot = snapshots.take(store, "d", root, progress=lambda *said: seen.append(said))
    assert seen[-1] == ("files", 2000, 2000)
    packs = list(store.blobs.packs.folder.iterdir())
    assert 1 <= len(packs) <= (os.cpu_count() or 1)
    size = kept_bytes(store)
    (root / "0" / "0.txt").write_bytes(b"new")
    second = snapshots.take(store, "d", root)
    assert second.id != snapshot.id
    # The one new file, and a manifest.
    assert kept_bytes(store) - size < 300_000
    snapshots.restore(store, snapshot, tmp_path / "old")
    assert content(tmp_path / "old") == files
    snapshots.restore(store, second, tmp_path / "new")
    assert content(tmp_path / "new") == files | {"0/0.txt": b"new"}


def test_packing_works_where_other_threads_run(store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", {f"{i}": str(i).encode() for i in range(900)})
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        snapshot = snapshots.take(store, "d", root)
    finally:
        stop.set()
        thread.join()
    assert snapshots.verify(store, snapshot) == []


def test_a_large_file_is_linked_and_read_back(store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", {"small": b"s"})
    with (root / "large").open("wb") as file:
        file.truncate(LINK_FROM_BYTES)
    snapshot = snapshots.take(store, "d", root)
    assert not (root / "large").stat().st_mode & 0o222
    snapshots.restore(store, snapshot, tmp_path / "out")
    # What is restored is the user's own: a copy, that may be written to.
    assert (tmp_path / "out" / "large").stat().st_mode & 0o200
    assert (tmp_path / "out" / "large").stat().st_ino != (root / "large").stat().st_ino


def old(path: pathlib.Path) -> os.stat_result:
    return path.stat()


def test_a_file_that_has_not_moved_is_not_read_again(store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", {f"{i}": str(i).encode() for i in range(40)})
    hashes = Hashes(store.home / "cache" / "hashes")
    found = gather.find([root])
    assert gather.gather(store.blobs, found, hashes, pack=True).read == 40
    # Too fresh to be told from a later change: read again, then believed once the clock has moved on.
    wait_until_settled(tmp_path, root)
    hashes = Hashes(store.home / "cache" / "hashes")
    gather.gather(store.blobs, gather.find([root]), hashes, pack=True)
    again = gather.gather(store.blobs, gather.find([root]), Hashes(store.home / "cache" / "hashes"), pack=True)
    assert again.read == 0
    # The same size and the same times of modification, by someone who sets them back.
    state = (root / "7").stat()
    (root / "7").write_bytes(b"x")
    os.utime(root / "7", ns=(state.st_atime_ns, state.st_mtime_ns))
    changed = gather.gather(store.blobs, gather.find([root]), Hashes(store.home / "cache" / "hashes"), pack=True)
    assert changed.read == 1
    assert changed.files != again.files


def wait_until_settled(folder: pathlib.Path, root: pathlib.Path) -> None:
    newest = max(p.stat().st_ctime_ns for p in root.rglob("*"))
    probe = folder / "probe"
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_mtime_ns > newest + RACY_NS:
            return
        threading.Event().wait(0.02)


def test_a_damaged_cache_of_hashes_costs_nothing_but_time(store: Store, tmp_path: pathlib.Path) -> None:
    path = store.home / "cache" / "hashes"
    path.parent.mkdir()
    path.write_bytes(b"\xff junk")
    assert snapshots.take(store, "d", tree(tmp_path / "in", FILES)).files == 4


def test_verify_names_what_is_damaged_or_gone(store: Store, tmp_path: pathlib.Path) -> None:
    snapshot = snapshots.take(store, "d", tree(tmp_path / "in", {"a": b"aaa", "b": b"bbb", "c": b"ccc"}))
    listed = {f.path: store.blobs.path(f.digest) for f in snapshots.files(store, snapshot)}
    listed["a"].chmod(0o644)
    listed["a"].write_bytes(b"xxx")
    listed["b"].unlink()
    wrong = dict(snapshots.verify(store, snapshot))
    assert set(wrong) == {"a", "b"}
    assert "no longer has its digest" in wrong["a"]
    assert "not in the store" in wrong["b"]
    with pytest.raises(Fault):
        snapshots.restore(store, snapshot, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".roadworthy", "in"]


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../../x", "", "a//b", "./a", "a/.", "..", "a\\..\\b", "a\0b", "a/"]
)
def test_a_manifest_that_leads_out_is_refused(store: Store, tmp_path: pathlib.Path, path: str) -> None:
    snapshot = snapshots.take(store, "d", tree(tmp_path / "in", FILES))
    evil = store.blobs.put(msgspec.json.encode([File(path=path, digest=store.blobs.put(b"x"), size=1)]))
    forged = msgspec.structs.replace(snapshot, manifest=evil)
    for use in (
        lambda: snapshots.restore(store, forged, tmp_path / "out"),
        lambda: snapshots.read(store, forged, pathlib.Path),
        lambda: snapshots.files(store, forged),
    ):
        with pytest.raises(Fault, match="leads out"):
            use()
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "x").exists()


def test_a_manifest_whose_names_collide_is_one_message(store: Store, tmp_path: pathlib.Path) -> None:
    snapshot = snapshots.take(store, "d", tree(tmp_path / "in", FILES))
    digest = store.blobs.put(b"x")
    listed = [File(path="a", digest=digest, size=1), File(path="a/b", digest=digest, size=1)]
    forged = msgspec.structs.replace(snapshot, manifest=store.blobs.put(msgspec.json.encode(listed)))
    with pytest.raises(Fault):
        snapshots.restore(store, forged, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_restored_over_what_is_there(store: Store, tmp_path: pathlib.Path) -> None:
    snapshot = snapshots.take(store, "d", tree(tmp_path / "in", FILES))
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for there in (tmp_path / "in", tmp_path / "in" / "a.txt", tmp_path / "link"):
        with pytest.raises(Fault) as caught:
            snapshots.restore(store, snapshot, there)
        assert caught.value.code is Code.CONFLICT
    (tmp_path / "empty").mkdir()
    snapshots.restore(store, snapshot, tmp_path / "empty")
    assert content(tmp_path / "empty") == FILES


def link_out(root: pathlib.Path) -> None:
    (root / "passwd").symlink_to("/etc/passwd")


def link_up(root: pathlib.Path) -> None:
    (root.parent / "secret").write_text("s")
    (root / "up").symlink_to("../secret")


def link_nowhere(root: pathlib.Path) -> None:
    (root / "gone").symlink_to("not there")


def link_to_folder(root: pathlib.Path) -> None:
    (root / "self").symlink_to(".")


def pipe(root: pathlib.Path) -> None:
    os.mkfifo(root / "pipe")


@pytest.mark.parametrize("spoil", [link_out, link_up, link_nowhere, link_to_folder, pipe])
def test_what_is_no_file_of_the_folder_is_refused(
    store: Store, tmp_path: pathlib.Path, spoil: Callable[[pathlib.Path], None]
) -> None:
    root = tree(tmp_path / "in", FILES)
    spoil(root)
    with pytest.raises(Fault) as caught:
        snapshots.take(store, "d", root)
    assert caught.value.code is Code.INVALID
    assert str(root) in caught.value.where


def test_a_link_within_the_folder_is_its_file(store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", FILES)
    (root / "also").symlink_to("a.txt")
    snapshots.restore(store, snapshots.take(store, "d", root), tmp_path / "out")
    assert content(tmp_path / "out") == FILES | {"also": b"a"}
    assert not (tmp_path / "out" / "also").is_symlink()


def test_a_repository_within_is_passed_over(store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", {"a": b"1", ".git/config": b"c", ".hidden": b"h"})
    assert [f.path for f in snapshots.files(store, snapshots.take(store, "d", root))] == [".hidden", "a"]


def test_a_name_that_is_no_utf8_is_one_message(store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", FILES)
    with open(os.fsencode(root) + b"/\xff", "wb") as file:
        file.write(b"x")
    with pytest.raises(Fault, match="not UTF-8"):
        snapshots.take(store, "d", root)


@pytest.mark.parametrize("path", ["missing", "empty"])
def test_nothing_there_is_not_found(store: Store, tmp_path: pathlib.Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Fault) as caught:
        snapshots.take(store, "d", tmp_path / path)
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission_is_one_message(store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", {f"{i}": b"x" for i in range(50)})
    (root / "3").chmod(0)
    with pytest.raises(Fault, match="cannot be read: Permission denied"):
        snapshots.take(store, "d", root)


def test_a_bad_name_is_refused(store: Store, tmp_path: pathlib.Path) -> None:
    for name in ("", "A", "../x", "a" * 64, "a b"):
        with pytest.raises(Fault, match="data set's name"):
            snapshots.take(store, name, tree(tmp_path / "in", FILES))


# --- tables


def test_a_table_comes_back_with_types_and_index(store: Store) -> None:
    frame = pd.DataFrame(
        {"c": pd.Categorical(["a", "b"], categories=["b", "a"]), "n": np.array([1, 2], "int16")},
        index=pd.Index([5, 6], name="i"),
    )
    snapshot = snapshots.take_table(store, "t", frame, source="source:made")
    assert (snapshot.kind, snapshot.rows) == ("parquet", 2)
    pd.testing.assert_frame_equal(snapshots.read(store, snapshot, pd.DataFrame), frame)
    assert snapshots.read(store, snapshot, pa.Table).column_names[:2] == ["c", "n"]
    assert snapshots.read(store, snapshot, pathlib.Path).name == "data.parquet"
    assert snapshots.take_table(store, "t", frame.copy()).id == snapshot.id
    with pytest.raises(Fault, match="must be a table, not a list"):
        snapshots.take_table(store, "t", [1])
    with pytest.raises(Fault, match="cannot be read as"):
        snapshots.read(store, snapshot, dict)


CSV = "id,name,day,share\n1,a,2024-01-01,0.5\n2,,2024-01-02,\n"


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_a_csv_is_read_by_type(store: Store, tmp_path: pathlib.Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    path.write_bytes(gzip.compress(CSV.encode()) if ending == ".csv.gz" else CSV.encode())
    snapshot = snapshots.take(store, "t", path)
    assert [c.type for c in snapshot.columns] == ["BIGINT", "VARCHAR", "DATE", "DOUBLE"]
    assert snapshot.rows == 2
    frame = snapshots.read(store, snapshot, pd.DataFrame)
    assert frame["id"].tolist() == [1, 2]
    assert frame["name"].isna().tolist() == [False, True]
    assert frame["day"].dtype.kind == "M"
    assert snapshots.read(store, snapshot, pathlib.Path).name == path.name


def test_several_files_are_one_table(store: Store, tmp_path: pathlib.Path) -> None:
    for month in (1, 2):
        (tmp_path / f"m{month}.csv").write_text(f"id;x\n{month};0,5\n")
    snapshot = snapshots.take(store, "t", sorted(tmp_path.glob("*.csv")))
    assert snapshots.read(store, snapshot, pa.Table).to_pydict() == {"id": [1, 2], "x": ["0,5", "0,5"]}
    for month in (1, 2):
        pd.DataFrame({"id": [month]}).to_parquet(tmp_path / f"m{month}.parquet")
    snapshot = snapshots.take(store, "p", sorted(tmp_path.glob("*.parquet")))
    assert snapshots.read(store, snapshot, pd.DataFrame)["id"].tolist() == [1, 2]


def test_types_told_at_the_taking_hold_for_every_reading(store: Store, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("zip,n\n12345,1\n")
    guessed = snapshots.take(store, "t", path)
    told = snapshots.take(store, "t", path, types={"zip": "VARCHAR"})
    assert told.id == guessed.id
    assert snapshots.read(store, snapshots.get(store, "t"), pa.Table).to_pydict() == {"zip": ["12345"], "n": [1]}


@pytest.mark.parametrize("column", ["ä b", "select", 'a"; DROP TABLE x; --', "a'b", "{x}", "row", " ", "データ"])
def test_any_column_name_will_do(store: Store, tmp_path: pathlib.Path, column: str) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame({column: [1], "other": ["x"]}).to_csv(path, index=False)
    snapshot = snapshots.take(store, "t", path)
    assert snapshot.columns[0].name == column
    assert snapshots.read(store, snapshot, pa.Table).column(0).to_pylist() == [1]


BAD: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "the file is empty", "bad.csv"),
    "blank": (b"\n\n", "no header", "bad.csv"),
    "wrong encoding": ("a,b\n1,ü\n".encode("latin1"), "not UTF-8", "bad.csv"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "UTF-16", "bad.csv"),
    "long line": (b"a,b\n1,2\n1,2,3\n", "has 3 values and the header 2", "bad.csv:3"),
    "short line": (b"a,b\n1,2\n3,4\n1\n", "has 1 value and the header 2", "bad.csv:4"),
    "open quote": (b'a,b\n1,"x\n2,y\n', "no end", "bad.csv"),
    "huge value": (b"a,b\n1," + b"x" * (17 << 20) + b"\n", "longer than 16 MiB", "bad.csv"),
    "no name": (b"a,,b\n1,2,3\n", "column 2 has no name", "bad.csv"),
    "twice": (b"a,b,a\n1,2,3\n", "same name", "bad.csv"),
    "not gzip": (b"a,b\n1,2\n", "cannot be unpacked", "bad.csv.gz"),
    "not parquet": (b"a,b\n1,2\n", "is not", "bad.parquet"),
    "cut parquet": (b"PAR1 and nothing", "cannot be read", "bad.parquet"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_clear_message(store: Store, tmp_path: pathlib.Path, case: str) -> None:
    bad, message, where = BAD[case]
    (tmp_path / where.partition(":")[0]).write_bytes(bad)
    with pytest.raises(Fault, match=message) as caught:
        snapshots.take(store, "bad", tmp_path / where.partition(":")[0])
    assert caught.value.code is Code.INVALID
    assert caught.value.where.startswith(where)
    assert len(caught.value.what) < 400
    assert events(store) == 0


def test_one_late_text_makes_a_column_text(store: Store, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 150_000 + b"x,2\n")
    snapshot = snapshots.take(store, "t", path)
    assert [c.type for c in snapshot.columns] == ["VARCHAR", "BIGINT"]
    assert snapshot.rows == 150_001


def test_files_of_different_columns_are_one_message(store: Store, tmp_path: pathlib.Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    with pytest.raises(Fault, match="same columns"):
        snapshots.take(store, "t", sorted(tmp_path.glob("*.csv")))
    for name in "ab":
        pd.DataFrame({name: [1]}).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(Fault, match="same columns"):
        snapshots.take(store, "t", sorted(tmp_path.glob("*.parquet")))


def test_a_header_alone_is_a_table_without_rows(store: Store, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n")
    snapshot = snapshots.take(store, "t", path)
    assert snapshot.rows == 0
    assert snapshots.read(store, snapshot, pd.DataFrame).columns.tolist() == ["a", "b"]


def test_a_byte_order_mark_and_huge_numbers_are_fine(store: Store, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n99999999999999999999999999,1e400\n")
    snapshot = snapshots.take(store, "t", path)
    assert snapshot.columns[0].name == "a"
    assert snapshots.read(store, snapshot, pd.DataFrame).shape == (1, 2)


@pytest.mark.parametrize("count", [3, 60])
def test_a_file_that_goes_or_grows_while_it_is_taken_is_one_message(
    store: Store, tmp_path: pathlib.Path, count: int
) -> None:
    root = tree(tmp_path / "in", {f"{i:02d}": b"x" for i in range(count)})
    found = gather.find([root])
    hashes = Hashes(store.home / "cache" / "hashes")
    (root / "01").unlink()
    with pytest.raises(Fault, match="cannot be read: No such file"):
        gather.gather(store.blobs, found, hashes, pack=True)
    # The kernel says that this file has no bytes, and more are read: as of one that grows under the reader.
    found[1] = gather.Found("/proc/self/status", "01")
    with pytest.raises(Fault, match="changed while it was read"):
        gather.gather(store.blobs, found, hashes, pack=True)


@pytest.mark.parametrize("block", [8192, 10])
def test_larger_files_and_links_to_them_among_many_small_ones_are_kept_by_themselves(
    store: Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(packing, "BLOCK_ENTRIES_MAX", block)
    large = {name: name.encode() * (pack_share.PACK_FILE_BYTES_MAX // 3 + 1) for name in ("050", "097")}
    files = {f"{i:03d}": str(i).encode() for i in range(100)} | large
    root = tree(tmp_path / "in", files)
    (root / "099").unlink()
    (root / "099").symlink_to("097")
    snapshot = snapshots.take(store, "d", root)
    digests = {file.path: file.digest for file in snapshots.files(store, snapshot)}
    assert digests["099"] == digests["097"]
    for name, whole in large.items():
        assert store.blobs.path(digests[name]).read_bytes() == whole
    assert len(store.blobs.packs.spots()) == 97
    snapshots.restore(store, snapshot, tmp_path / "out")
    assert content(tmp_path / "out") == files | {"099": large["097"]}


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_files_that_just_fill_what_they_are_read_into_are_kept_whole(
    store: Store, tmp_path: pathlib.Path, more: int
) -> None:
    random = np.random.default_rng(1)
    sizes = [0, 4 << 10, 64 << 10, 960 << 10, 1 << 20, pack_share.PACK_FILE_BYTES_MAX - 1]
    files = {f"{i:03d}": random.bytes(max(size + more, 0)) for i, size in enumerate(sizes * 6)}
    snapshot = snapshots.take(store, "d", tree(tmp_path / "in", files))
    assert len(store.blobs.packs.spots()) == len(set(files.values()))
    snapshots.restore(store, snapshot, tmp_path / "out")
    assert content(tmp_path / "out") == files


def test_what_is_no_file_any_more_when_it_is_read_is_one_message(store: Store, tmp_path: pathlib.Path) -> None:
    root = tree(tmp_path / "in", {f"{i:02d}": b"x" for i in range(60)})
    found = gather.find([root])
    (root / "07").unlink()
    os.mkfifo(root / "07")
    with pytest.raises(Fault, match="it is no file any more") as caught:
        gather.gather(store.blobs, found, Hashes(store.home / "cache" / "hashes"), pack=True)
    assert caught.value.where == str(root / "07")
