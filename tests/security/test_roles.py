"""Every route and method against every role: nothing is open that was not declared open, nobody reaches what is not theirs.

New routes are tried by themselves: the table of the running application is what is gone through.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.faces.server.http import Route
from roadworthy.faces.server.identity.who import RANK
from roadworthy.faces.server.routing import Found
from roadworthy.registry import artifacts
from tests.security.world import MARK, PROXY, V2, V3, World

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "")
# Open to everybody: probes, the version, and the way in.
PUBLIC = {
    "/health", "/livez", "/readyz", "/version", "/api/about", "/api/openapi.json", "/login", "/login/provider", "/login/callback", "/logout",
    "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info",
}  # fmt: skip
# Of these somebody with the right role must get an answer with the secret in it: else the tests below show nothing.
TELLING = {
    f"GET {V2}/experiments/get", f"GET {V2}/experiments/get-by-name", f"POST {V2}/experiments/search",
    f"GET {V2}/runs/get", f"POST {V2}/runs/search", f"GET {V2}/metrics/get-history", f"GET {V2}/artifacts/list",
    f"GET {V2}/registered-models/get", f"GET {V2}/registered-models/search", f"GET {V2}/registered-models/alias",
    f"GET {V2}/model-versions/get", f"GET {V2}/model-versions/search", f"POST {V2}/logged-models/search",
    f"GET {V2}/logged-models/{{model_id}}", f"GET {V2}/logged-models/{{model_id}}/artifacts/files", "GET /get-artifact",
    "GET /model-versions/get-artifact", "GET /api/2.0/mlflow-artifacts/artifacts/{path:path}",
    f"GET {V2}/metrics/get-history-bulk-interval", f"POST {V2}/experiments/search-datasets",
    f"GET {V2}/logged-models/{{model_id}}/artifacts/directories", f"POST {V2}/registered-models/get-latest-versions",
    f"GET {V3}/traces/{{trace_id}}", f"POST {V3}/traces/search", f"POST {V3}/traces/batchGetInfos",
    f"GET {V3}/traces/{{trace_id}}/assessments/{{assessment_id}}", "GET /api/runs", "GET /api/runs/{run}", "POST /graphql",
    "GET /api/models", "GET /api/models/{name}", "GET /api/models/{name}/{version}",
}  # fmt: skip
# What was asked for, which a refusal may name again.
ECHOED = (f"{MARK}-name", f"{MARK}.txt", f"{MARK}-alias", f"{MARK}-stolen", f"tr-{MARK}", f"d-{MARK}")
CHANGING = {
    f"POST {V2}/runs/log-metric", f"POST {V2}/runs/log-batch", f"POST {V2}/runs/set-tag", f"POST {V2}/runs/update",
    f"POST {V2}/runs/delete", f"POST {V2}/experiments/delete", f"POST {V2}/experiments/update",
    f"DELETE {V2}/registered-models/delete", f"POST {V2}/model-versions/transition-stage",
    f"PATCH {V2}/logged-models/{{model_id}}", "DELETE /api/2.0/mlflow-artifacts/artifacts/{path:path}",
    "PUT /api/2.0/mlflow-artifacts/artifacts/{path:path}", "POST /ajax-api/2.0/mlflow/upload-artifact",
    f"POST {V2}/registered-models/set-tag", f"DELETE {V2}/registered-models/alias", f"POST {V2}/runs/create",
    f"POST {V3}/traces/delete-traces", f"PATCH {V3}/traces/{{trace_id}}/tags",
    f"DELETE {V3}/traces/{{trace_id}}/assessments/{{assessment_id}}", f"POST {V3}/traces/{{trace_id}}/assessments",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world") / ".roadworthy")
    yield made
    made.close()


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / ".roadworthy")
    yield made
    made.close()


def routes(world: World) -> list[Route]:
    return list(world.talk.application.table.routes)


def called(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_nothing_is_public_that_was_not_meant_to_be(world: World) -> None:
    assert {route.path for route in routes(world) if route.needs == "public"} == PUBLIC


def test_nobody_unknown_reaches_any_route_by_any_method(world: World) -> None:
    for path in {route.path: route for route in routes(world) if route.needs != "public"}.values():
        for method in METHODS:
            said = world.ask("", method, world.url(path), body=b"{}")
            assert said.status == 401, f"{method} {path.path}"
            assert MARK.encode() not in said.body
    assert world.tables() == world.before


def test_a_method_that_is_not_declared_does_not_exist(world: World) -> None:
    for path in {world.url(route) for route in routes(world)}:
        for method in METHODS:
            if not isinstance(world.talk.application.table.find("GET" if method == "HEAD" else method, path), Found):
                assert world.ask("admin", method, path, body=b"{}").status in (404, 405), f"{method} {path}"
    assert world.tables() == world.before


def test_a_path_written_otherwise_is_no_way_around(world: World) -> None:
    for path in (f"{V2}/runs/get", f"{V2}/runs/search", "/get-artifact"):
        for other in (path.upper(), path + "/", "/" + path, path.replace("/runs", "//runs"), path + "%00", path + ";a",
                      path.replace("get", "%67et") + "/", "/./" + path, "/x/.." + path):  # fmt: skip
            assert world.ask("", "GET", other).status in (401, 404, 405)
            said = world.ask("admin@other", "GET", f"{other}?run_id={world.secret.run}&path={MARK}.txt")
            assert said.status in (400, 401, 403, 404, 405)
            assert MARK.encode() not in said.body.replace(f"{MARK}.txt".encode(), b"")


@pytest.mark.parametrize("role", ["viewer", "editor", "releaser"])
def test_a_role_reaches_no_route_that_needs_a_higher_one(world: World, role: str) -> None:
    above = [route for route in routes(world) if RANK[route.needs] > RANK[role]]
    assert above
    for route in above:
        for url, sent in world.tries(route):
            assert world.ask(f"{role}@secret", route.method, url, **sent).status == 403, called(route)
    assert world.tables() == world.before


@pytest.mark.parametrize(
    "who",
    [
        "admin@other",
        pytest.param("viewer@other", marks=pytest.mark.slow),
        pytest.param("editor@other,releaser@third", marks=pytest.mark.slow),
        pytest.param("viewer@Secret", marks=pytest.mark.slow),
        pytest.param("admin@secret2", marks=pytest.mark.slow),
    ],
)
def test_a_role_in_another_project_shows_and_changes_nothing(world: World, who: str) -> None:
    for route in routes(world):
        if route.needs == "public":
            continue
        for url, sent in world.tries(route):
            said = world.ask(who, route.method, url, **sent)
            assert said.status != 500, called(route)
            shown = said.body.decode("utf-8", "replace")
            for echoed in ECHOED:
                shown = shown.replace(echoed, "") if said.status >= 400 else shown
            assert MARK not in shown, f"{called(route)}: {said.body[:300]!r}"
            assert world.secret.run not in shown.replace(f"id={world.secret.run}", "") or said.status >= 400, called(
                route
            )
            assert "'secret'" not in shown, called(route)
    assert world.tables() == world.before


def test_what_belongs_to_no_project_needs_a_role_in_all(world: World) -> None:
    found = [route for route in routes(world) if route.everywhere]
    assert {"/metrics", f"{V2}/webhooks"} <= {route.path for route in found}
    for route in found:
        for url, sent in world.tries(route):
            assert world.ask("admin@secret", route.method, url, **sent).status == 403, called(route)
    assert world.tables() == world.before


def test_with_the_right_role_the_same_requests_do_show_it(world: World) -> None:
    told = set()
    for route in routes(world):
        if route.needs == "viewer":
            for url, sent in world.tries(route):
                said = world.ask("viewer@secret", route.method, url, **sent)
                assert said.status != 500, called(route)
                if said.status == 200 and MARK.encode() in said.body:
                    told.add(called(route))
    assert told >= TELLING, TELLING - told
    assert world.tables() == world.before


def test_a_viewer_changes_nothing(world: World) -> None:
    for route in routes(world):
        for url, sent in world.tries(route):
            world.ask("viewer@secret", route.method, url, **sent)
    assert world.tables() == world.before


@pytest.mark.slow
def test_with_the_right_role_the_same_requests_do_change_it(tmp_path: Path) -> None:
    changing = set()
    with_effect: list[Route] = []
    first = World(tmp_path / "first")
    wanted = [route for route in routes(first) if called(route) in CHANGING]
    first.close()
    assert {called(route) for route in wanted} == CHANGING
    for number, route in enumerate(wanted):
        world = World(tmp_path / str(number))
        for url, sent in world.tries(route):
            world.ask("admin@secret", route.method, url, **sent)
        if world.tables() != world.before:
            changing.add(called(route))
            with_effect.append(route)
        world.close()
    assert changing == CHANGING, CHANGING - changing


def test_editors_of_one_project_do_not_meet_in_artifacts(own_world: World) -> None:
    """An artifact's path names a run or an experiment; its project's roles count, whatever the rest of the path says."""
    secret = own_world.secret
    root = f"{secret.experiment}/{secret.run}/artifacts"
    for path in (f"{root}/x", f"999/{secret.run}/artifacts/x", f"a/b/{secret.run}/artifacts/x", f"{secret.experiment}/y",
                 f"{secret.experiment}/models/{secret.logged}/artifacts/x", f"q/models/{secret.logged}/artifacts/x", "z"):  # fmt: skip
        assert own_world.ask("editor@other", "PUT", f"{PROXY}/{path}", body=b"1").status == 403, path
        assert own_world.ask("viewer@other", "GET", f"{PROXY}/{path}").status == 403, path
    assert own_world.ask("viewer@other", "GET", f"{PROXY}?path={root}").status == 403
    assert own_world.ask("viewer@other", "GET", PROXY).status == 403
    assert own_world.tables() == own_world.before
    assert [a.path for a in artifacts.listing(own_world.store, secret.run)] == [f"{MARK}.txt"]


def test_what_is_ones_own_cannot_be_made_to_point_at_others(own_world: World) -> None:
    """An editor of another project, with an experiment, a run and a model of their own, reaches through none of them."""
    secret, who = own_world.secret, "editor@other"

    def post(path: str, body: dict[str, object]) -> tuple[int, bytes]:
        said = own_world.ask(who, "POST", V2 + path, json=body)
        return said.status, said.body

    mine = [{"key": "roadworthy.project", "value": "other"}]
    theirs = [{"key": "roadworthy.project", "value": "secret"}]
    experiment = own_world.ask(who, "POST", f"{V2}/experiments/create", json={"name": "mine", "tags": mine}).json[
        "experiment_id"
    ]
    run = own_world.ask(who, "POST", f"{V2}/runs/create", json={"experiment_id": experiment}).json["run"]["info"][
        "run_id"
    ]
    assert post("/registered-models/create", {"name": "mine", "tags": mine})[0] == 200
    before = own_world.tables()
    root = f"mlflow-artifacts:/{secret.experiment}/{secret.run}/artifacts"
    for body in (
        {"source": root, "run_id": secret.run}, {"source": root, "run_id": run}, {"source": root},
        {"source": f"runs:/{secret.run}/x", "run_id": secret.run}, {"source": f"runs:/{secret.run}/x", "run_id": run},
        {"source": f"models:/{secret.logged}", "model_id": secret.logged}, {"source": f"models:/{secret.model}/1"},
        {"source": f"models:/{secret.model}@{MARK}-alias"},
        {"source": f"mlflow-artifacts:/{secret.experiment}/models/{secret.logged}/artifacts", "model_id": secret.logged},
    ):  # fmt: skip
        status, said = post("/model-versions/create", {"name": "mine", **body})
        assert status in (400, 403, 404), (body, said)
    for path, more in (
        ("/experiments/create", {"name": "planted", "tags": theirs}),
        ("/registered-models/create", {"name": "planted", "tags": theirs}),
        ("/experiments/set-experiment-tag", {"experiment_id": experiment, **theirs[0]}),
        ("/registered-models/set-tag", {"name": "mine", **theirs[0]}),
        ("/runs/create", {"experiment_id": secret.experiment}),
        ("/logged-models", {"experiment_id": secret.experiment, "name": "planted"}),
    ):  # fmt: skip
        assert post(path, dict(more))[0] in (400, 403, 404), path
    assert own_world.tables() == before
    for path, more in (
        ("/runs/search", {"experiment_ids": [experiment, secret.experiment]}),
        ("/logged-models/search", {"experiment_ids": [experiment, secret.experiment]}),
        ("/experiments/search", {"max_results": 100, "view_type": "ALL"}),
    ):  # fmt: skip
        assert MARK.encode() not in post(path, dict(more))[1], path
