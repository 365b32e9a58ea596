"""Traces as clients before MLflow 3 begin, end, read and search them: records by themselves, without spans.

In: requests of old clients. Out: the same traces that handlers.py keeps, in the older words: metadata and tags are
lists, moments are milliseconds.
"""

import msgspec
from msgspec import UNSET, UnsetType

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow import experiments, page_tokens, run_rules
from roadworthy.faces.server.mlflow.traces import filters, handlers
from roadworthy.faces.server.mlflow.traces import search as searches
from roadworthy.faces.server.mlflow.traces import store as traces
from roadworthy.faces.server.mlflow.traces.search import Wanted
from roadworthy.faces.server.mlflow.traces.store import Trace
from roadworthy.faces.server.mlflow.wire import SHOWN, V2, Message, answer, bad_value, endpoint, invalid, read, required
from roadworthy.faces.server.server import Server
from roadworthy.store.store import Store

METADATA_MAX, TAG_MAX = 250, 4_096  # of what is answered: old clients know no more
MS_MAX = 2**53
STATUSES = ("TRACE_STATUS_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS")


class Pair(Message):
    key: str = ""
    value: str = ""


class Info(Message):
    request_id: str
    experiment_id: str
    timestamp_ms: int
    execution_time_ms: int
    status: str
    request_metadata: list[Pair] | UnsetType
    tags: list[Pair] | UnsetType


class Begin(Message):
    experiment_id: str = ""
    timestamp_ms: int = 0
    request_metadata: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class End(Message):
    timestamp_ms: int = 0
    status: str | int = STATUSES[0]
    request_metadata: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class Search(Message):
    experiment_ids: tuple[str, ...] = ()
    filter: str = ""
    max_results: int = 100
    order_by: tuple[str, ...] = ()
    page_token: str = ""


class Answer(Message):
    trace_info: Info


class Found(Message):
    traces: list[Info] | UnsetType
    next_page_token: str | UnsetType


async def begin(server: Server, request: Request) -> Reply:
    message = read(request, Begin)
    required(message.experiment_id, "experiment_id")
    tags, metadata = _pairs(message.tags, "tags"), _pairs(message.request_metadata, "request_metadata")

    def work(store: Store) -> Info:
        with store.append() as tx:
            group = experiments.require(tx, message.experiment_id, request.identity, "editor")
            if group.stage != "active":
                raise invalid(
                    f"The experiment {group.id} must be in the 'active' state. Current state is {group.stage}."
                )
            identifier = store.ids.new()
            traces.put(
                tx,
                group,
                Trace(
                    id=identifier,
                    at_ms=_moment(message.timestamp_ms),
                    state="IN_PROGRESS",
                    complete=True,
                    tags=tags,
                    metadata=metadata,
                ),
            )
            return _shown(handlers.require(tx, identifier, request.identity))

    return answer(Answer(trace_info=await server.write(work, request.identity)))


async def end(server: Server, request: Request) -> Reply:
    message = read(request, End)
    status = message.status if isinstance(message.status, str) else dict(enumerate(STATUSES)).get(message.status, "")
    status = status if status in STATUSES else STATUSES[0]
    tags, metadata = _pairs(message.tags, "tags"), _pairs(message.request_metadata, "request_metadata")

    def work(store: Store) -> Info:
        with store.append() as tx:
            held = handlers.require(tx, request.args["request_id"], request.identity, "editor")
            group = experiments.require(tx, str(held.group), request.identity, "editor")
            ended = msgspec.structs.replace(
                held,
                duration_ms=_moment(message.timestamp_ms) - held.at_ms,
                state="STATE_UNSPECIFIED" if status == STATUSES[0] else status,
                tags={**held.tags, **tags},
                metadata={**held.metadata, **metadata},
            )
            traces.put(tx, group, ended)
            return _shown(handlers.require(tx, held.id, request.identity))

    return answer(Answer(trace_info=await server.write(work, request.identity)))


async def info(server: Server, request: Request) -> Reply:
    with server.store.read() as reader:
        return answer(Answer(trace_info=_shown(handlers.require(reader, request.args["request_id"], request.identity))))


async def search(server: Server, request: Request) -> Reply:
    message = read(request, Search)
    if not message.experiment_ids:
        required(None, "experiment_ids")
    handlers.check_limit(message.max_results, str(message.max_results))
    skip = page_tokens.offset(message.page_token)
    wanted = Wanted(
        groups=tuple(run_rules.experiment_id(each) for each in message.experiment_ids),
        conditions=filters.conditions(message.filter),
        order=filters.order(message.order_by),
        limit=message.max_results + 1,
        skip=skip,
        projects=request.identity.projects("viewer"),
    )

    def work(store: Store) -> bytes:
        with store.read() as reader:
            rows, token = page_tokens.cut(searches.search(reader, wanted), skip, message.max_results)
        return msgspec.json.encode(Found(traces=[_shown(row) for row in rows] or UNSET, next_page_token=token))

    return Reply(200, await server.read(work))


def _shown(trace: Trace) -> Info:
    return Info(
        request_id=trace.id,
        experiment_id=str(trace.group),
        timestamp_ms=trace.at_ms,
        execution_time_ms=trace.duration_ms or 0,
        status=STATUSES[0] if trace.state not in STATUSES else trace.state,
        request_metadata=_listed({k: v[:METADATA_MAX] for k, v in trace.metadata.items()}) or UNSET,
        tags=_listed({k: v[:TAG_MAX] for k, v in trace.tags.items()}) or UNSET,
    )


def _listed(pairs: dict[str, str]) -> list[Pair]:
    return [Pair(key=key, value=value) for key, value in pairs.items()]


def _pairs(sent: tuple[Pair, ...], field: str) -> dict[str, str]:
    if len(sent) > handlers.PAIRS_MAX:
        raise invalid(f"a trace has at most {handlers.PAIRS_MAX} tags, and as many values of its metadata")
    found = {}
    for pair in sent:
        if not pair.key:
            raise bad_value(field, [_said(each) for each in sent])
        found[pair.key] = handlers.pair(pair.key, pair.value)
    return found


def _said(pair: Pair) -> dict[str, str]:
    return {name: text for name, text in msgspec.structs.asdict(pair).items() if text}


def _moment(ms: int) -> int:
    if not -MS_MAX <= ms <= MS_MAX:
        raise _no_moment(ms)
    return ms


def _no_moment(ms: int) -> WireError:
    return invalid(f"Invalid value {str(ms)[:SHOWN]} for parameter 'timestamp_ms' supplied: it is no moment")


_AT = "/traces"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", _AT, begin, "editor", versions=(V2,)),
    *endpoint("GET", _AT, search, "viewer", versions=(V2,)),
    *endpoint("PATCH", f"{_AT}/{{request_id}}", end, "editor", versions=(V2,)),
    *endpoint("GET", f"{_AT}/{{request_id}}/info", info, "viewer", versions=(V2,)),
)
