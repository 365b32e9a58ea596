"""Assessments over the wire: given, read, changed, taken back.

In: requests of clients. Out: the records of assessments.py as messages; each change is in the log.
"""

from typing import Any

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow.traces import assessments
from roadworthy.faces.server.mlflow.traces.assessments import Assessment
from roadworthy.faces.server.mlflow.traces.handlers import require
from roadworthy.faces.server.mlflow.traces.store import Trace
from roadworthy.faces.server.mlflow.wire import SHOWN, V3, Message, answer, endpoint, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.nouns.event import Event
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store


class Sent(Message):
    assessment: dict[str, Any] | UnsetType = UNSET
    update_mask: str = ""


async def create(server: Server, request: Request) -> Reply:
    sent = _sent(request).assessment
    assert sent is not UNSET

    def work(store: Store) -> dict[str, Any]:
        with store.read() as reader:
            trace = require(reader, request.args["trace_id"], request.identity, "editor")
        now = round(store.clock.now() * 1000)
        made = assessments.made(sent, trace.seq, f"a-{store.ids.new()}", now)
        detail = {"assessment": made.id, "name": made.name}
        with store.change(Event(kind="trace.assessed", subject=trace.id, project=trace.project, detail=detail)) as tx:
            overridden = made.record.get("overrides", "")
            if overridden and not assessments.set_valid(tx, trace.seq, overridden, valid=False):
                raise _none(overridden, trace.id)
            assessments.put(tx, made)
            if assessments.find(tx, trace.seq, made.id) is None:
                raise missing(f"An assessment with ID '{made.id[:SHOWN]}' is of another trace.")
        return assessments.shown(made, trace.id)

    return answer({"assessment": await server.write(work, request.identity)})


async def get(server: Server, request: Request) -> Reply:
    with server.store.read() as reader:
        trace = require(reader, request.args["trace_id"], request.identity)
        found = _require(reader, trace, request.args["assessment_id"])
    return answer({"assessment": assessments.shown(found, trace.id)})


async def update(server: Server, request: Request) -> Reply:
    message = _sent(request)
    sent = message.assessment
    assert sent is not UNSET
    fields = [_snake(field.strip()) for field in message.update_mask.split(",") if field.strip()]

    def work(store: Store) -> dict[str, Any]:
        with store.read() as reader:
            trace = require(reader, request.args["trace_id"], request.identity, "editor")
            held = _require(reader, trace, request.args["assessment_id"])
        now = round(store.clock.now() * 1000)
        made = assessments.changed(held, sent, fields, now)
        detail = {"assessment": made.id, "fields": fields}
        with store.change(Event(kind="trace.assessed", subject=trace.id, project=trace.project, detail=detail)) as tx:
            assessments.put(tx, made)
        return assessments.shown(made, trace.id)

    return answer({"assessment": await server.write(work, request.identity)})


async def delete(server: Server, request: Request) -> Reply:
    identifier = request.args["assessment_id"]

    def work(store: Store) -> None:
        with store.read() as reader:
            trace = require(reader, request.args["trace_id"], request.identity, "editor")
            held = assessments.find(reader, trace.seq, identifier)
        if held is None:
            return
        detail = {"assessment": held.id}
        with store.change(Event(kind="trace.unassessed", subject=trace.id, project=trace.project, detail=detail)) as tx:
            assessments.delete(tx, trace.seq, held.id)
            if overridden := held.record.get("overrides", ""):
                assessments.set_valid(tx, trace.seq, overridden, valid=True)

    await server.write(work, request.identity)
    return answer()


def _sent(request: Request) -> Sent:
    message = read(request, Sent)
    if message.assessment is UNSET:
        required(None, "assessment")
    return message


def _require(reader: Reader, trace: Trace, identifier: str) -> Assessment:
    found = assessments.find(reader, trace.seq, identifier)
    if found is None:
        raise _none(identifier, trace.id)
    return found


def _none(identifier: str, trace: str) -> Exception:
    return missing(f"Assessment with ID '{identifier[:SHOWN]}' not found for trace '{trace}'")


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


_AT = "/traces/{trace_id}/assessments"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", _AT, create, "editor", versions=(V3,)),
    *endpoint("GET", f"{_AT}/{{assessment_id}}", get, "viewer", versions=(V3,)),
    *endpoint("PATCH", f"{_AT}/{{assessment_id}}", update, "editor", versions=(V3,)),
    *endpoint("DELETE", f"{_AT}/{{assessment_id}}", delete, "editor", versions=(V3,)),
)
