"""From what a user typed to the reader of somebody's MLflow. Called by `rw import`."""

from pathlib import Path

from roadworthy.faces.moving.database import DatabaseSource
from roadworthy.faces.moving.folder import FolderSource
from roadworthy.faces.moving.found import Source
from roadworthy.faces.moving.rest import RestSource
from roadworthy.nouns.errors import invalid


def of(uri: str) -> Source:
    """The source that a URI or path names.

    Args:
        uri: `http(s)://…`, `databricks`, `sqlite:///FILE`, `postgresql://…`, `file:///FOLDER`, or the path of an
            `mlruns` folder or of an SQLite file.

    Raises:
        Fault: invalid or not found, saying what would pass.
    """
    if uri.startswith(("http://", "https://")) or uri.partition("://")[0] == "databricks":
        return RestSource(uri)
    if uri.startswith(("sqlite:", "postgresql:", "postgresql+", "postgres:")):
        return DatabaseSource(uri)
    path = Path(uri.removeprefix("file://")).expanduser()
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return DatabaseSource(f"sqlite:///{path.resolve()}")
    raise invalid(
        "nothing of MLflow's is there",
        where=uri[:200],
        fix="give a server (http://HOST:PORT), a folder (mlruns), or a database (sqlite:///mlflow.db, postgresql://…)",
    )
