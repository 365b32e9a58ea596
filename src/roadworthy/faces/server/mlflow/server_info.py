"""What clients ask about the server before they use it: its store and what it offers."""

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow.wire import V3, answer, endpoint
from roadworthy.faces.server.server import Server


async def server_info(server: Server, request: Request) -> Reply:  # noqa: ARG001
    return answer({"store_type": "SqlAlchemyStore", "workspaces_enabled": False})


ROUTES: tuple[Route, ...] = (*endpoint("GET", "/server-info", server_info, "public", versions=(V3,)),)
