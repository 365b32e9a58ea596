"""What the locked environment around notebooks has: names from uv.lock, poetry.lock, requirements and their kind.

In: a folder. Out: the names of distributions, and the file that has them. Called by `check.py`.
"""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.notebooks.rules.distributions import normal

SIZE_MAX_BYTES = 64 << 20
_DEPTH_MAX = 5
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:[=<>!~@;#]|$)")
_INCLUDED = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]+(\S+)")
_CONDA = re.compile(r"^\s*-\s+(?:[\w.-]+::)?([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:[=<>!~]|\s*$)")
_FROM_CONDA = {"pytorch": "torch", "py-opencv": "opencv-python", "opencv": "opencv-python", "py-xgboost": "xgboost"}


def locked(folder: Path) -> tuple[frozenset[str] | None, str]:
    """The distributions of the lock in a folder, and its name; None when there is none, or it cannot be read."""
    for name, parse in _FILES:
        path = folder / name
        if path.is_file() and path.stat().st_size <= SIZE_MAX_BYTES:
            try:
                names = parse(path)
            except (OSError, ValueError, msgspec.DecodeError, AttributeError, TypeError):
                continue
            if names:
                return frozenset(map(normal, names)), name
    return None, ""


def _from_toml(path: Path) -> set[str]:
    table = tomllib.loads(path.read_text("utf-8"))
    packages: list[dict[str, Any]] = table.get("package") or table.get("packages") or []
    return {str(package["name"]) for package in packages if "name" in package}


def _from_pipfile(path: Path) -> set[str]:
    table = msgspec.json.decode(path.read_bytes())
    return {name for part in ("default", "develop") for name in table.get(part, {})}


def _from_requirements(path: Path, depth: int = 0) -> set[str]:
    found: set[str] = set()
    for line in path.read_text("utf-8", "replace").splitlines():
        included = _INCLUDED.match(line)
        if included and depth < _DEPTH_MAX and (path.parent / included[1]).is_file():
            found |= _from_requirements(path.parent / included[1], depth + 1)
        elif named := _REQUIREMENT.match(line):
            found.add(named[1])
    return found


def _from_conda(path: Path) -> set[str]:
    found = {named[1] for line in path.read_text("utf-8", "replace").splitlines() if (named := _CONDA.match(line))}
    return found | {_FROM_CONDA[name] for name in found if name in _FROM_CONDA}


_FILES: tuple[tuple[str, Callable[[Path], set[str]]], ...] = (
    ("uv.lock", _from_toml),
    ("poetry.lock", _from_toml),
    ("pdm.lock", _from_toml),
    ("pylock.toml", _from_toml),
    ("Pipfile.lock", _from_pipfile),
    ("requirements.lock", _from_requirements),
    ("requirements.txt", _from_requirements),
    ("environment.yml", _from_conda),
    ("environment.yaml", _from_conda),
)
