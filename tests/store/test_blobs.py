"""Blobs: whole or absent, checked when read, shared when equal; small ones in packs, large ones linked."""

import os
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.nouns.errors import Code, Fault
from roadworthy.store import pack_writer, packs
from roadworthy.store.blobs import LINK_FROM_BYTES, Blobs, digest_of, digest_of_file


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def test_what_is_put_is_got(blobs: Blobs) -> None:
    digest = blobs.put(b"abc")
    assert digest == blake3(b"abc").hexdigest()
    assert blobs.get(digest) == b"abc"
    assert blobs.file(digest).read_bytes() == b"abc"
    assert blobs.has(digest)
    assert not blobs.has(digest_of(b"other"))
    assert blobs.check(digest) == 3


def test_equal_content_is_kept_once_and_nothing_is_left_beside_it(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"abc")
    before = blobs.path(digest).stat()
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    assert blobs.put(b"abc") == digest == blobs.put_file(file)
    assert blobs.path(digest).stat().st_ino == before.st_ino
    assert names(blobs.folder) == [digest[2:]]
    assert not before.st_mode & 0o222


def test_a_damaged_blob_is_found_however_it_is_read(blobs: Blobs) -> None:
    digest = blobs.put(b"abc")
    damage(blobs.path(digest))
    for read in (blobs.get, blobs.file, blobs.check):
        with pytest.raises(Fault, match="no longer has its digest"):
            read(digest)


def test_what_is_not_there_is_said_to_be_missing(blobs: Blobs) -> None:
    for read in (blobs.get, blobs.file, blobs.check):
        with pytest.raises(Fault) as caught:
            read(digest_of(b"never"))
        assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("digest", ["", "abc", "../" * 20 + "etc/passwd", "A" * 64, "g" * 64, "a" * 63 + "/"])
def test_only_digests_are_paths(blobs: Blobs, digest: str) -> None:
    with pytest.raises(Fault, match="not a BLAKE3 digest"):
        blobs.path(digest)


def test_a_block_that_fails_leaves_nothing(blobs: Blobs) -> None:
    def write() -> None:
        with blobs.new() as path:
            path.write_bytes(b"half")
            raise ValueError

    with pytest.raises(ValueError):
        write()
    assert names(blobs.folder) == []


def test_a_file_is_adopted_under_its_digest(blobs: Blobs) -> None:
    with blobs.new() as path:
        path.write_bytes(b"made")
        kept = blobs.adopt(path)
    assert (kept.digest, kept.size, kept.how) == (digest_of(b"made"), 4, "copied")
    with blobs.new() as path:
        path.write_bytes(b"made")
        assert blobs.adopt(path).how == "present"
    assert blobs.get(kept.digest) == b"made"


def large(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(LINK_FROM_BYTES)
        file.write(b"start")
    return path


def test_a_large_file_is_not_copied_and_becomes_read_only(blobs: Blobs, tmp_path: Path) -> None:
    source = large(tmp_path / "large")
    kept = blobs.keep_file(source)
    assert kept.how in {"linked", "cloned"}
    assert kept.digest == digest_of_file(source)
    if kept.how == "linked":
        assert blobs.path(kept.digest).stat().st_ino == source.stat().st_ino
        assert not source.stat().st_mode & 0o222
    # Replacing the file, as editors and pipelines do, leaves the blob alone.
    other = tmp_path / "new"
    other.write_bytes(b"replaced")
    other.replace(source)
    assert blobs.check(kept.digest) == LINK_FROM_BYTES


def test_a_large_file_is_copied_when_asked(blobs: Blobs, tmp_path: Path) -> None:
    source = large(tmp_path / "large")
    kept = blobs.keep_file(source, copy=True)
    assert kept.how == "copied"
    assert blobs.path(kept.digest).stat().st_ino != source.stat().st_ino
    assert source.stat().st_mode & 0o200


def test_writing_into_a_linked_file_is_found_and_never_believed(blobs: Blobs, tmp_path: Path) -> None:
    source = large(tmp_path / "large")
    kept = blobs.keep_file(source)
    if kept.how != "linked":
        pytest.skip("this file system clones")
    source.chmod(0o644)
    with source.open("r+b") as file:
        file.write(b"other")
    with pytest.raises(Fault, match="no longer has its digest"):
        blobs.file(kept.digest)


def test_an_unreadable_file_is_one_message(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be read"):
        blobs.keep_file(tmp_path / "missing")
    with pytest.raises(Fault, match="cannot be read"):
        digest_of_file(tmp_path)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=30))
