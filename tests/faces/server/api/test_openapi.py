"""OpenAPI: the document is right by its own schema, and the server does what it says, whatever schemathesis tries."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from roadworthy.faces.server.api import routes
from roadworthy.faces.server.identity import passwords
from roadworthy.nouns.run import Run
from roadworthy.registry import runs
from roadworthy.store.clock import SeededIds, SimulatedClock
from roadworthy.store.store import open_store
from tests.faces.server.conversation import Conversation

DOCUMENT = msgspec.json.decode(routes.DOCUMENT)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    before, passwords.N = passwords.N, 1 << 4
    store = open_store(tmp_path_factory.mktemp("api") / ".rw", clock=SimulatedClock(1.7e9), ids=SeededIds(7), actor="t")
    runs.start(store, Run(id="", project="p", name="x"))
    with Conversation(store) as conversation:
        yield conversation
    passwords.N = before


def test_every_route_of_the_api_is_described() -> None:
    said = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert said == {(one.route.method, one.route.path) for one in routes.DESCRIBED}
    assert all(operation["summary"] for methods in DOCUMENT["paths"].values() for operation in methods.values())


def test_the_document_is_served(talk: Conversation) -> None:
    assert talk.ask("GET", "/api/openapi.json").json == DOCUMENT


@pytest.mark.slow
@SCHEMA.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_server_does_what_the_document_says(case: schemathesis.Case, talk: Conversation) -> None:
    import requests
    from schemathesis.core.transport import Response

    kwargs = case.as_transport_kwargs(base_url="http://127.0.0.1")
    prepared = requests.Request(
        **{k: v for k, v in kwargs.items() if k in ("method", "url", "params", "json", "data", "headers")}
    ).prepare()
    path = prepared.path_url
    body = prepared.body or b""
    said = talk.ask(case.method, path, body.encode() if isinstance(body, str) else body)
    response = Response(
        status_code=said.status,
        headers={name: [value] for name, value in said.headers.items()},
        content=said.body,
        request=prepared,
        elapsed=0.0,
        verify=False,
    )
    case.validate_response(response, checks=CHECKS)


def test_the_document_is_shipped() -> None:
    shipped = Path(__file__).parents[4] / "docs" / "reference" / "openapi.json"
    assert msgspec.json.decode(shipped.read_bytes()) == DOCUMENT
