"""The history of metrics, over MLflow's wire: page by page, of many runs at once, sampled.

In: requests of clients and of MLflow's pages. Out: points of registry/history.py in MLflow's words. A page's token is
its last point.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Callable

import msgspec
from msgspec import UNSET

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity
from roadworthy.faces.server.mlflow import page_tokens, run_rules
from roadworthy.faces.server.mlflow.runs import named
from roadworthy.faces.server.mlflow.schema import run as schema
from roadworthy.faces.server.mlflow.wire import answer, endpoint, invalid, number, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import groups, history, inputs, run_rows
from roadworthy.registry.chunks import Point
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

PART = 25_000  # points read at once where the whole history is asked for
PAGE_MAX = 100_000
RUNS_MAX = 100
BULK_MAX = 25_000
SAMPLE_MAX = 2_500
GROUPS_MAX = 20

Sent = tuple[bytes, Point | None]  # points in JSON, separated; and the last of them if there are more


async def get(server: Server, request: Request) -> Reply:
    message = read(request, schema.History)
    run_id = named(message)
    required(message.metric_key, "metric_key")
    limit, key = message.max_results, message.metric_key
    if limit is not UNSET and limit <= 0:
        raise invalid(f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer.")
    count = PART if limit is UNSET else min(limit, PAGE_MAX)

    def part(after: Point | None) -> Callable[[Store], Sent]:
        def work(store: Store) -> Sent:
            with store.read() as reader:
                row = _visible(reader, run_id, request.identity)
                points = [] if row is None else history.page(reader, row.seq, key, after=after, limit=count + 1)
            more = points[count - 1] if len(points) > count else None
            return msgspec.json.encode(_shown(points[:count], key))[1:-1], more

        return work

    sent, more = await server.read(part(_after(message.page_token)))
    if not sent:
        return answer()
    if more is None:
        return Reply(body=b'{"metrics":[%s]}' % sent)
    if limit is UNSET:
        return Reply(body=_all(server, part, sent, more))
    return Reply(body=b'{"metrics":[%s],"next_page_token":"%s"}' % (sent, _token(more).encode()))


async def _all(
    server: Server, part: Callable[[Point | None], Callable[[Store], Sent]], sent: bytes, more: Point | None
) -> AsyncIterator[bytes]:
    """A history of any length, read as it is taken: it never is in memory whole."""
    yield b'{"metrics":[' + sent
    while more is not None:
        sent, more = await server.read(part(more))
        yield b"," + sent
    yield b"]}"


async def bulk(server: Server, request: Request) -> Reply:
    fields = request.fields()
    run_ids = fields.get("run_id", [])
    if not run_ids:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(run_ids) > RUNS_MAX:
        raise invalid(
            f"GetMetricHistoryBulk request cannot specify more than {RUNS_MAX} run_ids. Received {len(run_ids)} "
            "run_ids."
        )
    if "metric_key" not in fields:
        raise invalid("GetMetricHistoryBulk request must specify a metric_key.")
    key = fields["metric_key"][0]
    try:
        limit = min(int(fields.get("max_results", [str(BULK_MAX)])[0]), BULK_MAX)
    except ValueError:
        raise invalid("Invalid value for parameter 'max_results' supplied.") from None

    def work(store: Store) -> Reply:
        found: list[schema.MetricShown] = []
        with store.read() as reader:
            for run_id in sorted(set(run_ids)):
                row = _visible(reader, run_id, request.identity)
                if row is not None and len(found) < limit:
                    points = history.page(reader, row.seq, key, after=None, limit=limit - len(found))
                    found += _shown(points, key, run_id)
        return answer({"metrics": found})

    return await server.read(work)


async def sampled(server: Server, request: Request) -> Reply:
    message = read(request, schema.HistorySampled)
    if not message.run_ids:
        required(None, "run_ids")
    more = " See the API docs for more information about request parameters."
    if len(message.run_ids) > RUNS_MAX:
        raise invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {RUNS_MAX} run_ids. Received "
            f"{len(message.run_ids)} run_ids.{more}"
        )
    required(message.metric_key, "metric_key")
    if not 1 <= message.max_results <= SAMPLE_MAX:
        raise invalid(f"max_results must be between 1 and {SAMPLE_MAX}.{more}")
    start, end = message.start_step, message.end_step
    if (start is UNSET) != (end is UNSET):
        raise invalid("If either start step or end step are specified, both must be specified.")
    if start is not UNSET and end is not UNSET and start > end:
        raise invalid(f"end_step must be greater than start_step. Found start_step={start} and end_step={end}.")
    steps = None if start is UNSET or end is UNSET else (start, end)

    def work(store: Store) -> Reply:
        found: list[schema.MetricShown] = []
        with store.read() as reader:
            for run_id in message.run_ids:
                row = _visible(reader, run_id, request.identity)
                if row is None:
                    continue
                points = history.spread(reader, row.seq, message.metric_key, message.max_results, steps)
                found += _shown(points, message.metric_key, run_id)
        return answer(schema.HistoryPage(metrics=found or UNSET))

    return await server.read(work)


async def search_datasets(server: Server, request: Request) -> Reply:
    message = read(request, schema.SearchDatasets)
    if not message.experiment_ids:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(message.experiment_ids) > GROUPS_MAX:
        raise invalid(
            f"SearchDatasets request cannot specify more than {GROUPS_MAX} experiment_ids. Received "
            f"{len(message.experiment_ids)} experiment_ids."
        )
    numbers = [run_rules.experiment_id(each) for each in message.experiment_ids]

    def work(store: Store) -> Reply:
        with store.read() as reader:
            seen = [
                each
                for each in numbers
                if (group := groups.find(reader, each, tags=False)) and request.identity.may("viewer", group.project)
            ]
            found = inputs.summaries(reader, seen)
        shown = [
            schema.DatasetSummary(
                experiment_id=str(each.group_id), name=each.name, digest=each.digest, context=each.context or UNSET
            )
            for each in found
        ]
        return answer(schema.DatasetSummaries(dataset_summaries=shown or UNSET))

    return await server.read(work)


def _visible(reader: Reader, run_id: str, identity: Identity) -> Row | None:
    """The run; None when there is none, which has no history. What may not be seen is not there."""
    row = run_rows.find(reader, run_id)
    return row if row is not None and identity.may("viewer", row.project) else None


def _shown(points: list[Point], key: str, run_id: str = "") -> list[schema.MetricShown]:
    shown = schema.MetricShown
    of = run_id or UNSET
    return [
        shown(key, value if value - value == 0 else number(value), at_ms, step, of) for at_ms, step, value in points
    ]


def _token(point: Point) -> str:
    value = point[2]
    # A number beyond JSON's is written as none; it is told by its sign.
    said = [point[0], point[1], value if value - value == 0 else None, repr(value)]
    return base64.urlsafe_b64encode(msgspec.json.encode(said)).decode()


def _after(token: str) -> Point | None:
    if not token:
        return None
    try:
        at_ms, step, value, said = msgspec.json.decode(
            base64.urlsafe_b64decode(token), type=tuple[schema.Int64, schema.Int64, float | None, str]
        )
        return at_ms, step, float(said) if value is None else value
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise page_tokens.no_token(token) from None


ROUTES: tuple[Route, ...] = (
    *endpoint("GET", "/metrics/get-history", get, "viewer"),
    *endpoint("GET", "/metrics/get-history-bulk", bulk, "viewer"),
    *endpoint("GET", "/metrics/get-history-bulk-interval", sampled, "viewer"),
    *endpoint("POST", "/experiments/search-datasets", search_datasets, "viewer"),
)
