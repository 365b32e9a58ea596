"""Which installed distributions an import name stands for, and their versions, without importing anything.

In: the metadata folders on `sys.path`. Out: the versions of what a step imports and of what that in turn requires.
Reading the metadata of a hundred distributions takes a tenth of a second, so it is kept by the time at which each
folder was last changed: installing, upgrading or removing anything changes it. Called by `keys.py` and `worker.py`.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import msgspec
from blake3 import blake3

from roadworthy.store import caches

VERSION = 1
LOCAL_FILES_MAX = 20_000
# Our own version is no part of a key: what of us decides a result is versioned in keys.py.
_SELF = "roadworthy"
_INFO = re.compile(r"(.+?)-([^-]+?)(?:-py\d.*)?\.(dist|egg)-info")
_REQUIRES = re.compile(r"(?m)^Requires-Dist: *([A-Za-z0-9._-]+)([^\n]*)")
_CODE = (".py", ".so", ".pyd", ".pyi")


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """An installed distribution.

    Args:
        name: normalised (PEP 503).
        version: with the commit or archive it was made from, where it says so.
        tops: top-level names it has.
        requires: names of what it needs, extras left out.
        local: the folder it is installed from in place (an editable install); empty otherwise.
    """

    name: str
    version: str
    tops: tuple[str, ...]
    requires: tuple[str, ...]
    local: str


class Libraries:
    """What is installed.

    Args:
        kept: file in which metadata is kept between processes.
        path: folders to look in; `sys.path` unless given.
    """

    def __init__(self, kept: Path | None = None, path: list[str] | None = None) -> None:
        self.path = [folder or "." for folder in (sys.path if path is None else path)]
        self._distributions: dict[str, Distribution] = {}
        self._tops: dict[str, list[str]] = {}
        self._found: dict[str, dict[str, str]] = {}
        for distribution in _read(kept, self.path):
            # The first on the path is the one that is imported.
            if distribution.name not in self._distributions:
                self._distributions[distribution.name] = distribution
                for top in distribution.tops:
                    self._tops.setdefault(top, []).append(distribution.name)

    def versions(self, tops: Iterable[str], named: Iterable[str] = ()) -> dict[str, str]:
        """What imports of these top-level names depend on: distribution (or module) name to version (or digest).

        Args:
            tops: imported names.
            named: texts that count if they are the name of something installed.
        """
        found: dict[str, str] = {}
        for top in tops:
            found |= self._of(top)
        for text in named:
            top = text.partition(".")[0]
            if top in self._tops:
                found |= self._of(top)
            elif (known := self._distributions.get(normal(text))) is not None:
                found[known.name] = known.version
        return found

    def local(self, name: str) -> Path | None:
        """The folder from which a distribution is installed in place; None for all others."""
        known = self._distributions.get(normal(name))
        return Path(known.local) if known is not None and known.local else None

    def _of(self, top: str) -> dict[str, str]:
        if top not in self._found:
            self._found[top] = dict(self._look(top))
        return self._found[top]

    def _look(self, top: str) -> Iterator[tuple[str, str]]:
        if top in sys.stdlib_module_names or top == _SELF:
            return
        names = self._tops.get(top, [])
        if not names:
            yield top, _local(top, self.path)
        waiting, seen = list(names), {_SELF}
        while waiting:
            name = waiting.pop()
            known = self._distributions.get(name)
            if known is None or name in seen:
                continue
            seen.add(name)
            yield name, f"{known.version} {_tree(Path(known.local))}" if known.local else known.version
            waiting += known.requires


def _read(kept: Path | None, path: list[str]) -> list[Distribution]:
    """Every distribution on the path, from what was kept where the folder has not changed since."""
    known: dict[str, tuple[int, list[Distribution]]] = {}
    if kept is not None:
        try:
            version, known = msgspec.msgpack.decode(
                kept.read_bytes(), type=tuple[int, dict[str, tuple[int, list[Distribution]]]]
            )
            known = known if version == VERSION else {}
        except (OSError, msgspec.DecodeError):
            known = {}
    found: list[Distribution] = []
    fresh: dict[str, tuple[int, list[Distribution]]] = {}
    for folder in path:
        try:
            changed_ns = os.stat(folder).st_mtime_ns  # noqa: PTH116 - one call, no object, on the way of every run
        except OSError:
            continue
        before = known.get(folder)
        fresh[folder] = before if before and before[0] == changed_ns else (changed_ns, _scan(folder))
        found += fresh[folder][1]
    if kept is not None and fresh != known:
        caches.keep(kept, msgspec.msgpack.encode((VERSION, fresh)))
    return found


def _scan(folder: str) -> list[Distribution]:
    if not os.path.isdir(folder):  # noqa: PTH112 - may be a zip archive
        return []
    return [
        _distribution(Path(folder, name), normal(match[1]), match[2])
        for name in sorted(os.listdir(folder))  # noqa: PTH208 - names are enough
        if name.endswith("-info") and (match := _INFO.fullmatch(name))
    ]


def _distribution(folder: Path, name: str, version: str) -> Distribution:
    metadata = _text(folder / "METADATA") or _text(folder / "PKG-INFO")
    tops = {line.strip() for line in _text(folder / "top_level.txt").splitlines() if line.strip()}
    if not tops:
        tops = {top for line in _text(folder / "RECORD").splitlines() if (top := _top(line))}
    requires = {normal(needed) for needed, rest in _REQUIRES.findall(metadata) if "extra ==" not in rest}
    local = ""
    origin = _text(folder / "direct_url.json")
    if origin:
        try:
            said = json.loads(origin)
        except ValueError:
            said = {}
        if said.get("dir_info", {}).get("editable"):
            local = str(said.get("url", "")).removeprefix("file://")
        made_from = said.get("vcs_info", {}).get("commit_id") or said.get("archive_info", {}).get("hash")
        version = f"{version} ({made_from})" if made_from else version
    return Distribution(name, version, tuple(sorted(tops)), tuple(sorted(requires)), "" if name == _SELF else local)


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _top(line: str) -> str:
    """The top-level name that a line of RECORD adds, if any."""
    path = line.partition(",")[0]
    first, _, rest = path.partition("/")
    if not rest:
        first = first.partition(".")[0] if path.endswith(_CODE) else ""
    return first if first.isidentifier() and first != "__pycache__" else ""


def _local(top: str, path: list[str]) -> str:
    """What stands for a module that no distribution claims: a digest of its code, or that it is absent."""
    try:
        spec = PathFinder.find_spec(top, path)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return "absent"
    if spec.submodule_search_locations:
        return "".join(_tree(Path(folder)) for folder in spec.submodule_search_locations)
    return _file(Path(spec.origin)) if spec.origin else "absent"


def _tree(folder: Path) -> str:
    """A digest of the code in a folder."""
    hasher = blake3()
    files = (
        Path(here, name)
        for here, folders, names in sorted(os.walk(folder))
        if not (folders.sort() or any(part.startswith(".") for part in Path(here).relative_to(folder).parts))
        for name in sorted(names)
        if name.endswith(_CODE)
    )
    for count, path in enumerate(files):
        if count >= LOCAL_FILES_MAX:
            break
        hasher.update(f"{path.relative_to(folder)}\n{_file(path)}\n".encode())
    return hasher.hexdigest()[:32]


def _file(path: Path) -> str:
    try:
        return blake3(path.read_bytes()).hexdigest()[:32]
    except OSError:
        return "absent"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
