"""Read `roadworthy.toml`: find it, validate it strictly, and say where it is wrong."""

import tomllib
from pathlib import Path

import msgspec

from roadworthy.nouns.errors import invalid
from roadworthy.nouns.project import Place, Project

FILE = "roadworthy.toml"


def find(start: Path) -> Path | None:
    """The nearest `roadworthy.toml` at or above `start`."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    return None


def read(path: Path) -> Place:
    """The project at `path`.

    Raises:
        Fault: invalid, naming line, column, what is allowed and the nearest right key.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        project = msgspec.convert(table, Project)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as problem:
        raise invalid(str(problem), where=str(path)) from None
    return Place(root=path.parent.resolve(), project=project)
