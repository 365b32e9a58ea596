"""Experiments: MLflow's word for groups of runs.

In: requests of clients. Out: the groups of registry/groups.py in MLflow's words. A group that is created with the tag
`roadworthy.project` is in that project, and seen by its members alone.
"""

from collections.abc import Callable
from typing import TypeVar

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity, Need
from roadworthy.faces.server.mlflow import experiment_filters, page_tokens, run_rules
from roadworthy.faces.server.mlflow.schema import experiment as schema
from roadworthy.faces.server.mlflow.wire import answer, endpoint, exists, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import group_search, groups
from roadworthy.registry.groups import Group
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

T = TypeVar("T")
PAGE_MAX = 50_000
VIEW_TAG_PREFIX = "mlflow.customView.view"
VIEWS_MAX = 50
_STAGES = {
    "ACTIVE_ONLY": ("active",), "DELETED_ONLY": ("deleted",), "ALL": ("active", "deleted"),
    1: ("active",), 2: ("deleted",), 3: ("active", "deleted"),
}  # fmt: skip


async def create(server: Server, request: Request) -> Reply:
    message = read(request, schema.Create)
    required(message.name, "name")
    run_rules.experiment_name(message.name)
    tags = {tag.key: tag.value for tag in message.tags}
    for key, value in tags.items():
        run_rules.experiment_tag(key, value)
    if sum(key.startswith(VIEW_TAG_PREFIX) for key in tags) > VIEWS_MAX:
        raise _too_many_views("")
    location = _location(message.artifact_location)
    project = tags.get(schema.PROJECT_TAG, "")
    request.identity.require("editor", project)

    def work(store: Store) -> Group:
        with store.read() as reader:
            if groups.named(reader, message.name) is not None:
                raise exists(f"Experiment(name={message.name}) already exists.")
        return groups.create(store, message.name, project=project, location=location, tags=tags)

    made = await server.write(work, request.identity)
    return answer(schema.Created(experiment_id=str(made.id)))


async def get(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfExperiment)
    required(message.experiment_id, "experiment_id")
    with server.store.read() as reader:
        return answer(schema.Answer(experiment=schema.shown(require(reader, message.experiment_id, request.identity))))


async def get_by_name(server: Server, request: Request) -> Reply:
    message = read(request, schema.ByName)
    required(message.experiment_name, "experiment_name")
    with server.store.read() as reader:
        group = groups.named(reader, message.experiment_name)
    if group is None or not request.identity.may("viewer", group.project):
        raise missing(f"Could not find experiment with name '{message.experiment_name}'")
    return answer(schema.Answer(experiment=schema.shown(group)))


async def search(server: Server, request: Request) -> Reply:
    message = read(request, schema.Search)
    limit = run_rules.max_results(message.max_results, PAGE_MAX)
    skip = page_tokens.offset(message.page_token)
    wanted = group_search.Wanted(
        conditions=experiment_filters.conditions(message.filter),
        order=experiment_filters.order(message.order_by),
        stages=stages(message.view_type),
        projects=request.identity.projects("viewer"),
        skip=skip,
        limit=limit + 1,
    )

    def work(store: Store) -> Reply:
        with store.read() as reader:
            page, token = page_tokens.cut(group_search.search(reader, wanted), skip, limit)
        shown = [schema.shown(group) for group in page]
        return answer(schema.Page(experiments=shown, next_page_token=token) if shown else schema.Page())

    return await server.read(work)


async def update(server: Server, request: Request) -> Reply:
    message = read(request, schema.Update)
    required(message.experiment_id, "experiment_id")
    required(message.new_name, "new_name")
    run_rules.experiment_name(message.new_name)

    def work(store: Store, group: Group) -> None:
        if group.stage != "active":
            raise WireError("INVALID_STATE", "Cannot rename a non-active experiment.", 409)
        with store.read() as reader:
            other = groups.named(reader, message.new_name)
        if other is not None and other.id != group.id:
            raise exists(f"Experiment(name={message.new_name}) already exists.")
        groups.rename(store, group.id, message.new_name)

    return await _change(server, request, message.experiment_id, work)


async def delete(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfExperiment)
    required(message.experiment_id, "experiment_id")
    return await _change(server, request, message.experiment_id, _set_stage("active", "deleted"))


async def restore(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfExperiment)
    required(message.experiment_id, "experiment_id")
    return await _change(server, request, message.experiment_id, _set_stage("deleted", "active"))


