"""The artifact proxy (`mlflow-artifacts`): clients put, get, list and delete files by whole paths.

In: paths in the URL, bodies of any size. Out: bodies with ranges, listings. Multipart and presigned transfers are
answered by a blob store that can (`multipart.py`); a folder of ours says that it cannot, and clients then put the file.
"""

from msgspec import UNSET, UnsetType

from roadworthy.faces.server import bodies
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow import artifact_places
from roadworthy.faces.server.mlflow.artifact_places import Place
from roadworthy.faces.server.mlflow.wire import Message, answer, endpoint, invalid, read
from roadworthy.faces.server.server import Server
from roadworthy.registry import artifacts
from roadworthy.store.blobs import Kept

PROXY = (("/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts"),)


class ListArtifacts(Message):
    path: str | UnsetType = UNSET


class FileInfo(Message):
    path: str
    is_dir: bool
    file_size: int | UnsetType = UNSET


class Listing(Message):
    files: list[FileInfo] | UnsetType = UNSET
    root_uri: str | UnsetType = UNSET


async def upload(server: Server, request: Request) -> Reply:
    place = _place(server, request.args["path"])
    artifact_places.require(request.identity, "editor", place)
    await keep(server, request, place)
    return answer()


async def download(server: Server, request: Request) -> Reply:
    place = _place(server, request.args["path"])
    artifact_places.require(request.identity, "viewer", place)
    return await send(server, request, place)


async def listing(server: Server, request: Request) -> Reply:
    message = read(request, ListArtifacts)
    place = _place(server, message.path or "")
    artifact_places.require(request.identity, "viewer", place)
    entries = await server.read(lambda store: artifacts.folder(store, place.run, place.path))
    return answer(Listing(files=infos(entries) or UNSET))


async def delete(server: Server, request: Request) -> Reply:
    place = _place(server, request.args["path"])
    artifact_places.require(request.identity, "editor", place)
    await server.write(
        lambda store: artifacts.remove(store, place.run, place.path, project=place.project), request.identity
    )
    return answer()


async def keep(server: Server, request: Request, place: Place, *, bytes_max: int | None = None) -> None:
    """Take the body of a request and keep it in a place.

    Raises:
        WireError, Fault: before anything of the body is read when the place is no file's.
    """
    if not place.path:
        raise invalid("Invalid path")
    path = artifacts.check_path(place.path) if place.run else place.path
    kept = await bodies.receive(server, request, bytes_max)
    await server.write(
        lambda store: artifacts.put(store, place.run, path, kept.digest, kept.size, project=place.project),
        request.identity,
    )


async def send(server: Server, request: Request, place: Place) -> Reply:
    """The file in a place as an attachment.

    Raises:
        WireError: RESOURCE_DOES_NOT_EXIST when there is none, INVALID_PARAMETER_VALUE when it is a folder.
    """
    artifact = artifacts.find(server.store, place.run, place.path)
    if artifact is None:
        if artifacts.folder(server.store, place.run, place.path):
            raise invalid(f"Artifact path refers to a directory, not a file: '{place.whole}'")
        raise artifact_places.no_such(place)
    name = place.whole.rpartition("/")[2]
    return await bodies.reply(server, request, Kept(artifact.digest, artifact.size, "present"), name)


def infos(entries: list[artifacts.Entry], under: str = "") -> list[FileInfo]:
    """A folder's listing as messages, with paths below `under`."""
    return [
        FileInfo(
            path=f"{under}/{entry.name}" if under else entry.name,
            is_dir=entry.size is None,
            file_size=UNSET if entry.size is None else entry.size,
        )
        for entry in entries
    ]


def _place(server: Server, path: str) -> Place:
    with server.store.read() as reader:
        return artifact_places.locate(reader, artifact_places.safe(path) if path else "")


ROUTES: tuple[Route, ...] = (
    *endpoint("GET", "/artifacts", listing, "viewer", versions=PROXY),
    *endpoint("GET", "/artifacts/{path:path}", download, "viewer", versions=PROXY),
    *endpoint("PUT", "/artifacts/{path:path}", upload, "editor", versions=PROXY, streams=True),
    *endpoint("DELETE", "/artifacts/{path:path}", delete, "editor", versions=PROXY),
)
