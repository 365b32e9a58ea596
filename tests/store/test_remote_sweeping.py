"""Remote sweeping: what nothing names goes, what is young or named or none of ours stays."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roadworthy.store import remote_sweeping
from roadworthy.store.remote_blobs import RemoteBlobs, connect
from tests.store.bucket import bucket, endpoint

__all__ = ["bucket", "endpoint"]
DAY = 86_400.0


@pytest.fixture(params=["file", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> RemoteBlobs:
    url = f"file://{tmp_path}/remote" if request.param == "file" else request.getfixturevalue("bucket")
    made = connect(url, tmp_path / "blobs")
    assert isinstance(made, RemoteBlobs)
    return made


class Later(datetime):
    """The clock of somebody who comes two days later."""

    @classmethod
    def now(cls, tz: object = None) -> "Later":
        return super().now(UTC) + timedelta(days=2)


def test_what_is_named_young_or_none_of_ours_stays(blobs: RemoteBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore

    live, dead = blobs.put(b"live"), blobs.put(b"dead")
    obstore.put(blobs.remote, f"incoming/{'0' * 32}/1", b"part")
    obstore.put(blobs.remote, "somebody/elses", b"x")
    named = {bytes.fromhex(live)}
    for grace_s in (0.0, DAY):  # none is asked for, and a day is given all the same
        swept = remote_sweeping.sweep(blobs, named, grace_s=grace_s)
        assert (swept.blobs, swept.freed, swept.young) == (0, 0, 1)
    assert blobs.has(dead)
    monkeypatch.setattr(remote_sweeping, "datetime", Later)
    would = remote_sweeping.sweep(blobs, named, grace_s=DAY, dry_run=True)
    assert (would.blobs, would.freed) == (1, 8)
    assert blobs.has(dead)
    assert remote_sweeping.sweep(blobs, named, grace_s=DAY) == would
    assert blobs.has(live)
    assert not blobs.has(dead)
    left = sorted(str(found["path"]) for batch in obstore.list(blobs.remote) for found in batch)
    assert left == sorted([f"{live[:2]}/{live[2:]}", "somebody/elses"])
