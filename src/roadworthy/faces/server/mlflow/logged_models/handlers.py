"""Logged models over the wire: made, finished, described, found; their files are artifacts of the experiment.

In: requests of clients. Out: the records of store.py in MLflow's words. A model has the project of its experiment.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity, Need
from roadworthy.faces.server.mlflow import artifact_places, experiments, filters, random_names, run_rules
from roadworthy.faces.server.mlflow.artifacts import Listing, infos
from roadworthy.faces.server.mlflow.filters import Clause, Token
from roadworthy.faces.server.mlflow.logged_models import store as logged
from roadworthy.faces.server.mlflow.logged_models.search import ATTRIBUTES, NUMERIC, Condition, Order, Wanted, search
from roadworthy.faces.server.mlflow.logged_models.shown import shown
from roadworthy.faces.server.mlflow.logged_models.store import STATUS, LoggedModel, New
from roadworthy.faces.server.mlflow.schema import logged_model as schema
from roadworthy.faces.server.mlflow.wire import SHOWN, answer, endpoint, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import artifacts
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

PAGE_MAX = 10_000
PAIRS_MAX = 1_000
NAME_MAX = 500
TYPE_MAX = 500
SORTS_MAX = 20
_BAD_IN_NAMES = ("/", ":", ".", "%", '"', "'")
_NUMBER_COMPARATORS = ("<", "<=", ">", ">=", "=", "!=")
_TEXT_COMPARATORS = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
_STATUS_NAMES = {name.removeprefix("LOGGED_MODEL_"): place for place, name in enumerate(STATUS)} | {"FAILED": 3}


async def create(server: Server, request: Request) -> Reply:
    message = read(request, schema.Create)
    required(message.experiment_id, "experiment_id")
    _name(message.name)
    params, tags = _pairs(message.params, "param"), _pairs(message.tags, "tag")
    new = New(
        name=message.name or random_names.random_name(),
        type=message.model_type,
        source_run=message.source_run_id,
        params=params,
        tags=tags,
    )

    def work(store: Store) -> LoggedModel:
        with store.read() as reader:
            group = experiments.require(reader, message.experiment_id, request.identity, "editor")
        if group.stage != "active":
            raise invalid(f"The experiment {group.id} must be in the 'active' state. Current state is {group.stage}.")
        return logged.create(store, group, new)

    return answer(schema.ModelAnswer(model=shown(await server.write(work, request.identity))))


async def get(server: Server, request: Request) -> Reply:
    message = read(request, schema.Get)
    with server.store.read() as reader:
        model = _require(reader, request, deleted=message.allow_deleted)
    return answer(schema.ModelAnswer(model=shown(model)))


async def finalize(server: Server, request: Request) -> Reply:
    message = read(request, schema.Finalize)
    required(message.status, "status")
    status = _status(message.status)

    def work(store: Store) -> LoggedModel:
        with store.read() as reader:
            held = _require(reader, request, "editor", deleted=True)
        return logged.finish(store, held, status)

    return answer(schema.ModelAnswer(model=shown(await server.write(work, request.identity))))


async def delete(server: Server, request: Request) -> Reply:
    def work(store: Store) -> None:
        with store.read() as reader:
            held = _require(reader, request, "editor", deleted=True)
        logged.delete(store, held)

    await server.write(work, request.identity)
    return answer()


async def log_params(server: Server, request: Request) -> Reply:
    params = _pairs(read(request, schema.Params).params, "param")

    def work(store: Store) -> None:
        with store.read() as reader:
            held = _require(reader, request, "editor", deleted=True)
        logged.log_params(store, held, params)

    await server.write(work, request.identity)
    return answer()


async def set_tags(server: Server, request: Request) -> Reply:
    tags = _pairs(read(request, schema.Tags).tags, "tag")

    def work(store: Store) -> None:
        with store.read() as reader:
            held = _require(reader, request, "editor", deleted=True)
        logged.set_tags(store, held, tags)

    await server.write(work, request.identity)
    return answer()


async def delete_tag(server: Server, request: Request) -> Reply:
    key = request.args["tag_key"]

    def work(store: Store) -> None:
        with store.read() as reader:
            held = _require(reader, request, "editor", deleted=True)
        if not logged.unset_tag(store, held, key):
            raise missing(f"No tag with key {key[:SHOWN]!r} found for model with ID {held.id!r}.")

    await server.write(work, request.identity)
    return answer()


async def files(server: Server, request: Request) -> Reply:
    """The files and folders directly in a folder of a model."""
    message = read(request, schema.Directory)
    under = "" if message.artifact_directory_path is UNSET else str(message.artifact_directory_path)
    with server.store.read() as reader:
        model = _require(reader, request)
        path = artifact_places.safe(under) if under else ""
        place = artifact_places.of_uri(reader, model.location, path)
    if place is None:
        raise invalid(f"the model's files are not kept here but at {model.location[:SHOWN]}")
    entries = await server.read(lambda store: artifacts.folder(store, place.run, place.path))
    return answer(Listing(files=infos(entries, path) or UNSET, root_uri=model.location))


async def found(server: Server, request: Request) -> Reply:
    message = read(request, schema.Search)
    if not message.experiment_ids:
        required("", "experiment_ids")
    if not all(each.dataset_name for each in message.datasets):
        raise invalid("`dataset_name` in the `datasets` clause must be specified.")
    limit = min(message.max_results or 50, PAGE_MAX)
    if limit < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {limit}")
    skip = _skip(message)
    wanted = Wanted(
        groups=tuple(run_rules.experiment_id(each) for each in message.experiment_ids),
        conditions=conditions(message.filter),
        datasets=tuple((each.dataset_name, each.dataset_digest) for each in message.datasets),
        order=tuple(_order(each) for each in message.order_by[:SORTS_MAX]),
        limit=limit + 1,
        skip=skip,
        projects=request.identity.projects("viewer"),
    )

    def work(store: Store) -> bytes:
        rows = search(store, wanted)
        token = _token(message, skip + limit) if len(rows) > limit else UNSET
        models = [shown(each) for each in rows[:limit]]
        return msgspec.json.encode(schema.ModelsAnswer(models=models or UNSET, next_page_token=token))

    return Reply(200, await server.read(work))


def conditions(text: str) -> tuple[Condition, ...]:
    """The conditions of a filter over logged models.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    return tuple(_condition(clause) for clause in filters.clauses(text))


