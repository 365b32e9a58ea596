"""Registered models: MLflow's word for a model's name with all its versions.

In: requests of clients about names, their tags and aliases. Out: the names of registry/model_names.py in MLflow's
words. Pointing the alias `champion` is a release decision; everything else about a model is an editor's.
"""

from collections.abc import Sequence

from msgspec import UNSET

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity, Need
from roadworthy.faces.server.mlflow import model_events, model_filters, model_rules, page_tokens, tagging
from roadworthy.faces.server.mlflow.schema import registered_model as schema
from roadworthy.faces.server.mlflow.wire import answer, endpoint, exists, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import model_names, model_search, model_versions, models
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_search import PROMPT_TAG, Wanted
from roadworthy.registry.model_versions import Version
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

PAGE = 100
PAGE_MAX = 1_000


async def create(server: Server, request: Request) -> Reply:
    message = read(request, schema.CreateModel)
    required(message.name, "name")
    name = model_rules.name(message.name)
    model_rules.description(message.description)
    tags = _tags(message.tags)
    project = tags.get(schema.PROJECT_TAG, "")
    request.identity.require("editor", project)
    description = message.description or None

    def work(store: Store) -> Named:
        with store.read() as reader:
            known = model_names.find(reader, name)
        if known is not None:
            raise _taken(known, tags)
        made = model_names.create(store, name, project=project, description=description, tags=tags)
        model_events.model_created(store, made)
        return made

    return answer(schema.ModelAnswer(registered_model=schema.shown(await server.write(work, request.identity), ())))


async def get(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfModel)
    required(message.name, "name")
    with server.store.read() as reader:
        named = require(reader, message.name, request.identity)
        latest = model_versions.latest(model_versions.of_name(reader, named.name))
    return answer(schema.ModelAnswer(registered_model=schema.shown(named, latest)))


async def update(server: Server, request: Request) -> Reply:
    message = read(request, schema.UpdateModel)
    required(message.name, "name")
    description = model_rules.description(message.description) or ""

    def work(store: Store) -> tuple[Named, list[Version]]:
        with store.read() as reader:
            require(reader, message.name, request.identity, "editor")
        made = model_names.describe(store, message.name, str(description))
        with store.read() as reader:
            return made, model_versions.latest(model_versions.of_name(reader, made.name))

    made, latest = await server.write(work, request.identity)
    return answer(schema.ModelAnswer(registered_model=schema.shown(made, latest)))


async def rename(server: Server, request: Request) -> Reply:
    message = read(request, schema.RenameModel)
    required(message.name, "name")
    required(message.new_name, "new_name")
    model_rules.name(message.new_name, "new_name")

    def work(store: Store) -> tuple[Named, list[Version]]:
        with store.read() as reader:
            require(reader, message.name, request.identity, "editor")
            if message.new_name != message.name and model_names.find(reader, message.new_name) is not None:
                raise exists(f"Registered Model (name={message.new_name}) already exists.")
        if message.new_name != message.name:
            model_names.rename(store, message.name, message.new_name)
        with store.read() as reader:
            versions = model_versions.latest(model_versions.of_name(reader, message.new_name))
        return model_names.get(store, message.new_name), versions

    made, latest = await server.write(work, request.identity)
    return answer(schema.ModelAnswer(registered_model=schema.shown(made, latest)))


async def delete(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfModel)
    required(message.name, "name")

    def work(store: Store) -> None:
        with store.read() as reader:
            named = require(reader, message.name, request.identity, "editor")
        if models.CHAMPION in named.aliases:
            request.identity.require("releaser", named.project)
        model_names.delete(store, message.name)

    await server.write(work, request.identity)
    return answer()


async def search(server: Server, request: Request) -> Reply:
    message = read(request, schema.Search)
    limit = page_size(request, message, PAGE, PAGE_MAX)
    skip = page_tokens.offset(message.page_token)
    wanted = Wanted(
        conditions=model_filters.names(message.filter),
        order=model_filters.name_order(message.order_by),
        limit=limit + 1,
        skip=skip,
        projects=request.identity.projects("viewer"),
    )
    rows, token = page_tokens.cut(await server.read(lambda store: model_search.names(store, wanted)), skip, limit)
    found = [schema.shown(named, latest) for named, latest in rows] or UNSET
    return answer(schema.ModelsAnswer(registered_models=found, next_page_token=token))


async def latest_versions(server: Server, request: Request) -> Reply:
    message = read(request, schema.LatestVersions)
    required(message.name, "name")
    stages = [model_rules.stage(stage) for stage in message.stages] or list(model_versions.STAGES)
    with server.store.read() as reader:
        named = require(reader, message.name, request.identity)
        latest = model_versions.latest(model_versions.of_name(reader, named.name))
    found = []
    for version in latest:
        if version.stage in stages:
            shown = schema.version_shown(version)
            shown.aliases = [a for a, number in named.aliases.items() if number == version.version] or UNSET
            found.append(shown)
    return answer(schema.VersionsAnswer(model_versions=found or UNSET))


def _put_tag(store: Store, message: schema.ModelTag, identity: Identity) -> None:
    model_rules.name(message.name)
    with store.read() as reader:
        named = require(reader, message.name, identity, "editor")
    if message.key == schema.PROJECT_TAG and message.value != named.project:
        raise invalid(f"the tag '{schema.PROJECT_TAG}' is given when a registered model is created, and stays")
    model_names.set_tag(store, message.name, message.key, message.value)
    model_events.model_tagged(store, named, message.key, message.value)


