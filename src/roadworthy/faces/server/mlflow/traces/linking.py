"""What traces have to do with runs, prompts and each other: links, and how far two conditions go together.

In: requests of clients. Out: links that searches follow, and counts with their normalised pointwise mutual information.
"""

import math
from typing import NamedTuple

import msgspec

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow import run_rules
from roadworthy.faces.server.mlflow.schema import trace as schema
from roadworthy.faces.server.mlflow.traces import filters
from roadworthy.faces.server.mlflow.traces import search as searches
from roadworthy.faces.server.mlflow.traces import store as traces
from roadworthy.faces.server.mlflow.traces.handlers import PAIRS_MAX, needed, require
from roadworthy.faces.server.mlflow.traces.search import Wanted
from roadworthy.faces.server.mlflow.wire import SHOWN, V3, answer, endpoint, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import artifacts
from roadworthy.store.store import Store

LINKED_MAX = 100


async def link_run(server: Server, request: Request) -> Reply:
    message = read(request, schema.LinkRun)
    linked = needed(message.trace_ids, "trace_ids")
    required(message.run_id, "run_id")
    if len(linked) > LINKED_MAX:
        raise invalid(
            f"Cannot link more than {LINKED_MAX} traces to a run in a single request. Provided {len(linked)} traces."
        )

    def work(store: Store) -> None:
        with store.append() as tx:
            owner = artifacts.owner(tx, message.run_id)
            if owner is None or not request.identity.may("viewer", owner.project):
                raise missing(f"Run with id={message.run_id[:SHOWN]} not found")
            request.identity.require("editor", owner.project)
            for identifier in linked:
                trace = require(tx, identifier, request.identity, "editor")
                traces.link(tx, trace.seq, "run", message.run_id)

    await server.write(work, request.identity)
    return answer()


async def link_prompts(server: Server, request: Request) -> Reply:
    message = read(request, schema.LinkPrompts)
    required(message.trace_id, "trace_id")
    if not message.prompt_versions:
        required(None, "prompt_versions")
    if len(message.prompt_versions) > PAIRS_MAX:
        raise invalid(f"a trace is linked to at most {PAIRS_MAX} prompts at once")

    def work(store: Store) -> None:
        with store.append() as tx:
            trace = require(tx, message.trace_id, request.identity, "editor")
            for each in message.prompt_versions:
                traces.link(tx, trace.seq, "prompt", f"{each.name[:SHOWN]}/{each.version[:SHOWN]}")

    await server.write(work, request.identity)
    return answer()


async def correlation(server: Server, request: Request) -> Reply:
    """How far two conditions go together: normalised pointwise mutual information."""
    message = read(request, schema.Correlation)
    experiments = needed(message.experiment_ids, "experiment_ids")
    required(message.filter_string1, "filter_string1")
    required(message.filter_string2, "filter_string2")
    first, second = filters.conditions(message.filter_string1), filters.conditions(message.filter_string2)
    base = Wanted(
        groups=tuple(run_rules.experiment_id(each) for each in experiments),
        conditions=filters.conditions(message.base_filter),
        projects=request.identity.projects("viewer"),
    )

    def work(store: Store) -> _Counts:
        def count(*more: searches.Condition) -> int:
            conditions = (*base.conditions, *more)
            return searches.count(store, msgspec.structs.replace(base, conditions=conditions))

        return _Counts(count(*first), count(*second), count(*first, *second), count())

    counts = await server.read(work)
    said: dict[str, object] = {
        "filter1_count": counts.first,
        "filter2_count": counts.second,
        "joint_count": counts.joint,
        "total_count": counts.total,
    }
    npmi = _npmi(counts, 0.0)
    if npmi is not None:
        said = {"npmi": npmi, "npmi_smoothed": _npmi(counts, 0.5), **said}
    return answer({name: value for name, value in said.items() if value is not None})


class _Counts(NamedTuple):
    first: int
    second: int
    joint: int
    total: int


def _npmi(counts: _Counts, smoothing: float) -> float | None:
    """Of a table of both, either and neither, each with something added; None where it is not defined."""
    both = counts.joint
    cells = (both, counts.first - both, counts.second - both, counts.total - counts.first - counts.second + both)
    if counts.total <= 0 or not counts.first or not counts.second or min(cells) < 0:
        return None
    if not both and not smoothing:
        return -1.0
    if cells[1:] == (0, 0, 0):
        return 1.0
    n11, n10, n01, n00 = (cell + smoothing for cell in cells)
    log_both, log_all = math.log(n11), math.log(n11 + n10 + n01 + n00)
    pmi = (log_both + log_all) - (math.log(n11 + n10) + math.log(n11 + n01))
    return max(-1.0, min(1.0, pmi / -(log_both - log_all)))


_AT = "/traces"
ROUTES: tuple[Route, ...] = (
    *endpoint("POST", f"{_AT}/calculate-filter-correlation", correlation, "viewer", versions=(V3,)),
    *endpoint("POST", f"{_AT}/link-to-run", link_run, "editor"),
    *endpoint("POST", f"{_AT}/link-prompts", link_prompts, "editor"),
)
