"""Whatever is sent, on every route: an answer in the shape of the face, and never a 500."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from roadworthy.faces.server import http, main
from roadworthy.faces.server.http import Route
from roadworthy.faces.server.mlflow import routes as mlflow
from roadworthy.faces.server.mlflow import wire
from tests.security.world import World

pytestmark = pytest.mark.slow
EXAMPLES = 8  # for each route; there are many routes
# One route of each handler: paths under `/ajax-api` and of other versions have the same.
ROUTES = list({(route.handler, route.method): route for route in reversed(main.routes())}.values())[::-1]
AGAIN = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
]
ODD = ["", "0", "-1", "1" * 40, "\x00", "a\x00b", "../..", "%00", "\ud800", "NaN", "null", "a" * 5_000, "'; DROP TABLE runs; --",
       "attributes.x = 'y", "metrics.m > ", "name LIKE '%", "👻", "\u202e", "1e999", "params.`a` = 'b' AND ("]  # fmt: skip


def messages(kind: type = wire.Message) -> Iterator[type]:
    for below in kind.__subclasses__():
        yield below
        yield from messages(below)


assert mlflow.ROUTES  # which loads every module that has messages
NAMES = sorted({name for kind in messages() for name in kind.__struct_fields__})

text = some.one_of(some.sampled_from(ODD), some.text(max_size=20))
scalars = some.one_of(
    some.none(), some.booleans(), some.integers(), some.integers(-(1 << 80), 1 << 80), some.floats(), text
)
values = some.recursive(
    scalars,
    lambda inner: some.one_of(
        some.lists(inner, max_size=3), some.dictionaries(some.one_of(some.sampled_from(NAMES), text), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world") / ".roadworthy")
    yield made
    made.close()


def encoded(value: Any) -> bytes:
    """JSON as others may write it: lone surrogates, NaN and all."""
    import json

    return json.dumps(value).encode("utf-8", "surrogatepass")


def expect(world: World, route: Route, url: str, **sent: Any) -> None:
    try:
        said = world.ask("admin", route.method, url, **sent)
    except UnicodeError:
        return  # what cannot be written on the wire
    assert said.status not in (500, 0), (route.method, url, sent)
    if (
        said.status >= 400
        and route.face == "mlflow"
        and said.headers["content-type"] == "application/json"
        and said.body
    ):
        # Where MLflow's gateway would answer, errors have the shape of its gateway's.
        shape = {"detail"} if route.path.startswith("/gateway/") else {"error_code", "message"}
        assert set(msgspec.json.decode(said.body)) >= shape


def known(world: World) -> some.SearchStrategy[Any]:
    """Bodies that are right but for some fields: they come deepest."""
    wholes = list(world.bodies())
    wrong = some.dictionaries(some.sampled_from(NAMES), values, min_size=1, max_size=3)
    return some.builds(lambda whole, other: {**whole, **other}, some.sampled_from(wholes), wrong)


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_no_request_breaks_anything(world: World, route: Route) -> None:
    url = world.url(route)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=AGAIN)
    @given(known(world), some.dictionaries(some.sampled_from(NAMES), values, max_size=4), some.binary(max_size=60))
    def tries(whole: dict[str, Any], loose: dict[str, Any], raw: bytes) -> None:
        if route.method == "GET":
            for body in (whole, loose):
                query = "&".join(f"{name}={quote(str(value), errors='replace')}" for name, value in body.items())
                expect(world, route, f"{url}?{query}")
            expect(world, route, f"{url}?{quote(raw, safe='=&;%+')}")
        for body in (encoded(whole), encoded(loose), raw, encoded(raw.decode("latin-1"))):
            expect(world, route, url, body=body)

    tries()


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_bodies_that_are_no_messages_are_refused(world: World, route: Route) -> None:
    deep = b"[" * 5_000 + b"]" * 5_000
    nested = b'{"a":' * 3_000 + b"1" + b"}" * 3_000
    for body in (b"", b"null", b"[]", b'"x"', b"1", b"{", b"{}", b'{"run_id": ', deep, nested, b"\xff\xfe", b"\xef\xbb\xbf{}",
                 b'{"run_id": "\\ud800"}', b'{"run_id": 1e400}', b'{"a": 1, "a": 2}', b"NaN"):  # fmt: skip
        expect(world, route, world.url(route), body=body)


def test_queries_have_a_number_of_fields(world: World) -> None:
    query = "&".join(f"run_ids={n}" for n in range(http.FIELDS_MAX + 1))
    for route in ROUTES:
        if route.method == "GET":
            expect(world, route, f"{world.url(route)}?{query}")


@pytest.mark.parametrize("part", ODD)
def test_parts_of_paths_may_be_anything(world: World, part: str) -> None:
    for route in ROUTES:
        if "{" in route.path:
            path = route.path
            while "{" in path:
                before, _, rest = path.partition("{")
                path = before + quote(part, safe="", errors="replace") + rest.partition("}")[2]
            expect(world, route, path, body=b"{}")


def test_compressed_bodies_are_not_opened(world: World) -> None:
    import gzip

    bomb = gzip.compress(b"0" * (32 << 20))
    for route in ROUTES:
        if route.method != "GET":
            url = f"{world.url(route)}?run_uuid={world.secret.run}&path=x"
            said = world.ask("admin", route.method, url, body=bomb, headers={"content-encoding": "gzip"})
            # A route that opens bodies has bombs of its own (test_traces.py); here it asks for a header first.
            assert said.status in ((422,) if route.inflates else (403, 413, 415, 501)), route