def test_packed_contents_come_back(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    blobs = Blobs(tmp_path_factory.mktemp("packs"))
    assert not blobs.has(digest_of(b"never"))
    with pack_writer.Writer(blobs.packs.folder) as writer:
        for content in contents:
            writer.add(blake3(content).digest(), content)
        writer.finish()
    for content in contents:
        digest = digest_of(content)
        assert blobs.has(digest)
        assert blobs.get(digest) == content
        assert blobs.check(digest) == len(content)
        assert blobs.file(digest).read_bytes() == content
    assert all(name.endswith(packs.SUFFIX) for name in os.listdir(blobs.packs.folder))


def packed(blobs: Blobs, *contents: bytes) -> Path:
    with pack_writer.Writer(blobs.packs.folder) as writer:
        for content in contents:
            writer.add(blake3(content).digest(), content)
        writer.finish()
    [path] = blobs.packs.folder.glob(f"*{packs.SUFFIX}")
    return path


def test_a_damaged_content_in_a_pack_is_found_and_the_others_are_not_lost(blobs: Blobs) -> None:
    path = packed(blobs, b"first", b"second")
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    with pytest.raises(Fault, match="no longer has its digest"):
        blobs.get(digest_of(b"first"))
    assert blobs.get(digest_of(b"second")) == b"second"


@pytest.mark.parametrize("keep", [0, 5, -1, -20])
def test_a_cut_pack_is_said_to_be_damaged(blobs: Blobs, keep: int) -> None:
    path = packed(blobs, b"first", b"second")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Fault, match="damaged"):
        Blobs(blobs.folder).get(digest_of(b"first"))


def test_a_pack_of_the_first_version_is_read(blobs: Blobs) -> None:
    contents = [b"first", b"", b"second"]
    rows, offset = [], 0
    for content in contents:
        rows.append((blake3(content).digest(), offset, len(content)))
        offset += len(content)
    index = msgspec.msgpack.encode(rows)
    blobs.packs.folder.mkdir(parents=True)
    path = blobs.packs.folder / f"{blake3(index).hexdigest()}.pack"
    path.write_bytes(b"".join(contents) + index + len(index).to_bytes(8, "little") + packs.MARK_OF_ROWS)
    assert [blobs.get(digest_of(content)) for content in contents] == contents


def test_a_changed_index_is_said_to_be_damaged(blobs: Blobs) -> None:
    path = packed(blobs, b"first", b"second")
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(b"firstsecond") + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(Fault, match="damaged"):
        Blobs(blobs.folder).has(digest_of(b"first"))


def test_an_unfinished_pack_is_never_seen(blobs: Blobs) -> None:
    with pack_writer.Writer(blobs.packs.folder) as writer:
        writer.add(blake3(b"x").digest(), b"x")
    assert list(blobs.packs.folder.iterdir()) == []


def test_what_a_killed_writer_left_is_swept_away_after_a_day(blobs: Blobs) -> None:
    digest = blobs.put(b"kept")
    packed(blobs, b"first")
    left = [blobs.folder / "incoming" / "1.abc", blobs.packs.folder / ".1.abc"]
    for path in left:
        path.write_bytes(b"half")
    assert blobs.sweep() == 0
    for path in left:
        day_ago_s = path.stat().st_mtime - 90_000
        os.utime(path, (day_ago_s, day_ago_s))
    assert blobs.sweep() == 2
    assert not any(path.exists() for path in left)
    assert blobs.get(digest) == b"kept"
    assert blobs.get(digest_of(b"first")) == b"first"
