"""Every input that looks like a path, with everything that was ever tried: nothing is read or written outside."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import artifact_places
from tests.faces.server.conversation import Answer
from tests.faces.server.mlflow.test_artifact_places import HOSTILE
from tests.security.world import MARK, PROXY, V2, World

BAIT = "bait-outside-of-the-store"
# Doubly encoded for the URL: what a server that decodes once too often would follow.
PATHS = [path for path in HOSTILE if path and len(path) < 100]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    (folder / "bait").write_text(BAIT)
    made = World(folder / ".roadworthy")
    yield made
    made.close()


def ways(world: World) -> dict[str, Callable[[str], Answer]]:
    """Each input that may take a path, as a function of what is put there; `admin` asks, who may do everything."""
    run, logged = world.secret.run, world.secret.logged
    root = f"{world.secret.experiment}/{run}/artifacts"

    def get(url: str) -> Answer:
        return world.ask("admin", "GET", url)

    def post(path: str, body: dict[str, object]) -> Answer:
        return world.ask("admin", "POST", V2 + path, json=body)

    def put(path: str) -> Answer:
        return world.ask("admin", "PUT", path, body=b"stolen")

    return {
        "proxy put": lambda p: put(f"{PROXY}/{quote(p, safe='')}"),
        "proxy put below a run": lambda p: put(f"{PROXY}/{root}/{quote(p, safe='')}"),
        "proxy put unquoted below a run": lambda p: put(f"{PROXY}/{root}/{quote(p, safe='/:;%')}"),
        "proxy get": lambda p: get(f"{PROXY}/{quote(p, safe='')}"),
        "proxy get below a run": lambda p: get(f"{PROXY}/{root}/{quote(p, safe='')}"),
        "proxy list": lambda p: get(f"{PROXY}?path={quote(p, safe='')}"),
        "proxy delete below a run": lambda p: world.ask("admin", "DELETE", f"{PROXY}/{root}/{quote(p, safe='')}"),
        "presigned": lambda p: get(f"/api/2.0/mlflow-artifacts/presigned/{quote(p, safe='')}"),
        "multipart": lambda p: world.ask(
            "admin", "POST", f"/api/2.0/mlflow-artifacts/mpu/create/{quote(p, safe='')}", json={"path": "x"}
        ),
        "list": lambda p: get(f"{V2}/artifacts/list?run_id={run}&path={quote(p, safe='')}"),
        "get": lambda p: get(f"/get-artifact?run_id={run}&path={quote(p, safe='')}"),
        "get of run": lambda p: get(f"/get-artifact?run_id={quote(p, safe='')}&path=x"),
        "get of version": lambda p: get(
            f"/model-versions/get-artifact?name={MARK}-name&version=1&path={quote(p, safe='')}"
        ),
        "get of logged model": lambda p: get(
            f"{V2}/logged-models/{logged}/artifacts/files?artifact_file_path={quote(p, safe='')}"
        ),
        "list of logged model": lambda p: get(
            f"{V2}/logged-models/{logged}/artifacts/directories?artifact_directory_path={quote(p, safe='')}"
        ),
        "upload": lambda p: world.ask(
            "admin",
            "POST",
            f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={quote(p, safe='')}",
            body=b"stolen",
        ),
        "presigned upload": lambda p: post("/artifacts/presigned-upload-url", {"run_id": run, "path": p}),
        "presigned download": lambda p: post("/artifacts/presigned-download-url", {"run_id": run, "path": p}),
        "run": lambda p: get(f"{V2}/runs/get?run_id={quote(p, safe='')}"),
    }


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_no_path_leads_out(world: World, path: str) -> None:
    for way, ask in ways(world).items():
        if path.startswith(("/", "%2F")) and way.startswith("proxy") and "run" in way:
            continue  # with folders before it, an empty name is passed over and leads nowhere
        said = ask(path)
        assert said.status in (400, 404, 405, 501), (way, path, said.status, said.body[:200])
        assert BAIT.encode() not in said.body
        assert b"root:" not in said.body
    assert world.tables() == world.before


SOURCES = [
    "/etc", "file:///etc", "file://localhost/etc", "./x", "../x", "~/x", "http://169.254.169.254/latest/meta-data",
    "mlflow-artifacts:/../../etc", "mlflow-artifacts:/1/%2e%2e/%2e%2e/etc", "mlflow-artifacts:/1/..%252f..%252fetc",
    "mlflow-artifacts:/1/../2/x", "mlflow-artifacts:/1/..;/x", "mlflow-artifacts:/1/x#/../..", "runs:/../x", "runs:/a/../../b",
    "models:/../x", "models:/m/../../x", "file:", "mlflow-artifacts:", "dbfs:/../x", "data:text/plain,x", "\x00", "C:\\x",
]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=ascii)
def test_a_models_source_reads_nothing_outside(world: World, source: str) -> None:
    name = f"{MARK}-name"
    for more in ({}, {"run_id": world.secret.run}, {"model_id": world.secret.logged}):
        said = world.ask("admin", "POST", f"{V2}/model-versions/create", json={"name": name, "source": source, **more})
        assert said.status != 500
        if said.status == 200:  # kept as words, and never followed
            version = said.json["model_version"]["version"]
            for path in ("passwd", "x", "../bait", "hostname"):
                got = world.ask(
                    "admin", "GET", f"/model-versions/get-artifact?name={name}&version={version}&path={quote(path)}"
                )
                assert got.status in (400, 404, 501), (source, got.body)


@pytest.mark.parametrize("place", [*SOURCES, "mlflow-artifacts:/1", "s3://bucket/x", "/tmp/x"], ids=ascii)
def test_an_experiments_place_is_never_the_servers_disk(world: World, place: str) -> None:
    made = world.ask(
        "admin", "POST", f"{V2}/experiments/create", json={"name": f"e{place!r}", "artifact_location": place}
    )
    if made.status != 200:
        assert made.status == 400
        return
    run = world.ask("admin", "POST", f"{V2}/runs/create", json={"experiment_id": made.json["experiment_id"]}).json
    run_id = run["run"]["info"]["run_id"]
    for path in ("x", "etc/passwd", "bait"):
        for url in (f"/get-artifact?run_id={run_id}&path={path}", f"{V2}/artifacts/list?run_id={run_id}&path={path}"):
            said = world.ask("admin", "GET", url)
            assert said.status in (200, 400, 404, 501), said.body
            assert BAIT.encode() not in said.body
            assert MARK.encode() not in said.body  # nor another run's artifacts
            assert said.status != 200 or not said.json.get("files")


def test_nothing_was_written_beside_the_store(world: World) -> None:
    beside = {path.name for path in Path(world.store.home).parent.iterdir()}
    assert beside == {"bait", ".roadworthy"}
    inside = {path.name for path in world.store.home.iterdir()}
    assert inside <= {".gitignore", "blobs", "keys", "store.db", "store.db-wal", "store.db-shm", "run"}


def test_the_corpus_is_hostile() -> None:
    for path in PATHS:
        with pytest.raises(WireError):
            artifact_places.safe(path)
