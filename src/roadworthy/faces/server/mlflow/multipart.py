"""Multipart and presigned transfers of the artifact proxy, where the blob store is a cloud's: bytes do not pass us.

In: paths as in artifacts.py. Out: URLs that end after a while. What was sent in parts is read once and named by its
content before it counts. A folder of ours says, in MLflow's words, that it cannot, and clients then use the proxy.
"""

import re
import secrets

import msgspec

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow import artifact_places
from roadworthy.faces.server.mlflow.artifact_places import Place
from roadworthy.faces.server.mlflow.artifacts import PROXY
from roadworthy.faces.server.mlflow.wire import Message, answer, endpoint, invalid, read, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import artifacts
from roadworthy.store.remote_blobs import CanSign

URL_S = 900
NO_PARTS = "Multipart upload is not supported for the current artifact repository"
NO_URLS = "Multipart download is not supported for the current artifact repository"
_BACKSLASH = "\\"
_UPLOAD = re.compile(r"([0-9a-f]{32})-(\d{1,5})")


class Create(Message):
    path: str = ""
    num_parts: int = 1


class Part(Message):
    part_number: int = 0
    etag: str | None = None
    url: str | None = None


class Complete(Message):
    path: str = ""
    upload_id: str = ""
    parts: list[Part] = msgspec.field(default_factory=list)


class Abort(Message):
    path: str = ""
    upload_id: str = ""


async def create(server: Server, request: Request) -> Reply:
    message = read(request, Create)
    _place(server, request, message.path)
    blobs = _signing(server, NO_PARTS)
    upload = secrets.token_hex(16)
    urls = await server.disk(blobs.begin_parts, upload, message.num_parts)
    credentials = [{"url": url, "part_number": number, "headers": {}} for number, url in enumerate(urls, 1)]
    return answer({"upload_id": f"{upload}-{message.num_parts}", "credentials": credentials})


async def complete(server: Server, request: Request) -> Reply:
    message = read(request, Complete)
    required(message.parts, "parts")
    place = _place(server, request, message.path)
    blobs = _signing(server, NO_PARTS)
    upload, count = _upload(message.upload_id)
    if sorted(part.part_number for part in message.parts) != list(range(1, count + 1)):
        raise invalid(f"the upload has the parts 1 to {count}")
    kept = await server.disk(blobs.end_parts, upload, count)
    await server.write(
        lambda store: artifacts.put(store, place.run, place.path, kept.digest, kept.size, project=place.project),
        request.identity,
    )
    return answer()


async def abort(server: Server, request: Request) -> Reply:
    message = read(request, Abort)
    _place(server, request, message.path)
    blobs = _signing(server, NO_PARTS)
    await server.disk(blobs.drop_parts, *_upload(message.upload_id))
    return answer()


async def presigned(server: Server, request: Request) -> Reply:
    """A URL from which a client reads a file in ranges, several at once."""
    with server.store.read() as reader:
        place = artifact_places.locate(reader, artifact_places.safe(request.args["path"]))
    artifact_places.require(request.identity, "viewer", place)
    blobs = _signing(server, NO_URLS)
    artifact = artifacts.find(server.store, place.run, place.path)
    if artifact is None:
        raise artifact_places.no_such(place)
    url = await server.disk(blobs.signed, artifact.digest, URL_S)
    return answer({"url": url, "headers": {}, "file_size": artifact.size})


def _place(server: Server, request: Request, name: str) -> Place:
    """Where the body will be: the folder in the URL, and the name of the client's file."""
    required(name, "path")
    folder = artifact_places.safe(request.args["path"])
    whole = artifact_places.safe(f"{folder}/{name.replace(_BACKSLASH, '/').rpartition('/')[2]}")
    with server.store.read() as reader:
        place = artifact_places.locate(reader, whole)
    artifact_places.require(request.identity, "editor", place)
    return place


def _upload(upload_id: str) -> tuple[str, int]:
    match = _UPLOAD.fullmatch(upload_id)
    if match is None:
        raise WireError("RESOURCE_DOES_NOT_EXIST", "no such upload", 404)
    return match[1], int(match[2])


def _signing(server: Server, message: str) -> CanSign:
    blobs = server.store.blobs
    if not isinstance(blobs, CanSign):
        raise WireError("NOT_IMPLEMENTED", message, 501)
    return blobs


ROUTES: tuple[Route, ...] = (
    *endpoint("POST", "/mpu/create/{path:path}", create, "editor", versions=PROXY),
    *endpoint("POST", "/mpu/complete/{path:path}", complete, "editor", versions=PROXY),
    *endpoint("POST", "/mpu/abort/{path:path}", abort, "editor", versions=PROXY),
    *endpoint("GET", "/presigned/{path:path}", presigned, "viewer", versions=PROXY),
)
