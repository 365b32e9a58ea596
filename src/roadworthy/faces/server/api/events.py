"""The log of changes over the API: events with proofs, and signed checkpoints, for auditors and their tools.

The log is one for all projects, so it takes a role in all of them to read it.
"""

import msgspec

from roadworthy.faces.server.api.described import describe, number, query
from roadworthy.faces.server.api.paging import Limit, Page
from roadworthy.faces.server.http import Request
from roadworthy.faces.server.server import Server
from roadworthy.nouns.event import Checkpoint, Event
from roadworthy.store import log
from roadworthy.store.log import Proof, Verification
from roadworthy.store.store import Store


class Query(msgspec.Struct, frozen=True, kw_only=True):
    subject: str = ""
    kind: str = ""
    actor: str = ""
    limit: Limit = 50


async def listing(server: Server, request: Request) -> Page[Event]:
    """The newest events: of one subject, of a kind or kinds that begin so, of one actor."""
    asked = query(request, Query)

    def read(store: Store) -> list[Event]:
        with store.read() as reader:
            return log.search(reader, subject=asked.subject, kind=asked.kind, actor=asked.actor, limit=asked.limit)

    return Page(items=await server.read(read))


async def proof(server: Server, request: Request) -> Proof:
    """That an event is in the log: with the path its leaf hashes to the root (RFC 6962)."""
    which = number(request.args["seq"], "number of an event")

    def read(store: Store) -> Proof:
        with store.read() as reader:
            return log.prove(reader, which)

    return await server.read(read)


async def checkpoints(server: Server, request: Request) -> Page[Checkpoint]:  # noqa: ARG001
    """Signed checkpoints; keep them where the log's owner cannot write."""

    def read(store: Store) -> list[Checkpoint]:
        with store.read() as reader:
            return log.checkpoints(reader)

    return Page(items=await server.read(read))


async def verified(server: Server, request: Request) -> Verification:  # noqa: ARG001
    """Hash the whole log again and hold it against every checkpoint."""

    def read(store: Store) -> Verification:
        with store.read() as reader:
            return log.verify(reader, store.keys)

    return await server.read(read)


ROUTES = (
    describe("GET", "/events", listing, "viewer", Page[Event], query=Query, everywhere=True),
    describe("GET", "/events/{seq}/proof", proof, "viewer", Proof, everywhere=True),
    describe("GET", "/audit/checkpoints", checkpoints, "viewer", Page[Checkpoint], everywhere=True),
    describe("GET", "/audit/verification", verified, "viewer", Verification, everywhere=True),
)
