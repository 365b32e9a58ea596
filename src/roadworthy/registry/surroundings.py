"""What tracked code ran in: installed packages, the git commit, and the source files that were loaded.

In: this process. Out: `Environment` and `CodeVersion`. Called by tracking, for code that no pipeline runs.
"""

import io
import os
import platform
import re
import sys
import tarfile
from pathlib import Path

from blake3 import blake3

from roadworthy.nouns.run import CodeVersion, Environment
from roadworthy.registry import git
from roadworthy.store.blobs import Blobs, digest_of

FILES_MAX = 2_000
FILE_SIZE_MAX = 2 << 20
DIFF_SIZE_MAX = 32 << 20
CELLS = "cells.py"  # what a notebook has executed, under this name in the archive
_INFO = re.compile(r"(.+?)-([^-]+?)(?:-py\d.*)?\.(?:dist|egg)-info")


def environment() -> Environment:
    """Python, platform and every installed distribution.

    Names and versions are read from the folder names of their metadata (binary distribution format, PyPA), which
    takes milliseconds where parsing each file takes a tenth of a second.
    """
    packages: dict[str, str] = {}
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")  # noqa: PTH208 - names alone, at a third of the time
        except OSError:
            continue
        for entry in entries:
            if entry.endswith("-info") and (found := _INFO.fullmatch(entry)):
                # The first on the path is the one that is imported.
                packages.setdefault(re.sub(r"[-_.]+", "-", found[1]).lower(), found[2])
    lines = "\n".join(f"{name}=={version}" for name, version in sorted(packages.items()))
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}-{''.join(platform.libc_ver())}",
        packages=dict(sorted(packages.items())),
        lock=digest_of(lines.encode()),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )


def script() -> Path | None:
    """The file that Python was started with; asked early, for it is no longer known when the process ends."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(name).resolve() if isinstance(name, str) else None


def code(blobs: Blobs, root: Path, started_with: Path | None = None) -> CodeVersion:
    """The script (or the notebook's executed cells) and the modules under `root` that are loaded, and what git says.

    Args:
        root: the project's folder, or the folder in which tracking began.
        started_with: the script, as `script()` said.
    """
    files = _loaded(root, started_with)
    hasher = blake3()
    for name, content in sorted(files.items()):
        hasher.update(f"{name}\0{digest_of(content)}\n".encode())
    tree = git.around(root)
    return CodeVersion(
        digest=hasher.hexdigest() if files else "",
        commit=tree.commit,
        dirty=tree.dirty,
        diff=blobs.put(tree.diff) if tree.diff and len(tree.diff) <= DIFF_SIZE_MAX else None,
        archive=blobs.put(_tar(files)) if files else None,
    )


def _loaded(root: Path, started_with: Path | None) -> dict[str, bytes]:
    names = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    paths = {Path(name).resolve() for name in names if isinstance(name, str) and name.endswith(".py")}
    paths |= {started_with} if started_with else set()
    found: dict[str, bytes] = {}
    for path in sorted(path for path in paths if _is_own(path, root))[:FILES_MAX]:
        try:
            if path.stat().st_size <= FILE_SIZE_MAX:
                found[path.relative_to(root).as_posix()] = path.read_bytes()
        except OSError:
            continue
    cells = _cells()
    if cells:
        found[CELLS] = cells.encode("utf-8", "replace")
    return found


def _is_own(path: Path, root: Path) -> bool:
    """Whether a file is the user's: under `root`, and not of an installed package."""
    return path.is_relative_to(root) and "site-packages" not in path.parts and not path.is_relative_to(sys.prefix)


def _cells() -> str:
    """What an interactive session (IPython, Jupyter) has executed so far."""
    main = sys.modules.get("__main__")
    executed = getattr(main, "In", None)
    if not isinstance(executed, list) or not hasattr(main, "get_ipython"):
        return ""
    return "\n\n".join(f"# In [{n}]\n{cell}" for n, cell in enumerate(executed) if isinstance(cell, str) and cell)


def _tar(files: dict[str, bytes]) -> bytes:
    """A tar of which the bytes depend on names and contents alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
