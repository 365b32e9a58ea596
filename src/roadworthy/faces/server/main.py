"""Start-up: from settings to a process that serves until it is told to stop. Called by `rw server`."""

import gc
import logging
import socket
import sys

from roadworthy.faces.server import access, probes
from roadworthy.faces.server.app import Application
from roadworthy.faces.server.mlflow import routes as mlflow
from roadworthy.faces.server.mlflow.webhooks.sender import Sender
from roadworthy.faces.server.server import Server, Settings
from roadworthy.serving import runtime
from roadworthy.store.store import Store

# A thread that waits for the interpreter gets it after this long; the writer's and the searches' wait for the loop's.
SWITCH_S = 0.0005


def application(server: Server) -> Application:
    """The whole HTTP application of a server."""
    server.beside(Sender(server).run)
    return Application(server, (*probes.ROUTES, *mlflow.ROUTES), access.guards(server.settings))


def serve(store: Store, settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; what was acknowledged is durable, what is in flight is answered first."""
    from roadworthy.serving import guard

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    runtime.raise_file_limit()
    sys.setswitchinterval(SWITCH_S)
    server = Server(store, settings)
    gc.collect()
    gc.freeze()  # what is loaded stays: collections need not look at it again
    guard.serve((application(server), listener))
