"""An MLflow kept in a folder (`mlruns/`): meta.yaml files, and one small file per metric, parameter and tag.

In: the folder. Out: a `Source`. A file that cannot be read fails with its path; nothing is guessed.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roadworthy.faces.moving import local_files
from roadworthy.faces.moving.found import (
    FoundArtifact,
    FoundExperiment,
    FoundLogged,
    FoundModel,
    FoundPoints,
    FoundRun,
    FoundVersion,
)
from roadworthy.nouns.errors import invalid, not_found

TRASH = ".trash"
MODELS = "models"
META_BYTES_MAX = 4 << 20
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_LOGGED = {0: "UNSPECIFIED", 1: "PENDING", 2: "READY", 3: "FAILED"}
_RUN_ID = re.compile(r"[0-9a-f]{32}")


class FolderSource:
    """Somebody's `mlruns` folder.

    Args:
        folder: the one that holds the experiments' folders.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise not_found("there is no such folder", where=str(folder))
        self.name = str(folder)
        self._folder = folder
        self._homes: dict[str, Path] = {}

    def experiments(self) -> Iterator[FoundExperiment]:
        homes = sorted(self._folder.glob("*/meta.yaml")) + sorted((self._folder / TRASH).glob("*/meta.yaml"))
        for path in homes:
            if path.parent.name == MODELS:
                continue
            meta = _meta(path)
            key = str(meta.get("experiment_id", path.parent.name))
            self._homes[key] = path.parent
            yield FoundExperiment(
                id=key,
                name=str(meta.get("name", key)),
                location=str(meta.get("artifact_location") or ""),
                stage=str(meta.get("lifecycle_stage") or "active"),
                created_ms=int(meta.get("creation_time") or 0),
                updated_ms=int(meta.get("last_update_time") or 0),
                tags=_pairs(path.parent / "tags"),
            )

    def runs(self, experiment: FoundExperiment) -> Iterator[FoundRun]:
        for path in sorted(self._homes[experiment.id].glob("*/meta.yaml")):
            if not _RUN_ID.fullmatch(path.parent.name):
                continue
            meta, tags = _meta(path), _pairs(path.parent / "tags")
            status = meta.get("status")
            yield FoundRun(
                id=path.parent.name,
                experiment=experiment.id,
                name=str(meta.get("run_name") or tags.get("mlflow.runName", "")),
                user=str(meta.get("user_id") or ""),
                status=_STATUS.get(status, "FINISHED") if isinstance(status, int) else str(status or "FINISHED"),
                stage=str(meta.get("lifecycle_stage") or "active"),
                start_ms=_whole(meta.get("start_time")),
                end_ms=_whole(meta.get("end_time")),
                # What the file says may be another machine's path; the folder that it lies in is this one's.
                location=str(path.parent / "artifacts"),
                params=_pairs(path.parent / "params"),
                tags=tags,
            )

    def points(self, run: FoundRun) -> Iterator[FoundPoints]:
        folder = self._homes[run.experiment] / run.id / "metrics"
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            steps, times, values = [], [], []
            for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
                parts = line.split()
                try:
                    times.append(int(parts[0]))
                    values.append(float(parts[1]) if parts[1].lower() != "nan" else math.nan)
                    steps.append(int(parts[2]) if len(parts) > 2 else 0)
                except (IndexError, ValueError):
                    raise invalid("not a metric's line: time, value, step", where=f"{path}:{number}") from None
            yield FoundPoints(key=path.relative_to(folder).as_posix(), steps=steps, times_ms=times, values=values)

    def logged(self, experiment: FoundExperiment) -> Iterator[FoundLogged]:
        for path in sorted((self._homes[experiment.id] / MODELS).glob("*/meta.yaml")):
            meta = _meta(path)
            status = meta.get("status")
            yield FoundLogged(
                id=path.parent.name,
                experiment=experiment.id,
                name=str(meta.get("name") or ""),
                location=str(path.parent / "artifacts"),
                status=_LOGGED.get(status, "READY") if isinstance(status, int) else str(status or "READY"),
                stage=str(meta.get("lifecycle_stage") or "active"),
                type=str(meta.get("model_type") or ""),
                run=str(meta.get("source_run_id") or ""),
                created_ms=int(meta.get("creation_timestamp") or 0),
                updated_ms=int(meta.get("last_updated_timestamp") or 0),
                params=_pairs(path.parent / "params"),
                tags=_pairs(path.parent / "tags"),
            )

    def models(self) -> Iterator[FoundModel]:
        for path in sorted((self._folder / MODELS).glob("*/meta.yaml")):
            meta, home = _meta(path), path.parent
            versions = sorted(
                (_version(p) for p in home.glob("version-*/meta.yaml")), key=lambda version: version.version
            )
            yield FoundModel(
                name=str(meta.get("name", home.name)),
                description=str(meta.get("description") or ""),
                created_ms=int(meta.get("creation_timestamp") or 0),
                updated_ms=int(meta.get("last_updated_timestamp") or 0),
                tags=_pairs(home / "tags"),
                aliases={alias: int(version) for alias, version in _pairs(home / "aliases").items()},
                versions=tuple(versions),
            )

    def artifacts(self, owner: FoundRun | FoundLogged) -> Iterator[FoundArtifact]:
        return local_files.listing(owner.location)

    def fetch(self, owner: FoundRun | FoundLogged, artifact: FoundArtifact, target: Path) -> None:
        local_files.fetch(owner.location, artifact, target)

    def close(self) -> None:
        """Nothing is held open."""


def _version(path: Path) -> FoundVersion:
    meta = _meta(path)
    return FoundVersion(
        version=int(meta.get("version") or path.parent.name.removeprefix("version-")),
        source=str(meta.get("source") or ""),
        run=str(meta.get("run_id") or ""),
        run_link=str(meta.get("run_link") or ""),
        description=str(meta.get("description") or ""),
        user=str(meta.get("user_id") or ""),
        stage=str(meta.get("current_stage") or "None"),
        status=str(meta.get("status") or "READY"),
        status_message=str(meta.get("status_message") or ""),
        created_ms=int(meta.get("creation_timestamp") or 0),
        updated_ms=int(meta.get("last_updated_timestamp") or 0),
        location=str(meta.get("storage_location") or ""),
        tags=_pairs(path.parent / "tags"),
    )


def _meta(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise invalid("reading a folder of MLflow's needs PyYAML", fix="pip install 'roadworthy[server]'") from None
    if path.stat().st_size > META_BYTES_MAX:
        raise invalid("the file is too large to be MLflow's", where=str(path))
    try:
        found = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise invalid(f"the file cannot be read: {str(problem).splitlines()[0]}", where=str(path)) from None
    if not isinstance(found, dict):
        raise invalid("the file has no fields", where=str(path), fix="restore it, or remove its folder")
    return found


def _pairs(folder: Path) -> dict[str, str]:
    """File name to content; names with `/` are folders."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8").removesuffix("\n") for p in files}


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
