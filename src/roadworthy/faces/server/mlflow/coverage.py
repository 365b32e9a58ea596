"""How much of MLflow's wire there is: its endpoints, listed in endpoints.toml, held against our routes.

In: nothing. Out: each endpoint with what became of it, from which docs/generate.py writes the page.
"""

import re
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

from roadworthy.faces.server import probes
from roadworthy.faces.server.mlflow import not_offered, routes
from roadworthy.faces.server.mlflow.accounts import permits

State = Literal["done", "as unconfigured", "refused", "not done"]
_PART = re.compile(r"\{(\w+)(:path)?\}")


class Endpoint(NamedTuple):
    """One endpoint and what became of it."""

    method: str
    path: str
    state: State


class Group(msgspec.Struct, frozen=True):
    """Endpoints about one thing, and the tests that hold them against MLflow."""

    title: str
    tests: list[str]
    endpoints: list[str]


class _File(msgspec.Struct, frozen=True):
    group: list[Group]


def groups() -> list[Group]:
    """The endpoints of MLflow's server, as they are listed."""
    text = (resources.files("roadworthy.faces.server.mlflow") / "endpoints.toml").read_text("utf-8")
    return msgspec.toml.decode(text, type=_File).group


def states(group: Group) -> list[Endpoint]:
    """What became of a group's endpoints."""
    ours = {(route.method, _shape(route.path)) for route in (*probes.ROUTES, *routes.ROUTES)}
    unconfigured = {(route.method, _shape(route.path)) for route in not_offered.ROUTES}
    refused = {(route.method, _shape(route.path)) for route in permits.REFUSED}
    wide = {(route.method, route.path.partition("{")[0]) for route in not_offered.ROUTES if ":path}" in route.path}
    found = []
    for line in group.endpoints:
        method, _, path = line.partition(" ")
        key = (method, _shape(path))
        below = any(way == method and path.startswith(begin) for way, begin in wide)
        state: State = "done" if key in ours else "not done"
        if key in unconfigured or below:
            state = "as unconfigured"
        elif key in refused:
            state = "refused"
        found.append(Endpoint(method, path, state))
    return found


def _shape(path: str) -> str:
    """A path whatever its parts are called."""
    return _PART.sub(r"{\2}", path)
