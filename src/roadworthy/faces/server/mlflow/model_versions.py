"""Model versions: MLflow's numbered versions of a registered model.

In: requests of clients. Out: the versions of registry/model_versions.py, which are those of `rw models`. Putting a
version into production is a release decision; everything else about a version is an editor's.
"""

import msgspec
from msgspec import UNSET

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity, Need
from roadworthy.faces.server.mlflow import (
    model_events,
    model_files,
    model_filters,
    model_rules,
    model_sources,
    page_tokens,
    tagging,
)
from roadworthy.faces.server.mlflow.logged_models import store as logged
from roadworthy.faces.server.mlflow.registered_models import is_prompt, no_version, page_size, require
from roadworthy.faces.server.mlflow.schema import registered_model as schema
from roadworthy.faces.server.mlflow.wire import answer, endpoint, invalid, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import model_search, model_versions, models
from roadworthy.registry.model_search import Wanted
from roadworthy.registry.model_versions import Version
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

PAGE_MAX = 200_000
PRODUCTION = "Production"
ACTIVE = ("Staging", PRODUCTION)


async def create(server: Server, request: Request) -> Reply:
    message = read(request, schema.CreateVersion)
    required(message.name, "name")
    required(message.source, "source")
    name = model_rules.name(message.name)
    for tag in message.tags:
        model_rules.tag(tag.key, tag.value)
    model_rules.description(message.description)
    tags = {tag.key: tag.value for tag in message.tags}

    def work(store: Store) -> Version:
        with store.read() as reader:
            named = require(reader, name, request.identity, "editor")
            lineage = model_sources.check(reader, message, prompt=is_prompt(tags), identity=request.identity)
        made = model_versions.create(
            store,
            Version(
                name=name,
                project=named.project,
                description=message.description,
                run_link=message.run_link,
                tags=tags,
                source=lineage.source,
                location=lineage.location,
                run=lineage.run,
                model_id=lineage.model_id,
            ),
        )
        if made.model_id and not is_prompt(tags):
            logged.note_version(store, made.model_id, made.name, made.version)
        model_events.version_created(store, named, made)
        return made

    made = await server.write(work, request.identity)
    return answer(schema.VersionAnswer(model_version=schema.version_shown(made)))


async def get(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfVersion)
    with server.store.read() as reader:
        version = _require(reader, message, request.identity)
    return answer(schema.VersionAnswer(model_version=schema.version_shown(version)))


async def update(server: Server, request: Request) -> Reply:
    message = read(request, schema.UpdateVersion)
    model_rules.description(message.description)
    description = None if message.description is UNSET else str(message.description)

    def work(store: Store) -> Version:
        with store.read() as reader:
            held = _require(reader, message, request.identity, "editor")
        model_versions.describe(store, held, description)
        return model_versions.get(store, held.name, held.version)

    made = await server.write(work, request.identity)
    return answer(schema.VersionAnswer(model_version=schema.version_shown(made)))


async def transition(server: Server, request: Request) -> Reply:
    message = read(request, schema.MoveVersion)
    required(message.name, "name")
    required(message.version, "version")
    required(message.stage, "stage")
    stage = model_rules.stage(message.stage)
    if message.archive_existing_versions and stage not in ACTIVE:
        # MLflow names no kind of error here, so that its clients see an internal one.
        raise invalid(
            "Model version transition cannot archive existing model versions because "
            f"'{message.stage}' is not an Active stage. Valid stages are {list(ACTIVE)}"
        )

    def work(store: Store) -> Version:
        with store.read() as reader:
            held = _require(reader, message, request.identity, "editor")
        if PRODUCTION in (stage, held.stage):
            request.identity.require("releaser", held.project)
        model_versions.move(store, held, stage, archive=message.archive_existing_versions)
        return model_versions.get(store, held.name, held.version)

    made = await server.write(work, request.identity)
    return answer(schema.VersionAnswer(model_version=schema.version_shown(made)))


async def delete(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfVersion)

    def work(store: Store) -> None:
        with store.read() as reader:
            held = _require(reader, message, request.identity, "editor")
        if models.CHAMPION in held.aliases:
            request.identity.require("releaser", held.project)
        model_versions.delete(store, held)

    await server.write(work, request.identity)
    return answer()


async def download_uri(server: Server, request: Request) -> Reply:
    message = read(request, schema.OfVersion)
    with server.store.read() as reader:
        version = _require(reader, message, request.identity)
        uri = model_sources.location(reader, version)
    if not version.source:
        # One that `rw run` made: its files are laid out as MLflow's clients load them when the first of them asks.
        made = model_files.uri(server.store, version)
        laid = None if made else await server.disk(model_files.lay_out, server.store, version)
        if laid is not None:
            files = laid
            made = await server.write(lambda store: model_files.keep(store, files), request.identity)
        uri = made or uri
    return answer(schema.UriAnswer(artifact_uri=uri))


async def search(server: Server, request: Request) -> Reply:
    message = read(request, schema.Search)
    limit = page_size(request, message, PAGE_MAX, PAGE_MAX)
    skip = page_tokens.offset(message.page_token)
    wanted = Wanted(
        conditions=model_filters.versions(message.filter),
        order=model_filters.version_order(message.order_by),
        limit=limit + 1,
        skip=skip,
        projects=request.identity.projects("viewer"),
    )

    def work(store: Store) -> bytes:
        rows, token = page_tokens.cut(model_search.versions(store, wanted), skip, limit)
        found = [schema.version_shown(version) for version in rows] or UNSET
        return msgspec.json.encode(schema.VersionsAnswer(model_versions=found, next_page_token=token))

    return Reply(200, await server.read(work))


def _put_tag(store: Store, message: schema.VersionTag, identity: Identity) -> None:
    with store.read() as reader:
        held = _require(reader, message, identity, "editor")
        named = require(reader, held.name, identity, "editor")
    model_versions.set_tag(store, held, message.key, message.value)
    model_events.version_tagged(store, named, held, message.key, message.value)


def _take_tag(store: Store, message: schema.VersionTag, identity: Identity) -> None:
    with store.read() as reader:
        held = _require(reader, message, identity, "editor")
        named = require(reader, held.name, identity, "editor")
    if message.key in held.tags:
        model_versions.unset_tag(store, held, message.key)
    model_events.version_untagged(store, named, held, message.key)


def _require(reader: Reader, message: schema.OfVersion, identity: Identity, need: Need = "viewer") -> Version:
    required(message.name, "name")
    required(message.version, "version")
    model_rules.name(message.name)
    found = model_versions.find(reader, message.name, model_rules.version(message.version))
    if found is None or not identity.may("viewer", found.project):
        raise no_version(message.name, message.version)
    identity.require(need, found.project)
    return found


set_tag, delete_tag = tagging.handlers(schema.VersionTag, ("name", "version"), put=_put_tag, take=_take_tag)
_AT = "/model-versions"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", f"{_AT}/create", create, "editor"),
    *endpoint("GET", f"{_AT}/get", get, "viewer"),
    *endpoint("PATCH", f"{_AT}/update", update, "editor"),
    *endpoint("POST", f"{_AT}/transition-stage", transition, "editor"),
    *endpoint("DELETE", f"{_AT}/delete", delete, "editor"),
    *endpoint("GET", f"{_AT}/get-download-uri", download_uri, "viewer"),
    *endpoint("GET", f"{_AT}/search", search, "viewer"),
    *endpoint("POST", f"{_AT}/set-tag", set_tag, "editor"),
    *endpoint("DELETE", f"{_AT}/delete-tag", delete_tag, "editor"),
)
