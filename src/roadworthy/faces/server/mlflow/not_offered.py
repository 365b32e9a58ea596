"""What MLflow's wire has and we are not for: its LLM gateway, prompt optimisation, workspaces, and lists beside traces.

In: requests of clients and of MLflow's pages. Out: the answers of MLflow's own server where nothing of the kind was set
up: lists are empty, what is asked for by name is not there, workspaces are switched off. What would set something up is
refused in words. docs/reference/mlflow-endpoints.md lists them all.
"""

from typing import Any

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Handler, Reply, Request, Route, text
from roadworthy.faces.server.identity.who import Need
from roadworthy.faces.server.mlflow.wire import V3, answer, endpoint, missing
from roadworthy.faces.server.server import Server


async def empty(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return answer()


async def absent(server: Server, request: Request) -> Reply:  # noqa: ARG001
    raise missing(f"{request.path.rpartition('/mlflow/')[2][:80]}: there is none of this kind")


async def refused(server: Server, request: Request) -> Reply:  # noqa: ARG001
    raise WireError(
        "NOT_IMPLEMENTED",
        f"{request.path.rpartition('/mlflow/')[2][:80]}: this server has no LLM gateway, no prompt optimisation and no "
        "review queues",
        501,
    )


async def no_workspaces(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return text(
        f"Endpoint: {request.path[:200]} disabled because the server is running without workspaces support.", 503
    )


_LISTS = (
    "/gateway/endpoints/list", "/gateway/secrets/list", "/gateway/model-definitions/list",
    "/gateway/endpoints/bindings/list", "/gateway/budgets/list", "/gateway/budgets/windows",
    "/gateway/guardrails/list", "/label-schemas/list", "/review-queues/list", "/review-queues/items/list",
)  # fmt: skip
_BY_NAME = (
    "/gateway/endpoints/get", "/gateway/secrets/get", "/gateway/model-definitions/get", "/gateway/budgets/get",
    "/gateway/guardrails/get", "/gateway/guardrails/list-for-endpoint", "/label-schemas/get",
    "/label-schemas/get-by-name", "/review-queues/get", "/review-queues/get-by-name",
)  # fmt: skip
_SEARCHES = (
    ("POST", "/prompt-optimization/jobs/search"), ("GET", "/prompt-optimization/jobs/search"),
    ("POST", "/issues/search"),
)  # fmt: skip
_CHANGES = (
    ("POST", "/gateway/endpoints/create"), ("POST", "/gateway/endpoints/update"),
    ("DELETE", "/gateway/endpoints/delete"), ("POST", "/gateway/endpoints/set-tag"),
    ("DELETE", "/gateway/endpoints/delete-tag"), ("POST", "/gateway/endpoints/models/attach"),
    ("POST", "/gateway/endpoints/models/detach"), ("POST", "/gateway/endpoints/bindings/create"),
    ("DELETE", "/gateway/endpoints/bindings/delete"), ("POST", "/gateway/secrets/create"),
    ("POST", "/gateway/secrets/update"), ("DELETE", "/gateway/secrets/delete"),
    ("POST", "/gateway/model-definitions/create"), ("POST", "/gateway/model-definitions/update"),
    ("DELETE", "/gateway/model-definitions/delete"), ("POST", "/gateway/budgets/create"),
    ("POST", "/gateway/budgets/update"), ("DELETE", "/gateway/budgets/delete"),
    ("POST", "/gateway/guardrails/create"), ("DELETE", "/gateway/guardrails/delete"),
    ("POST", "/gateway/guardrails/add-to-endpoint"), ("DELETE", "/gateway/guardrails/remove-from-endpoint"),
    ("PATCH", "/gateway/guardrails/update-config"), ("POST", "/prompt-optimization/jobs"),
    ("POST", "/issues"), ("POST", "/label-schemas/create"), ("PATCH", "/label-schemas/update"),
    ("DELETE", "/label-schemas/delete"), ("POST", "/review-queues/create"),
    ("POST", "/review-queues/get-or-create-user"), ("POST", "/review-queues/update"),
    ("POST", "/review-queues/delete"), ("POST", "/review-queues/items/add"), ("POST", "/review-queues/items/remove"),
    ("POST", "/review-queues/items/set-status"),
)  # fmt: skip
_NAMED = (
    ("GET", "/prompt-optimization/jobs/{job_id}"), ("DELETE", "/prompt-optimization/jobs/{job_id}"),
    ("POST", "/prompt-optimization/jobs/{job_id}/cancel"), ("GET", "/issues/{issue_id}"),
    ("PATCH", "/issues/{issue_id}"),
)  # fmt: skip
_WORKSPACES = (
    ("GET", "/workspaces"), ("POST", "/workspaces"), ("GET", "/workspaces/{workspace_name}"),
    ("PATCH", "/workspaces/{workspace_name}"), ("DELETE", "/workspaces/{workspace_name}"),
)  # fmt: skip


def _routes() -> tuple[Route, ...]:
    kinds: list[tuple[Any, str, Handler, Need]] = [("GET", path, empty, "viewer") for path in _LISTS]
    kinds += [("GET", path, absent, "viewer") for path in _BY_NAME]
    kinds += [(method, path, empty, "viewer") for method, path in _SEARCHES]
    kinds += [(method, path, refused, "editor") for method, path in _CHANGES]
    kinds += [(method, path, absent, "viewer" if method == "GET" else "editor") for method, path in _NAMED]
    kinds += [(method, path, no_workspaces, "viewer") for method, path in _WORKSPACES]
    return tuple(
        route
        for method, path, handler, need in kinds
        for route in endpoint(method, path, handler, need, versions=(V3,))
    )


ROUTES: tuple[Route, ...] = _routes()
