"""What a run ran in: the packages installed, the code as git and as content has it, and all of it to run again.

In: the project's sources and its folder. Out: `CodeVersion` and `Environment` for the run's record. Called by the
runner when a run is recorded, and by `reproduce.py`.
"""

import subprocess
from pathlib import Path

from roadworthy.nouns.run import CodeVersion, Environment
from roadworthy.pipelines.sources import Sources
from roadworthy.registry import surroundings
from roadworthy.store.blobs import Blobs

GIT_S_MAX = 20
UNTRACKED_MAX = 200
UNTRACKED_BYTES_MAX = 1 << 20
DIFF_BYTES_MAX = 32 << 20
# Nothing that a repository's own settings could make git run.
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


def code(blobs: Blobs, sources: Sources) -> CodeVersion:
    """Which code a run runs: a digest and an archive of the source files as they were read, and what git says."""
    commit, diff = _git_state(sources.root)
    return CodeVersion(
        digest=sources.digest(),
        commit=commit,
        dirty=bool(diff),
        diff=blobs.put(diff) if diff and len(diff) <= DIFF_BYTES_MAX else None,
        archive=blobs.put(sources.archive()),
    )


def here() -> Environment:
    """Python, platform and every installed distribution."""
    return surroundings.environment()


def _git_state(root: Path) -> tuple[str | None, bytes]:
    """The commit, and how the project's folder differs from it, untracked files included; None outside a repository."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return None, b""
    # One question first: most of the time nothing differs.
    status = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".")
    if not status:
        return commit.decode().strip(), b""
    parts = [_git(root, *_DIFF, "HEAD", "--", ".") or b""]
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or b""
    for name in untracked.decode("utf-8", "surrogateescape").split("\0")[:UNTRACKED_MAX]:
        path = root / name
        if name and path.is_file() and not path.is_symlink() and path.stat().st_size <= UNTRACKED_BYTES_MAX:
            # Differences make git end with 1.
            parts.append(_git(root, *_DIFF, "--no-index", "--", "/dev/null", name, ends=(0, 1)) or b"")
    return commit.decode().strip(), b"".join(parts) or status


def _git(root: Path, *arguments: str, ends: tuple[int, ...] = (0,)) -> bytes | None:
    """What git prints, or None where there is no git, or it fails."""
    try:
        done = subprocess.run(
            [*_GIT, "-C", str(root), *arguments], capture_output=True, timeout=GIT_S_MAX, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode in ends else None
