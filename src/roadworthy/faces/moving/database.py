"""An MLflow kept in a database: read with its own SQL, SQLite or PostgreSQL, without MLflow installed.

In: `sqlite:///mlflow.db` or `postgresql://…` as MLflow's `--backend-store-uri`. Out: a `Source`. Columns that an older
MLflow lacks are taken as empty.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import closing
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

PAGE = 500
# MLflow's numbers for a logged model's status.
_LOGGED = {0: "UNSPECIFIED", 1: "PENDING", 2: "READY", 3: "FAILED"}

_RUNS = "SELECT * FROM runs WHERE experiment_id = ? AND run_uuid > ? ORDER BY run_uuid LIMIT ?"
_PARAMS = "SELECT key, value FROM params WHERE run_uuid = ?"
_TAGS = "SELECT key, value FROM tags WHERE run_uuid = ?"
_KEYS = "SELECT key FROM latest_metrics WHERE run_uuid = ? ORDER BY key"
_POINTS = """
SELECT step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY timestamp, step, value
"""
_LOGGED_MODELS = "SELECT * FROM logged_models WHERE experiment_id = ? ORDER BY model_id"
_LOGGED_PARAMS = "SELECT param_key, param_value FROM logged_model_params WHERE model_id = ?"
_LOGGED_TAGS = "SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?"
_MODELS = "SELECT * FROM registered_models ORDER BY name"
_MODEL_TAGS = "SELECT key, value FROM registered_model_tags WHERE name = ?"
_ALIASES = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
_VERSIONS = "SELECT * FROM model_versions WHERE name = ? ORDER BY version"
_VERSION_TAGS = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"


class DatabaseSource:
    """Somebody's MLflow in a database.

    Args:
        uri: as MLflow writes it.
    """

    def __init__(self, uri: str) -> None:
        self.name = uri.rpartition("@")[2] if "@" in uri else uri
        self._postgresql = not uri.startswith("sqlite:")
        self._connection = _postgresql(uri) if self._postgresql else _sqlite(uri)
        self._tables = self._table_names()
        if "experiments" not in self._tables:
            raise invalid("the database is not MLflow's: it has no experiments", where=self.name)

    def experiments(self) -> Iterator[FoundExperiment]:
        for row in self._rows("SELECT * FROM experiments ORDER BY experiment_id"):
            key = row["experiment_id"]
            tags = self._pairs("SELECT key, value FROM experiment_tags WHERE experiment_id = ?", key)
            yield FoundExperiment(
                id=str(key),
                name=str(row["name"]),
                location=row["artifact_location"] or "",
                stage=row["lifecycle_stage"] or "active",
                created_ms=row.get("creation_time") or 0,
                updated_ms=row.get("last_update_time") or 0,
                tags=tags,
            )

    def runs(self, experiment: FoundExperiment) -> Iterator[FoundRun]:
        after = ""
        while rows := self._rows(_RUNS, int(experiment.id), after, PAGE):
            for row in rows:
                run_id = str(row["run_uuid"])
                tags = self._pairs(_TAGS, run_id)
                yield FoundRun(
                    id=run_id,
                    experiment=experiment.id,
                    name=row.get("name") or tags.get("mlflow.runName", ""),
                    user=row.get("user_id") or "",
                    status=row["status"] or "FINISHED",
                    stage=row["lifecycle_stage"] or "active",
                    start_ms=row["start_time"],
                    end_ms=row["end_time"],
                    location=row["artifact_uri"] or "",
                    params=self._pairs(_PARAMS, run_id),
                    tags=tags,
                )
            after = str(rows[-1]["run_uuid"])

    def points(self, run: FoundRun) -> Iterator[FoundPoints]:
        for (key,) in self._all(_KEYS, run.id):
            rows = self._all(_POINTS, run.id, key)
            yield FoundPoints(
                key=str(key),
                steps=[int(row[0]) for row in rows],
                times_ms=[int(row[1]) for row in rows],
                values=[_value(row[2], nan=bool(row[3])) for row in rows],
            )

    def logged(self, experiment: FoundExperiment) -> Iterator[FoundLogged]:
        if "logged_models" not in self._tables:
            return
        for row in self._rows(_LOGGED_MODELS, int(experiment.id)):
            model_id = str(row["model_id"])
            yield FoundLogged(
                id=model_id,
                experiment=experiment.id,
                name=row["name"] or "",
                location=row["artifact_location"] or "",
                status=_LOGGED.get(row["status"], "READY"),
                stage=row["lifecycle_stage"] or "active",
                type=row["model_type"] or "",
                run=row["source_run_id"] or "",
                created_ms=row["creation_timestamp_ms"] or 0,
                updated_ms=row["last_updated_timestamp_ms"] or 0,
                params=self._pairs(_LOGGED_PARAMS, model_id),
                tags=self._pairs(_LOGGED_TAGS, model_id),
            )

    def models(self) -> Iterator[FoundModel]:
        if "registered_models" not in self._tables:
            return
        for row in self._rows(_MODELS):
            name = str(row["name"])
            aliases = self._all(_ALIASES, name) if "registered_model_aliases" in self._tables else []
            yield FoundModel(
                name=name,
                description=row.get("description") or "",
                created_ms=row["creation_time"] or 0,
                updated_ms=row["last_updated_time"] or 0,
                tags=self._pairs(_MODEL_TAGS, name),
                aliases={str(alias): int(version) for alias, version in aliases},
                versions=tuple(self._version(row) for row in self._rows(_VERSIONS, name)),
            )

    def artifacts(self, owner: FoundRun | FoundLogged) -> Iterator[FoundArtifact]:
        return local_files.listing(owner.location)

    def fetch(self, owner: FoundRun | FoundLogged, artifact: FoundArtifact, target: Path) -> None:
        local_files.fetch(owner.location, artifact, target)

    def close(self) -> None:
        self._connection.close()

    def _version(self, row: dict[str, Any]) -> FoundVersion:
        return FoundVersion(
            version=int(row["version"]),
            source=row["source"] or "",
            run=row["run_id"] or "",
            run_link=row.get("run_link") or "",
            description=row["description"] or "",
            user=row["user_id"] or "",
            stage=row["current_stage"] or "None",
            status=row["status"] or "READY",
            status_message=row["status_message"] or "",
            created_ms=row["creation_time"] or 0,
            updated_ms=row["last_updated_time"] or 0,
            location=row.get("storage_location") or "",
            tags=self._pairs(_VERSION_TAGS, row["name"], row["version"]),
        )

    def _all(self, sql: str, *values: Any) -> list[Any]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(self._native(sql), values)
            return list(cursor.fetchall())

    def _rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(self._native(sql), values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _pairs(self, sql: str, *values: Any) -> dict[str, str]:
        return {str(key): "" if value is None else str(value) for key, value in self._all(sql, *values)}

    def _native(self, sql: str) -> str:
        return sql.replace("?", "%s") if self._postgresql else sql

    def _table_names(self) -> set[str]:
        known = {
            True: "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
            False: "SELECT name FROM sqlite_master WHERE type = 'table'",
        }
        return {str(row[0]) for row in self._all(known[self._postgresql])}


def _value(stored: float, *, nan: bool) -> float:
    if nan:
        return math.nan
    # MLflow writes infinities as the largest doubles.
    return math.copysign(math.inf, stored) if abs(stored) >= sys.float_info.max else float(stored)


def _sqlite(uri: str) -> Any:
    import sqlite3

    path = Path(uri.removeprefix("sqlite:///"))
    if not path.is_file():
        raise not_found("there is no such database", where=str(path))
    # Read-only, so that a mistake of ours cannot touch what somebody's server may be writing.
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
    except sqlite3.DatabaseError:
        raise invalid("the file is not an SQLite database", where=str(path)) from None
    return connection


def _postgresql(uri: str) -> Any:
    try:
        import psycopg
    except ImportError:
        raise invalid("this needs the psycopg driver", fix="pip install 'roadworthy[postgres]'") from None
    # SQLAlchemy names the driver in the scheme.
    scheme, _, rest = uri.partition("://")
    try:
        connection = psycopg.connect(f"{scheme.partition('+')[0]}://{rest}", connect_timeout=10)
    except psycopg.OperationalError as problem:
        raise invalid(f"the database does not answer: {str(problem).strip()}", where=rest.rpartition("@")[2]) from None
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection
