"""Blobs, wherever they are: one behaviour, on a folder of ours, another folder, and S3."""

import asyncio
import urllib.request
from pathlib import Path

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.store import remote_blobs
from roadworthy.store.blobs import Blobs, digest_of
from roadworthy.store.remote_blobs import CanSign, CanStream, RemoteBlobs, SignedBlobs, connect
from tests.store.bucket import bucket, endpoint

__all__ = ["bucket", "endpoint"]
UPLOAD = "0" * 32
LARGE = bytes(range(256)) * 50_000  # 12.8 MB: in several parts


@pytest.fixture(params=["local", "file", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "local":
        return Blobs(tmp_path / "blobs")
    url = f"file://{tmp_path}/remote" if request.param == "file" else request.getfixturevalue("bucket")
    return connect(url, tmp_path / "blobs")


@pytest.fixture
def s3(bucket: str, tmp_path: Path) -> SignedBlobs:
    made = connect(bucket, tmp_path / "blobs")
    assert isinstance(made, SignedBlobs)
    return made


@pytest.mark.parametrize("content", [b"", b"x", b"y" * 100_000, LARGE], ids=len)
def test_what_is_kept_comes_back(blobs: Blobs, content: bytes, tmp_path: Path) -> None:
    digest = digest_of(content)
    assert not blobs.has(digest)
    assert not blobs.touch(digest)
    assert blobs.put(content) == digest
    assert blobs.has(digest)
    assert blobs.touch(digest)
    assert blobs.get(digest) == content
    assert blobs.check(digest) == len(content)
    assert blobs.file(digest).read_bytes() == content
    assert list((tmp_path / "blobs" / "incoming").glob("*")) == []


def test_files_are_kept_by_their_content(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(LARGE)
    kept = blobs.keep_file(tmp_path / "a", copy=True)
    assert (kept.digest, kept.size, kept.how) == (digest_of(LARGE), len(LARGE), "copied")
    assert blobs.keep_file(tmp_path / "a").how == "present"
    with blobs.new() as temporary:
        temporary.write_bytes(b"adopted")
        assert blobs.adopt(temporary).size == 7
    assert blobs.get(digest_of(b"adopted")) == b"adopted"
    with blobs.new() as temporary:
        temporary.write_bytes(b"known")
        assert blobs.adopt(temporary, digest_of(b"known")).how == "copied"
    with pytest.raises(Fault):
        blobs.keep_file(tmp_path / "none")


def test_what_is_not_there_is_said(blobs: Blobs) -> None:
    for work in (blobs.get, blobs.file, blobs.check):
        with pytest.raises(Fault) as fault:
            work("0" * 64)
        assert fault.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("digest", ["", "..", "../../etc/passwd", "0" * 63, "G" * 64, "0" * 64 + "/x"])
def test_a_digest_is_no_path(blobs: Blobs, digest: str) -> None:
    for work in (blobs.get, blobs.has, blobs.file, blobs.check, blobs.touch):
        with pytest.raises(Fault):
            work(digest)


def test_what_was_changed_there_is_found(bucket: str, tmp_path: Path) -> None:
    import obstore

    for url in (f"file://{tmp_path}/remote", bucket):
        blobs = connect(url, tmp_path / "blobs")
        assert isinstance(blobs, RemoteBlobs)
        digest = blobs.put(b"true")
        obstore.put(blobs.remote, f"{digest[:2]}/{digest[2:]}", b"fake")
        for work in (blobs.get, blobs.file, blobs.check):
            with pytest.raises(Fault) as fault:
                work(digest)
            assert fault.value.code is Code.INVALID
        with pytest.raises(Fault):
            asyncio.run(gather(blobs, digest, 0, 4, whole=True))


async def gather(blobs: RemoteBlobs, digest: str, start: int, length: int, *, whole: bool = False) -> bytes:
    return b"".join([piece async for piece in blobs.stream(digest, start, length, whole=whole)])


def test_bodies_are_streamed_in_pieces(s3: SignedBlobs) -> None:
    digest = s3.put(LARGE)
    assert isinstance(s3, CanStream)
    assert asyncio.run(gather(s3, digest, 0, len(LARGE), whole=True)) == LARGE
    assert asyncio.run(gather(s3, digest, 5, 100)) == LARGE[5:105]
    assert asyncio.run(gather(s3, digest, 9_000_000, 10)) == LARGE[9_000_000:9_000_010]


def test_what_is_old_is_written_again_before_it_is_relied_on(s3: SignedBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore

    digest = s3.put(b"x")
    key = f"{digest[:2]}/{digest[2:]}"
    first = obstore.head(s3.remote, key)["last_modified"]
    s3.put(b"x")
    assert obstore.head(s3.remote, key)["last_modified"] == first
    monkeypatch.setattr(remote_blobs, "FRESH_S", -1.0)
    written: list[str] = []
    monkeypatch.setattr(obstore, "put", lambda _store, path, *_, **__: written.append(path))
    s3.put(b"x")
    assert written == [key]


def test_clients_fetch_by_a_url_that_is_signed(s3: SignedBlobs) -> None:
    url = s3.signed(s3.put(b"0123456789"), 60)
    asked = urllib.request.Request(url, headers={"range": "bytes=2-4"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.read() == b"234"
    assert "X-Amz-Signature=" in url


def test_clients_send_parts_that_become_one_blob(s3: SignedBlobs) -> None:
    parts = [LARGE[:6_000_000], LARGE[6_000_000:12_000_000], LARGE[12_000_000:]]
    assert isinstance(s3, CanSign)
    urls = s3.begin_parts(UPLOAD, 3)
    for url, part in zip(urls, parts, strict=True):
        sent = urllib.request.Request(url, part, {"content-type": "application/octet-stream"}, method="PUT")
        urllib.request.urlopen(sent, timeout=30).close()
    kept = s3.end_parts(UPLOAD, 3)
    assert (kept.digest, kept.size) == (digest_of(LARGE), len(LARGE))
    assert s3.get(kept.digest) == LARGE
    with pytest.raises(Fault):  # the parts are gone
        s3.end_parts(UPLOAD, 3)


def test_parts_that_did_not_come_are_said(s3: SignedBlobs) -> None:
    s3.begin_parts(UPLOAD, 2)
    with pytest.raises(Fault) as fault:
        s3.end_parts(UPLOAD, 2)
    assert fault.value.code is Code.NOT_FOUND
    s3.drop_parts(UPLOAD, 2)
    for bad in ("", "../x", "x" * 32):
        with pytest.raises(Fault):
            s3.drop_parts(bad, 1)
    for count in (0, -1, 10_001):
        with pytest.raises(Fault):
            s3.begin_parts(UPLOAD, count)


def test_a_folder_signs_nothing(tmp_path: Path) -> None:
    assert not isinstance(connect(f"file://{tmp_path}/remote", tmp_path / "blobs"), CanSign)
    assert not isinstance(Blobs(tmp_path), CanSign | CanStream)


@pytest.mark.parametrize("url", ["", "/tmp", "http://x/y", "s3:", "ftp://x", "s4://b"])
def test_what_is_no_store_of_blobs_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(Fault) as fault:
        connect(url, tmp_path)
    assert fault.value.code is Code.INVALID


def test_a_store_that_does_not_answer_is_unavailable(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Fault) as fault:
        connect("s3://no-such-bucket/x", tmp_path).put(b"x")
    assert fault.value.code in (Code.UNAVAILABLE, Code.NOT_FOUND)
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Fault) as fault:
        connect(bucket, tmp_path)
    assert fault.value.code is Code.UNAVAILABLE
