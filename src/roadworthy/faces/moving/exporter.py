"""The exporter: our runs and models to any server that speaks MLflow's protocol.

In: our store, and a tracking URI. Out: runs there, each with what it is called here in the tag `roadworthy.run`, logged
models, and registered models with versions, tags and aliases; and a `Report`. What was sent is not sent again.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from roadworthy.faces.moving import versions as versions_there
from roadworthy.faces.moving.attempts import attempt
from roadworthy.faces.server.mlflow import artifact_places
from roadworthy.faces.server.mlflow.logged_models import store as logged
from roadworthy.nouns.errors import Code, Fault
from roadworthy.registry import artifacts, forward, model_names, model_versions, models, runs
from roadworthy.registry.forward import Sent
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_versions import Version
from roadworthy.registry.remote import Remote
from roadworthy.store.store import Store

RUNS_MAX = 1_000_000
# What a version is called here, on the version there: numbers are given by the server.
OURS = "roadworthy.model"
_ENDING = (Code.UNAVAILABLE,)


class Report(msgspec.Struct, kw_only=True):
    """What came of an export; `problems` says what did not go, and why."""

    runs: int = 0
    runs_present: int = 0
    files: int = 0
    models: int = 0
    versions: int = 0
    problems: list[str] = msgspec.field(default_factory=list)


class Exporter:
    """One export.

    Args:
        project: whose runs and models; everyone's when empty.
        tell: is told of each run and model.
    """

    def __init__(self, store: Store, remote: Remote, *, project: str, tell: Callable[[str], None]) -> None:
        self.store = store
        self.remote = remote
        self.project = project
        self.tell = tell
        self.report = Report()
        self._sent: dict[str, Sent] = {}
        self._models: dict[str, str] = {}

    def send(self) -> Report:
        """Send everything; what the server refuses is in the report's problems, and the rest goes on.

        Raises:
            Fault: unavailable when the server does not answer: what was sent stays, and calling again goes on.
        """
        for run in reversed(runs.listing(self.store, project=self.project, limit=RUNS_MAX)):
            attempt(self.report.problems, f"run {run.id[:12]}", partial(self._run, run.id), ending=_ENDING)
        for name in models.names(self.store, self.project):
            attempt(self.report.problems, f"model {name}", partial(self._model, name), ending=_ENDING)
        return self.report

    def _run(self, run_id: str) -> None:
        sent = forward.send(self.store, self.remote, run_id)
        self._sent[run_id] = sent
        self.report.runs_present += int(sent.again)
        self.report.runs += int(not sent.again)
        self.report.files += sent.files
        if not sent.again:
            self.tell(f"run {run_id[:12]} -> {sent.run}")
        if sent.kept_here:
            self.report.problems.append(f"run {run_id[:12]}: {sent.kept_here}")

    def _model(self, name: str) -> None:
        with self.store.read() as reader:
            named = model_names.find(reader, name)
            versions = model_versions.of_name(reader, name)
        self._name(named or Named(name=name))
        there = {
            tag["value"]: int(found["version"])
            for found in versions_there.of_model(self.remote, name)
            for tag in found.get("tags") or ()
            if tag["key"] == OURS
        }
        for version in versions:
            if version.id not in there:
                there[version.id] = self._version(version)
                self.report.versions += 1
        for alias, number in models.aliases(self.store, name).items():
            if f"{name}@{number}" in there:
                body = {"name": name, "alias": alias, "version": str(there[f"{name}@{number}"])}
                self.remote.post("registered-models/alias", body)
        self.report.models += 1
        self.tell(f"model {name}")

    def _name(self, named: Named) -> None:
        body = {"name": named.name, "description": named.description or "", "tags": _tags(named.tags)}
        try:
            self.remote.post("registered-models/create", body)
        except Fault as problem:
            if problem.code is not Code.CONFLICT:
                raise

    def _version(self, version: Version) -> int:
        sent = self._sent.get(version.run)
        body: dict[str, Any] = {
            "name": version.name, "source": self._source(version, sent), "description": version.description or "",
            "tags": _tags({**version.tags, OURS: version.id}), **({"run_id": sent.run} if sent else {}),
        }  # fmt: skip
        if version.model_id in self._models:
            body["model_id"] = self._models[version.model_id]
        made = self.remote.post("model-versions/create", body)["model_version"]
        if version.stage not in ("None", ""):
            moved = {"name": version.name, "version": str(made["version"]), "stage": version.stage}
            self.remote.post("model-versions/transition-stage", moved)
        return int(made["version"])

    def _source(self, version: Version, sent: Sent | None) -> str:
        """Where the version's files are there: in its logged model, or in its run."""
        if version.model_id:
            return f"models:/{self._logged(version.model_id)}"
        with self.store.read() as reader:
            place = artifact_places.of_uri(reader, version.location or version.source)
        if sent is None:
            return version.source or f"roadworthy:/{version.id}"
        return f"{sent.location}/{place.path}" if place is not None and place.run == version.run else sent.location

    def _logged(self, model_id: str) -> str:
        """The logged model there, made if it is not."""
        if model_id in self._models:
            return self._models[model_id]
        with self.store.read() as reader:
            found = logged.find(reader, model_id)
        if found is None:
            raise Fault(Code.NOT_FOUND, "the logged model is not here any more", where=model_id)
        run = self._sent.get(found.source_run or "")
        experiment = (
            self.remote.get("runs/get", run_id=run.run)["run"]["info"]["experiment_id"] if run is not None else "0"
        )
        body = {
            "experiment_id": experiment, "name": found.name, "model_type": found.type or "",
            "source_run_id": run.run if run else "", "params": _tags(found.params), "tags": _tags(found.tags),
        }  # fmt: skip
        info = self.remote.post("logged-models", body)["model"]["info"]
        made, root = str(info["model_id"]), str(info["artifact_uri"])
        inside = root.partition("mlflow-artifacts:/")[2].strip("/")
        prefix = f"{found.group}/models/{model_id}/artifacts/"
        for artifact in artifacts.below(self.store, artifacts.NO_RUN, prefix.rstrip("/")):
            if inside:
                path = f"{inside}/{artifact.path.removeprefix(prefix)}"
                self.remote.upload(path, self.store.blobs.file(artifact.digest))
                self.report.files += 1
        self.remote.post(f"logged-models/{made}", {"model_id": made, "status": "LOGGED_MODEL_READY"}, method="PATCH")
        self._models[model_id] = made
        return made


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
