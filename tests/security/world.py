"""A server with somebody's secret project on it, and people of every role who ask for it.

What is kept in the secret project carries `MARK` in names, values and content, so that a leak is seen wherever it comes
out; and everything that is kept is in tables that can be held against what they were.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from roadworthy.faces.server.http import Route
from roadworthy.faces.server.identity import passwords, roles, tokens
from roadworthy.faces.server.server import Settings
from roadworthy.store.clock import SeededIds, SimulatedClock
from roadworthy.store.store import Store, open_store
from tests.faces.server.conversation import Answer, Conversation

MARK = "s3cr3t"
V2 = "/api/2.0/mlflow"
V3 = "/api/3.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
GRAPHQL = """query Q($run: String, $experiment: String, $key: String) {
  mlflowGetRun(input: {runId: $run}) { run { info { runName } data { tags { key value } params { key } }
    experiment { name } modelVersions { name source } } apiError { code } }
  mlflowGetExperiment(input: {experimentId: $experiment}) { experiment { name tags { value } } apiError { code } }
  mlflowListArtifacts(input: {runId: $run}) { files { path } apiError { code } }
  mlflowSearchRuns(input: {experimentIds: [$experiment]}) { runs { info { runName } } apiError { code } }
  mlflowSearchModelVersions(input: {}) { modelVersions { name } apiError { code } }
  mlflowGetMetricHistoryBulkInterval(input: {runIds: [$run], metricKey: $key}) { metrics { key } apiError { code } }
}"""
# What changes without anybody having changed anything.
PASSING = {"events", "log_head", "tokens", "sessions", "schema_version", "run_shown"}
PASSING_COLUMNS = {"runs.shown"}
COLUMNS = """
SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name
"""


class Secret(NamedTuple):
    """The ids of what is in the secret project."""

    experiment: str
    run: str
    model: str
    logged: str
    trace: str
    assessment: str


class World:
    """The server, the secret, and who asks.

    Args:
        folder: where the store is.
    """

    def __init__(self, folder: Path) -> None:
        self.store = open_store(folder, clock=SimulatedClock(1_700_000_000.0), ids=SeededIds(7), actor="tester")
        self.talk = Conversation(self.store, Settings(login=True))
        self._tokens: dict[str, dict[str, str]] = {}
        self.secret = self._fill()
        self.before = self.tables()

    def ask(self, who: str, method: str, url: str, **more: Any) -> Answer:
        """A request by somebody with the roles of `who`, such as `editor@secret`; of nobody when it is empty."""
        return self.talk.ask(method, url, headers={**self.by(who), **more.pop("headers", {})}, **more)

    def by(self, who: str) -> dict[str, str]:
        """The header by which somebody is known."""
        if not who:
            return {}
        if who not in self._tokens:
            made, _ = tokens.create(self.store, f"by {who}", roles.parse(who.split(",")), days=1)
            self._tokens[who] = {"authorization": f"Bearer {made}"}
        return self._tokens[who]

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that is kept."""
        with self.store.read() as reader:
            columns: dict[str, list[str]] = {}
            for table, column in reader.rows(COLUMNS):
                if table not in PASSING and f"{table}.{column}" not in PASSING_COLUMNS:
                    columns.setdefault(table, []).append(column)
            return {
                table: sorted(reader.rows(f"SELECT {', '.join(names)} FROM {table}"), key=repr)
                for table, names in columns.items()
            }

    def close(self) -> None:
        self.talk.__exit__(None, None, None)

    def _fill(self) -> Secret:
        def post(path: str, body: Mapping[str, Any], under: str = V2) -> Any:
            said = self.ask("admin", "POST", under + path, json=body)
            assert said.status == 200, (path, said.body)
            return said.json

        tag = {"key": "roadworthy.project", "value": "secret"}
        name = f"{MARK}-name"
        experiment = post("/experiments/create", {"name": name, "tags": [tag]})["experiment_id"]
        run = post("/runs/create", {"experiment_id": experiment, "run_name": f"{MARK}-run"})["run"]["info"]["run_id"]
        pairs = [{"key": f"{MARK}-key", "value": f"{MARK}-value"}]
        metrics = [{"key": f"{MARK}-key", "value": 1.5, "timestamp": 1, "step": 1}]
        post("/runs/log-batch", {"run_id": run, "metrics": metrics, "params": pairs, "tags": pairs})
        dataset = {"dataset": {"name": f"{MARK}-data", "digest": "d", "source_type": "x", "source": f"{MARK}-source"}}
        post("/runs/log-inputs", {"run_id": run, "datasets": [dataset]})
        root = f"{experiment}/{run}/artifacts"
        assert self.ask("admin", "PUT", f"{PROXY}/{root}/{MARK}.txt", body=MARK.encode()).status == 200
        made = post("/logged-models", {"experiment_id": experiment, "name": f"{MARK}-logged", "source_run_id": run})
        logged = made["model"]["info"]["model_id"]
        files = f"{experiment}/models/{logged}/artifacts"
        assert self.ask("admin", "PUT", f"{PROXY}/{files}/{MARK}.txt", body=MARK.encode()).status == 200
        post("/registered-models/create", {"name": name, "tags": [tag], "description": f"{MARK}-description"})
        post("/model-versions/create", {"name": name, "source": f"mlflow-artifacts:/{root}", "run_id": run})
        post("/registered-models/alias", {"name": name, "alias": f"{MARK}-alias", "version": "1"})
        trace = f"tr-{MARK}"
        where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        info = {"trace_id": trace, "trace_location": where, "request_time": "2026-01-01T00:00:00Z", "state": "OK",
                "request_preview": f"{MARK}-request", "tags": {f"{MARK}-key": f"{MARK}-value"}}  # fmt: skip
        post("/traces", {"trace": {"trace_info": info}}, V3)
        said = {"assessment_name": f"{MARK}-assessment", "source": {"source_type": "HUMAN", "source_id": MARK},
                "feedback": {"value": MARK}, "create_time": "2026-01-01T00:00:00Z",
                "last_update_time": "2026-01-01T00:00:00Z"}  # fmt: skip
        made = post(f"/traces/{trace}/assessments", {"assessment": {**said, "trace_id": trace}}, V3)
        return Secret(experiment, run, name, logged, trace, made["assessment"]["assessment_id"])

    def url(self, route: Route) -> str:
        """A route's path about the secret."""
        files = f"{self.secret.experiment}/{self.secret.run}/artifacts/{MARK}.txt"
        secret = self.secret
        known = {"path": files, "model_id": secret.logged, "tag_key": f"{MARK}-key", "run_id": secret.run,
                 "run": secret.run, "name": secret.model, "version": "1", "trace_id": secret.trace,
                 "assessment_id": secret.assessment}  # fmt: skip
        path = route.path
        while "{" in path:
            before, _, rest = path.partition("{")
            name, _, after = rest.partition("}")
            name = name.partition(":")[0]
            path = before + known.get(name, f"unknown-{name}") + after
        return path

    def bodies(self) -> Iterator[dict[str, Any]]:
        """Every field that a message may have, about the secret: whatever a route reads, it finds in one of them."""
        secret = self.secret
        whole: dict[str, Any] = {
            "run_id": secret.run, "run_uuid": secret.run, "run_ids": [secret.run], "source_run_id": secret.run,
            "experiment_id": secret.experiment, "experiment_ids": [secret.experiment],
            "experiment_name": f"{MARK}-name", "model_id": secret.logged, "name": f"{MARK}-name", "version": "1",
            "new_name": "stolen", "run_name": "stolen", "description": "stolen", "description_": "stolen",
            "key": f"{MARK}-key", "value": "7", "metric_key": f"{MARK}-key", "timestamp": 5, "step": 5,
            "alias": f"{MARK}-alias", "path": f"{MARK}.txt", "artifact_file_path": f"{MARK}.txt", "max_results": 100,
            "metrics": [{"key": "stolen", "value": 1, "timestamp": 1, "step": 1}],
            "params": [{"key": "stolen", "value": "1"}], "tags": [{"key": "stolen", "value": "1"}],
            "stage": "Production", "archive_existing_versions": True, "status": "FINISHED", "end_time": 5,
            "source": f"mlflow-artifacts:/{secret.experiment}/{secret.run}/artifacts", "num_parts": 1,
            "upload_id": f"{'0' * 32}-1", "parts": [{"part_number": 1}],
            "model_json": json.dumps(
                {"artifact_path": "m", "flavors": {}, "utc_time_created": "2026-01-01 00:00:00", "run_id": secret.run}
            ),
            "datasets": [{"dataset": {"name": "stolen", "digest": "1", "source_type": "x", "source": "y"}}],
            "filter": "", "order_by": [], "view_type": "ALL", "run_view_type": "ALL",
            "trace_id": secret.trace, "trace_ids": [secret.trace], "request_id": secret.trace, "request_ids": [secret.trace],
            "assessment_id": secret.assessment, "feedback": {"value": "stolen"},
            "locations": [
                {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": secret.experiment}}
            ],
            "query": GRAPHQL,
            "variables": {"run": secret.run, "experiment": secret.experiment, "key": f"{MARK}-key"},
            "max_timestamp_millis": 4_000_000_000_000, "include_spans": True,
            "assessment": {"assessment_name": "stolen", "trace_id": secret.trace, "feedback": {"value": 1},
                           "source": {"source_type": "HUMAN", "source_id": "x"}},
 "dataset_id": f"d-{MARK}", "workspace": "default",
        }  # fmt: skip
        yield whole
        yield {**whole, "status": "LOGGED_MODEL_READY", "models": [{"model_id": secret.logged, "step": 1}]}
        yield {**whole, "name": "stolen", "path": "", "datasets": [], "status": "", "max_timestamp_millis": 0}
        yield {**whole, "name": f"{MARK}-stolen", "model_id": "", "tags": []}
        del whole["max_timestamp_millis"]
        yield whole

    def tries(self, route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
        """Requests of a route about the secret: URLs, and what is sent with them."""
        url = self.url(route)
        for body in self.bodies():
            if route.method == "GET":
                pairs = [
                    (k, v) for k, values in body.items() for v in (values if isinstance(values, list) else [values])
                ]
                yield f"{url}?{urlencode([(k, v) for k, v in pairs if not isinstance(v, dict)])}", {}
            elif route.streams:
                yield f"{url}?{urlencode({'run_uuid': self.secret.run, 'path': 'stolen'})}", {"body": b"stolen"}
            else:
                yield url, {"json": body}


def cheap(monkeypatch: Any) -> None:
    """Passwords that cost nothing."""
    monkeypatch.setattr(passwords, "N", 1 << 10)


__all__ = ["MARK", "PROXY", "V2", "V3", "Secret", "Store", "World", "cheap"]
