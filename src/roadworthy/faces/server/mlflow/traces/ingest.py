"""Spans taken in: OpenTelemetry's own endpoint, `/v1/traces`, as MLflow's clients and any other exporter send to it.

In: exports, with the experiment in a header. Out: spans of traces; a trace whose client never says what it was
gets what its root span tells. All of an export is kept or none.
"""

import msgspec

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import BODY_BYTES_MAX, Reply, Request, Route
from roadworthy.faces.server.mlflow import experiments
from roadworthy.faces.server.mlflow.traces import otlp
from roadworthy.faces.server.mlflow.traces import store as traces
from roadworthy.faces.server.mlflow.traces.otlp import Part
from roadworthy.faces.server.mlflow.traces.store import Trace
from roadworthy.faces.server.mlflow.wire import invalid, missing
from roadworthy.faces.server.server import Server
from roadworthy.registry import artifacts
from roadworthy.registry.groups import Group
from roadworthy.store.sql import Transaction
from roadworthy.store.store import Store

EXPERIMENT_HEADER = b"x-mlflow-experiment-id"
RUN_HEADER = b"x-mlflow-run-id"
SESSION_KEY = "mlflow.trace.session"
SCHEMA_KEY = "mlflow.trace_schema.version"
NS = 1_000_000


async def export(server: Server, request: Request) -> Reply:
    experiment = request.headers.get(EXPERIMENT_HEADER).strip()
    if not experiment:
        raise WireError("BAD_REQUEST", f"The header {EXPERIMENT_HEADER.decode()} is missing.", 422)
    run = request.headers.get(RUN_HEADER).strip()
    media = request.headers.get(b"content-type").partition(";")[0].strip().lower()
    body = request.body
    encoding = request.headers.get(b"content-encoding").strip().lower()
    parts = await server.read(lambda _: otlp.read(otlp.inflated(body, encoding, BODY_BYTES_MAX), media))

    def work(store: Store) -> None:
        with store.append() as tx:
            group = experiments.require(tx, experiment, request.identity, "editor")
            if group.stage != "active":
                raise invalid(f"The experiment {group.id} must be in the 'active' state.")
            if run:
                owner = artifacts.owner(tx, run)
                if owner is None or owner.project != group.project:
                    raise missing(f"Run with id={run[:200]} not found")
            for part in parts:
                seq = _keep(tx, group, part)
                if run and part.root is not None:
                    traces.link(tx, seq, "run", run)

    await server.write(work, request.identity)
    # An empty answer is protobuf's way to say that all of it was taken.
    return Reply(200, b"", otlp.PROTOBUF) if media == otlp.PROTOBUF else Reply(200, b"{}")


def _keep(tx: Transaction, group: Group, part: Part) -> int:
    known = traces.find(tx, part.trace)
    if known is not None and known.group != group.id:
        raise invalid(f"Trace {part.trace} belongs to another experiment.")
    seq = known.seq if known is not None else traces.put(tx, group, _told(part, None, (0, 0)))
    traces.put_spans(tx, seq, part.spans)
    if known is None or not known.complete:
        begin, end, _ = traces.extent(tx, seq)
        told = _told(part, known, (begin, end))
        used = traces.used(tx, seq)
        traces.put(tx, group, msgspec.structs.replace(told, metadata={**told.metadata, **used}))
    return seq


def _told(part: Part, known: Trace | None, extent: tuple[int, int]) -> Trace:
    """What the spans tell of a trace of which its client has said nothing yet."""
    root = part.root
    state = known.state if known is not None and root is None else "IN_PROGRESS"
    if root is not None and root.ended:
        state = "ERROR" if root.failed else "OK"
    metadata = {SCHEMA_KEY: "3"} | ({SESSION_KEY: root.session} if root is not None and root.session else {})
    return Trace(
        id=part.trace,
        at_ms=extent[0] // NS,
        duration_ms=max(extent[1] - extent[0], 0) // NS,
        state=state,
        name=root.name if root is not None else None,
        request=root.request if root is not None else None,
        response=root.response if root is not None else None,
        metadata=metadata,
    )


ROUTES: tuple[Route, ...] = (Route("POST", "/v1/traces", export, "editor", face="mlflow", inflates=True),)
