"""Every route of the native API, and the document that describes them."""

import msgspec

from roadworthy.faces.server.api import events, models, openapi, people, runs
from roadworthy.faces.server.api.described import Described, describe
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.probes import MLFLOW_VERSION
from roadworthy.faces.server.server import Server
from roadworthy.nouns.version import __version__


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of the server and of MLflow's wire that it speaks."""

    roadworthy: str
    mlflow_wire: str


async def about(server: Server, request: Request) -> About:  # noqa: ARG001
    """Which version this is."""
    return About(roadworthy=__version__, mlflow_wire=MLFLOW_VERSION)


DESCRIBED: tuple[Described, ...] = (
    describe("GET", "/about", about, "public", About),
    *people.ROUTES,
    *runs.ROUTES,
    *models.ROUTES,
    *events.ROUTES,
)
DOCUMENT = msgspec.json.encode(openapi.document(DESCRIBED))


async def document(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return Reply(200, DOCUMENT)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/openapi.json", document, needs="public"),
    *(one.route for one in DESCRIBED),
)
