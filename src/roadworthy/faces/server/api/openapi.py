"""OpenAPI 3.1 of the API, written from the routes and their types; served at `/api/openapi.json`, shipped in the docs.

In: described routes. Out: the document. Nothing of it is written by hand, so that it says what the server does.
"""

import re
from collections.abc import Iterable
from typing import Any, get_type_hints

import msgspec

from roadworthy.faces.server.api.described import Described
from roadworthy.nouns.version import __version__

_PART = re.compile(r"\{(\w+)(?::path)?\}")
_REF = "#/components/schemas/{name}"
_FAILURES = {
    400: "What was sent is not right; it will fail again.",
    401: "Nobody known: a token, or a user's name and password, is needed.",
    403: "The role does not suffice.",
    404: "What is named does not exist.",
    405: "The method is not allowed here.",
    409: "It cannot be done now.",
    413: "The body is too large.",
    415: "The body is in an encoding that is not read.",
    421: "The request names a host that this server is not.",
    429: "Too many requests, or too many attempts to log in that failed.",
    503: "Something that is needed does not answer; try again.",
}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, where, and what would pass."""

    code: str
    what: str
    where: str = ""
    fix: str = ""


class Error(msgspec.Struct, frozen=True, kw_only=True):
    error: Failure


def document(described: Iterable[Described]) -> dict[str, Any]:
    """The whole document."""
    described = list(described)
    kinds = [kind for one in described for kind in (one.answer, one.body) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, Error], ref_template=_REF)
    by_kind = {id(kind): schema for kind, schema in zip([*kinds, Error], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in described:
        operations = paths.setdefault(_PART.sub(r"{\1}", one.route.path), {})
        operations[one.route.method.lower()] = _operation(one, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Roadworthy", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`rwt_…`, or a workload's JWT"},
                "basic": {"type": "http", "scheme": "basic", "description": "a user, or a token as the password"},
            },
        },
        "security": [{"token": []}, {"basic": []}, {}],
    }


def _operation(one: Described, by_kind: dict[int, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": by_kind[id(Error)]}}
    good: dict[str, Any] = {"description": one.summary}
    if one.answer is not None:
        good["content"] = {one.media: {"schema": by_kind[id(one.answer)]}}
    else:
        good["content"] = {one.media: {"schema": {}}}
    said: dict[str, Any] = {
        "operationId": _called(one),
        "summary": one.summary,
        "parameters": [*_in_path(one), *_in_query(one)],
        "responses": {str(one.status): good}
        | {str(status): {"description": text, "content": error} for status, text in _FAILURES.items()},
    }
    if one.route.needs == "public":
        said["security"] = []
    else:
        where = "in all projects" if one.route.everywhere else "in the project"
        said["description"] = f"Needs the role {one.route.needs} {where}."
    if one.body is not None:
        content = {"application/json": {"schema": by_kind[id(one.body)]}}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _in_path(one: Described) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PART.findall(one.route.path)
    ]


def _in_query(one: Described) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    hints = get_type_hints(one.query, include_extras=True)
    found = []
    for field in msgspec.structs.fields(one.query):
        schema = msgspec.json.schema(hints[field.name])
        said = {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema}
        if not field.required:
            said["schema"] = {**schema, "default": field.default}
        found.append(said)
    return found


def _called(one: Described) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9]+", one.route.path.removeprefix("/api")) if word]
    return "_".join([one.route.method.lower(), *words])
