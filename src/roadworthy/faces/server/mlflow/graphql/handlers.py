"""GraphQL, by which MLflow's pages ask about runs: the same answers as over REST, in the shape that is asked for.

In: documents. Out: what their root fields' REST endpoints answer to the same identity, with the fields that were
selected. Whatever a root field may see or refuse is decided by that endpoint alone.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Handler, Reply, Request, Route
from roadworthy.faces.server.mlflow import experiments, metric_history, model_versions, run_artifacts, run_search, runs
from roadworthy.faces.server.mlflow.graphql import document
from roadworthy.faces.server.mlflow.graphql.document import Asked, Refused
from roadworthy.faces.server.mlflow.graphql.types import ABSENT, ERROR, FLOAT, LONG, SCALARS, TYPES
from roadworthy.faces.server.mlflow.wire import Message, read
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import Fault

_ENDPOINTS: dict[str, Handler] = {
    "mlflowGetExperiment": experiments.get,
    "mlflowGetMetricHistoryBulkInterval": metric_history.sampled,
    "mlflowGetRun": runs.get,
    "mlflowListArtifacts": run_artifacts.listing,
    "mlflowSearchModelVersions": model_versions.search,
    "mlflowSearchRuns": run_search.search,
    "mlflowSearchDatasets": metric_history.search_datasets,
}
# Fields of a run that are answered by endpoints of their own, and what of the run names them.
_OF_RUN: dict[str, tuple[Handler, Callable[[str, str], dict[str, Any]], str]] = {
    "experiment": (experiments.get, lambda _, group: {"experiment_id": group}, "experiment"),
    "modelVersions": (
        model_versions.search,
        lambda run, _: {"filter": f"run_id='{run}'", "max_results": 1000},
        "model_versions",
    ),
}
_RUN = "MlflowRunExtension"

Ask = Callable[[Handler, Mapping[str, Any]], Awaitable[dict[str, Any]]]


class Query(Message):
    """A document, the values of its variables, and which of its operations is meant."""

    query: str = ""
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - GraphQL's name


async def graphql(server: Server, request: Request) -> Reply:
    message = read(request, Query)
    asked: dict[tuple[Handler, bytes], dict[str, Any]] = {}

    async def ask(handler: Handler, fields: Mapping[str, Any]) -> dict[str, Any]:
        inner = Request("POST", request.path, b"", request.headers)
        inner.identity, inner.id, inner.source = request.identity, request.id, request.source
        inner.body = msgspec.json.encode(fields)
        key = (handler, inner.body)
        if key not in asked:  # many runs are of one experiment
            reply = await handler(server, inner)
            assert isinstance(reply.body, bytes)
            asked[key] = msgspec.json.decode(reply.body)
        return asked[key]

    data: dict[str, Any] = {}
    errors: list[str] = []
    try:
        kind, fields = document.asked(message.query, message.variables or {}, message.operationName or "")
        root = "Query" if kind == "query" else "Mutation"
        for field in fields:
            check(field, root)
        for field in fields:
            try:
                data[field.alias] = await _root(ask, field, root)
            except (WireError, Fault) as problem:
                data[field.alias] = None
                errors.append(str(problem))
    except Refused as problem:
        return Reply(200, msgspec.json.encode({"data": None, "errors": [str(problem)]}))
    return Reply(200, msgspec.json.encode({"data": data, "errors": errors or None}))


def check(field: Asked, of: str) -> None:
    """Refuse fields that are not there, before anything is asked.

    Raises:
        Refused: in GraphQL's words.
    """
    if field.name == "__typename":
        return
    kind = TYPES[of].get(field.name)
    if kind is None:
        raise Refused(f"Cannot query field '{field.name[:100]}' on type '{of}'.")
    inner = kind.strip("[]")
    if inner in SCALARS:
        if field.fields:
            raise Refused(f"Field '{field.name}' must not have a selection since type '{kind}' has no subfields.")
        return
    if not field.fields:
        raise Refused(f"Field '{field.name}' of type '{kind}' must have a selection of subfields.")
    for each in field.fields:
        check(each, inner)


def snake(name: str) -> str:
    """A name of this wire as the other has it."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


async def _root(ask: Ask, field: Asked, root: str) -> Any:
    if field.name == "__typename":
        return root
    sent = field.arguments.get("input")
    given = {
        snake(name): value for name, value in (sent if isinstance(sent, dict) else {}).items() if value is not None
    }
    answer = await ask(_ENDPOINTS[field.name], given)
    return await _object(ask, field, answer, TYPES[root][field.name])


async def _object(ask: Ask, field: Asked, found: Mapping[str, Any], kind: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for each in field.fields:
        if each.name == "__typename":
            shown[each.alias] = kind
        elif kind == _RUN and each.name in _OF_RUN:
            handler, named, place = _OF_RUN[each.name]
            info = found.get("info", {})
            answer = await ask(handler, named(info.get("run_id", ""), info.get("experiment_id", "")))
            shown[each.alias] = await _value(ask, each, answer.get(place), TYPES[kind][each.name])
        else:
            shown[each.alias] = await _value(ask, each, found.get(snake(each.name)), TYPES[kind][each.name])
    return shown


async def _value(ask: Ask, field: Asked, found: Any, kind: str) -> Any:
    if kind == ERROR:
        return None
    if kind.startswith("["):
        inner = kind[1:-1]
        return [each if inner in SCALARS else await _object(ask, field, each, inner) for each in found or ()]
    if kind not in SCALARS:
        return await _object(ask, field, found or {}, kind)
    if found is None:
        return ABSENT[kind]
    if kind == LONG:
        return str(found)
    if kind == FLOAT:
        number = float(found)
        return number if math.isfinite(number) else None
    return found


ROUTES: tuple[Route, ...] = (
    Route("POST", "/graphql", graphql, "viewer", face="mlflow"),
    Route("GET", "/graphql", graphql, "viewer", face="mlflow"),
)