async def set_tag(server: Server, request: Request) -> Reply:
    message = read(request, schema.SetTag)
    required(message.experiment_id, "experiment_id")
    required(message.key, "key")
    run_rules.experiment_tag(message.key, message.value)

    def work(store: Store, group: Group) -> None:
        _active(group)
        views = [key for key in group.tags if key.startswith(VIEW_TAG_PREFIX)]
        if message.key.startswith(VIEW_TAG_PREFIX) and message.key not in views and len(views) >= VIEWS_MAX:
            raise _too_many_views(f" for experiment {group.id}")
        if message.key == schema.PROJECT_TAG and message.value != group.project:
            raise invalid(f"the tag '{schema.PROJECT_TAG}' is given when an experiment is created, and stays")
        groups.set_tag(store, group.id, message.key, message.value)

    return await _change(server, request, message.experiment_id, work)


async def delete_tag(server: Server, request: Request) -> Reply:
    message = read(request, schema.DeleteTag)
    required(message.experiment_id, "experiment_id")
    required(message.key, "key")

    def work(store: Store, group: Group) -> None:
        _active(group)
        if message.key not in group.tags:
            raise missing(f"No tag with name: {message.key} in experiment with id {message.experiment_id}")
        groups.delete_tag(store, group.id, message.key)

    return await _change(server, request, message.experiment_id, work)


def require(reader: Reader, sent: str | int, identity: Identity, need: Need = "viewer", *, tags: bool = True) -> Group:
    """The group of a number as it was sent, or as a number.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST, also for what the identity may not see.
        Fault: refused when it may see and not do what is asked.
    """
    number = sent if isinstance(sent, int) else run_rules.experiment_id(sent)
    group = groups.find(reader, number, tags=tags)
    if group is None or not identity.may("viewer", group.project):
        raise missing(f"No Experiment with id={number} exists")
    identity.require(need, group.project)
    return group


def stages(view: str | int) -> tuple[str, ...]:
    """The stages that a view shows.

    Raises:
        WireError: INVALID_PARAMETER_VALUE for what is no view.
    """
    found = _STAGES.get(int(view) if isinstance(view, str) and view.isdigit() else view)
    if found is None:
        raise invalid(f"Invalid value for parameter 'view_type' supplied: {str(view)[:50]}")
    return found


async def _change(server: Server, request: Request, sent: str, change: Callable[[Store, Group], None]) -> Reply:
    def work(store: Store) -> None:
        with store.read() as reader:
            group = require(reader, sent, request.identity, "editor")
        change(store, group)

    await server.write(work, request.identity)
    return answer()


def _set_stage(before: str, after: str) -> Callable[[Store, Group], None]:
    def change(store: Store, group: Group) -> None:
        if group.stage != before:
            raise missing(f"No Experiment with id={group.id} exists")
        groups.set_stage(store, group.id, after)

    return change


def _active(group: Group) -> None:
    if group.stage != "active":
        raise invalid(f"The experiment {group.id} must be in the 'active' state. Current state is {group.stage}.")


def _location(sent: str) -> str:
    if len(sent) > run_rules.LOCATION_MAX:
        raise invalid(f"Invalid artifact path length. The length of the artifact path exceeds {run_rules.LOCATION_MAX}")
    if sent.startswith("runs:"):
        raise invalid(f"Artifact location cannot be a runs:/ URI. Given: '{sent}'")
    return sent


def _too_many_views(where: str) -> WireError:
    return invalid(
        f"Unable to create another custom view{where}; the maximum number of custom views per experiment is "
        f"{VIEWS_MAX}. Delete an existing custom view before creating a new one."
    )


ROUTES: tuple[Route, ...] = (
    *endpoint("POST", "/experiments/create", create, "editor"),
    *endpoint("GET", "/experiments/get", get, "viewer"),
    *endpoint("GET", "/experiments/get-by-name", get_by_name, "viewer"),
    *endpoint("POST", "/experiments/search", search, "viewer"),
    *endpoint("GET", "/experiments/search", search, "viewer"),
    *endpoint("POST", "/experiments/update", update, "editor"),
    *endpoint("POST", "/experiments/delete", delete, "editor"),
    *endpoint("POST", "/experiments/restore", restore, "editor"),
    *endpoint("POST", "/experiments/set-experiment-tag", set_tag, "editor"),
    *endpoint("POST", "/experiments/delete-experiment-tag", delete_tag, "editor"),
)
