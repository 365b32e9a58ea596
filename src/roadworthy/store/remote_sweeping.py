"""Remote sweeping: blobs in a bucket that nothing names any more, and parts of uploads that never ended.

In: the digests that are named, as for store/sweeping.py. Out: what would go, or went. Objects have no marks of use, so
that what is young stays, and writers write again what is no longer young (`RemoteBlobs`): between the two lies half
the grace at least. Called by operate/retention.py.
"""

import re
from collections.abc import Container, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from roadworthy.store.remote_blobs import FRESH_S, INCOMING, RemoteBlobs
from roadworthy.store.sweeping import Sweep

GRACE_S_MIN = 2 * FRESH_S
_KEY = re.compile(r"([0-9a-f]{2})/([0-9a-f]{62})")
_BATCH = 1_000


def sweep(blobs: RemoteBlobs, live: Container[bytes], *, grace_s: float, dry_run: bool = False) -> Sweep:
    """Take away what is not in `live` and was not written of late.

    Args:
        live: digests (32 bytes) that records name, read before.
        grace_s: within this time nothing goes; at least a day, whatever is asked for.
        dry_run: say what would go, and touch nothing.
    """
    limit = datetime.now(UTC) - timedelta(seconds=max(grace_s, GRACE_S_MIN))
    dead: list[str] = []
    gone = freed = young = 0
    for found in _objects(blobs):
        key = str(found["path"])
        match = _KEY.fullmatch(key)
        if match is None and not key.startswith(f"{INCOMING}/"):
            continue  # nothing of ours
        if match is not None and bytes.fromhex(match[1] + match[2]) in live:
            continue
        if found["last_modified"] > limit:
            young += match is not None
            continue
        gone += match is not None
        freed += int(found["size"])
        dead.append(key)
        if len(dead) >= _BATCH:
            _delete(blobs, dead, dry_run=dry_run)
            dead = []
    _delete(blobs, dead, dry_run=dry_run)
    return Sweep(blobs=gone, freed=freed, young=young)


def _objects(blobs: RemoteBlobs) -> Iterator[Any]:
    import obstore

    with blobs.named("its objects"):
        for batch in obstore.list(blobs.remote, chunk_size=_BATCH):
            yield from batch


def _delete(blobs: RemoteBlobs, keys: list[str], *, dry_run: bool) -> None:
    import obstore

    if keys and not dry_run:
        with blobs.named("its objects"):
            obstore.delete(blobs.remote, keys)
