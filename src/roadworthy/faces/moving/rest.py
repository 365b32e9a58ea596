"""An MLflow behind a server: read through its REST wire, as a client may.

In: a tracking URI. Out: a `Source`. What the wire does not tell is not moved: users' passwords, permissions, webhooks'
secrets.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from roadworthy.faces.moving import local_files, versions
from roadworthy.faces.moving.found import (
    FoundArtifact,
    FoundExperiment,
    FoundLogged,
    FoundModel,
    FoundPoints,
    FoundRun,
    FoundVersion,
)
from roadworthy.nouns.errors import Code, Fault, invalid
from roadworthy.registry.remote import ARTIFACTS, Remote

PAGE = 500
POINTS_PAGE = 25_000
DEPTH_MAX = 50
_ALL = {"view_type": "ALL"}
_UNTOLD = ("UNKNOWN", "LOGGED_MODEL_STATUS_UNSPECIFIED")


class RestSource:
    """Somebody's MLflow server.

    Args:
        uri: as `registry.remote.address` takes it.
    """

    def __init__(self, uri: str) -> None:
        self._remote = Remote(uri)
        self.name = self._remote.address.url

    def experiments(self) -> Iterator[FoundExperiment]:
        for found in self._remote.pages("experiments/search", {"max_results": PAGE, **_ALL}, "experiments"):
            yield FoundExperiment(
                id=str(found["experiment_id"]),
                name=str(found["name"]),
                location=found.get("artifact_location") or "",
                stage=found.get("lifecycle_stage") or "active",
                created_ms=_whole(found.get("creation_time")),
                updated_ms=_whole(found.get("last_update_time")),
                tags=_pairs(found.get("tags")),
            )

    def runs(self, experiment: FoundExperiment) -> Iterator[FoundRun]:
        body = {
            "experiment_ids": [experiment.id], "run_view_type": "ALL", "max_results": PAGE,
            "order_by": ["attributes.start_time ASC", "attributes.run_id ASC"],
        }  # fmt: skip
        for found in self._remote.pages("runs/search", body, "runs"):
            info, data = found["info"], found.get("data") or {}
            start, end = info.get("start_time"), info.get("end_time")
            yield FoundRun(
                id=str(info["run_id"]),
                experiment=experiment.id,
                name=info.get("run_name") or "",
                user=info.get("user_id") or "",
                status=info.get("status") or "FINISHED",
                stage=info.get("lifecycle_stage") or "active",
                start_ms=None if start is None else _whole(start),
                end_ms=_whole(end) or None,
                location=info.get("artifact_uri") or "",
                params=_pairs(data.get("params")),
                tags=_pairs(data.get("tags")),
            )

    def points(self, run: FoundRun) -> Iterator[FoundPoints]:
        data = self._remote.get("runs/get", run_id=run.id).get("run", {}).get("data") or {}
        for metric in data.get("metrics") or ():
            key = str(metric["key"])
            body = {"run_id": run.id, "metric_key": key, "max_results": POINTS_PAGE}
            found = list(self._remote.pages("metrics/get-history", body, "metrics", get=True))
            yield FoundPoints(
                key=key,
                steps=[_whole(point.get("step")) for point in found],
                times_ms=[_whole(point.get("timestamp")) for point in found],
                values=[_number(point.get("value")) for point in found],
            )

    def logged(self, experiment: FoundExperiment) -> Iterator[FoundLogged]:
        body = {"experiment_ids": [experiment.id], "max_results": 50}
        try:
            for found in self._remote.pages("logged-models/search", body, "models"):
                yield _logged(found, experiment.id)
        except Fault as problem:
            # Servers before MLflow 3 know none.
            if problem.code not in (Code.NOT_FOUND, Code.INVALID):
                raise

    def models(self) -> Iterator[FoundModel]:
        for found in self._remote.pages(
            "registered-models/search", {"max_results": PAGE}, "registered_models", get=True
        ):
            name = str(found["name"])
            found_versions = [_version(version) for version in versions.of_model(self._remote, name)]
            yield FoundModel(
                name=name,
                description=found.get("description") or "",
                created_ms=_whole(found.get("creation_timestamp")),
                updated_ms=_whole(found.get("last_updated_timestamp")),
                tags=_pairs(found.get("tags")),
                aliases={str(a["alias"]): int(a["version"]) for a in found.get("aliases") or ()},
                versions=tuple(sorted(found_versions, key=lambda version: version.version)),
            )

    def artifacts(self, owner: FoundRun | FoundLogged) -> Iterator[FoundArtifact]:
        if isinstance(owner, FoundLogged) and not _proxied(owner.location):
            yield from local_files.listing(owner.location)
            return
        yield from self._below(owner, "", 0)

    def fetch(self, owner: FoundRun | FoundLogged, artifact: FoundArtifact, target: Path) -> None:
        if inside := _proxied(owner.location):
            self._remote.download(f"{ARTIFACTS}/{quote(f'{inside}/{artifact.path}')}", target)
        elif isinstance(owner, FoundRun):
            query = urlencode({"run_uuid": owner.id, "path": artifact.path})
            self._remote.download(f"/get-artifact?{query}", target)
        else:
            local_files.fetch(owner.location, artifact, target)

    def close(self) -> None:
        self._remote.close()

    def _below(self, owner: FoundRun | FoundLogged, path: str, depth: int) -> Iterator[FoundArtifact]:
        if depth > DEPTH_MAX:
            raise invalid(f"the artifacts lie over {DEPTH_MAX} folders deep", where=f"{owner.id}/{path}"[:300])
        for entry in self._listing(owner, path):
            inside = str(entry["path"])
            if entry.get("is_dir"):
                yield from self._below(owner, inside, depth + 1)
            else:
                yield FoundArtifact(path=inside, size=_whole(entry.get("file_size")))

    def _listing(self, owner: FoundRun | FoundLogged, path: str) -> Iterator[dict[str, Any]]:
        if isinstance(owner, FoundRun):
            body = {"run_id": owner.id, **({"path": path} if path else {})}
            yield from self._remote.pages("artifacts/list", body, "files", get=True)
            return
        root = _proxied(owner.location)
        query = urlencode({"path": f"{root}/{path}" if path else root})
        answer = self._remote.ask("GET", f"{ARTIFACTS}?{query}")
        for entry in answer.get("files") or ():
            yield {**entry, "path": f"{path}/{entry['path']}" if path else entry["path"]}


def _proxied(location: str) -> str:
    """The path inside the server's artifact proxy; empty when it is elsewhere."""
    parts = urlsplit(location)
    return parts.path.strip("/") if parts.scheme == "mlflow-artifacts" else ""


