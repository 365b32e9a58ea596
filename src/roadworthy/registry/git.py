"""Git: at which commit a folder is, and how it differs from it.

In: a folder. Out: a `Tree`. Called by registry/surroundings.py for tracked code and by pipelines/environment.py for a
project's. Nothing that a repository's own settings name is run.
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

SECONDS_MAX = 20
UNTRACKED_MAX = 200
UNTRACKED_BYTES_MAX = 1 << 20
_GIT = (
    "git",
    "-c",
    "core.fsmonitor=",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "diff.external=",
    "-c",
    "core.pager=cat",
)
_DIFF = ("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color")


class Tree(NamedTuple):
    """What git says of a folder; all empty outside a repository.

    Args:
        commit: which one is checked out.
        dirty: whether anything differs from it.
        diff: the difference, as `git apply` takes it.
    """

    commit: str | None
    dirty: bool
    diff: bytes


def below(root: Path) -> Tree:
    """Of a folder alone, with the files in it that git does not track yet (small ones, and not too many)."""
    commit = _commit(root)
    # One question first: most of the time nothing differs.
    status = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".") if commit else None
    if not status:
        return Tree(commit, dirty=False, diff=b"")
    parts = [_git(root, *_DIFF, "HEAD", "--", ".") or b""]
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or b""
    for name in untracked.decode("utf-8", "surrogateescape").split("\0")[:UNTRACKED_MAX]:
        path = root / name
        if name and path.is_file() and not path.is_symlink() and path.stat().st_size <= UNTRACKED_BYTES_MAX:
            # Differences make git end with 1.
            parts.append(_git(root, *_DIFF, "--no-index", "--", "/dev/null", name, ends=(0, 1)) or b"")
    return Tree(commit, dirty=True, diff=b"".join(parts) or status)


def around(root: Path) -> Tree:
    """Of the whole repository that a folder is in; files that git does not track make it dirty, and are not read."""
    commit = _commit(root)
    status = _git(root, "status", "--porcelain", "--untracked-files=normal") if commit else None
    if not status:
        return Tree(commit, dirty=False, diff=b"")
    return Tree(commit, dirty=True, diff=_git(root, *_DIFF, "HEAD") or b"")


def _commit(root: Path) -> str | None:
    found = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    return found.decode().strip() if found else None


def _git(root: Path, *arguments: str, ends: tuple[int, ...] = (0,)) -> bytes | None:
    """What git prints, or None where there is no git, or it fails."""
    try:
        done = subprocess.run(
            [*_GIT, "-C", str(root), *arguments], capture_output=True, timeout=SECONDS_MAX, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode in ends else None
