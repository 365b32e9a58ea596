"""Event: one line of the append-only, hash-chained log; every change writes one.

No personal data goes into `detail`: what is in a leaf cannot be forgotten without breaking the tree.
"""

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What changed. The store fills `seq`, `at` and, where empty, `actor`.

    Args:
        kind: noun and past participle, such as `run.finished` or `release.promoted`.
        subject: the id of what changed.
        detail: what a reader of the log needs to understand the change; JSON values, digests rather than content.
        project: the project's name, empty outside a project.
        actor: who did it.
        seq: place in the log, from 0.
        at: seconds since 1970-01-01 UTC.
    """

    kind: str
    subject: str
    detail: dict[str, Any] = msgspec.field(default_factory=dict)
    project: str = ""
    actor: str = ""
    seq: int = -1
    at: float = 0.0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The log's size and root hash at one moment, signed (C2SP tlog-checkpoint).

    Args:
        origin: whose log it is.
        size: number of events it covers.
        root: RFC 6962 Merkle tree hash over them, in hex.
        note: the signed note as text, as exported.
    """

    origin: str
    size: int
    root: str
    note: str