def _condition(clause: Clause) -> Condition:
    entity: Any = clause.entity or "attributes"
    if entity not in ("attributes", "metrics", "params", "tags"):
        raise invalid(
            f"Invalid entity type: {entity[:SHOWN]!r}. Expected one of ['attributes', 'metrics', 'params', 'tags']."
        )
    if entity == "attributes" and clause.key not in ATTRIBUTES:
        raise invalid(f"Invalid attribute key '{clause.key[:SHOWN]}' specified. Valid keys are {sorted(ATTRIBUTES)}")
    numeric = entity == "metrics" or (entity == "attributes" and clause.key in NUMERIC)
    allowed = _NUMBER_COMPARATORS if numeric else _TEXT_COMPARATORS
    if clause.comparator not in allowed:
        raise invalid(
            f"Invalid comparison operator for {entity}.{clause.key[:SHOWN]}: {clause.comparator!r}. Expected one of "
            f"{allowed}."
        )
    return Condition(entity=entity, key=clause.key, comparator=clause.comparator, value=_value(clause, numeric))


def _value(clause: Clause, numeric: bool) -> str | float | tuple[str, ...]:  # noqa: FBT001
    value = clause.value
    listed = not isinstance(value, Token) and value is not None
    if value is None or listed != (clause.comparator in ("IN", "NOT IN")):
        raise invalid(f"{clause.comparator} does not fit {clause.key[:SHOWN]}")
    if not isinstance(value, Token):
        return value
    said = filters.unquoted(value.text)
    if not numeric:
        return said
    if clause.key == "status" and said.upper() in _STATUS_NAMES:
        return _STATUS_NAMES[said.upper()]
    try:
        return float(said)
    except ValueError:
        raise invalid(f"Invalid value for {clause.key[:SHOWN]}: {said[:SHOWN]!r} is no number") from None


def _order(sent: schema.OrderBy) -> Order:
    entity, dot, name = sent.field_name.strip().partition(".")
    if sent.dataset_digest and not sent.dataset_name:
        raise invalid("`dataset_digest` can only be specified if `dataset_name` is also specified.")
    if not dot:
        if entity not in ATTRIBUTES:
            raise invalid(f"Invalid order by field name: {entity[:SHOWN]}")
        return Order(attribute=entity, ascending=sent.ascending)
    if entity != "metrics" or not name:
        raise invalid(f"Invalid order by field name: {sent.field_name[:SHOWN]}. Only metrics are supported.")
    return Order(metric=name, ascending=sent.ascending, dataset=sent.dataset_name, digest=sent.dataset_digest)


