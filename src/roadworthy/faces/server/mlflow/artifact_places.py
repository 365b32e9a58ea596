"""Artifact places: where a path of MLflow's artifact store lies with us, and whose it is.

In: paths as clients send them, `<experiment>/<run>/artifacts/<path>`, `<experiment>/models/<id>/artifacts/<path>`, or
any other. Out: the run that keeps it, or none, with the path under which registry/artifacts.py has it, and the project
whose roles count. Called by the handlers of artifacts before they touch anything.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.identity.who import Identity, Need
from roadworthy.faces.server.mlflow import run_shown
from roadworthy.faces.server.mlflow.schema import experiment
from roadworthy.faces.server.mlflow.wire import SHOWN, invalid, missing
from roadworthy.nouns.errors import Fault
from roadworthy.registry import artifacts, groups
from roadworthy.store.sql import Reader

ANCHOR = "artifacts"
RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")  # as MLflow takes it
# Of a folder, who knows the project of what is named in it, such as `models/<id>`; routes.py fills it, since those who
# know import this.
PROJECTS: dict[str, Callable[[Reader, str], str | None]] = {}
_NUMBER = re.compile(r"\d{1,18}")
_RUN = re.compile(r"runs:/+([^/]+)(.*)", re.DOTALL)
_PROXIED = re.compile(r"mlflow-artifacts:(?://[^/]*)?/+(.*)", re.DOTALL)
_HTTP = re.compile(r"https?://[^?#]*?/api/2\.0/mlflow-artifacts/artifacts/+(.*)", re.DOTALL)


class Place(NamedTuple):
    """Whose file it is and under which path it is kept.

    Args:
        run: the id of the run that keeps it, empty for what belongs to none.
        path: below the run's root; the whole path for what belongs to none. Empty for a root.
        project: whose roles count.
        whole: the path as MLflow writes it.
    """

    run: str
    path: str
    project: str
    whole: str


def safe(path: str) -> str:
    """A path as it may be kept, in MLflow's words when it may not.

    Raises:
        WireError: INVALID_PARAMETER_VALUE, `Invalid path`.
    """
    if "#" in path:
        raise invalid("Invalid path")
    try:
        return artifacts.check_path(path, length_max=artifacts.WHOLE_PATH_LENGTH_MAX)
    except Fault:
        raise invalid("Invalid path") from None


def locate(reader: Reader, whole: str) -> Place:
    """The place of a whole path, in its normal form; an empty one is the root of all."""
    parts = whole.split("/") if whole else []
    at = parts.index(ANCHOR, 1) if ANCHOR in parts[1:] else 0
    if at and parts[at + 1 :]:
        safe("/".join(parts[at + 1 :]))  # clients write it below a folder of theirs
    if at and RUN_ID.fullmatch(parts[at - 1]):
        owner = artifacts.owner(reader, parts[at - 1])
        if owner is not None:
            return Place(parts[at - 1], "/".join(parts[at + 1 :]), owner.project, whole)
    return Place(artifacts.NO_RUN, whole, _project(reader, parts), whole)


def of_run(reader: Reader, run_id: str, path: str = "") -> tuple[Place, str]:
    """The place of a path that a run keeps, and the URI of the run's root.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST for an unknown run, INVALID_PARAMETER_VALUE for an id or path that is none.
    """
    if not RUN_ID.fullmatch(run_id):
        raise invalid(f"Invalid run ID: '{run_id[:SHOWN]}'")
    path = safe(path) if path else ""
    owner = artifacts.owner(reader, run_id)
    if owner is None:
        raise missing(f"Run with id={run_id} not found")
    root = owner.location or _root(reader, owner.group, run_id)
    whole = "/".join(part for part in (str(owner.group), run_id, ANCHOR, path) if part)
    return Place(run_id, path, owner.project, whole), root


def of_uri(reader: Reader, uri: str, path: str = "") -> Place | None:
    """The place of a path below a URI such as `mlflow-artifacts:/1/<run>/artifacts`; None when we do not keep it."""
    run = _RUN.fullmatch(uri)
    if run is not None:
        return of_run(reader, run[1], "/".join(part for part in (run[2].strip("/"), path) if part))[0]
    match = _PROXIED.fullmatch(uri) or _HTTP.fullmatch(uri)
    if match is None:
        return None
    root = match[1].strip("/")
    return locate(reader, safe("/".join(part for part in (root, path) if part)) if root or path else "")


def require(identity: Identity, need: Need, place: Place, *, hidden: bool = False) -> None:
    """Hold somebody's roles against the project of a place; whose it is is told to those alone who may see it.

    Args:
        hidden: the run itself is not to be told from one that there is not.

    Raises:
        WireError: PERMISSION_DENIED, or RESOURCE_DOES_NOT_EXIST where it is hidden.
        Fault: refused, for who may see it and no more.
    """
    if not identity.may("viewer", place.project):
        if hidden:
            raise missing(f"Run with id={place.run} not found")
        raise WireError("PERMISSION_DENIED", "Permission denied", 403)
    identity.require(need, place.project)


def no_such(place: Place) -> WireError:
    """That there is no such file, in MLflow's words."""
    return WireError("RESOURCE_DOES_NOT_EXIST", f"No such artifact: '{place.whole}'", 404)


def _project(reader: Reader, parts: list[str]) -> str:
    """The project of what belongs to no run: that of the experiment it lies in, or of the model or trace named."""
    if parts and _NUMBER.fullmatch(parts[0]):
        group = groups.find(reader, int(parts[0]), tags=False)
        if group is not None:
            return group.project
    for folder, name in pairwise(parts):
        if folder in PROJECTS:
            project = PROJECTS[folder](reader, name)
            if project is not None:
                return project
    return ""


def _root(reader: Reader, number: int, run_id: str) -> str:
    group = groups.find(reader, number, tags=False)
    return run_shown.artifacts_of(experiment.location(number, group.location if group else ""), run_id)
