"""Evaluation data sets over the wire: made, filled, read, found, tagged, shared between experiments.

In: requests of clients. Out: the records of store.py in MLflow's words. A data set has the project of its experiments,
and the tag `roadworthy.project` says it when there are none.
"""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity, Need
from roadworthy.faces.server.mlflow import experiments, filters, page_tokens, run_rules
from roadworthy.faces.server.mlflow.datasets import store as datasets
from roadworthy.faces.server.mlflow.datasets.store import EvaluationSet
from roadworthy.faces.server.mlflow.filters import Token
from roadworthy.faces.server.mlflow.wire import (
    SHOWN,
    V3,
    Message,
    answer,
    bad_value,
    endpoint,
    invalid,
    missing,
    read,
    required,
)
from roadworthy.faces.server.server import Server
from roadworthy.registry.conditions import Bound
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

PROJECT_TAG = "roadworthy.project"
ASKED_MAX = 50_000
PAGE_MAX = 1_000
RECORDS_MAX = 10_000
NAME_MAX = 500
_COLUMNS = {
    "name": "d.name",
    "created_time": "d.created_ms",
    "last_update_time": "d.updated_ms",
    "created_by": "d.created_by",
    "last_updated_by": "d.updated_by",
}
_TAG = "EXISTS (SELECT 1 FROM evaluation_set_tags t WHERE t.dataset = d.id AND t.key = :{key} AND {holds})"
_IN_GROUPS = "EXISTS (SELECT 1 FROM evaluation_set_groups g WHERE g.dataset = d.id AND g.group_id IN ({groups}))"
_TEXTS, _NUMBERS = ("=", "!=", "LIKE", "ILIKE", "IN"), ("=", "!=", "<", "<=", ">", ">=")
Text = str | UnsetType


class Create(Message):
    name: str = ""
    experiment_ids: tuple[str, ...] = ()
    tags: str = ""


class Search(Message):
    experiment_ids: tuple[str, ...] = ()
    filter_string: str = ""
    max_results: int = PAGE_MAX
    order_by: tuple[str, ...] = ()
    page_token: str = ""


class Tags(Message):
    tags: str = ""


class Records(Message):
    records: str = ""


class RecordIds(Message):
    dataset_record_ids: tuple[str, ...] = ()


class RecordPage(Message):
    max_results: int = PAGE_MAX
    page_token: str = ""


class Experiments(Message):
    experiment_ids: tuple[str, ...] = ()


class Shown(Message):
    dataset_id: str
    name: str
    tags: str
    digest: str
    created_time: int
    last_update_time: int
    schema: Text = UNSET
    profile: Text = UNSET
    created_by: Text = UNSET
    last_updated_by: Text = UNSET
    experiment_ids: list[str] | UnsetType = UNSET


async def create(server: Server, request: Request) -> Reply:
    message = read(request, Create)
    required(message.name, "name")
    if len(message.name) > NAME_MAX or "\0" in message.name:
        raise run_rules.too_long("name", NAME_MAX)
    tags = {key: value for key, value in _tags(message.tags).items() if value is not None}

    def work(store: Store) -> EvaluationSet:
        with store.read() as reader:
            found = [experiments.require(reader, each, request.identity, "editor") for each in message.experiment_ids]
        projects = {group.project for group in found} or {tags.get(PROJECT_TAG, "")}
        if len(projects) > 1:
            raise invalid("The experiments of a data set are of one project.")
        project = projects.pop()
        request.identity.require("editor", project)
        return datasets.create(store, message.name, project, tags, [group.id for group in found])

    made = await server.write(work, request.identity)
    shown = _shown(made)
    # Only here: clients ask for them when they want to know later.
    shown.experiment_ids = [str(each) for each in made.groups] or UNSET
    return answer({"dataset": shown})


async def get(server: Server, request: Request) -> Reply:
    with server.store.read() as reader:
        held = _require(reader, request)
    return answer({"dataset": _shown(held)})


async def delete(server: Server, request: Request) -> Reply:
    def work(store: Store) -> None:
        with store.read() as reader:
            held = datasets.find(reader, request.args["dataset_id"])
        if held is not None:
            datasets.delete(store, _allowed(held, request, "editor"))

    await server.write(work, request.identity)
    return answer()