def _token(message: schema.Search, skip: int) -> str:
    return base64.b64encode(msgspec.json.encode({**_asked(message), "offset": skip})).decode()


_MISMATCH = {
    "experiment_ids": "Experiment IDs in the page token do not match the requested experiment IDs",
    "filter_string": "Filter string in the page token does not match the requested filter string",
    "order_by": "Order by in the page token does not match the requested order by",
}


def _skip(message: schema.Search) -> int:
    if not message.page_token:
        return 0
    try:
        said = msgspec.json.decode(base64.b64decode(message.page_token), type=dict[str, Any])
        skip = int(said.pop("offset", 0) or 0)
    except (binascii.Error, ValueError, TypeError, msgspec.DecodeError):
        raise invalid(f"Invalid page token: {message.page_token[:SHOWN]}.") from None
    for name, expected in _asked(message).items():
        if said.get(name) != expected:
            raise invalid(f"{_MISMATCH[name]}. Expected: {expected}. Found: {str(said.get(name))[:SHOWN]}")
    if not 0 <= skip < 2**53:
        raise invalid(f"Invalid page token: {message.page_token[:SHOWN]}.")
    return skip


def _asked(message: schema.Search) -> dict[str, Any]:
    return {
        "experiment_ids": list(message.experiment_ids),
        "filter_string": message.filter or None,
        "order_by": [msgspec.to_builtins(each) for each in message.order_by] or None,
    }


def _name(name: str) -> None:
    if any(bad in name for bad in _BAD_IN_NAMES):
        raise invalid(
            f"Invalid model name ({name[:SHOWN]!r}) provided. Model name must be a non-empty string and cannot contain "
            f"the following characters: {_BAD_IN_NAMES}"
        )
    if len(name) > NAME_MAX or "\0" in name:
        raise run_rules.too_long("name", NAME_MAX)


def _pairs(sent: Iterable[schema.Pair], kind: str) -> dict[str, str]:
    check = run_rules.param if kind == "param" else run_rules.tag
    for pair in sent:
        check(pair.key, pair.value)
    found = {pair.key: pair.value for pair in sent}
    if len(found) > PAIRS_MAX:
        raise invalid(f"A request can log at most {PAIRS_MAX} {kind}s. Got {len(found)} {kind}s.")
    return found


def _status(sent: str | int) -> int:
    if isinstance(sent, str) and sent in STATUS:
        return STATUS.index(sent)
    if isinstance(sent, int) or sent.isdecimal():
        number = int(sent)
        if 0 <= number < len(STATUS):
            return number
    raise invalid(f"Unknown model status: {str(sent)[:SHOWN]}")


def _require(reader: Reader, request: Request, need: Need = "viewer", *, deleted: bool = False) -> LoggedModel:
    return require(reader, request.args["model_id"], request.identity, need, deleted=deleted)


def require(
    reader: Reader, identifier: str, identity: Identity, need: Need = "viewer", *, deleted: bool = False
) -> LoggedModel:
    """A logged model, if the identity has the role in its project.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST; Fault: refused.
    """
    model = logged.find(reader, identifier, deleted=deleted)
    if model is None or not identity.may("viewer", model.project):
        raise _no_model(identifier)
    identity.require(need, model.project)
    return model


def _no_model(identifier: str) -> WireError:
    return missing(f"Logged model with ID '{identifier[:SHOWN]}' not found.")


_AT = "/logged-models"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", _AT, create, "editor"),
    *endpoint("POST", f"{_AT}/search", found, "viewer"),
    *endpoint("GET", f"{_AT}/{{model_id}}", get, "viewer"),
    *endpoint("PATCH", f"{_AT}/{{model_id}}", finalize, "editor"),
    *endpoint("DELETE", f"{_AT}/{{model_id}}", delete, "editor"),
    *endpoint("POST", f"{_AT}/{{model_id}}/params", log_params, "editor"),
    *endpoint("PATCH", f"{_AT}/{{model_id}}/tags", set_tags, "editor"),
    *endpoint("DELETE", f"{_AT}/{{model_id}}/tags/{{tag_key}}", delete_tag, "editor"),
    *endpoint("GET", f"{_AT}/{{model_id}}/artifacts/directories", files, "viewer"),
)
