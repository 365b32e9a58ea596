"""Sweeping: what is named or young stays byte for byte, the rest leaves the disk, wherever a sweep is killed."""

import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.nouns.errors import Fault
from roadworthy.store import pack_writer, sweeping
from roadworthy.store.blobs import LINK_FROM_BYTES, Blobs, digest_of
from roadworthy.store.sweeping import Sweep, sweep
from tests.dying import killed

DAY_S = 86_400.0


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def pack(blobs: Blobs, *contents: bytes) -> Path:
    before = set(blobs.packs.folder.glob("*.pack"))
    with pack_writer.Writer(blobs.packs.folder) as writer:
        for content in contents:
            writer.add(blake3(content).digest(), content)
        writer.finish()
    [path] = set(blobs.packs.folder.glob("*.pack")) - before
    return path


def age(blobs: Blobs, *paths: Path, by_s: float = 2 * DAY_S) -> None:
    """Make files (all of them, unless named) as old as two days."""
    for path in paths or [path for path in blobs.folder.rglob("*") if path.is_file()]:
        stat = path.stat()
        os.utime(path, (stat.st_atime - by_s, stat.st_mtime - by_s))


def raw(*contents: bytes) -> set[bytes]:
    return {blake3(content).digest() for content in contents}


def test_what_nothing_names_goes_and_what_is_named_stays(blobs: Blobs) -> None:
    kept, gone = blobs.put(b"kept" * 100), blobs.put(b"gone" * 100)
    age(blobs)
    planned = sweep(blobs, raw(b"kept" * 100), dry_run=True)
    assert blobs.has(gone)
    assert sweep(blobs, raw(b"kept" * 100)) == planned == Sweep(blobs=1, freed=400)
    assert blobs.get(kept) == b"kept" * 100
    assert not blobs.has(gone)
    assert sweep(blobs, raw(b"kept" * 100)) == Sweep()


def test_what_is_young_stays_though_nothing_names_it(blobs: Blobs) -> None:
    digest = blobs.put(b"on its way")
    pack(blobs, b"1", b"2")
    assert sweep(blobs, set()) == Sweep(young=3)
    assert blobs.get(digest) == b"on its way"


@pytest.mark.parametrize("rely", ["put", "touch", "keep_file", "adopt"])
def test_an_old_blob_that_a_writer_relies_on_is_as_good_as_new(blobs: Blobs, tmp_path: Path, rely: str) -> None:
    digest = blobs.put(b"old")
    age(blobs)
    (tmp_path / "same").write_bytes(b"old")
    if rely == "put":
        blobs.put(b"old")
    elif rely == "touch":
        assert blobs.touch(digest)
    elif rely == "keep_file":
        blobs.keep_file(tmp_path / "same")
    else:
        with blobs.new() as temporary:
            temporary.write_bytes(b"old")
            blobs.adopt(temporary)
    assert sweep(blobs, set()).young == 1
    assert blobs.get(digest) == b"old"


def test_an_old_pack_that_a_writer_relies_on_is_as_good_as_new(blobs: Blobs) -> None:
    pack(blobs, b"1", b"2")
    age(blobs)
    assert blobs.touch(digest_of(b"1"))
    assert sweep(blobs, set()) == Sweep(young=2)


def test_a_blob_that_is_gone_cannot_be_relied_on(blobs: Blobs) -> None:
    digest = blobs.put(b"old")
    path = pack(blobs, b"1")
    assert blobs.touch(digest_of(b"1"))
    blobs.path(digest).unlink()
    path.unlink()
    assert not blobs.touch(digest)
    assert not blobs.touch(digest_of(b"1"))
    assert blobs.put(b"1") == digest_of(b"1")
    assert blobs.get(digest_of(b"1")) == b"1"


def test_a_pack_that_is_mostly_dead_is_written_anew_and_readers_follow(blobs: Blobs) -> None:
    contents = [bytes([i]) * 1000 for i in range(10)]
    old = pack(blobs, *contents)
    age(blobs)
    reader = Blobs(blobs.folder)
    assert reader.get(digest_of(contents[3])) == contents[3]
    swept = sweep(blobs, raw(contents[3]))
    assert (swept.blobs, swept.rewritten, swept.freed) == (9, 1, 9000)
    assert not old.exists()
    # One that had read the old index, and one that comes anew.
    for each in (reader, Blobs(blobs.folder)):
        assert each.get(digest_of(contents[3])) == contents[3]
        assert not each.has(digest_of(contents[4]))


