"""The importer: everything of somebody's MLflow into our store, under the ids that it has there.

In: a `Source` and a store. Out: experiments as groups, runs with parameters, tags, points and files, logged models,
registered models with versions and aliases; and a `Report`. A run is brought with all it has in one transaction, its
files before it, so that an import that was stopped carries on where it was: what is here is not read again, but for
runs that were still running.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from roadworthy.faces.moving.attempts import attempt
from roadworthy.faces.moving.found import (
    FoundArtifact,
    FoundExperiment,
    FoundLogged,
    FoundModel,
    FoundRun,
    FoundVersion,
    Source,
)
from roadworthy.faces.server.mlflow.logged_models import imported as logged
from roadworthy.faces.server.mlflow.logged_models.store import LoggedModel, find
from roadworthy.registry import artifacts, imported, models, run_rows, runs
from roadworthy.registry.groups import Group
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_versions import Version
from roadworthy.registry.run_rows import Row
from roadworthy.store.group import together
from roadworthy.store.store import Store

# The tag that says where a run came from; it is written with the rest of the run.
FROM_TAG = "roadworthy.imported_from"
_STATUS = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
_LOGGED = {"UNSPECIFIED": 0, "PENDING": 1, "READY": 2}
_UPLOAD_FAILED = 3
# Where a client with credentials reads files itself: they stay where they are unless the source can fetch them.
_ELSEWHERE = ("s3", "gs", "wasbs", "abfss", "az", "hdfs", "dbfs", "ftp", "sftp", "r2", "uc")


class Report(msgspec.Struct, kw_only=True):
    """What came of an import.

    Args:
        renumbered: experiments whose number was taken here, as `name: old -> new`.
        left: locations whose files stay where they are.
        problems: what could not be brought, and why.
    """

    experiments: int = 0
    runs: int = 0
    runs_present: int = 0
    points: int = 0
    files: int = 0
    bytes: int = 0
    logged_models: int = 0
    models: int = 0
    versions: int = 0
    renumbered: list[str] = msgspec.field(default_factory=list)
    left: list[str] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)


Tell = Callable[[str], None]


class Importer:
    """One import.

    Args:
        project: the project that everything is put in; empty for everyone's.
        tell: is told of each experiment and model.
    """

    def __init__(self, store: Store, source: Source, *, project: str, tell: Tell) -> None:
        self.store = store
        self.source = source
        self.project = project
        self.tell = tell
        self.report = Report()
        # Old location to new, for versions whose source is one of them.
        self._moved: dict[str, str] = {}

    def bring(self) -> Report:
        """Bring everything; what cannot be brought is in the report's problems, and the rest goes on."""
        problems = self.report.problems
        for experiment in self.source.experiments():
            group = self._group(experiment)
            self.tell(f"experiment {experiment.name}")
            for run in self.source.runs(experiment):
                attempt(problems, f"run {run.id}", partial(self._run, run, group))
            for model in self.source.logged(experiment):
                attempt(problems, f"logged model {model.id}", partial(self._logged, model, group))
        for registered in self.source.models():
            self.tell(f"model {registered.name}")
            attempt(problems, f"model {registered.name}", partial(self._model, registered))
        return self.report

    def _group(self, experiment: FoundExperiment) -> Group:
        # Files come to our own place, unless they are where only clients can reach.
        stays = urlsplit(experiment.location).scheme in _ELSEWHERE
        wanted = Group(
            id=int(experiment.id), name=experiment.name, project=self.project,
            location=experiment.location if stays else "", stage=experiment.stage, created_ms=experiment.created_ms,
            updated_ms=experiment.updated_ms, tags=experiment.tags,
        )  # fmt: skip
        with together(self.store) as store:
            group = imported.group(store, wanted)
        if group.id != wanted.id:
            self.report.renumbered.append(f"{wanted.name}: {wanted.id} -> {group.id}")
        self.report.experiments += 1
        return group

    def _run(self, found: FoundRun, group: Group) -> None:
        with self.store.read() as reader:
            before = run_rows.find(reader, found.id)
        root = f"mlflow-artifacts:/{group.id}/{found.id}/artifacts"
        if before is not None and before.status in runs.ENDED:
            self._moved[found.location] = root
            self.report.runs_present += 1
            return
        kept = self._files(found)
        if kept is not None:
            self._moved[found.location] = root
        row = Row(
            0, found.id, group.id, self.project, found.name, found.user, _STATUS.get(found.status, "finished"),
            found.stage, found.start_ms or 0, found.end_ms, found.location if kept is None else "",
        )  # fmt: skip
        points = {
            p.key: list(zip(p.times_ms, p.steps, p.values, strict=True)) for p in self.source.points(found) if p.steps
        }
        tags = {**found.tags, FROM_TAG: self.source.name}
        with together(self.store) as store:
            imported.run(store, row, found.params, tags, points)
            for artifact, digest in kept or ():
                artifacts.put(store, found.id, artifact.path, digest, artifact.size)
        self.report.runs += 1
        self.report.points += sum(map(len, points.values()))

    def _logged(self, found: FoundLogged, group: Group) -> None:
        place = f"{group.id}/models/{found.id}/artifacts"
        with self.store.read() as reader:
            if (before := find(reader, found.id, deleted=True)) is not None:
                self._moved[found.location] = before.location
                return
        kept = self._files(found)
        location = found.location if kept is None else f"mlflow-artifacts:/{place}"
        self._moved[found.location] = location
        with together(self.store) as store:
            made = logged.bring(store, self._of_found(found, group, location))
            for artifact, digest in (kept or ()) if made else ():
                artifacts.put(
                    store, artifacts.NO_RUN, f"{place}/{artifact.path}", digest, artifact.size, project=self.project
                )
        self.report.logged_models += int(made)

    def _of_found(self, found: FoundLogged, group: Group, location: str) -> LoggedModel:
        return LoggedModel(
            seq=0, id=found.id, group=group.id, project=self.project, name=found.name, type=found.type or None,
            status=_LOGGED.get(found.status, _UPLOAD_FAILED), message=None, source_run=found.run or None,
            location=location, created_ms=found.created_ms, updated_ms=found.updated_ms,
            deleted=found.stage != "active", tags=found.tags, params=found.params,
        )  # fmt: skip

    def _model(self, found: FoundModel) -> None:
        named = Named(
            name=found.name, project=self.project, created_ms=found.created_ms, updated_ms=found.updated_ms,
            description=found.description or None, tags=found.tags,
        )  # fmt: skip
        with together(self.store) as store:
            imported.name(store, named)
            made = [imported.version(store, self._version(found.name, version)) for version in found.versions]
            for alias, number in found.aliases.items():
                models.point(store, found.name, alias, number)
        self.report.models += 1
        self.report.versions += sum(made)

    def _version(self, name: str, found: FoundVersion) -> Version:
        logged_id = found.source.removeprefix("models:/") if found.source.startswith("models:/m-") else ""
        return Version(
            name=name, version=found.version, run=found.run, project=self.project, created_ms=found.created_ms,
            updated_ms=found.updated_ms, description=found.description or None, stage=found.stage,
            source=self._new(found.source), location=self._new(found.location), run_link=found.run_link or None,
            model_id=logged_id, tags=found.tags,
        )  # fmt: skip

    def _new(self, location: str) -> str:
        """A location as it is here: below what was moved, or as it was."""
        for old, new in self._moved.items():
            if old and (location == old or location.startswith(f"{old.rstrip('/')}/")):
                return new + location[len(old.rstrip("/")) :]
        return location

    def _files(self, owner: FoundRun | FoundLogged) -> list[tuple[FoundArtifact, str]] | None:
        """The files of a run or model, as blobs of ours; None when they stay where they are."""
        if urlsplit(owner.location).scheme in _ELSEWHERE and not self._reachable(owner):
            if owner.location not in self.report.left:
                self.report.left.append(owner.location)
            return None
        kept: list[tuple[FoundArtifact, str]] = []
        with tempfile.TemporaryDirectory(dir=self.store.home, prefix="import-") as folder:
            target = Path(folder) / "file"
            for artifact in self.source.artifacts(owner):
                path = artifacts.check_path(artifact.path)
                self.source.fetch(owner, artifact, target)
                blob = self.store.blobs.keep_file(target, copy=True)
                kept.append((msgspec.structs.replace(artifact, path=path, size=blob.size), blob.digest))
                self.report.files += 1
                self.report.bytes += blob.size
        return kept

    def _reachable(self, owner: FoundRun | FoundLogged) -> bool:
        """Whether the source can fetch what lies in somebody's bucket: a server does, with credentials of its own."""
        return self.source.name.startswith("http") and isinstance(owner, FoundRun)
