"""What clients ask about the server before they use it: its store and what it offers."""

from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow.wire import V3, answer, endpoint
from roadworthy.faces.server.server import Server
from roadworthy.store.remote_blobs import CanSign


async def server_info(server: Server, request: Request) -> Reply:  # noqa: ARG001
    """As MLflow answers with a database, and whether clients may send and fetch large files beside us."""
    signs = isinstance(server.store.blobs, CanSign)
    return answer(
        {
            "store_type": "SqlStore",
            "workspaces_enabled": False,
            "trace_archival_enabled": False,
            "multipart_uploads_enabled": signs,
            "multipart_downloads_enabled": signs,
            "presigned_upload_run_id_supported": True,
            "presigned_upload_model_id_supported": True,
            "features_enabled": {"gateway": False},
        }
    )


ROUTES: tuple[Route, ...] = (*endpoint("GET", "/server-info", server_info, "public", versions=(V3,)),)
