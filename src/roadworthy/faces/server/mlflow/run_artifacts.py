"""Artifacts by whose they are: a run's, a model version's, a logged model's, as clients and pages ask for them.

In: the id of a run or model and a path below its root. Out: listings and files. What a run keeps elsewhere (its
`artifact_uri` is not ours) is not fetched for anyone: a server that follows URIs can be led anywhere.
"""

from msgspec import UNSET, UnsetType

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow import artifact_places
from roadworthy.faces.server.mlflow.artifact_places import Place
from roadworthy.faces.server.mlflow.artifacts import Listing, infos, keep, send
from roadworthy.faces.server.mlflow.wire import SHOWN, Message, answer, endpoint, invalid, missing, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import artifacts

UPLOAD_BYTES_MAX = 10 << 20
URL_S_MAX = 604_800
_PROXIED_SCHEMES = ("http", "https", "mlflow-artifacts")


class ListArtifacts(Message):
    run_id: str = ""
    run_uuid: str = ""
    path: str | UnsetType = UNSET
    page_token: str | UnsetType = UNSET


class PresignedUpload(Message):
    run_id: str = ""
    model_id: str = ""
    path: str = ""
    expiration: int = 900


class PresignedDownload(Message):
    run_id: str = ""
    path: str = ""
    expiration: int = 900


async def listing(server: Server, request: Request) -> Reply:
    message = read(request, ListArtifacts)
    required(message.run_id or message.run_uuid, "run_id")
    if not artifact_places.RUN_ID.fullmatch(message.run_id or message.run_uuid):
        raise missing(f"Run with id={(message.run_id or message.run_uuid)[:SHOWN]} not found")
    with server.store.read() as reader:
        place, root = artifact_places.of_run(reader, message.run_id or message.run_uuid, message.path or "")
    artifact_places.require(request.identity, "viewer", place, hidden=True)
    _ours(root)
    entries = await server.read(lambda store: artifacts.folder(store, place.run, place.path))
    return answer(Listing(files=infos(entries, place.path) or UNSET, root_uri=root))


async def of_run(server: Server, request: Request) -> Reply:
    """`get-artifact`, by which MLflow's pages show what a run keeps."""
    place = _of_run(server, request, request.field("run_id") or request.field("run_uuid"))
    artifact_places.require(request.identity, "viewer", place, hidden=True)
    return await send(server, request, place)


async def upload(server: Server, request: Request) -> Reply:
    """`upload-artifact`, by which MLflow's pages keep small files: the body is the file."""
    run_id = request.field("run_uuid")
    if not run_id:
        raise invalid("Request must specify run_uuid.")
    if not request.field("path"):
        raise invalid("Request must specify path.")
    length = request.headers.get(b"content-length")
    if length.isdigit() and int(length) > UPLOAD_BYTES_MAX:
        raise invalid("Artifact size is too large. Max size is 10MB.")
    if length == "0":
        raise invalid("Request must specify data.")
    place = _of_run(server, request, run_id)
    artifact_places.require(request.identity, "editor", place, hidden=True)
    await keep(server, request, place, bytes_max=UPLOAD_BYTES_MAX)
    return Reply(200, b"")


async def presigned_upload(server: Server, request: Request) -> Reply:
    message = read(request, PresignedUpload)
    required(message.path, "path")
    if bool(message.run_id) == bool(message.model_id):
        raise invalid("Exactly one of run_id and model_id must be provided.")
    path = artifact_places.safe(message.path)
    with server.store.read() as reader:
        place, root = artifact_places.of_run(reader, message.run_id, path)
    artifact_places.require(request.identity, "editor", place, hidden=True)
    raise _no_direct(root, "Presigned upload is not supported for proxied artifact storage", "This endpoint requires a")


async def presigned_download(server: Server, request: Request) -> Reply:
    message = read(request, PresignedDownload)
    required(message.run_id, "run_id")
    required(message.path, "path")
    path = artifact_places.safe(message.path)
    if not 1 <= message.expiration <= URL_S_MAX:
        raise invalid(f"expiration must be between 1 and {URL_S_MAX} seconds (got {message.expiration}).")
    with server.store.read() as reader:
        place, root = artifact_places.of_run(reader, message.run_id, path)
    artifact_places.require(request.identity, "viewer", place, hidden=True)
    raise _no_direct(
        root,
        "Presigned download is not supported for runs with proxied artifact storage",
        "This endpoint requires a run with a",
    )


def _of_run(server: Server, request: Request, run_id: str) -> Place:
    path = request.field("path")
    required(run_id, "run_id")
    required(path, "path")
    with server.store.read() as reader:
        place, root = artifact_places.of_run(reader, run_id, path)
    _ours(root)
    return place


def _ours(root: str) -> None:
    if root.partition(":")[0] not in _PROXIED_SCHEMES:
        raise WireError("NOT_IMPLEMENTED", f"these artifacts are kept at {root}, which this server does not read", 501)


def _no_direct(root: str, said: str, needs: str) -> WireError:
    scheme = root.partition(":")[0]
    if scheme in _PROXIED_SCHEMES:
        return invalid(f"{said} (artifact URI scheme: {scheme}). {needs} direct cloud storage artifact URI.")
    return WireError("NOT_IMPLEMENTED", f"{said.partition(' is')[0]} is not supported for the artifact repository", 501)


ROUTES: tuple[Route, ...] = (
    *endpoint("GET", "/artifacts/list", listing, "viewer"),
    *endpoint("POST", "/artifacts/presigned-upload-url", presigned_upload, "editor"),
    *endpoint("POST", "/artifacts/presigned-download-url", presigned_download, "viewer"),
    Route("GET", "/get-artifact", of_run, "viewer", face="mlflow"),
    Route("POST", "/ajax-api/2.0/mlflow/upload-artifact", upload, "editor", face="mlflow", streams=True),
)
