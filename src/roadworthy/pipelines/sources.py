"""The project's source files, each read once, so that what is analysed, archived and run is the same text.

In: the project's folder. Out: modules by name, the digest over all source files, the archive that can run again.
Called by the planner, the runner and the environment's record.
"""

import fnmatch
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from blake3 import blake3

from roadworthy.nouns.errors import invalid
from roadworthy.nouns.project import Place
from roadworthy.pipelines import analysis
from roadworthy.pipelines.analysis import Facts
from roadworthy.store import caches

# Files over this size are data, not source, whatever they are called.
SOURCE_BYTES_MAX = 2 << 20
FILES_MAX = 20_000
SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})
# Folders of the project on which its modules are found, as on sys.path.
FOLDERS = ("", "src")


class Sources:
    """The source files of a project, as they were when they were first asked for.

    Args:
        root: the project's folder.
        patterns: which files are source, by name.
        kept: folder in which facts are kept by the digest of the text.
    """

    def __init__(self, root: Path, patterns: tuple[str, ...] = ("*.py",), kept: Path | None = None) -> None:
        self.root = root
        self.patterns = patterns
        self._kept = kept
        self._texts: dict[str, bytes] = {}
        self._paths: dict[str, str | None] = {}
        self._facts: dict[str, Facts] = {}
        self._known: dict[str, bytes] | None = None
        self._learned = False

    def path(self, module: str) -> str | None:
        """The file of a project's module, relative to the root; None when the project has no such module.

        A folder without `__init__.py` that holds modules is one too; its path ends in `/`.
        """
        if module not in self._paths:
            self._paths[module] = self._look(module)
        return self._paths[module]

    def text(self, path: str) -> bytes:
        if path not in self._texts:
            try:
                self._texts[path] = (self.root / path).read_bytes()
            except OSError as problem:
                raise invalid(f"cannot be read: {problem.strerror}", where=path) from None
        return self._texts[path]

    def facts(self, module: str) -> Facts:
        """What a module's file says; nothing for a folder without `__init__.py`."""
        path = self.path(module)
        if path is None or path.endswith("/"):
            return Facts((), (), ())
        if path not in self._facts:
            text = self.text(path)
            digest = blake3(text).hexdigest()
            found = self._recall(digest)
            if found is None:
                found = analysis.read(text, path)
                assert self._known is not None
                self._known[digest] = msgspec.msgpack.encode(found)
                self._learned = True
            self._facts[path] = found
        return self._facts[path]

    def keep(self) -> None:
        """Keep the facts of the files in use for the next process."""
        if self._kept is None or not self._learned or self._known is None:
            return
        in_use = {blake3(self._texts[path]).hexdigest() for path in self._facts}
        kept = {digest: facts for digest, facts in self._known.items() if digest in in_use}
        caches.keep(self._kept, msgspec.msgpack.encode((_mark(), kept)))
        self._learned = False

    def files(self) -> list[str]:
        """Every source file, relative to the root, in order."""
        found = sorted(_walk(self.root, self.patterns))
        if len(found) > FILES_MAX:
            raise invalid(
                f"the project has over {FILES_MAX} source files", where=str(self.root),
                fix="narrow `sources` under [project] in roadworthy.toml",
            )  # fmt: skip
        return found

    def digest(self) -> str:
        """BLAKE3 over the source files: which, and what is in each; the project file is configuration, not code."""
        hasher = blake3()
        for path in self.files():
            if path != "roadworthy.toml":
                hasher.update(f"{path}\n{blake3(self.text(path)).hexdigest()}\n".encode())
        return hasher.hexdigest()

    def archive(self, extra: tuple[str, ...] = ()) -> bytes:
        """A tar with the source files (and `extra` ones): equal files make equal bytes."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted({*self.files(), *extra}):
                entry = tarfile.TarInfo(path)
                entry.size = len(self.text(path))
                entry.mode = 0o644
                tar.addfile(entry, io.BytesIO(self.text(path)))
        return out.getvalue()

    def texts(self) -> dict[str, bytes]:
        """All Python files by absolute path, for a worker that must run this very text."""
        return {str(self.root / path): self.text(path) for path in self.files() if path.endswith(".py")}

    def _look(self, module: str) -> str | None:
        parts = module.split(".")
        if not all(part.isidentifier() for part in parts):
            return None
        for folder in FOLDERS:
            base = self.root.joinpath(folder, *parts)
            if (base / "__init__.py").is_file():
                return (base / "__init__.py").relative_to(self.root).as_posix()
            if base.with_suffix(".py").is_file():
                return base.with_suffix(".py").relative_to(self.root).as_posix()
            if base.is_dir() and any(base.glob("*.py")):
                return base.relative_to(self.root).as_posix() + "/"
        return None

    def _recall(self, digest: str) -> Facts | None:
        if self._known is None:
            self._known = {}
            try:
                mark, known = msgspec.msgpack.decode(
                    (self._kept or Path(os.devnull)).read_bytes(), type=tuple[str, dict[str, bytes]]
                )
                self._known = known if mark == _mark() else {}
            except (OSError, msgspec.DecodeError):
                pass  # never kept, or cut short: facts are read anew
        found = self._known.get(digest)
        try:
            return None if found is None else msgspec.msgpack.decode(found, type=Facts)
        except msgspec.DecodeError:
            return None


def of(place: Place, home: Path) -> Sources:
    """The sources of a project; facts about them are kept in the store's folder."""
    return Sources(place.root, place.project.project.sources, home / "cache" / "facts")


def _walk(root: Path, patterns: tuple[str, ...]) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in SKIPPED_FOLDERS and not (here / name / "pyvenv.cfg").exists()
        ]
        for name in names:
            path = here / name
            if (
                any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
                and not path.is_symlink()
                and path.stat().st_size <= SOURCE_BYTES_MAX
            ):
                yield path.relative_to(root).as_posix()


def _mark() -> str:
    import sys

    return f"{analysis.VERSION} {sys.version_info.major}.{sys.version_info.minor}"