def test_a_pack_that_is_mostly_alive_is_left_alone(blobs: Blobs) -> None:
    contents = [bytes([i]) * 1000 for i in range(10)]
    path = pack(blobs, *contents)
    age(blobs)
    assert sweep(blobs, raw(*contents[1:])) == Sweep(kept=1000)
    assert path.exists()


def test_a_pack_with_a_damaged_content_that_is_named_is_left_as_it_is(blobs: Blobs) -> None:
    contents = [bytes([i]) * 1000 for i in range(10)]
    path = pack(blobs, *contents)
    path.chmod(0o644)
    text = bytearray(path.read_bytes())
    text[0] ^= 1
    path.write_bytes(text)
    age(blobs)
    swept = sweep(blobs, raw(*contents[:2]))
    assert swept.damaged == (path.name,)
    assert path.exists()
    assert blobs.get(digest_of(contents[1])) == contents[1]


def test_of_two_packs_with_one_content_a_good_copy_is_kept(blobs: Blobs) -> None:
    one = pack(blobs, b"shared" * 100, b"a" * 1000)
    age(blobs)
    two = pack(blobs, b"shared" * 100, b"b" * 1000)
    age(blobs, two)
    sweep(blobs, raw(b"shared" * 100))
    assert not one.exists()
    assert Blobs(blobs.folder).get(digest_of(b"shared" * 100)) == b"shared" * 100
    assert len(list(blobs.packs.folder.glob("*.pack"))) == 1


def test_a_linked_file_stays_the_users_and_frees_nothing(blobs: Blobs, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(LINK_FROM_BYTES)
    os.utime(large, (1e9, 1e9))
    kept = blobs.keep_file(large)
    assert kept.how == "linked"
    # As young as the moment at which it was linked, however old the file is; relying on it leaves the file's time be.
    assert sweep(blobs, set()).young == 1
    blobs.touch(kept.digest)
    assert large.stat().st_mtime == 1e9
    age(blobs, blobs.folder / "used" / kept.digest)
    assert sweep(blobs, set()) == Sweep(blobs=1, freed=0, shared=1)
    assert large.stat().st_size == LINK_FROM_BYTES


@settings(max_examples=40, deadline=None)
@given(
    loose=st.lists(st.binary(min_size=1, max_size=60), unique=True, max_size=6),
    packed=st.lists(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8), max_size=3),
    alive=st.randoms(use_true_random=False),
    killed_at=st.integers(0, 25),
)
def test_what_is_named_is_read_byte_for_byte_wherever_a_sweep_is_killed(
    tmp_path_factory: pytest.TempPathFactory,
    loose: list[bytes],
    packed: list[list[bytes]],
    alive: object,
    killed_at: int,
) -> None:
    blobs = Blobs(tmp_path_factory.mktemp("sweep"))
    for content in loose:
        blobs.put(content)
    for contents in packed:
        with pack_writer.Writer(blobs.packs.folder) as writer:
            for content in contents:
                writer.add(blake3(content).digest(), content)
            writer.finish()
    age(blobs)
    every = sorted({*loose, *(content for contents in packed for content in contents)})
    named = [content for content in every if alive.random() < 0.5]  # type: ignore[attr-defined]
    killed(killed_at, lambda: sweep(Blobs(blobs.folder), raw(*named)))
    after = Blobs(blobs.folder)
    for content in named:
        assert after.get(digest_of(content)) == content
    age(blobs)
    sweep(Blobs(blobs.folder), raw(*named))
    final = Blobs(blobs.folder)
    for content in named:
        assert final.get(digest_of(content)) == content
    assert not list((blobs.folder / sweeping.TRASH).glob("*"))
    for content in loose:
        if content not in named:
            assert not final.path(digest_of(content)).exists()


def test_an_empty_store_has_nothing_to_sweep(blobs: Blobs) -> None:
    assert sweep(blobs, set()) == Sweep()
    with pytest.raises(Fault):
        blobs.get(digest_of(b"never"))
