"""Scorers: what judges an application's answers, kept as its client wrote it. This file owns the table `scorers`.

In: serialised scorers of an experiment. Out: their versions. Nothing of one is ever run here; one that carries code to
run is refused, as MLflow's own server does, so that none is handed to whoever lists them. Automatic evaluation needs a
gateway, which there is none of.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity
from roadworthy.faces.server.mlflow import experiments, run_rules
from roadworthy.faces.server.mlflow.webhooks.outbox import dashed
from roadworthy.faces.server.mlflow.wire import SHOWN, V3, Message, answer, endpoint, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.nouns.event import Event
from roadworthy.registry.conditions import Bound
from roadworthy.registry.groups import Group
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

NAME_MAX = 256
TEXT_MAX = 1 << 20
CODE_FIELD = "call_source"
DEPTH_MAX = 64

_COLUMNS = "s.id, s.group_id, s.name, s.version, s.created_ms, s.record"
_VERSIONS = f"SELECT {_COLUMNS} FROM scorers s WHERE s.group_id = :group_id AND s.name = :name ORDER BY s.version DESC"
_NEWEST = f"""
SELECT {_COLUMNS} FROM scorers s WHERE s.version = (
    SELECT MAX(o.version) FROM scorers o WHERE o.group_id = s.group_id AND o.name = s.name
)"""
_INSERT = """
INSERT INTO scorers (id, group_id, project, name, version, created_ms, record)
VALUES (:id, :group_id, :project, :name, :version, :created_ms, :record)
"""
_DELETE = "DELETE FROM scorers WHERE group_id = :group_id AND name = :name AND version = :version"


class Register(Message):
    experiment_id: str = ""
    name: str = ""
    serialized_scorer: str = ""


class List(Message):
    experiment_id: str = ""
    experiment_ids: tuple[str, ...] | UnsetType = UNSET


class One(Message):
    experiment_id: str = ""
    name: str = ""
    version: int | UnsetType = UNSET


class Shown(Message):
    experiment_id: int
    scorer_name: str
    scorer_version: int
    serialized_scorer: str
    creation_time: int
    scorer_id: str


async def register(server: Server, request: Request) -> Reply:
    message = read(request, Register)
    required(message.experiment_id, "experiment_id")
    required(message.name, "name")
    required(message.serialized_scorer, "serialized_scorer")
    _check(message)

    def work(store: Store) -> dict[str, Any]:
        with store.read() as reader:
            group = experiments.require(reader, message.experiment_id, request.identity, "editor")
            known = reader.row(_VERSIONS, group_id=group.id, name=message.name)
        at = round(store.clock.now() * 1000)
        identifier = str(known[0]) if known else dashed(store.ids.new())
        version = int(known[3]) + 1 if known else 1
        event = Event(kind="scorer.registered", subject=f"{message.name}@{version}", project=group.project)
        with store.change(event) as tx:
            tx.execute(
                _INSERT, id=identifier, group_id=group.id, project=group.project, name=message.name, version=version,
                created_ms=at, record=message.serialized_scorer,
            )  # fmt: skip
        return {
            "version": version,
            "scorer_id": identifier,
            "experiment_id": str(group.id),
            "name": message.name,
            "serialized_scorer": message.serialized_scorer,
            "creation_time": at,
        }

    return answer(await server.write(work, request.identity))


async def listing(server: Server, request: Request) -> Reply:
    message = read(request, List)
    if message.experiment_id and message.experiment_ids is not UNSET:
        raise invalid("Cannot specify both 'experiment_id' and 'experiment_ids'.")
    identity = request.identity

    def work(store: Store) -> list[Shown]:
        with store.read() as reader:
            bound = Bound(reader.dialect)
            where = [bound.within("s.project", identity.projects("viewer"))]
            if message.experiment_id:
                group = experiments.require(reader, message.experiment_id, identity)
                where.append(f"s.group_id IN ({bound.listed([group.id])})")
            elif message.experiment_ids is not UNSET:
                numbers = [run_rules.experiment_id(each) for each in message.experiment_ids]
                where.append(f"s.group_id IN ({bound.listed(numbers)})" if numbers else "1 = 0")
            sql = f"{_NEWEST} AND {' AND '.join(where)} ORDER BY s.group_id, s.name"
            return [_shown(row) for row in reader.rows(sql, **bound.values)]

    found = await server.read(work)
    return answer({"scorers": found} if found else {})


async def versions(server: Server, request: Request) -> Reply:
    message = read(request, One)
    with server.store.read() as reader:
        group, rows = _require(reader, message, request.identity)
    return answer({"scorers": [_shown(row) for row in reversed(rows)]} if group else {})


async def get(server: Server, request: Request) -> Reply:
    message = read(request, One)
    with server.store.read() as reader:
        _, rows = _require(reader, message, request.identity)
    return answer({"scorer": _shown(rows[0])})


async def delete(server: Server, request: Request) -> Reply:
    message = read(request, One)

    def work(store: Store) -> None:
        with store.read() as reader:
            group, rows = _require(reader, message, request.identity)
        request.identity.require("editor", group.project)
        with store.change(Event(kind="scorer.deleted", subject=message.name, project=group.project)) as tx:
            for row in rows:
                tx.execute(_DELETE, group_id=group.id, name=message.name, version=row[3])

    await server.write(work, request.identity)
    return answer()


async def online_configs(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return answer({"configs": []})


async def set_online_config(server: Server, request: Request) -> Reply:
    message = read(request, One)
    with server.store.read() as reader:
        _require(reader, message, request.identity)
    raise invalid(
        f"Scorer '{message.name[:SHOWN]}' does not use a gateway model. Automatic evaluation is only supported for "
        "scorers that use gateway models."
    )


def _check(message: Register) -> None:
    if len(message.name) > NAME_MAX or "\0" in message.name or not message.name.strip():
        raise run_rules.too_long("name", NAME_MAX)
    if len(message.serialized_scorer) > TEXT_MAX or "\0" in message.serialized_scorer:
        raise run_rules.too_long("serialized_scorer", TEXT_MAX)
    try:
        said = msgspec.json.decode(message.serialized_scorer)
    except (msgspec.DecodeError, RecursionError):
        raise invalid("serialized_scorer must be valid JSON") from None
    if not isinstance(said, dict):
        raise invalid("serialized_scorer must be a JSON object")
    if _carries_code(said, DEPTH_MAX):
        raise invalid(
            "Custom scorer registration (using @scorer decorator) is not supported outside of Databricks tracking "
            "environments due to security concerns."
        )


def _carries_code(said: Any, depth: int) -> bool:
    if depth == 0:
        return True  # nobody nests so deep for good
    if isinstance(said, dict):
        return bool(said.get(CODE_FIELD)) or any(_carries_code(each, depth - 1) for each in said.values())
    if isinstance(said, str) and CODE_FIELD in said:
        return True  # serialised within
    return isinstance(said, list) and any(_carries_code(each, depth - 1) for each in said)


def _require(reader: Reader, message: One, identity: Identity) -> tuple[Group, list[tuple[Any, ...]]]:
    required(message.experiment_id, "experiment_id")
    required(message.name, "name")
    group = experiments.require(reader, message.experiment_id, identity)
    rows = reader.rows(_VERSIONS, group_id=group.id, name=message.name)
    if not rows:
        raise missing(f"Scorer with name '{message.name[:SHOWN]}' not found for experiment {group.id}.")
    if message.version is not UNSET and message.version:
        rows = [row for row in rows if int(row[3]) == message.version]
        if not rows:
            raise missing(
                f"Scorer with name '{message.name[:SHOWN]}' and version {message.version} not found for experiment "
                f"{group.id}."
            )
    return group, rows


def _shown(row: tuple[Any, ...]) -> Shown:
    identifier, group, name, version, created, record = row
    return Shown(
        experiment_id=int(group),
        scorer_name=str(name),
        scorer_version=int(version),
        serialized_scorer=str(record),
        creation_time=int(created),
        scorer_id=str(identifier),
    )


_AT = "/scorers"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", f"{_AT}/register", register, "editor", versions=(V3,)),
    *endpoint("GET", f"{_AT}/list", listing, "viewer", versions=(V3,)),
    *endpoint("GET", f"{_AT}/versions", versions, "viewer", versions=(V3,)),
    *endpoint("GET", f"{_AT}/get", get, "viewer", versions=(V3,)),
    *endpoint("DELETE", f"{_AT}/delete", delete, "editor", versions=(V3,)),
    *endpoint("GET", f"{_AT}/online-configs", online_configs, "viewer", versions=(V3,)),
    *endpoint("PUT", f"{_AT}/online-config", set_online_config, "editor", versions=(V3,)),
)
