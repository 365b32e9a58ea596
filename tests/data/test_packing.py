"""Files into packs, by processes: what they are is known first, that they are kept last, and a death is noticed."""

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from roadworthy.data import packing
from roadworthy.data.hashes import Hashes, digests_of, entries_of, sizes_of, state
from roadworthy.data.packing import Packing
from roadworthy.nouns.errors import Fault
from roadworthy.store.blobs import Blobs

FILES = 900  # enough for two processes


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other threads are seen: servers of other tests may have some, of whose locks a child needs none."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    folder = tmp_path / "in"
    folder.mkdir()
    found = []
    for number in range(FILES):
        path = folder / f"{number:04d}"
        path.write_bytes(f"{number}".encode() * 50)
        found.append(str(path))
    return found


def begin(paths: list[str], blobs: Blobs, tmp_path: Path) -> Packing:
    return Packing(paths, blobs, Hashes(tmp_path / "hashes"), progress=lambda _: None)


def given(packed: Packing) -> dict[int, bytes]:
    """Every entry by the number of its file, each of them given once."""
    entries: dict[int, bytes] = {}
    for first, block in packed.blocks():
        for number, entry in enumerate(entries_of(block), first):
            assert number not in entries
            entries[number] = entry
    return entries


@contextmanager
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    yield
    monkeypatch.undo()


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_every_entry_is_given_once_and_every_content_kept(
    blobs: Blobs, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(packing, "FILES_PER_PROCESS_MIN", 100)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with begin(paths, blobs, tmp_path) as packed:
        entries = given(packed)
        assert sorted(entries) == list(range(FILES))
        packed.settle()
    assert packed.problems == []
    assert packed.read == FILES
    for number, entry in entries.items():
        content = Path(paths[number]).read_bytes()
        assert entry == state(os.stat(paths[number])) + blake3(content).digest()
        assert digests_of(entry) == [blake3(content).hexdigest()]
        assert sizes_of(entry) == [len(content)]
        assert blobs.get(*digests_of(entry)) == content
    assert len(list(blobs.packs.folder.iterdir())) == cores


def test_every_file_that_cannot_be_read_is_named(blobs: Blobs, paths: list[str], tmp_path: Path) -> None:
    for number in (3, 700, FILES - 1):
        Path(paths[number]).unlink()
    with begin(paths, blobs, tmp_path) as packed:
        assert len(given(packed)) == FILES
    assert sorted(packed.problems) == [
        (number, "cannot be read: No such file or directory") for number in (3, 700, FILES - 1)
    ]


def test_hundreds_of_problems_do_not_stop_the_processes(blobs: Blobs, paths: list[str], tmp_path: Path) -> None:
    for path in paths[::2]:
        Path(path).unlink()
    with begin(paths, blobs, tmp_path) as packed:
        assert len(given(packed)) == FILES
        packed.settle()
    assert len(packed.problems) == FILES // 2


@pytest.mark.parametrize("moment", ["before its entries", "after its entries"])
def test_a_process_that_is_killed_is_noticed_and_nothing_of_it_is_kept(
    blobs: Blobs, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    parent = os.getpid()

    def die(*_: object) -> None:
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    with two_cores(monkeypatch):
        # In the processes alone: they are forked after this.
        monkeypatch.setattr("os.fstat" if moment[0] == "b" else "os.fdatasync", die)
        packed = begin(paths, blobs, tmp_path)
    with packed, pytest.raises(Fault, match="a process that packed files has died"):
        for _ in packed.blocks():
            pass
        packed.settle()
    assert blobs.packs.spots() == {}


@pytest.mark.parametrize("cores", [1, 2])
def test_a_disk_that_is_full_is_one_message_and_nothing_stays(
    blobs: Blobs, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with (
            pytest.raises(Fault, match="a pack of blobs cannot be written: File too large"),
            begin(paths, blobs, tmp_path) as packed,
        ):
            for _ in packed.blocks():
                pass
            packed.settle()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(blobs.packs.folder.iterdir()) == []


def test_where_no_more_processes_can_be_made_one_message_says_so_and_nothing_is_left_running(
    blobs: Blobs, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, made = os.fork, []

    def some() -> int:
        if made:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        made.append(fork())
        return made[0]

    opened = set(os.listdir("/proc/self/fd"))
    with two_cores(monkeypatch):
        monkeypatch.setattr(os, "fork", some)
        with pytest.raises(Fault, match="no process can be made: Resource temporarily unavailable"):
            begin(paths, blobs, tmp_path)
    assert set(os.listdir("/proc/self/fd")) <= opened
    with pytest.raises(ChildProcessError):
        os.waitpid(made[0], os.WNOHANG)


def test_leaving_early_waits_for_the_processes(
    blobs: Blobs, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_cores(monkeypatch):
        packed = begin(paths, blobs, tmp_path)
    children = list(packed._children)
    assert len(children) == 2
    with pytest.raises(KeyboardInterrupt), packed:
        raise KeyboardInterrupt
    for child in children:
        with pytest.raises(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
