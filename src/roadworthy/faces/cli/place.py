"""Where a command is: the project around the current folder, and its store."""

from pathlib import Path

from roadworthy.nouns.errors import not_found
from roadworthy.nouns.project import Place
from roadworthy.store import project_file
from roadworthy.store.store import HOME, Store, open_store


def here() -> Place:
    """The project whose folder holds the current one.

    Raises:
        Fault: not found when there is none, invalid when its file has mistakes.
    """
    path = project_file.find(Path.cwd())
    if path is None:
        raise not_found("no roadworthy.toml here or above", where=str(Path.cwd()), fix="start a project: rw new NAME")
    return project_file.read(path)


def open_here() -> tuple[Place, Store]:
    """The project around, and its store."""
    place = here()
    return place, open_store(place.home, url=place.project.project.store)


def open_anywhere() -> Store:
    """The store of the project around, or of the current folder when there is no project (as tracking without one makes)."""
    path = project_file.find(Path.cwd())
    if path is not None:
        place = project_file.read(path)
        return open_store(place.home, url=place.project.project.store)
    return open_store(Path.cwd() / HOME)
