"""MLflow's own client with tokens and passwords, and with artifacts in a folder and in a bucket."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import mlflow_client
from tests.faces.server.live import Live
from tests.mlflow_client import needs_mlflow
from tests.store.bucket import CREDENTIALS, bucket, endpoint

__all__ = ["bucket", "endpoint"]
pytestmark = [pytest.mark.slow, needs_mlflow]

ACCESS = """
import os, sys
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

token, password = sys.argv[1:]
client = MlflowClient()


def refused(call, code):
    try:
        call()
    except MlflowException as problem:
        assert problem.error_code == code, problem
    else:
        raise AssertionError(f"not {code}")


refused(client.search_experiments, "UNAUTHENTICATED")
for known in ({"MLFLOW_TRACKING_TOKEN": token}, {"MLFLOW_TRACKING_USERNAME": "anyone", "MLFLOW_TRACKING_PASSWORD": token}):
    os.environ.update(known)
    refused(lambda: client.create_experiment("elsewhere"), "PERMISSION_DENIED")
    name = "with " + " and ".join(known)
    mine = client.create_experiment(name, tags={"roadworthy.project": "flights"})
    run = client.create_run(mine).info.run_id
    client.log_metric(run, "a", 1.0)
    client.log_text(run, "hello", "notes.txt")
    assert [file.path for file in client.list_artifacts(run)] == ["notes.txt"]
    assert [each.name for each in client.search_experiments() if each.name == name] == [name]
    for name in known:
        del os.environ[name]
os.environ.update({"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": password})
client.create_experiment("elsewhere")
os.environ["MLFLOW_TRACKING_PASSWORD"] = password + "x"
refused(client.search_experiments, "UNAUTHENTICATED")
print("all ran")
"""

ARTIFACTS = """
import filecmp, os, pathlib
import mlflow
from mlflow import MlflowClient

client = MlflowClient()
pathlib.Path("tree/deep").mkdir(parents=True)
pathlib.Path("tree/deep/gr\\u00f6\\u00dfe 1.txt").write_text("hi")
pathlib.Path("tree/100%.bin").write_bytes(b"\\x00\\xff")
pathlib.Path("large").write_bytes(os.urandom(25 << 20))
with mlflow.start_run() as run:
    mlflow.log_artifacts("tree", "a/b")
    mlflow.log_artifact("large")
    mlflow.log_dict({"x": 1}, "d.json")
names = {file.path: file.file_size for file in client.list_artifacts(run.info.run_id)}
assert names == {"a": None, "d.json": 12, "large": 25 << 20}, names
assert [file.path for file in client.list_artifacts(run.info.run_id, "a/b/deep")] == ["a/b/deep/gr\\u00f6\\u00dfe 1.txt"]
assert client.list_artifacts(run.info.run_id, "d.json") == []
got = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, dst_path=".", artifact_path="")
assert filecmp.cmp(os.path.join(got, "large"), "large", shallow=False)
assert filecmp.cmp(os.path.join(got, "a/b/100%.bin"), "tree/100%.bin", shallow=False)
repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(run.info.artifact_uri)
repository.delete_artifacts("a")
assert sorted(file.path for file in client.list_artifacts(run.info.run_id)) == ["d.json", "large"]
print("all ran")
"""


def rw(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "roadworthy", "server", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_client_comes_in_as_it_does_elsewhere(tmp_path: Path) -> None:
    password = "correct horse battery"
    (tmp_path / "password").write_text(password)
    token = rw(tmp_path, "token", "create", "ci", "--role", "editor@flights", "--role", "viewer")
    rw(tmp_path, "user", "add", "ada", "--role", "admin", "--password-file", "password")
    with Live(tmp_path, "--login") as server:
        uri = f"http://127.0.0.1:{server.port}"
        said = mlflow_client.run(ACCESS, token, password, uri=uri, folder=tmp_path, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    assert said.rstrip().endswith("all ran")


def test_artifacts_go_through_the_server(tmp_path: Path) -> None:
    with Live(tmp_path) as server:
        said = mlflow_client.run(ARTIFACTS, uri=f"http://127.0.0.1:{server.port}", folder=tmp_path)
    assert said.rstrip().endswith("all ran")


def test_large_artifacts_go_past_it_into_a_bucket(tmp_path: Path, bucket: str, endpoint: str) -> None:
    """In parts of 10 MB straight to the bucket, and from there in ranges: what the server then names is the whole."""
    sizes = {
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(20 << 20),
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(10 << 20),
        "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(10 << 20),
    }
    environment = {**CREDENTIALS, "AWS_ENDPOINT": endpoint}
    with Live(tmp_path, "--blobs", bucket, "--access-log", environment=environment) as server:
        said = mlflow_client.run(ARTIFACTS, uri=f"http://127.0.0.1:{server.port}", folder=tmp_path, **sizes)
    assert said.rstrip().endswith("all ran")
    log = server.log.read_text()
    assert "/mpu/complete/" in log
    assert "/mlflow-artifacts/presigned/" in log
