"""Traces over the wire: begun, read, found, tagged and deleted.

In: requests of clients. Out: the records of store.py in MLflow's words. A trace has the project of its experiment.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity, Need
from roadworthy.faces.server.mlflow import experiments, page_tokens, run_rules
from roadworthy.faces.server.mlflow.schema import trace as schema
from roadworthy.faces.server.mlflow.traces import assessments, filters
from roadworthy.faces.server.mlflow.traces import search as searches
from roadworthy.faces.server.mlflow.traces import shown as shows
from roadworthy.faces.server.mlflow.traces import store as traces
from roadworthy.faces.server.mlflow.traces.search import Wanted
from roadworthy.faces.server.mlflow.traces.store import Trace
from roadworthy.faces.server.mlflow.wire import (
    SHOWN,
    V2,
    V3,
    answer,
    bad_value,
    endpoint,
    invalid,
    missing,
    read,
    required,
)
from roadworthy.faces.server.server import Server
from roadworthy.registry.groups import Group
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

T = TypeVar("T")
PAGE_MAX = 500
BATCH_MAX = 1_000
KEY_MAX, VALUE_MAX = 250, 8_000
PAIRS_MAX = 1_000
ASSESSMENTS_MAX = 1_000
PREVIEW_MAX = 10_000
EXPORTED_WITHIN_S, LOOK_S = 3.0, 0.1
STATS_KEY = "mlflow.trace.sizeStats"
_FIXED_TAGS = (traces.LOCATION_TAG, traces.SPANS_TAG)


async def start(server: Server, request: Request) -> Reply:
    message = read(request, schema.Start)
    required(message.trace, "trace")
    assert message.trace is not UNSET
    sent = message.trace.trace_info
    required(sent.trace_id, "trace_id")
    trace = _trace(sent)
    location = sent.trace_location.mlflow_experiment
    experiment = "" if location is UNSET else location.experiment_id
    now_ms = round(server.store.clock.now() * 1000)
    if len(sent.assessments) > ASSESSMENTS_MAX:
        raise invalid(f"a trace begins with at most {ASSESSMENTS_MAX} assessments")

    def work(store: Store) -> schema.Shown:
        with store.append() as tx:
            group = _group(tx, experiment, request.identity)
            known = traces.find(tx, trace.id)
            if known is not None and known.group != group.id:
                raise _no_trace(trace.id)
            seq = traces.put(tx, group, trace)
            for each in sent.assessments:
                assessments.put(tx, assessments.made(each, seq, f"a-{store.ids.new()}", now_ms))
            found = traces.find(tx, trace.id)
            assert found is not None
            return shows.infos(tx, [found])[0]

    made = await server.write(work, request.identity)
    return answer(schema.TraceAnswer(trace=schema.Whole(trace_info=made)))


async def info(server: Server, request: Request) -> Reply:
    with server.store.read() as reader:
        trace = require(reader, request.args["trace_id"], request.identity)
        shown = shows.infos(reader, [trace])[0]
    return answer(schema.TraceAnswer(trace=schema.Whole(trace_info=shown)))


async def get(server: Server, request: Request) -> Reply:
    """A trace with its spans; one whose spans are still on their way is waited for a moment."""
    message = read(request, schema.Get)
    required(message.trace_id, "trace_id")

    def work(store: Store) -> tuple[schema.Whole, bool]:
        with store.read() as reader:
            trace = require(reader, message.trace_id, request.identity, says="is not found")
            return shows.wholes(reader, [trace])[0], _exported(reader, trace)

    deadline = asyncio.get_running_loop().time() + EXPORTED_WITHIN_S
    whole, exported = await server.read(work)
    while not exported and not message.allow_partial:
        if asyncio.get_running_loop().time() > deadline:
            raise missing(f"Trace with ID {message.trace_id} is not fully exported yet, please try again later.")
        await asyncio.sleep(LOOK_S)
        whole, exported = await server.read(work)
    return answer(schema.TraceAnswer(trace=whole))


async def batch(server: Server, request: Request) -> Reply:
    found = _batched(read(request, schema.Batch), request.identity)

    def work(store: Store) -> bytes:
        with store.read() as reader:
            return msgspec.json.encode(schema.TracesAnswer(traces=shows.wholes(reader, found(reader)) or UNSET))

    return Reply(200, await server.read(work))


async def batch_infos(server: Server, request: Request) -> Reply:
    found = _batched(read(request, schema.Batch), request.identity)

    def work(store: Store) -> bytes:
        with store.read() as reader:
            return msgspec.json.encode(schema.InfosAnswer(trace_infos=shows.infos(reader, found(reader)) or UNSET))

    return Reply(200, await server.read(work))


async def search(server: Server, request: Request) -> Reply:
    message = read(request, schema.Search)
    locations = needed(message.locations, "locations")
    limit = message.max_results
    check_limit(limit)
    skip = page_tokens.offset(message.page_token)
    sent = [each.mlflow_experiment for each in locations if each.mlflow_experiment is not UNSET]
    wanted = Wanted(
        groups=tuple(run_rules.experiment_id(each.experiment_id) for each in sent),
        conditions=filters.conditions(message.filter),
        order=filters.order(message.order_by),
        limit=limit + 1,
        skip=skip,
        projects=request.identity.projects("viewer"),
    )
    if not wanted.groups:
        return answer(schema.SearchAnswer())

    def work(store: Store) -> bytes:
        with store.read() as reader:
            rows, token = page_tokens.cut(searches.search(reader, wanted), skip, limit)
            found = shows.infos(reader, rows)
        return msgspec.json.encode(schema.SearchAnswer(traces=found or UNSET, next_page_token=token))

    return Reply(200, await server.read(work))


async def delete(server: Server, request: Request) -> Reply:
    message = read(request, schema.Delete)
    required(message.experiment_id, "experiment_id")
    before = None if message.max_timestamp_millis is UNSET else max(-(2**62), min(message.max_timestamp_millis, 2**62))
    limit = None if message.max_traces is UNSET else min(message.max_traces, 2**31)
    named = list(dict.fromkeys(message.request_ids))
    if before is None and not named:
        raise invalid("Either `max_timestamp_millis` or `trace_ids` must be specified.")
    if before is not None and named:
        raise invalid("Only one of `max_timestamp_millis` and `trace_ids` can be specified.")
    if named and limit is not None:
        raise invalid("`max_traces` can't be specified if `trace_ids` is specified.")
    if limit is not None and limit <= 0:
        raise invalid(f"`max_traces` must be a positive integer, received {limit}.")

    def work(store: Store) -> int:
        with store.read() as reader:
            group = experiments.require(reader, message.experiment_id, request.identity, "editor")
        return traces.delete(store, group, before_ms=before, limit=limit, identifiers=named)

    return answer(schema.Deleted(traces_deleted=await server.write(work, request.identity)))


async def set_tag(server: Server, request: Request) -> Reply:
    message = read(request, schema.Tag)
    required(message.key, "key")
    if message.key in _FIXED_TAGS:
        raise invalid(f"Tag '{message.key}' is immutable and cannot be set on a trace.")
    run_rules.tag_name(message.key)
    value = pair(message.key, message.value)

    def work(store: Store) -> None:
        with store.append() as tx:
            trace = require(tx, request.args["trace_id"], request.identity, "editor")
            if message.key == traces.NAME_TAG:
                traces.set_name(tx, trace.seq, value)
            else:
                traces.put_pairs(tx, "tags", trace.seq, {message.key: value})

    await server.write(work, request.identity)
    return answer()


async def delete_tag(server: Server, request: Request) -> Reply:
    message = read(request, schema.Tag)
    required(message.key, "key")
    if message.key in _FIXED_TAGS:
        raise invalid(f"Tag '{message.key}' is immutable and cannot be deleted on a trace.")

    def work(store: Store) -> None:
        with store.append() as tx:
            trace = require(tx, request.args["trace_id"], request.identity, "editor")
            if message.key == traces.NAME_TAG and trace.name is not None:
                traces.set_name(tx, trace.seq, None)
            elif not traces.delete_tag(tx, trace.seq, message.key):
                raise missing(f"No trace tag with key '{message.key[:SHOWN]}' for trace with ID '{trace.id}'")

    await server.write(work, request.identity)
    return answer()


async def spans_document(server: Server, request: Request) -> Reply:
    """The spans of a trace as MLflow's pages read them."""
    fields = request.fields()
    identifier = (fields.get("request_id") or fields.get("trace_id") or [""])[-1]
    if not identifier:
        raise WireError("BAD_REQUEST", 'Request must include the "request_id" query parameter.', 400)

    def work(store: Store) -> bytes:
        with store.read() as reader:
            trace = require(reader, identifier, request.identity)
            spans = traces.spans_of(reader, [trace]).get(trace.seq, [])
        return msgspec.json.encode(shows.document(spans))

    return Reply(200, await server.read(work))


