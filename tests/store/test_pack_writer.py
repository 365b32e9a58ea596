"""Writing packs: what is added comes back, in whatever sizes, and is on the disk before it can be seen."""

import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.store import pack_writer, packs
from roadworthy.store.blobs import Blobs, digest_of

MIB = 1 << 20


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def write(blobs: Blobs, contents: list[bytes]) -> None:
    with pack_writer.Writer(blobs.packs.folder) as writer:
        for content in contents:
            writer.add(blake3(content).digest(), content)
        writer.finish()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 255),
    sizes=st.lists(st.integers(0, 100) | st.integers(0, 200_000) | st.integers(MIB - 5_000, MIB + 5_000), max_size=30),
    read_into=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_contents_of_any_size_come_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, sizes: list[int], read_into: list[bool]
) -> None:
    blobs = Blobs(tmp_path_factory.mktemp("packs"))
    contents = [bytes([(seed + number) % 256]) * size for number, size in enumerate(sizes)]
    with pack_writer.Writer(blobs.packs.folder) as writer:
        for content, into in zip(contents, read_into, strict=False):
            assert len(writer.space) >= 64 << 10
            if into and len(content) <= len(writer.space):
                writer.space[: len(content)] = content
                writer.keep(blake3(content).digest(), len(content))
            else:
                writer.add(blake3(content).digest(), content)
        writer.finish()
    assert all(blobs.get(digest_of(content)) == content for content in contents)
    assert all(blobs.check(digest_of(content)) == len(content) for content in contents)


def test_thousands_of_contents_come_back(blobs: Blobs) -> None:
    contents = [str(i).encode() for i in range(3000)]
    write(blobs, contents)
    assert all(blobs.get(digest_of(content)) == content for content in contents[::97])


def test_a_full_pack_is_closed_and_another_begun(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_writer, "PACK_BYTES_MAX", 2 * MIB)
    contents = [bytes([i]) * MIB for i in range(5)]
    write(blobs, contents)
    assert len(list(blobs.packs.folder.iterdir())) == 3
    assert all(blobs.get(digest_of(content)) == content for content in contents)


def test_what_is_not_finished_leaves_nothing(blobs: Blobs) -> None:
    with pack_writer.Writer(blobs.packs.folder) as writer:
        for number in range(30):
            writer.add(bytes([number]) * 32, os.urandom(MIB))
    assert list(blobs.packs.folder.iterdir()) == []


def test_a_pack_is_synced_while_it_is_written_and_after_its_last_byte(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fdatasync

    def seen(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", seen)
    write(blobs, [os.urandom(MIB) for _ in range(40)])
    [path] = blobs.packs.folder.iterdir()
    assert len(synced) >= 2
    assert synced[0] < path.stat().st_size
    assert synced[-1] == path.stat().st_size


@pytest.mark.parametrize("at", [1, 2])
def test_a_disk_that_fails_on_the_way_is_never_acknowledged(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    calls = 0

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            # The system says so once, to whoever asks first; a second sync of the same file succeeds.
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write(blobs, [os.urandom(MIB) for _ in range(40 if at == 1 else 60)])
    assert calls == at
    assert list(blobs.packs.folder.iterdir()) == []
    assert packs.Packs(blobs.packs.folder).spots() == {}
