"""Probes: whether the server lives and is ready, which version it is, and its numbers for Prometheus.

`/health` and `/version` answer as MLflow's do, whose clients ask them.
"""

import asyncio

from roadworthy.faces.server.http import Reply, Request, Route, text
from roadworthy.faces.server.server import Server
from roadworthy.serving.counters import TYPE

# The version of MLflow whose wire is spoken; clients compare it with their own.
MLFLOW_VERSION = "3.17.2"


async def alive(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return text("OK")


async def ready(server: Server, request: Request) -> Reply:  # noqa: ARG001
    """200 when the store answers."""
    if not server.ready:
        return text("starting", 503)

    def ask() -> None:
        with server.store.read() as reader:
            reader.row("SELECT size FROM log_head WHERE id = 1")

    async with asyncio.timeout(5.0):
        await asyncio.to_thread(ask)
    return text("OK")


async def version(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return text(MLFLOW_VERSION)


async def metrics(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return Reply(200, server.counters.text(), TYPE)


ROUTES = (
    Route("GET", "/health", alive, needs="public"),
    Route("GET", "/livez", alive, needs="public"),
    Route("GET", "/readyz", ready, needs="public"),
    Route("GET", "/version", version, needs="public"),
    Route("GET", "/metrics", metrics, needs="viewer", everywhere=True),
)
