"""Artifacts that lie on this machine: what MLflow writes when its artifact location is a path or a `file:` URI.

In: a location. Out: the files below it; links that lead out of it are passed over. Called by database.py and folder.py.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from roadworthy.faces.moving.found import FoundArtifact
from roadworthy.nouns.errors import not_found


def folder_of(location: str) -> Path | None:
    """The folder that an artifact location names; None when it is elsewhere (`s3://`, `mlflow-artifacts:`)."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if not parts.scheme and location:
        return Path(location)
    return None


def listing(location: str) -> Iterator[FoundArtifact]:
    """The files below a location; none when it does not exist."""
    folder = folder_of(location)
    if folder is None or not folder.is_dir():
        return
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.resolve().is_relative_to(root):
            yield FoundArtifact(path=path.relative_to(folder).as_posix(), size=path.stat().st_size)


def fetch(location: str, artifact: FoundArtifact, target: Path) -> None:
    """Copy one file.

    Raises:
        Fault: not found when it went away, or lies outside.
    """
    folder = folder_of(location)
    source = None if folder is None else (folder / artifact.path).resolve()
    if source is None or folder is None or not source.is_relative_to(folder.resolve()) or not source.is_file():
        raise not_found("the artifact is not there any more", where=f"{location}/{artifact.path}"[:300])
    shutil.copyfile(source, target)
