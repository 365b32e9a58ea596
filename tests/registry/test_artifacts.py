"""Artifacts: kept under the user's names, never outside them."""

from pathlib import Path

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.run import Run
from roadworthy.registry import artifacts, runs
from roadworthy.store.store import Store


@pytest.fixture
def run(any_store: Store) -> Run:
    return runs.start(any_store, Run(id=""))


def test_bytes_and_files_come_back(any_store: Store, run: Run, tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(b"\x00\xff" * 1000)
    artifacts.keep(any_store, run.id, "notes.txt", b"hello")
    artifacts.keep(any_store, run.id, "deep/er//./f.bin", tmp_path / "f.bin")
    assert [(a.path, a.size) for a in artifacts.listing(any_store, run.id)] == [
        ("deep/er/f.bin", 2000),
        ("notes.txt", 5),
    ]
    assert artifacts.read(any_store, artifacts.get(any_store, run.id, "notes.txt")) == b"hello"


def test_the_same_path_is_replaced(any_store: Store, run: Run) -> None:
    artifacts.keep(any_store, run.id, "a", b"1")
    artifacts.keep(any_store, run.id, "a", b"22")
    assert [a.size for a in artifacts.listing(any_store, run.id)] == [2]


@pytest.mark.parametrize("path", ["", ".", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\x00", "a\nb", "x" * 501])
def test_paths_that_leave_their_folder_are_refused(any_store: Store, run: Run, path: str) -> None:
    with pytest.raises(Fault) as fault:
        artifacts.keep(any_store, run.id, path, b"")
    assert fault.value.code == Code.INVALID
    assert artifacts.listing(any_store, run.id) == []


def test_what_is_missing_is_named_with_what_is_there(any_store: Store, run: Run) -> None:
    artifacts.keep(any_store, run.id, "roc.png", b"1")
    with pytest.raises(Fault, match=r"roc\.png"):
        artifacts.get(any_store, run.id, "rock.png")
    with pytest.raises(Fault) as fault:
        artifacts.keep(any_store, "0" * 32, "a", b"")
    assert fault.value.code == Code.NOT_FOUND