def _take_tag(store: Store, message: schema.ModelTag, identity: Identity) -> None:
    with store.read() as reader:
        named = require(reader, message.name, identity, "editor")
    if message.key in named.tags:
        model_names.unset_tag(store, message.name, message.key)
    model_events.model_untagged(store, named, message.key)


async def set_alias(server: Server, request: Request) -> Reply:
    message = read(request, schema.SetAlias)
    for field in ("name", "alias", "version"):
        required(getattr(message, field), field)
    alias, number = model_rules.new_alias(message.alias), model_rules.version(message.version)

    def work(store: Store) -> None:
        with store.read() as reader:
            named = require(reader, message.name, request.identity, alias_needs(alias))
            if model_versions.find(reader, message.name, number) is None:
                raise no_version(message.name, message.version)
        models.point(store, message.name, alias, number)
        model_events.alias_set(store, named, alias, number)

    await server.write(work, request.identity)
    return answer()


async def delete_alias(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfAlias)
    required(message.name, "name")
    required(message.alias, "alias")
    alias = model_rules.alias(message.alias)

    def work(store: Store) -> None:
        with store.read() as reader:
            named = require(reader, message.name, request.identity, alias_needs(alias))
        if alias in named.aliases:
            models.unset_alias(store, message.name, alias)
        model_events.alias_unset(store, named, alias)

    await server.write(work, request.identity)
    return answer()


async def by_alias(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfAlias)
    required(message.name, "name")
    required(message.alias, "alias")
    alias = model_rules.alias(message.alias)
    with server.store.read() as reader:
        named = require(reader, message.name, request.identity)
        number = named.aliases.get(alias)
        if alias.lower() == "latest":
            number = max((each.version for each in model_versions.of_name(reader, named.name)), default=None)
            if number is None:
                raise missing(f"Latest version not found for model {named.name}.")
        if number is None:
            raise invalid(f"Registered model alias {alias} not found.")
        version = model_versions.find(reader, named.name, number)
    if version is None:
        raise no_version(named.name, str(number))
    return answer(schema.VersionAnswer(model_version=schema.version_shown(version)))


def require(reader: Reader, name: str, identity: Identity, need: Need = "viewer") -> Named:
    """A registered model, if the identity has the role in its project.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST; Fault: refused.
    """
    found = model_names.find(reader, model_rules.name(name))
    if found is None or not identity.may("viewer", found.project):
        raise missing(f"Registered Model with name={name} not found")
    identity.require(need, found.project)
    return found


def no_version(name: str, version: str) -> Exception:
    """RESOURCE_DOES_NOT_EXIST of a version."""
    return missing(f"Model Version (name={name}, version={version}) not found")


def alias_needs(alias: str) -> Need:
    """Which role may point an alias."""
    return "releaser" if alias == models.CHAMPION else "editor"


def is_prompt(tags: dict[str, str]) -> bool:
    """Whether tags make a prompt of a model."""
    return tags.get(PROMPT_TAG, "false").lower() == "true"


def page_size(request: Request, message: schema.Search, default: int, most: int) -> int:
    """How many results a search wants.

    Raises:
        WireError: INVALID_PARAMETER_VALUE outside 1 to `most`.
    """
    wanted = default if message.max_results is UNSET else int(message.max_results)
    if wanted > most:
        said, kind = (f'"{wanted}"', "str") if request.method == "GET" else (str(wanted), "int")
        raise invalid(
            f"Invalid value {said} for parameter 'max_results' supplied:  Hint: Value was of type '{kind}'. See the "
            "API docs for more information about request parameters."
        )
    if wanted < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {wanted}")
    return wanted


def _tags(sent: Sequence[schema.Tag]) -> dict[str, str]:
    for tag in sent:
        model_rules.tag(tag.key, tag.value)
    return {tag.key: tag.value for tag in sent}


def _taken(known: Named, tags: dict[str, str]) -> Exception:
    old, new = ("Prompt" if is_prompt(each) else "Registered Model" for each in (known.tags, tags))
    if old != new:
        return exists(
            f"Tried to create a {new.lower()} with name {known.name!r}, but the name is already taken by a "
            f"{old.lower()}. MLflow does not allow creating a model and a prompt with the same name."
        )
    return exists(f"{new} (name={known.name}) already exists.")


set_tag, delete_tag = tagging.handlers(schema.ModelTag, ("name",), put=_put_tag, take=_take_tag)
_AT = "/registered-models"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", f"{_AT}/create", create, "editor"),
    *endpoint("GET", f"{_AT}/get", get, "viewer"),
    *endpoint("PATCH", f"{_AT}/update", update, "editor"),
    *endpoint("POST", f"{_AT}/rename", rename, "editor"),
    *endpoint("DELETE", f"{_AT}/delete", delete, "editor"),
    *endpoint("GET", f"{_AT}/search", search, "viewer"),
    *endpoint("GET", f"{_AT}/get-latest-versions", latest_versions, "viewer"),
    *endpoint("POST", f"{_AT}/get-latest-versions", latest_versions, "viewer"),
    *endpoint("POST", f"{_AT}/set-tag", set_tag, "editor"),
    *endpoint("DELETE", f"{_AT}/delete-tag", delete_tag, "editor"),
    *endpoint("POST", f"{_AT}/alias", set_alias, "editor"),
    *endpoint("DELETE", f"{_AT}/alias", delete_alias, "editor"),
    *endpoint("GET", f"{_AT}/alias", by_alias, "viewer"),
)
