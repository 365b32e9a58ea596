"""Files of registered versions and of logged models, as MLflow's pages ask for them.

In: a name and version, or a logged model's id, and a path. Out: the file. Only what we keep is given; a source
elsewhere is never connected to.
"""

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Reply, Request, Route
from roadworthy.faces.server.mlflow import artifact_places, model_sources
from roadworthy.faces.server.mlflow.artifacts import send
from roadworthy.faces.server.mlflow.logged_models import store as logged
from roadworthy.faces.server.mlflow.wire import SHOWN, endpoint, missing, required
from roadworthy.faces.server.server import Server
from roadworthy.registry import model_names, model_versions
from roadworthy.store.sql import Reader


async def of_version(server: Server, request: Request) -> Reply:
    name, number, path = request.field("name"), request.field("version"), request.field("path")
    for value, called in ((name, "name"), (number, "version"), (path, "path")):
        required(value, called)
    with server.store.read() as reader:
        held = model_names.find(reader, name)
        version = model_versions.find(reader, name, int(number)) if number.isdigit() and len(number) < 10 else None
        if version is None or held is None or not request.identity.may("viewer", held.project):
            raise missing(f"Model Version (name={name[:SHOWN]}, version={number[:SHOWN]}) not found")
        place = _kept(reader, model_sources.location(reader, version), path)
    return await send(server, request, place)


async def of_logged_model(server: Server, request: Request) -> Reply:
    path = request.field("artifact_file_path")
    if not path:
        raise WireError("BAD_REQUEST", 'Request must include the "artifact_file_path" query parameter.', 400)
    path = artifact_places.safe(path)
    with server.store.read() as reader:
        model = logged.find(reader, request.args["model_id"])
        if model is None or not request.identity.may("viewer", model.project):
            raise missing(f"Logged model with ID '{request.args['model_id'][:SHOWN]}' not found.")
        place = _kept(reader, model.location, path)
    return await send(server, request, place)


def _kept(reader: Reader, uri: str, path: str) -> artifact_places.Place:
    place = artifact_places.of_uri(reader, uri, artifact_places.safe(path))
    if place is None:
        raise WireError("NOT_IMPLEMENTED", f"these artifacts are kept at {uri[:SHOWN]}, which is not read here", 501)
    return place


ROUTES: tuple[Route, ...] = (
    Route("GET", "/model-versions/get-artifact", of_version, "viewer", face="mlflow"),
    *endpoint("GET", "/logged-models/{model_id}/artifacts/files", of_logged_model, "viewer"),
)