def require(
    reader: Reader, identifier: str, identity: Identity, need: Need = "viewer", *, says: str = "not found."
) -> Trace:
    """A trace, if the identity has the role in its project.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST; Fault: refused.
    """
    found = traces.find(reader, identifier)
    if found is None or not identity.may("viewer", found.project):
        if says != "not found.":
            raise missing(f"Trace with ID {identifier[:SHOWN]} {says}.")
        raise _no_trace(identifier)
    identity.require(need, found.project)
    return found


def check_limit(limit: int, sent: object = None) -> None:
    """Refuse a page of no traces, or of too many.

    Args:
        sent: the limit as it came, where that was text.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    if limit > PAGE_MAX:
        raise bad_value("max_results", limit if sent is None else sent)
    if limit < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {limit}")


def needed(values: tuple[T, ...] | UnsetType, name: str) -> tuple[T, ...]:
    """A list that must be there, but as in MLflow may be empty.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    if values is UNSET:
        required(values, name)
    return cast("tuple[T, ...]", values)


def pair(key: str, value: str) -> str:
    """The value of a tag: as in MLflow one that is too long is cut.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    if len(key) > KEY_MAX:
        raise run_rules.too_long("key", KEY_MAX)
    if "\0" in key or "\0" in value:
        raise invalid("Invalid value for parameter 'value' supplied: Values cannot contain NUL.")
    return value[:VALUE_MAX]


def _group(reader: Reader, experiment: str, identity: Identity) -> Group:
    group = experiments.require(reader, experiment, identity, "editor")
    if group.stage != "active":
        raise invalid(f"The experiment {group.id} must be in the 'active' state. Current state is {group.stage}.")
    return group


def _trace(sent: schema.Info) -> Trace:
    if len(sent.trace_id) > KEY_MAX or "\0" in sent.trace_id or "/" in sent.trace_id:
        raise invalid(f"Invalid trace ID: {sent.trace_id[:SHOWN]!r}")
    required(sent.request_time, "request_time")
    state = sent.state if isinstance(sent.state, str) else dict(enumerate(traces.STATES)).get(sent.state, "")
    if state not in traces.STATES:
        raise invalid(f"Invalid value {str(sent.state)[:SHOWN]!r} for parameter 'state' supplied.")
    for pairs in (sent.tags, sent.trace_metadata):
        if len(pairs) > PAIRS_MAX:
            raise invalid(f"a trace has at most {PAIRS_MAX} tags, and as many values of its metadata")
    return Trace(
        id=sent.trace_id,
        at_ms=schema.moment_ms(sent.request_time, "request_time"),
        duration_ms=None
        if sent.execution_duration is UNSET
        else schema.duration_ms(str(sent.execution_duration), "execution_duration"),
        state=state,
        client_id=_clean(sent.client_request_id),
        request=_clean(sent.request_preview),
        response=_clean(sent.response_preview),
        complete=True,
        tags={key: str(_clean(value)) for key, value in sent.tags.items() if _fits(key)},
        metadata={
            **{key: str(_clean(value)) for key, value in sent.trace_metadata.items() if _fits(key)},
            traces.COMPLETE_KEY: "true",
        },
    )


def _clean(value: schema.Text) -> str | None:
    return None if value is UNSET else str(value)[: PREVIEW_MAX * 10].replace("\0", "\ufffd")


def _fits(key: str) -> bool:
    return 0 < len(key) <= KEY_MAX and "\0" not in key


def _exported(reader: Reader, trace: Trace) -> bool:
    """Whether as many spans came as the client said there are."""
    if traces.SPANS_TAG not in trace.tags:
        return not trace.complete or STATS_KEY not in trace.metadata
    try:
        told = int(json.loads(trace.metadata.get(STATS_KEY, "{}")).get("num_spans", 0))
    except (ValueError, TypeError, AttributeError):
        return True
    return traces.extent(reader, trace.seq)[2] >= told


def _batched(message: schema.Batch, identity: Identity):  # type: ignore[no-untyped-def]  # noqa: ANN202
    wanted = needed(message.trace_ids, "trace_ids")
    if len(wanted) > BATCH_MAX:
        raise invalid(f"at most {BATCH_MAX} traces are read at once")
    only = None
    if message.experiment_ids is not UNSET:
        only = {run_rules.experiment_id(each) for each in message.experiment_ids}

    def found(reader: Reader) -> Sequence[Trace]:
        return [
            trace
            for trace in traces.many(reader, wanted)
            if identity.may("viewer", trace.project) and (only is None or trace.group in only)
        ]

    return found


def _no_trace(identifier: str) -> WireError:
    return missing(f"Trace with ID '{identifier[:SHOWN]}' not found.")


def _both(method: str, path: str, handler: object, needs: Need) -> Iterable[Route]:
    return endpoint(method, path, handler, needs, versions=(V2, V3))  # type: ignore[arg-type]


_AT = "/traces"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", _AT, start, "editor", versions=(V3,)),
    *endpoint("GET", f"{_AT}/get", get, "viewer", versions=(V3,)),
    *endpoint("GET", f"{_AT}/batchGet", batch, "viewer", versions=(V3,)),
    *endpoint("POST", f"{_AT}/batchGetInfos", batch_infos, "viewer", versions=(V3,)),
    *endpoint("POST", f"{_AT}/search", search, "viewer", versions=(V3,)),
    *endpoint("GET", f"{_AT}/{{trace_id}}", info, "viewer", versions=(V3,)),
    *_both("POST", f"{_AT}/delete-traces", delete, "editor"),
    *_both("PATCH", f"{_AT}/{{trace_id}}/tags", set_tag, "editor"),
    *_both("DELETE", f"{_AT}/{{trace_id}}/tags", delete_tag, "editor"),
    *_both("GET", "/get-trace-artifact", spans_document, "viewer"),
)
