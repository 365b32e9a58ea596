"""Multipart and presigned transfers: past us where the store can, and said in MLflow's words where it cannot."""

import urllib.request
from collections.abc import Iterator

import pytest

from roadworthy.nouns.run import Run
from roadworthy.registry import artifacts, runs
from roadworthy.store.remote_blobs import connect
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation
from tests.store.bucket import bucket, endpoint

__all__ = ["bucket", "endpoint"]
AT = "/api/2.0/mlflow-artifacts"
LARGE = bytes(range(256)) * 50_000


@pytest.fixture
def run(store: Store) -> Run:
    return runs.start(store, Run(id=""))


@pytest.fixture
def folder(store: Store) -> Iterator[Conversation]:
    with Conversation(store) as conversation:
        yield conversation


@pytest.fixture
def cloud(store: Store, bucket: str) -> Iterator[Conversation]:
    store.blobs = connect(bucket, store.home / "blobs")
    with Conversation(store) as conversation:
        yield conversation


def test_a_folder_says_that_it_cannot(folder: Conversation, run: Run) -> None:
    base = f"0/{run.id}/artifacts"
    for verb in ("create", "complete", "abort"):
        sent = {"path": "/tmp/a", "num_parts": 2, "upload_id": "x", "parts": [{"part_number": 1}]}
        said = folder.ask("POST", f"{AT}/mpu/{verb}/{base}", json=sent)
        assert (said.status, said.json["error_code"]) == (501, "NOT_IMPLEMENTED")
        assert said.json["message"] == "Multipart upload is not supported for the current artifact repository"
    assert folder.ask("GET", f"{AT}/presigned/{base}/a").status == 501
    assert folder.ask("GET", "/api/3.0/mlflow/server-info").json["multipart_uploads_enabled"] is False


def test_parts_become_an_artifact(cloud: Conversation, run: Run) -> None:
    base = f"0/{run.id}/artifacts/models"
    assert cloud.ask("GET", "/api/3.0/mlflow/server-info").json["multipart_downloads_enabled"] is True
    made = cloud.ask("POST", f"{AT}/mpu/create/{base}", json={"path": "C:\\Users\\ada\\m.bin", "num_parts": 2}).json
    parts = []
    for credential, part in zip(made["credentials"], (LARGE[:7_000_000], LARGE[7_000_000:]), strict=True):
        sent = urllib.request.Request(
            credential["url"], part, {"content-type": "application/octet-stream"}, method="PUT"
        )
        with urllib.request.urlopen(sent, timeout=30) as answer:
            parts.append(
                {"part_number": credential["part_number"], "etag": answer.headers["etag"], "url": credential["url"]}
            )
    done = {"path": "C:\\Users\\ada\\m.bin", "upload_id": made["upload_id"], "parts": parts}
    assert cloud.ask("POST", f"{AT}/mpu/complete/{base}", json=done).json == {}
    assert [(a.path, a.size) for a in artifacts.listing(cloud.server.store, run.id)] == [("models/m.bin", len(LARGE))]
    got = cloud.ask("GET", f"{AT}/artifacts/{base}/m.bin")
    assert got.body == LARGE
    assert got.headers["content-length"] == str(len(LARGE))
    said = cloud.ask("GET", f"{AT}/presigned/{base}/m.bin").json
    assert said["file_size"] == len(LARGE)
    asked = urllib.request.Request(said["url"], headers={"range": "bytes=10-19"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.read() == LARGE[10:20]


def test_through_the_proxy_it_works_as_ever(cloud: Conversation, run: Run) -> None:
    path = f"{AT}/artifacts/0/{run.id}/artifacts/a"
    for content in (b"small", LARGE):
        assert cloud.ask("PUT", path, content).status == 200
        assert cloud.ask("GET", path).body == content
        assert cloud.ask("GET", path, headers={"range": "bytes=1-3"}).body == content[1:4]
    assert cloud.ask("GET", f"{AT}/presigned/0/{run.id}/artifacts/none").status == 404


@pytest.mark.parametrize(
    "upload", ["", "x", "0" * 32, f"{'0' * 32}-0", f"{'0' * 32}-2", f"../{'0' * 29}-1", f"{'0' * 32}-99999"]
)
def test_an_upload_that_was_not_begun_is_refused(cloud: Conversation, run: Run, upload: str) -> None:
    base = f"0/{run.id}/artifacts"
    sent = {"path": "a", "upload_id": upload, "parts": [{"part_number": 1}, {"part_number": 2}]}
    assert cloud.ask("POST", f"{AT}/mpu/complete/{base}", json=sent).status in (400, 404)
    assert artifacts.listing(cloud.server.store, run.id) == []


@pytest.mark.parametrize("name", ["", "..", "a/..", "x\x00", "C:\\..", "%2e%2e"])
def test_a_name_leads_nowhere(cloud: Conversation, run: Run, name: str) -> None:
    said = cloud.ask("POST", f"{AT}/mpu/create/0/{run.id}/artifacts", json={"path": name, "num_parts": 1})
    assert (said.status, said.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("count", [0, -1, 10_001, 1 << 40])
def test_parts_have_a_number(cloud: Conversation, run: Run, count: int) -> None:
    said = cloud.ask("POST", f"{AT}/mpu/create/0/{run.id}/artifacts", json={"path": "a", "num_parts": count})
    assert said.status == 400
