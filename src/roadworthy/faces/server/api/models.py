"""Models over the API: names, their versions and aliases, certificates with their papers, releases."""

import msgspec

from roadworthy.faces.server.api.described import describe, number, query
from roadworthy.faces.server.api.paging import Limit, Page, Token, page, wanted
from roadworthy.faces.server.http import Reply, Request, header
from roadworthy.faces.server.server import Server
from roadworthy.gates import approvals, certificate
from roadworthy.gates.approvals import Approval
from roadworthy.nouns.certificate import Certificate
from roadworthy.nouns.errors import Fault, not_found
from roadworthy.nouns.release import Release
from roadworthy.registry import model_names, model_versions, models
from roadworthy.registry.model_names import Named
from roadworthy.registry.model_versions import Version
from roadworthy.releases import releases
from roadworthy.store.sql import Reader
from roadworthy.store.store import Store

ENVELOPE = "application/vnd.dsse.envelope.v1+json"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    project: str = ""
    limit: Limit = 50
    page: Token = ""


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A version with its papers."""

    version: Version
    certificates: list[Certificate]
    approvals: list[Approval]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a certificate holds: its signature, what it says of itself, the bytes of the model; why not."""

    valid: bool
    certificate: Certificate | None = None
    why: str = ""


class ReleasesQuery(msgspec.Struct, frozen=True, kw_only=True):
    project: str
    target: str = ""
    limit: Limit = 50


async def listing(server: Server, request: Request) -> Page[Named]:
    """The names of models that have versions, with their aliases."""
    asked = query(request, Query)
    if asked.project:
        request.identity.require("viewer", asked.project)
    seen = request.identity.projects("viewer")
    many = wanted(asked.limit, asked.page)

    def read(store: Store) -> list[Named]:
        names = models.names(store, asked.project)
        with store.read() as reader:
            found = (model_names.find(reader, name) for name in names)
            return [each for each in found if each is not None and (seen is None or each.project in seen)][:many]

    return page(await server.read(read), asked.limit, asked.page)


async def versions(server: Server, request: Request) -> Page[Version]:
    """The versions of a model, oldest first."""
    name = request.args["name"]

    def read(store: Store) -> list[Version]:
        with store.read() as reader:
            _known(reader, request, name)
            return model_versions.of_name(reader, name)

    return Page(items=await server.read(read))


async def version(server: Server, request: Request) -> Whole:
    """One version of a model, with its certificates and approvals."""
    name, which = request.args["name"], number(request.args["version"], "version")

    def read(store: Store) -> Whole:
        with store.read() as reader:
            _known(reader, request, name)
        found = model_versions.get(store, name, which)
        return Whole(
            version=found,
            certificates=certificate.listing(store, found.id),
            approvals=approvals.listing(store, found.id),
        )

    return await server.read(read)


async def envelope(server: Server, request: Request) -> Reply:
    """A certificate as it was signed: an in-toto statement in a DSSE envelope."""

    def read(store: Store) -> bytes:
        return certificate.export(store, _certificate(store, request))

    name = f'attachment; filename="{request.args["certificate"][:16]}.dsse.json"'
    safe = name if name.isascii() and name.isprintable() else "attachment"
    return Reply(200, await server.read(read), ENVELOPE, (header("content-disposition", safe),))


async def verify(server: Server, request: Request) -> Verified:
    """Hash the model again and hold everything against the certificate."""

    def read(store: Store) -> Verified:
        found = _certificate(store, request)
        try:
            made = certificate.verify(certificate.export(store, found), public=store.keys.public(), store=store)
        except Fault as problem:
            return Verified(valid=False, why=str(problem))
        return Verified(valid=True, certificate=made)

    return await server.read(read)


async def released(server: Server, request: Request) -> Page[Release]:
    """What was released to a project's targets, newest first."""
    asked = query(request, ReleasesQuery)
    request.identity.require("viewer", asked.project)
    found = await server.read(lambda store: releases.listing(store, asked.project, asked.target, limit=asked.limit))
    return Page(items=found)


def _known(reader: Reader, request: Request, name: str) -> Named:
    """A model's name, if one may see it; one that may not be seen is told from none by nobody."""
    found = model_names.find(reader, name)
    if found is None or not request.identity.may("viewer", found.project):
        raise not_found("no model has this name", where=name[:80])
    return found


def _certificate(store: Store, request: Request) -> str:
    """A certificate's id, if one may see its model."""
    found = certificate.find(store, request.args["certificate"])
    name = certificate.indexed(store, found).model.rpartition("@")[0]
    with store.read() as reader:
        _known(reader, request, name)
    return found


ROUTES = (
    describe("GET", "/models", listing, "viewer", Page[Named], query=Query),
    describe("GET", "/models/{name}", versions, "viewer", Page[Version]),
    describe("GET", "/models/{name}/{version}", version, "viewer", Whole),
    describe("GET", "/certificates/{certificate}", envelope, "viewer", None, media=ENVELOPE),
    describe("GET", "/certificates/{certificate}/verify", verify, "viewer", Verified),
    describe("GET", "/releases", released, "viewer", Page[Release], query=ReleasesQuery),
)
