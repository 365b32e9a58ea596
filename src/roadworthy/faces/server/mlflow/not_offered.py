"""What MLflow's wire has and we are not for: LLM gateway, jobs that ask models, assistant, MCP registry, workspaces.

In: requests of clients and of MLflow's pages. Out: the answers of MLflow's own server where nothing of the kind is set
up: the gateway and workspaces are switched off (as server_info.py says), jobs are not run, lists are empty, what is
asked for by name is not there. docs/reference/mlflow-endpoints.md lists them all.
"""

from typing import Any

import msgspec

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Handler, Reply, Request, Route, text
from roadworthy.faces.server.identity.who import Need
from roadworthy.faces.server.mlflow.wire import SHOWN, V2, V3, answer, endpoint, missing, required
from roadworthy.faces.server.server import Server

_NO_GATEWAY = "The AI Gateway feature is disabled. This server has none."
_NO_JOBS = "Mlflow server job execution feature is not enabled. This server runs none."


async def no_gateway(server: Server, request: Request) -> Reply:  # noqa: ARG001
    raise WireError("NOT_IMPLEMENTED", _NO_GATEWAY, 501)


async def no_completions(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return Reply(501, msgspec.json.encode({"detail": _NO_GATEWAY}))


async def no_workspaces(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return text(
        f"Endpoint: {request.path[:SHOWN]} disabled because the server is running without workspaces support.", 503
    )


async def no_assistant(server: Server, request: Request) -> Reply:  # noqa: ARG001
    raise WireError("NOT_IMPLEMENTED", "This server has no assistant.", 501)


async def nothing_there(server: Server, request: Request) -> Reply:  # noqa: ARG001
    """As MLflow answers what Databricks alone has."""
    return text("", 404)


async def no_mcp_server(server: Server, request: Request) -> Reply:  # noqa: ARG001
    name = request.args["name"]
    lists = {"endpoints": "mcp_access_endpoints", "versions": "mcp_server_versions"}
    last = name.rpartition("/")[2]
    if request.method == "GET" and last in lists:
        return answer({lists[last]: [], "next_page_token": None})
    raise missing(f"MCP server '{name[:SHOWN]}' not found")


def _jobs(*fields: str) -> Handler:
    """That no job is run; a request without one of the fields is refused for that."""

    async def refused(server: Server, request: Request) -> Reply:  # noqa: ARG001
        _ask(request, fields)
        raise WireError("NOT_IMPLEMENTED", _NO_JOBS, 501)

    return refused


def _says(said: object, *fields: str) -> Handler:
    """Always the same answer."""

    async def says(server: Server, request: Request) -> Reply:  # noqa: ARG001
        _ask(request, fields)
        return answer(said)

    return says


def _absent(sentence: str, argument: str, *fields: str) -> Handler:
    """That what is named, in the path or among what is said, is not there."""

    async def absent(server: Server, request: Request) -> Reply:  # noqa: ARG001
        said = _ask(request, fields)
        raise missing(sentence.format(str(request.args.get(argument) or said.get(argument))[:SHOWN]))

    return absent


def _ask(request: Request, fields: tuple[str, ...]) -> dict[str, Any]:
    said: Any = {name: values[-1] for name, values in request.fields().items()}
    if request.method != "GET":
        try:
            said = msgspec.json.decode(request.body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise WireError("BAD_REQUEST", "the body is not JSON", 400) from None
    found: dict[str, Any] = said if isinstance(said, dict) else {}
    for field in fields:
        required(found.get(field), field)
    return found


_AJAX2, _AJAX3 = (V2[1],), (V3[1],)
_GATEWAY = (
    "GET endpoints/list", "GET secrets/list", "GET model-definitions/list", "GET endpoints/bindings/list",
    "GET budgets/list", "GET budgets/windows", "GET guardrails/list", "GET endpoints/get", "GET secrets/get",
    "GET model-definitions/get", "GET budgets/get", "GET guardrails/get", "GET guardrails/list-for-endpoint",
    "POST endpoints/create", "POST endpoints/update", "DELETE endpoints/delete", "POST endpoints/set-tag",
    "DELETE endpoints/delete-tag", "POST endpoints/models/attach", "POST endpoints/models/detach",
    "POST endpoints/bindings/create", "DELETE endpoints/bindings/delete", "POST secrets/create", "POST secrets/update",
    "DELETE secrets/delete", "POST model-definitions/create", "POST model-definitions/update",
    "DELETE model-definitions/delete", "POST budgets/create", "POST budgets/update", "DELETE budgets/delete",
    "POST guardrails/create", "DELETE guardrails/delete", "POST guardrails/add-to-endpoint",
    "DELETE guardrails/remove-from-endpoint", "PATCH guardrails/update-config", "GET provider-config",
    "GET secrets/config", "GET supported-models", "GET supported-providers",
)  # fmt: skip
_PROMPTLAB = (
    "experiment_id", "prompt_template", "prompt_parameters", "model_route", "model_input", "mlflow_version",
)  # fmt: skip
_SCHEMA, _QUEUE = "Label schema with id '{}' not found.", "Review queue with id '{}' not found."
_ISSUE = "Issue with ID '{}' not found"
_JOB = _absent("Job with ID {} not found", "job_id")
_OTHERS: tuple[tuple[Any, str, Handler, Need, tuple[str, ...]], ...] = (
    ("GET", "/gateway-proxy", _says({"endpoints": []}), "viewer", _AJAX2),
    ("POST", "/gateway-proxy", _says({"endpoints": []}), "viewer", _AJAX2),
    ("POST", "/runs/create-promptlab-run", _jobs(*_PROMPTLAB), "editor", _AJAX2),
    ("POST", "/prompt-optimization/jobs", _jobs("source_prompt_uri", "config"), "editor", V3),
    ("POST", "/prompt-optimization/jobs/search", _says({}, "experiment_id"), "viewer", V3),
    ("GET", "/prompt-optimization/jobs/search", _says({}, "experiment_id"), "viewer", V3),
    ("GET", "/prompt-optimization/jobs/{job_id}", _JOB, "viewer", V3),
    ("DELETE", "/prompt-optimization/jobs/{job_id}", _JOB, "editor", V3),
    ("POST", "/prompt-optimization/jobs/{job_id}/cancel", _JOB, "editor", V3),
    ("GET", "/jobs/{job_id}", _JOB, "viewer", _AJAX3),
    ("PATCH", "/jobs/cancel/{job_id}", _JOB, "editor", _AJAX3),
    ("POST", "/issues/invoke", _jobs("experiment_id", "trace_ids", "categories", "provider"), "editor", _AJAX3),
    ("POST", "/genai/evaluate/invoke", _jobs("experiment_id", "trace_ids", "serialized_scorers"), "editor", _AJAX3),
    ("POST", "/scorer/invoke", _jobs("experiment_id", "serialized_scorer", "trace_ids"), "editor", _AJAX3),
    ("POST", "/issues", _jobs("name", "description", "experiment_id"), "editor", V3),
    ("POST", "/issues/search", _says({"next_page_token": ""}), "viewer", V3),
    ("GET", "/issues/{issue_id}", _absent(_ISSUE, "issue_id"), "viewer", V3),
    ("PATCH", "/issues/{issue_id}", _absent(_ISSUE, "issue_id", "issue_id"), "editor", V3),
    ("POST", "/label-schemas/create", _jobs("experiment_id", "name"), "editor", V3),
    ("GET", "/label-schemas/list", _says({"next_page_token": ""}, "experiment_id"), "viewer", V3),
    ("GET", "/label-schemas/get", _absent(_SCHEMA, "schema_id", "schema_id"), "viewer", V3),
    ("GET", "/label-schemas/get-by-name", _absent(_SCHEMA, "name", "experiment_id", "name"), "viewer", V3),
    ("PATCH", "/label-schemas/update", _absent(_SCHEMA, "schema_id", "schema_id"), "editor", V3),
    ("DELETE", "/label-schemas/delete", _says({}, "schema_id"), "editor", V3),
    ("POST", "/review-queues/create", _jobs("experiment_id", "name"), "editor", V3),
    ("POST", "/review-queues/get-or-create-user", _jobs("experiment_id", "user"), "editor", V3),
    ("GET", "/review-queues/list", _says({"next_page_token": ""}, "experiment_id"), "viewer", V3),
    ("GET", "/review-queues/get", _absent(_QUEUE, "queue_id", "queue_id"), "viewer", V3),
    ("GET", "/review-queues/get-by-name", _absent(_QUEUE, "name", "experiment_id", "name"), "viewer", V3),
    ("POST", "/review-queues/update", _absent(_QUEUE, "queue_id", "queue_id"), "editor", V3),
    ("POST", "/review-queues/delete", _says({}, "queue_id"), "editor", V3),
    ("POST", "/review-queues/items/add", _absent(_QUEUE, "queue_id", "queue_id"), "editor", V3),
    ("POST", "/review-queues/items/remove", _absent(_QUEUE, "queue_id", "queue_id"), "editor", V3),
    ("POST", "/review-queues/items/set-status", _absent(_QUEUE, "queue_id", "queue_id"), "editor", V3),
    ("GET", "/review-queues/items/list", _absent(_QUEUE, "queue_id", "queue_id"), "viewer", V3),
    ("POST", "/demo/generate", _jobs(), "editor", _AJAX3),
    ("POST", "/demo/delete", _says({"features_deleted": [], "status": "deleted"}), "editor", _AJAX3),
    ("GET", "/mcp-servers", _says({"mcp_servers": [], "next_page_token": None}), "viewer", V3),
    ("POST", "/mcp-servers", _jobs("name"), "editor", V3),
    ("GET", "/mcp-servers/endpoints", _says({"mcp_access_endpoints": [], "next_page_token": None}), "viewer", V3),
    ("GET", "/mcp-servers/{name:path}", no_mcp_server, "viewer", V3),
    ("POST", "/mcp-servers/{name:path}", no_mcp_server, "editor", V3),
    ("PATCH", "/mcp-servers/{name:path}", no_mcp_server, "editor", V3),
    ("DELETE", "/mcp-servers/{name:path}", no_mcp_server, "editor", V3),
    ("GET", "/assistant/config", _says({"providers": {}, "projects": {}, "remote_access_allowed": False}), "viewer",
     _AJAX3),
    ("GET", "/assistant/providers", _says({"providers": []}), "viewer", _AJAX3),
    *((method, "/assistant/{rest:path}", no_assistant, "viewer", _AJAX3) for method in ("GET", "POST", "PUT", "PATCH")),
    ("POST", "/users/create-ui", nothing_there, "viewer", (V2[0],)),
    ("GET", "/get-online-trace-details", nothing_there, "viewer", V2),
    ("GET", "/unified-traces", nothing_there, "viewer", V2),
    ("GET", "/workspaces", no_workspaces, "viewer", V3),
    ("POST", "/workspaces", no_workspaces, "viewer", V3),
    ("GET", "/workspaces/{workspace_name}", no_workspaces, "viewer", V3),
    ("PATCH", "/workspaces/{workspace_name}", no_workspaces, "viewer", V3),
    ("DELETE", "/workspaces/{workspace_name}", no_workspaces, "viewer", V3),
)  # fmt: skip


def _routes() -> tuple[Route, ...]:
    kinds: list[tuple[Any, str, Handler, Need, tuple[str, ...]]] = []
    for line in _GATEWAY:
        method, _, path = line.partition(" ")
        kinds.append((method, f"/gateway/{path}", no_gateway, "viewer", V3))
    made = [
        route
        for method, path, handler, need, prefixes in (*kinds, *_OTHERS)
        for route in endpoint(method, path, handler, need, versions=(prefixes,))
    ]
    completions = Route("POST", "/gateway/mlflow/v1/chat/completions", no_completions, "viewer", face="mlflow")
    return (*made, completions)


ROUTES: tuple[Route, ...] = _routes()
# What MLflow's pages ask for that is settled here: nobody is told of how they are used.
_NOT_TOLD = {"disable_ui_telemetry": True, "disable_ui_events": [], "ui_rollout_percentage": 0}
TELEMETRY: tuple[Route, ...] = (
    *endpoint("GET", "/ui-telemetry", _says(_NOT_TOLD), "viewer", versions=(_AJAX3,)),
    *endpoint("POST", "/ui-telemetry", _says({"status": "disabled"}), "viewer", versions=(_AJAX3,)),
)
