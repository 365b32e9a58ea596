"""Searches over runs, over MLflow's wire.

In: requests of clients. Out: pages of registry/run_search.py in MLflow's words. A page's token is the place of its last
run in the order: nothing is counted from the start again, and a run that is added meanwhile moves no page.
"""

import base64
import binascii
import functools
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.identity.who import Identity
from roadworthy.faces.server.mlflow import experiments, page_tokens, run_filters, run_rules, run_shown
from roadworthy.faces.server.mlflow.schema import experiment
from roadworthy.faces.server.mlflow.schema import run as schema
from roadworthy.faces.server.mlflow.wire import answer, endpoint, invalid, number, read
from roadworthy.faces.server.server import Server
from roadworthy.registry import groups, run_search
from roadworthy.registry.run_query import Order, Query
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

PAGE_MAX = 50_000
GROUPS_MAX = 10_000
KEPT_MAX, KEPT_TOGETHER = 2_000, 50
_VIEWS = {("active",): "active", ("deleted",): "deleted", ("active", "deleted"): ""}
_VALUES = msgspec.json.Decoder(tuple[str | int | float, ...])


async def search(server: Server, request: Request) -> Reply:
    message = read(request, schema.Search)
    query = wanted(message)

    def work(store: Store) -> tuple[Reply, list[int]]:
        with store.read() as reader:
            found, unkept = page(reader, query, message.experiment_ids, request.identity)
            return answer(found), unkept

    reply, unkept = await server.read(work)
    _keep(server, unkept[:KEPT_MAX])
    return reply


def _keep(server: Server, numbers: list[int]) -> None:
    """Keep what was shown, a few runs after the others, so that no writer has to wait long for it."""
    if numbers:
        now, later = numbers[:KEPT_TOGETHER], numbers[KEPT_TOGETHER:]
        server.some_time(functools.partial(run_shown.keep, numbers=now), lambda: _keep(server, later))


def wanted(message: schema.Search) -> Query:
    """The query of a message, its groups still to be named.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    if message.max_results > PAGE_MAX:
        raise invalid(
            f"Invalid value {message.max_results} for parameter 'max_results' supplied:  Hint: Value was of type "
            "'int'. See the API docs for more information about request parameters."
        )
    if len(message.experiment_ids) > GROUPS_MAX:
        raise invalid(f"a search is over at most {GROUPS_MAX} experiments")
    order = run_filters.order(message.order_by)
    return Query(
        groups=(),
        stage=_VIEWS[experiments.stages(message.run_view_type)],
        conditions=run_filters.conditions(message.filter),
        order=order,
        limit=run_rules.max_results(message.max_results, PAGE_MAX),
        after=after(message.page_token, order),
        place=experiment.location(0, "")[:-1],
    )


def page(reader: Reader, query: Query, sent: Sequence[str], identity: Identity) -> tuple[schema.Page, list[int]]:
    """The page of a query over the experiments that were sent; those not there or not to be seen have no runs.

    Beside it, the runs of which it would have been good to have kept something (`run_shown.keep`).
    """
    numbers = dict.fromkeys(run_rules.experiment_id(each) for each in sent)
    seen = tuple(
        number
        for number in numbers
        if (group := groups.find(reader, number, tags=False)) is not None and identity.may("viewer", group.project)
    )
    found = run_search.search(reader, msgspec.structs.replace(query, groups=seen))
    if not found.rows:
        return schema.Page(), []
    shown, unkept = run_shown.page(reader, found.rows)
    return schema.Page(runs=shown, next_page_token=token(found.after) if found.after else UNSET), unkept


def token(place: run_search.Place) -> str:
    """A place as text."""
    said = [number(value) if isinstance(value, float) else value for value in place]
    return base64.urlsafe_b64encode(msgspec.json.encode(said)).decode()


def after(sent: str, order: tuple[Order, ...]) -> run_search.Place:
    """The place that a token names, which must fit the order.

    Raises:
        WireError: INVALID_PARAMETER_VALUE for what is no token of this search.
    """
    if not sent:
        return ()
    try:
        return run_search.as_place(_VALUES.decode(base64.urlsafe_b64decode(sent)), order)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise page_tokens.no_token(sent) from None


ROUTES: tuple[Route, ...] = (*endpoint("POST", "/runs/search", search, "viewer"),)
