"""What git knows of notebooks: an earlier version of a file, and the settings of a filter that cleans them.

In: a path and a revision. Out: bytes, or changed settings of the repository around. Called by the commands
`rw notebook diff` and `rw notebook clean`; git is the program itself.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from roadworthy.nouns.errors import Fault, invalid, not_found, unavailable

DRIVER = "roadworthy"
ATTRIBUTES = ".gitattributes"
LINE = f"*.ipynb filter={DRIVER} diff={DRIVER}"
TIMEOUT_S = 60


def content(path: Path, revision: str) -> bytes:
    """A file as a revision has it.

    Raises:
        Fault: not found when there is no such revision or file; unavailable without git.
    """
    if not revision or revision.startswith("-") or re.search(r"\s", revision):
        raise invalid("not a revision", where=revision[:80], fix="such as HEAD~1, main or a commit")
    folder = path.resolve().parent
    done = _git(folder, "cat-file", "blob", f"{revision}:./{path.name}")
    if done.returncode:
        if _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{tree}}").returncode:
            raise not_found("there is no such revision", where=revision[:80], fix="`git log` lists them")
        raise not_found(f"{path.name} is not in {revision}", where=str(path), fix=f"git log -- {path.name}")
    return done.stdout


def root(folder: Path) -> Path:
    """The top folder of the repository around.

    Raises:
        Fault: not found outside a repository.
    """
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done.returncode:
        raise not_found("no git repository here or above", where=str(folder), fix="git init")
    return Path(done.stdout.decode("utf-8", "surrogateescape").strip())


def install(folder: Path) -> list[str]:
    """Let git clean notebooks as they are added, and show their differences readably; what was changed, in words.

    Settings go to the repository's own `.git/config`, which is not shared; the line in `.gitattributes` is.
    """
    top = root(folder)
    program = shlex.join([sys.executable, "-m", "roadworthy", "notebook"])
    for key, value in (
        (f"filter.{DRIVER}.clean", f"{program} clean -"),
        (f"filter.{DRIVER}.smudge", "cat"),
        (f"filter.{DRIVER}.required", "true"),
        (f"diff.{DRIVER}.command", f"{program} diff --driver"),
    ):
        done = _git(top, "config", "--local", key, value)
        if done.returncode:
            raise invalid(done.stderr.decode("utf-8", "replace").strip(), where=str(top / ".git" / "config"))
    path = top / ATTRIBUTES
    text = path.read_text("utf-8") if path.exists() else ""
    if LINE in text.splitlines():
        return [f"the filter of {top}"]
    path.write_text(f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{LINE}\n", "utf-8")
    return [f"the filter of {top}", f"{path}: {LINE}"]


def uninstall(folder: Path) -> None:
    """Take the settings and the line away again."""
    top = root(folder)
    for section in (f"filter.{DRIVER}", f"diff.{DRIVER}"):
        _git(top, "config", "--local", "--remove-section", section)
    path = top / ATTRIBUTES
    if path.exists():
        kept = [line for line in path.read_text("utf-8").splitlines(keepends=True) if line.strip() != LINE]
        if kept:
            path.write_text("".join(kept), "utf-8")
        else:
            path.unlink()


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise unavailable("git is not installed", fix="install it, or name two files") from None
    except subprocess.TimeoutExpired:
        raise _slow(folder) from None


def _slow(folder: Path) -> Fault:
    return unavailable(f"git did not answer within {TIMEOUT_S} s", where=str(folder))
