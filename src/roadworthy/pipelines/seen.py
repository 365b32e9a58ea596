"""Which files a step was seen to open: what it read beside its inputs is part of what its result rests on.

In: Python's audit events in a step's process. Out: files read and written, and modules loaded. A library that opens
files without Python (DuckDB, Arrow's own readers) is not seen here; the texts in the code that name files are looked
at for those (cache.py). Used by child.py alone.
"""

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

FILES_MAX = 10_000
_OURS = f"{Path(__file__).parent.parent}/"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SYSTEM = tuple(
    f"{folder}/"
    for folder in (
        *{*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix},
        *("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/run", "/var/lib"),
    )
)


def is_local(file: str, root: str) -> bool:
    """Whether no version speaks for a module's file: it is neither of an installed package nor of Python's."""
    if file.startswith((_OURS, "<")) or "site-packages" in file or not os.path.isabs(file):  # noqa: PTH117
        return False
    return file.startswith(f"{root}/") or not file.startswith(_SYSTEM)


class Seen:
    """Listens to this process; there is no way to stop an audit hook, so one that has ended does nothing.

    Args:
        root: the project's folder.
        apart: folders that do not count.
    """

    def __init__(self, root: Path, apart: tuple[str, ...]) -> None:
        self._root = str(root)
        self._listening = False
        self._read: set[str] = set()
        self._written: set[str] = set()
        self._apart = tuple(f"{folder}/" for folder in apart)
        self._home = f"{Path.home()}/"

    def begin(self) -> None:
        self._listening = True
        sys.addaudithook(self._hear)

    def end(self) -> None:
        self._listening = False

    def read(self) -> tuple[str, ...]:
        """Files and folders read and not written, relative to the project where inside it."""
        written = {self._name(path) for path in self._written}
        folders = {name.rpartition("/")[0] or "." for name in written}
        found = {self._name(path) for path in self._read if self._counts(path)}
        return tuple(sorted(found - written - folders - {""})[:FILES_MAX])

    def written(self) -> tuple[str, ...]:
        return tuple(sorted({self._name(path) for path in self._written if self._counts(path)})[:FILES_MAX])

    def loaded(self, known: frozenset[str]) -> tuple[str, ...]:
        """Files of the modules that were imported and that no version speaks for, but for the known ones."""
        files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        names = {self._name(file) for file in files if isinstance(file, str) and is_local(file, self._root)}
        return tuple(sorted(names - known))

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._listening or event not in {"open", "os.listdir", "os.scandir"}:
            return
        if len(self._read) + len(self._written) > FILES_MAX:
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        # Imports look at folders and read code: that is what keys cover.
        caller = sys._getframe(1)  # noqa: SLF001 - the only way to know for whom a file is opened
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - no object per call
        if event == "open" and len(arguments) > 2 and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            self._written.add(name)
        elif not name.endswith((".pyc", ".py")) or event == "open":
            self._read.add(name)

    def _counts(self, path: str) -> bool:
        if path.startswith(self._apart) or path.endswith(".pyc"):
            return False
        inside = f"{self._root}/"
        if path.startswith(inside):
            parts = path.removeprefix(inside).split("/")
            return not any(part.startswith(".") or part in {"__pycache__", "site-packages"} for part in parts)
        if path == self._root:
            return True
        if path.startswith(self._home) and any(p.startswith(".") for p in path.removeprefix(self._home).split("/")):
            return False
        return not path.startswith((*_SYSTEM, f"{tempfile.gettempdir()}/"))

    def _name(self, path: str) -> str:
        if path == self._root:
            return "."
        return path.removeprefix(f"{self._root}/")