def _logged(found: dict[str, Any], experiment: str) -> FoundLogged:
    info, data = found.get("info") or {}, found.get("data") or {}
    status = str(info.get("status") or "READY").removeprefix("LOGGED_MODEL_")
    return FoundLogged(
        id=str(info["model_id"]),
        experiment=experiment,
        name=info.get("name") or "",
        location=info.get("artifact_uri") or "",
        status="READY" if status in _UNTOLD else status,
        type=info.get("model_type") or "",
        run=info.get("source_run_id") or "",
        created_ms=_whole(info.get("creation_timestamp_ms")),
        updated_ms=_whole(info.get("last_updated_timestamp_ms")),
        params=_pairs(data.get("params")),
        tags=_pairs(info.get("tags")),
    )


def _version(found: dict[str, Any]) -> FoundVersion:
    return FoundVersion(
        version=int(found["version"]),
        source=found.get("source") or "",
        run=found.get("run_id") or "",
        run_link=found.get("run_link") or "",
        description=found.get("description") or "",
        user=found.get("user_id") or "",
        stage=found.get("current_stage") or "None",
        status=found.get("status") or "READY",
        status_message=found.get("status_message") or "",
        created_ms=_whole(found.get("creation_timestamp")),
        updated_ms=_whole(found.get("last_updated_timestamp")),
        tags=_pairs(found.get("tags")),
    )


def _pairs(found: object) -> dict[str, str]:
    if not isinstance(found, list):
        return {}
    return {str(pair["key"]): str(pair.get("value") or "") for pair in found if isinstance(pair, dict)}


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float | str) and value != "" else 0


def _number(value: object) -> float:
    """A metric's value; servers on MLflow's databases give infinities as the largest doubles."""
    number = float(value) if isinstance(value, int | float | str) else math.nan
    return math.copysign(math.inf, number) if abs(number) >= sys.float_info.max else number