async def search(server: Server, request: Request) -> Reply:
    message = read(request, Search)
    asked = message.max_results
    if asked < 1:
        shown = asked or None  # as MLflow has it
        raise invalid(f"Invalid value {shown} for parameter 'max_results' supplied. It must be a positive integer")
    if asked > ASKED_MAX:
        raise invalid(f"Invalid value {asked} for parameter 'max_results' supplied. It must be at most {ASKED_MAX}")
    limit = min(asked, PAGE_MAX)
    skip = page_tokens.offset(message.page_token)
    groups = [run_rules.experiment_id(each) for each in message.experiment_ids]
    clauses = filters.clauses(message.filter_string)
    order = [filters.order(text) for text in message.order_by]
    identity = request.identity

    def work(store: Store) -> bytes:
        with store.read() as reader:
            bound = Bound(reader.dialect)
            where = [bound.within("d.project", identity.projects("viewer")), *(_holds(bound, each) for each in clauses)]
            if groups:
                where.append(_IN_GROUPS.format(groups=bound.listed(groups)))
            sql = f"{datasets.FROM} WHERE {' AND '.join(where)} ORDER BY {_order(order)} LIMIT :limit OFFSET :skip"
            rows = reader.rows(sql, limit=limit + 1, skip=skip, **bound.values)
            page, token = page_tokens.cut(rows, skip, limit)
            found = [_shown(datasets.of_row(reader, row)) for row in page]
        said: dict[str, Any] = {"datasets": found} if found else {}
        return msgspec.json.encode(said if token is UNSET else {**said, "next_page_token": token})

    return Reply(200, await server.read(work))


async def set_tags(server: Server, request: Request) -> Reply:
    sent = read(request, Tags).tags
    required(sent, "tags")
    tags = _tags(sent)
    await _change(server, request, lambda store, held: datasets.set_tags(store, held, tags))
    return answer()


async def delete_tag(server: Server, request: Request) -> Reply:
    key = request.args["key"]
    await _change(server, request, lambda store, held: datasets.set_tags(store, held, {key: None}))
    return answer()


async def upsert(server: Server, request: Request) -> Reply:
    message = read(request, Records)
    required(message.records, "records")
    records = _decoded(message.records, "records")
    if not isinstance(records, list) or len(records) > RECORDS_MAX:
        raise invalid(f"'records' is a list of at most {RECORDS_MAX} records")
    for record in records:
        if not isinstance(record, dict) or not isinstance(record.get("inputs", {}), dict):
            raise invalid("A record is an object, and so are its inputs.")
        for field in ("expectations", "tags", "source"):
            if not isinstance(record.get(field) or {}, dict):
                raise invalid(f"A record's {field} are an object.")
        if not isinstance((record.get("source") or {}).get("source_data") or {}, dict):
            raise invalid("The source_data of a record's source is an object.")

    def work(store: Store, held: EvaluationSet) -> tuple[int, int]:
        return datasets.upsert(store, held, records)

    inserted, updated = await _change(server, request, work)
    return answer({"inserted_count": inserted, "updated_count": updated})


async def records(server: Server, request: Request) -> Reply:
    message = read(request, RecordPage)
    if message.max_results < 0:
        raise bad_value("max_results", message.max_results)
    limit = min(message.max_results or PAGE_MAX, RECORDS_MAX)
    after = page_tokens.offset(message.page_token)

    def work(store: Store) -> bytes:
        with store.read() as reader:
            held = _require(reader, request)
            found = datasets.page(reader, held, after, limit + 1)
        said = {"records": json.dumps([record for _, record in found[:limit]], ensure_ascii=False)}
        if len(found) > limit:
            said["next_page_token"] = page_tokens.token(found[limit - 1][0])
        return msgspec.json.encode(said)

    return Reply(200, await server.read(work))


async def delete_records(server: Server, request: Request) -> Reply:
    identifiers = read(request, RecordIds).dataset_record_ids

    def work(store: Store, held: EvaluationSet) -> int:
        return datasets.delete_records(store, held, dict.fromkeys(identifiers))

    return answer({"deleted_count": await _change(server, request, work)})


async def experiment_ids(server: Server, request: Request) -> Reply:
    with server.store.read() as reader:
        held = _require(reader, request)
    return answer({"experiment_ids": [str(each) for each in held.groups]} if held.groups else {})


async def add(server: Server, request: Request) -> Reply:
    return await _join(server, request, leave=False)


async def remove(server: Server, request: Request) -> Reply:
    return await _join(server, request, leave=True)


async def _join(server: Server, request: Request, *, leave: bool) -> Reply:
    sent = read(request, Experiments).experiment_ids
    if not sent:
        required(None, "experiment_ids")

    def work(store: Store, held: EvaluationSet) -> EvaluationSet:
        with store.read() as reader:
            found = [experiments.require(reader, each, request.identity, "editor") for each in sent]
        if any(group.project != held.project for group in found) and not leave:
            raise invalid("The experiments of a data set are of one project.")
        datasets.join(store, held, [group.id for group in found], leave=leave)
        with store.read() as reader:
            return _require(reader, request)

    return answer({"dataset": _shown(await _change(server, request, work))})


async def _change(server: Server, request: Request, work: Any) -> Any:
    def piece(store: Store) -> Any:
        with store.read() as reader:
            held = _require(reader, request, "editor")
        return work(store, held)

    return await server.write(piece, request.identity)


