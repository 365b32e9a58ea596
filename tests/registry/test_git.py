"""What git says of a folder: the commit, whether anything differs, and the difference itself."""

import subprocess
from pathlib import Path

import pytest

from roadworthy.registry import git


def run(root: Path, *arguments: str) -> str:
    named = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(root), *arguments]
    return subprocess.run(named, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "r"
    (root / "project").mkdir(parents=True)
    run(tmp_path, "init", "-q", "r")
    (root / "project" / "a.py").write_text("a = 1\n")
    (root / "b.py").write_text("b = 1\n")
    run(root, "add", ".")
    run(root, "commit", "-q", "-m", "first")
    return root


def test_outside_a_repository_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert git.below(tmp_path) == git.around(tmp_path) == git.Tree(None, dirty=False, diff=b"")


def test_a_clean_folder_is_its_commit(repository: Path) -> None:
    head = run(repository, "rev-parse", "HEAD")
    assert git.below(repository / "project") == git.around(repository) == git.Tree(head, dirty=False, diff=b"")


def test_below_is_the_folder_alone_and_what_git_does_not_track(repository: Path) -> None:
    project = repository / "project"
    (repository / "b.py").write_text("b = 2\n")
    assert not git.below(project).dirty
    (project / "a.py").write_text("a = 2\n")
    (project / "new.py").write_text("new = 1\n")
    tree = git.below(project)
    assert tree.dirty
    assert b"+a = 2" in tree.diff
    assert b"+new = 1" in tree.diff
    assert b"b = 2" not in tree.diff
    # As it applies to the commit, it is the folder.
    run(repository, "checkout", "-q", "--", "project/a.py")
    (project / "new.py").unlink()
    (repository / "diff").write_bytes(tree.diff)
    run(repository, "apply", "diff")
    assert (project / "a.py").read_text() == "a = 2\n"


def test_around_is_the_whole_repository_and_reads_nothing_untracked(repository: Path) -> None:
    (repository / "new.py").write_text("secret\n")
    assert git.around(repository / "project")[1:] == (True, b"")
    (repository / "b.py").write_text("b = 2\n")
    tree = git.around(repository / "project")
    assert b"+b = 2" in tree.diff
    assert b"secret" not in tree.diff


def test_nothing_that_a_repository_names_is_run(repository: Path) -> None:
    ran = repository / "ran"
    for key in ("core.fsmonitor", "diff.external", "core.pager"):
        run(repository, "config", key, f"touch {ran}; false")
    (repository / "b.py").write_text("b = 2\n")
    assert b"+b = 2" in git.around(repository).diff
    assert git.below(repository).dirty
    assert not ran.exists()
