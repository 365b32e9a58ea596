"""The artifact proxy: bodies of any size in and out, listings, and paths that lead nowhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.faces.server.server import Settings
from roadworthy.nouns.run import Run
from roadworthy.registry import artifacts, runs
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
MIB = 1 << 20


@pytest.fixture
def talk(any_store: Store) -> Iterator[Conversation]:
    with Conversation(any_store, Settings(uploads_bytes_max=8 * MIB)) as conversation:
        yield conversation


@pytest.fixture
def run(any_store: Store) -> Run:
    return runs.start(any_store, Run(id=""))


def test_what_is_put_comes_back_and_is_the_runs(talk: Conversation, run: Run) -> None:
    at = f"{PROXY}/0/{run.id}/artifacts"
    assert talk.ask("PUT", f"{at}/plots/roc%20curve.txt", b"hello").json == {}
    got = talk.ask("GET", f"{at}/plots/roc%20curve.txt")
    assert (got.status, got.body, got.headers["content-type"]) == (200, b"hello", "text/plain")
    assert got.headers["content-disposition"] == 'attachment; filename="roc curve.txt"'
    assert [a.path for a in artifacts.listing(talk.server.store, run.id)] == ["plots/roc curve.txt"]


@pytest.mark.parametrize("owner", ["1/models/m-0123/artifacts", "1/traces/tr-1/artifacts", "some/where", "plain"])
def test_what_belongs_to_no_run_is_kept_under_its_whole_path(talk: Conversation, owner: str) -> None:
    talk.ask("PUT", f"{PROXY}/{owner}/a/b.bin", b"1")
    assert talk.ask("GET", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{owner}/a/b.bin").body == b"1"
    assert talk.ask("GET", f"{PROXY}?path={owner}").json == {"files": [{"path": "a", "is_dir": True}]}
    assert talk.ask("GET", f"{PROXY}?path={owner}/a").json == {
        "files": [{"path": "b.bin", "is_dir": False, "file_size": 1}]
    }
    assert talk.ask("GET", f"{PROXY}?path={owner}/a/b.bin").json == {}
    assert talk.ask("GET", PROXY).json == {"files": [{"path": owner.split("/")[0], "is_dir": True}]}


@pytest.mark.parametrize("size", [0, 1, 256 << 10, (256 << 10) + 1, 3 * MIB + 17])
def test_bodies_of_any_size_arrive_whole(talk: Conversation, run: Run, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    chunks = [content[at : min(at + 65_521, size)] for at in range(0, size, 65_521)] or [b""]
    path = f"{PROXY}/0/{run.id}/artifacts/big.bin"
    assert talk.ask("PUT", path, chunks).status == 200
    got = talk.ask("GET", path)
    assert got.body == content[:size]
    assert got.headers["content-length"] == str(size)
    assert list((talk.server.store.home / "blobs" / "incoming").glob("*")) == []


def test_equal_files_are_stored_once(talk: Conversation, run: Run) -> None:
    for name in ("a", "b", "c"):
        talk.ask("PUT", f"{PROXY}/0/{run.id}/artifacts/{name}", b"same")
    assert len({a.digest for a in artifacts.listing(talk.server.store, run.id)}) == 1


def test_an_upload_that_breaks_off_leaves_nothing(talk: Conversation, run: Run) -> None:
    path = f"{PROXY}/0/{run.id}/artifacts/cut"

    class Cut(list[bytes]):
        """Chunks of which the last never comes."""

    async def ask() -> None:
        sent = iter([b"x" * MIB, b"y" * MIB])

        async def receive() -> dict[str, object]:
            chunk = next(sent, None)
            return (
                {"type": "http.disconnect"}
                if chunk is None
                else {"type": "http.request", "body": chunk, "more_body": True}
            )

        async def send(message: dict[str, object]) -> None:
            raise AssertionError("nobody is there to be answered")

        scope = {
            "type": "http",
            "method": "PUT",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        await talk.application(scope, receive, send)

    talk._runner.run(ask())
    assert talk.ask("GET", path).status == 404
    assert list((talk.server.store.home / "blobs" / "incoming").glob("*")) == []


def test_uploads_have_a_size(talk: Conversation, run: Run) -> None:
    path = f"{PROXY}/0/{run.id}/artifacts/huge"
    said = talk.ask("PUT", path, b"", headers={"content-length": str(9 * MIB)})
    assert (said.status, said.json["error_code"]) == (413, "INVALID_PARAMETER_VALUE")
    assert talk.ask("PUT", path, [b"x" * MIB] * 9, headers={"content-length": ""}).status == 413
    assert list((talk.server.store.home / "blobs" / "incoming").glob("*")) == []
    assert talk.ask("PUT", path, b"\x1f\x8b", headers={"content-encoding": "gzip"}).status == 415


def test_ranges_and_tags(talk: Conversation, run: Run) -> None:
    path = f"{PROXY}/0/{run.id}/artifacts/ten"
    talk.ask("PUT", path, b"0123456789")
    tag = talk.ask("GET", path).headers["etag"]

    def part(header: str, **more: str) -> tuple[int, bytes, str]:
        got = talk.ask("GET", path, headers={"range": header, **more})
        return got.status, got.body, got.headers.get("content-range", "")

    assert part("bytes=2-4") == (206, b"234", "bytes 2-4/10")
    assert part("bytes=7-") == (206, b"789", "bytes 7-9/10")
    assert part("bytes=-3") == (206, b"789", "bytes 7-9/10")
    assert part("bytes=5-500") == (206, b"56789", "bytes 5-9/10")
    assert part("bytes=10-") == (416, b"", "bytes */10")
    assert part("bytes=-0") == (416, b"", "bytes */10")
    for whole in ("bytes=4-2", "bytes=1-2,4-5", "lines=1-2", "bytes=-", "bytes=9999999999999999999999-", "x"):
        assert part(whole) == (200, b"0123456789", "")
    assert part("bytes=2-4", **{"if-range": tag})[0] == 206
    assert part("bytes=2-4", **{"if-range": '"other"'})[0] == 200
    assert talk.ask("GET", path, headers={"if-none-match": f"W/{tag}, x"}).status == 304
    assert talk.ask("HEAD", path).headers["content-length"] == "10"
    assert talk.ask("HEAD", path).body == b""


def test_nothing_of_an_artifact_runs_in_a_page_of_ours(talk: Conversation, run: Run) -> None:
    path = f"{PROXY}/0/{run.id}/artifacts/x.html"
    talk.ask("PUT", path, b"<script>alert(1)</script>")
    headers = talk.ask("GET", path).headers
    assert headers["content-security-policy"].startswith("sandbox;")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("attachment")


def test_names_in_headers_stay_names(talk: Conversation, run: Run) -> None:
    talk.ask("PUT", f"{PROXY}/0/{run.id}/artifacts/%C3%A4%22;x=%C3%9F.bin", b"1")
    said = talk.ask("GET", f"{PROXY}/0/{run.id}/artifacts/%C3%A4%22;x=%C3%9F.bin").headers["content-disposition"]
    assert said == "attachment; filename=\"__;x=_.bin\"; filename*=UTF-8''%C3%A4%22%3Bx%3D%C3%9F.bin"


def test_delete_takes_files_and_folders(talk: Conversation, run: Run) -> None:
    at = f"{PROXY}/0/{run.id}/artifacts"
    for name in ("a", "d/x", "d/e/y", "dd"):
        talk.ask("PUT", f"{at}/{name}", b"1")
    assert talk.ask("DELETE", f"{at}/a").json == {}
    assert talk.ask("DELETE", f"{at}/d").json == {}
    assert talk.ask("DELETE", f"{at}/absent").json == {}
    assert [a.path for a in artifacts.listing(talk.server.store, run.id)] == ["dd"]
    assert talk.ask("DELETE", at).json == {}
    assert artifacts.listing(talk.server.store, run.id) == []


def test_a_file_cannot_be_a_folder_too(talk: Conversation, run: Run) -> None:
    at = f"{PROXY}/0/{run.id}/artifacts"
    talk.ask("PUT", f"{at}/a/b", b"1")
    assert talk.ask("PUT", f"{at}/a", b"1").status == 400
    assert talk.ask("PUT", f"{at}/a/b/c", b"1").status == 400
    assert talk.ask("PUT", f"{at}/a/b", b"2").status == 200


def test_what_is_missing_is_said_in_mlflows_words(talk: Conversation, run: Run) -> None:
    talk.ask("PUT", f"{PROXY}/0/{run.id}/artifacts/d/x", b"1")
    said = talk.ask("GET", f"{PROXY}/0/{run.id}/artifacts/none")
    assert said.status == 404
    assert said.json == {
        "error_code": "RESOURCE_DOES_NOT_EXIST",
        "message": f"No such artifact: '0/{run.id}/artifacts/none'",
    }
    said = talk.ask("GET", f"{PROXY}/0/{run.id}/artifacts/d")
    assert (said.status, said.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_blob_that_was_changed_is_cut_off_before_its_end(talk: Conversation, run: Run) -> None:
    path = f"{PROXY}/0/{run.id}/artifacts/m.bin"
    talk.ask("PUT", path, b"a" * 300_000)
    blob: Path = talk.server.store.blobs.path(artifacts.listing(talk.server.store, run.id)[0].digest)
    blob.chmod(0o644)
    blob.write_bytes(b"a" * 299_999 + b"b")
    with pytest.raises(OSError, match="damaged"):
        talk.ask("GET", path)
