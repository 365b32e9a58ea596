"""Start-up: from settings to a process that serves until it is told to stop. Called by `rw server`."""

import gc
import socket
import sys

from roadworthy.faces.server import access, login, logs, probes
from roadworthy.faces.server.api import routes as api
from roadworthy.faces.server.app import Application
from roadworthy.faces.server.http import Route
from roadworthy.faces.server.mlflow import routes as mlflow
from roadworthy.faces.server.mlflow.webhooks.sender import Sender
from roadworthy.faces.server.server import Server, Settings
from roadworthy.serving import guard, runtime
from roadworthy.store.store import Store

# A thread that waits for the interpreter gets it after this long; the writer's and the searches' wait for the loop's.
SWITCH_S = 0.0005
# Thousands of jobs may hold a connection open; an artifact of any size may take as long as it goes on arriving.
LIMITS = guard.Limits(connections=20_000, body_s=30.0, body_bytes_least=16 << 10)


def routes() -> tuple[Route, ...]:
    """Every route there is."""
    return (*probes.ROUTES, *login.ROUTES, *api.ROUTES, *mlflow.ROUTES)


def application(server: Server) -> Application:
    """The whole HTTP application of a server."""
    server.beside(Sender(server).run)
    return Application(server, routes(), access.guards(server.settings))


def serve(
    store: Store, settings: Settings, listener: socket.socket, certificate: guard.Certificate | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; what was acknowledged is durable, what is in flight is answered first."""
    logs.set_up(settings.log_format)
    runtime.raise_file_limit()
    sys.setswitchinterval(SWITCH_S)
    server = Server(store, settings)
    gc.collect()
    gc.freeze()  # what is loaded stays: collections need not look at it again
    guard.serve((application(server), listener), limits=LIMITS, certificate=certificate)