def _require(reader: Reader, request: Request, need: Need = "viewer") -> EvaluationSet:
    identifier = request.args["dataset_id"]
    held = datasets.find(reader, identifier)
    if held is None or not request.identity.may("viewer", held.project):
        raise missing(f"Evaluation dataset with id '{identifier[:SHOWN]}' not found")
    return _allowed(held, request, need)


def _allowed(held: EvaluationSet, request: Request, need: Need) -> EvaluationSet:
    identity: Identity = request.identity
    identity.require(need, held.project)
    return held


def _holds(bound: Bound, clause: filters.Clause) -> str:
    tag = clause.entity in ("tag", "tags")
    if not tag and (clause.entity not in ("", "attribute", "attributes") or clause.key not in _COLUMNS):
        raise invalid(f"Invalid attribute key '{clause.key[:SHOWN]}' specified. Valid keys are '{sorted(_COLUMNS)}'")
    numeric = not tag and clause.key.endswith("_time")
    if clause.comparator not in (_NUMBERS if numeric else _TEXTS):
        raise invalid(f"Invalid comparator for {clause.key[:SHOWN]}: {clause.comparator[:SHOWN]}")
    said = clause.value
    value: str | float | tuple[str, ...]
    if isinstance(said, Token):
        what = f"Expected a fitting value for {clause.key[:SHOWN]}."
        value = filters.number_of(said, what) if numeric else filters.text_of(said, what)
    elif said is None:
        raise invalid(f"Invalid comparator for {clause.key[:SHOWN]}: {clause.comparator[:SHOWN]}")
    else:
        value = said
    if (clause.comparator == "IN") != isinstance(value, tuple):
        raise invalid(f"{clause.comparator} does not fit {clause.key[:SHOWN]}")
    if tag:
        return _TAG.format(key=bound.bind(clause.key), holds=bound.holds("t.value", clause.comparator, value))
    return bound.holds(_COLUMNS[clause.key], clause.comparator, value)


def _order(terms: Iterable[tuple[str, str, bool]]) -> str:
    parts = []
    for _, key, ascending in terms:
        if key not in _COLUMNS:
            raise invalid(f"Invalid order by key '{key[:SHOWN]}' specified. Valid keys are '{sorted(_COLUMNS)}'")
        parts.append(f"{_COLUMNS[key]} {'ASC' if ascending else 'DESC'}")
    return ", ".join([*parts, "d.created_ms DESC", "d.id ASC"])


def _tags(text: str) -> dict[str, str | None]:
    tags = _decoded(text, "tags") if text else {}
    if not isinstance(tags, dict):
        raise invalid("'tags' is a JSON object of texts")
    found: dict[str, str | None] = {}
    for key, value in tags.items():
        run_rules.tag(key, "" if value is None else str(value))
        found[key] = None if value is None else str(value)
    return found


def _decoded(text: str, field: str) -> Any:
    try:
        return msgspec.json.decode(text.replace("\\u0000", "\\ufffd"))
    except (msgspec.DecodeError, RecursionError):
        raise invalid(f"Invalid value for parameter '{field}' supplied: it is no JSON") from None


def _shown(held: EvaluationSet) -> Shown:
    return Shown(
        dataset_id=held.id,
        name=held.name,
        tags=json.dumps(held.tags),
        digest=held.digest,
        created_time=held.created_ms,
        last_update_time=held.updated_ms,
        schema=UNSET if held.schema is None else held.schema,
        profile=UNSET if held.profile is None else held.profile,
        created_by=held.created_by or UNSET,
        last_updated_by=held.updated_by or UNSET,
    )


_AT, _ONE = "/datasets", "/datasets/{dataset_id}"
_ENDPOINTS: tuple[tuple[str, str, Any, Need], ...] = (
    ("POST", f"{_AT}/create", create, "editor"),
    ("POST", f"{_AT}/search", search, "viewer"),
    ("GET", f"{_AT}/search", search, "viewer"),
    ("GET", _ONE, get, "viewer"),
    ("DELETE", _ONE, delete, "editor"),
    ("PATCH", f"{_ONE}/tags", set_tags, "editor"),
    ("DELETE", f"{_ONE}/tags/{{key}}", delete_tag, "editor"),
    ("POST", f"{_ONE}/records", upsert, "editor"),
    ("GET", f"{_ONE}/records", records, "viewer"),
    ("DELETE", f"{_ONE}/records", delete_records, "editor"),
    ("GET", f"{_ONE}/experiment-ids", experiment_ids, "viewer"),
    ("POST", f"{_ONE}/add-experiments", add, "editor"),
    ("POST", f"{_ONE}/remove-experiments", remove, "editor"),
)
ROUTES: tuple[Route, ...] = tuple(
    route
    for method, path, handler, need in _ENDPOINTS
    for route in endpoint(method, path, handler, need, versions=(V3,))
)
