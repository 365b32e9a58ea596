"""Runs over the API: what was run, newest first, and one in full with its artifacts."""

import msgspec

from roadworthy.faces.server.api.described import describe, query
from roadworthy.faces.server.api.paging import Limit, Page, Token, page, wanted
from roadworthy.faces.server.http import Request
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import not_found
from roadworthy.nouns.run import Artifact, Run
from roadworthy.registry import artifacts, runs
from roadworthy.store.store import Store

ID_LENGTH = 32


class Query(msgspec.Struct, frozen=True, kw_only=True):
    project: str = ""
    group: str = ""
    status: str = ""
    limit: Limit = 50
    page: Token = ""


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what it keeps."""

    run: Run
    artifacts: list[Artifact]


async def listing(server: Server, request: Request) -> Page[Run]:
    """The newest runs, of the projects that one may see."""
    asked = query(request, Query)
    if asked.project:
        request.identity.require("viewer", asked.project)
    seen = request.identity.projects("viewer")
    # Of a run without a project nothing is known but by those who may see everything.
    projects = [asked.project] if asked.project or seen is None else sorted(seen)
    many = wanted(asked.limit, asked.page)

    def read(store: Store) -> list[Run]:
        found = [
            run
            for project in projects
            for run in runs.listing(store, project=project, group=asked.group, status=asked.status, limit=many)
        ]
        return sorted(found, key=lambda run: run.started_at, reverse=True) if len(projects) > 1 else found

    return page(await server.read(read), asked.limit, asked.page)


async def one(server: Server, request: Request) -> Whole:
    """A run with its steps and artifacts, by its id; who may see all runs may give the beginning of it."""
    ref, who = request.args["run"], request.identity
    # A beginning that fits several is answered with their ids, which are not everybody's business.
    if who.projects("viewer") is not None and len(ref) != ID_LENGTH:
        raise not_found("no such run", where=ref[:80])
    run = await server.read(lambda store: runs.get(store, ref))
    if not who.may("viewer", run.project):
        raise not_found("no run's id begins so", where=ref[:80], fix="`rw runs` lists them")
    kept = await server.read(lambda store: artifacts.listing(store, run.id))
    return Whole(run=run, artifacts=kept)


ROUTES = (
    describe("GET", "/runs", listing, "viewer", Page[Run], query=Query),
    describe("GET", "/runs/{run}", one, "viewer", Whole),
)
