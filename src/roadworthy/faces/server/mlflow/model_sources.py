"""Where a version comes from: which sources a client may register, and where its files are.

In: the source, run and logged model of a request. Out: the lineage that is kept, or MLflow's refusal: a source within
our artifacts must be inside those of the run or model that is named, so that no one registers what they may not read.
No source is ever connected to.
"""

import posixpath
import re
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

from msgspec import UNSET

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.identity.who import Identity
from roadworthy.faces.server.mlflow import artifact_places, model_rules
from roadworthy.faces.server.mlflow.logged_models import store as logged
from roadworthy.faces.server.mlflow.schema import registered_model as schema
from roadworthy.faces.server.mlflow.wire import SHOWN, invalid, missing
from roadworthy.registry import artifacts, model_names, model_versions
from roadworthy.registry.model_search import PROMPT_TAG
from roadworthy.registry.model_versions import Version
from roadworthy.store.sql import Reader

# What clients give for prompts, which have no files.
PROMPT_SOURCES = frozenset({"dummy-source", "prompt-template"})
LENGTH_MAX = 2_000
DECODED_MAX = 10
_PROXY = ("api", "2.0", "mlflow-artifacts", "artifacts")


class Lineage(NamedTuple):
    """What is kept of where a version comes from."""

    source: str
    location: str
    run: str
    model_id: str


def check(reader: Reader, message: schema.CreateVersion, *, prompt: bool, identity: Identity) -> Lineage:
    """The lineage that a request asks for.

    Raises:
        WireError: INVALID_PARAMETER_VALUE, in MLflow's words.
    """
    source, run, model = message.source, _text(message.run_id), _text(message.model_id)
    if len(source) > LENGTH_MAX or "\0" in source:
        raise invalid(f"'source' exceeds the maximum length of {LENGTH_MAX} characters")
    if prompt:
        if source not in PROMPT_SOURCES:
            raise invalid(f"Invalid prompt source: '{source[:SHOWN]}'. Prompt sources must use an MLflow placeholder.")
        return Lineage(source, "", run, model)
    parts = _split(source)
    copied = _copied(reader, parts, message, identity) if parts.scheme == "models" else None
    if copied is not None:
        return copied
    if model:
        return _of_model(reader, parts, Lineage(source, "", run, model), identity)
    return _of_run(reader, parts, Lineage(source, "", run, ""), identity)


def location(reader: Reader, version: Version) -> str:
    """The URI from which a version's files are read."""
    if version.location or version.source:
        return version.location or version.source
    _, root = artifact_places.of_run(reader, version.run)
    return f"{root}/{version.name}"


def _of_run(reader: Reader, parts: "_Parts", asked: Lineage, identity: Identity) -> Lineage:
    source, run = asked.source, asked.run
    if parts.local:
        raise invalid(
            f"Invalid model version source: '{source[:SHOWN]}'. To use a local path as a model version source, the "
            "run_id request parameter has to be specified and the local path has to be contained within the artifact "
            "directory of the run specified by the run_id."
        )
    _refuse_climbing(source)
    if parts.scheme == "runs":
        if parts.netloc or not run or parts.path.strip("/").split("/")[0] != run:
            raise _unnamed(source, "run_id")
        _root_of_run(reader, run, source, identity)
        return asked
    if parts.scheme == "models":
        raise _unnamed(source, "model_id")
    if parts.proxied and (not run or not _within(source, _root_of_run(reader, run, source, identity))):
        raise _unnamed(source, "run_id")
    return asked


def _of_model(reader: Reader, parts: "_Parts", asked: Lineage, identity: Identity) -> Lineage:
    source, model_id = asked.source, asked.model_id
    if parts.local:
        raise invalid(
            f"Invalid model version source: '{source[:SHOWN]}'. To use a local path as a model version source, the "
            "model_id request parameter has to be specified and the local path has to be contained within the "
            "artifact directory of the run specified by the model_id."
        )
    _refuse_climbing(source)
    model = logged.find(reader, model_id)
    if parts.scheme == "runs" or model is None:
        raise _unnamed(source, "model_id")
    identity.require("viewer", model.project)
    if parts.scheme == "models" and (parts.netloc or parts.path.strip("/") != model_id):
        raise _unnamed(source, "model_id")
    if parts.proxied and not _within(source, model.location):
        raise _unnamed(source, "model_id")
    place = model.location if parts.scheme == "models" else ""
    return asked._replace(location=place, run=asked.run or model.source_run or "")


def _copied(reader: Reader, parts: "_Parts", message: schema.CreateVersion, identity: Identity) -> Lineage | None:
    """The lineage of a copy of another version; None for a source that is a logged model."""
    source = message.source
    if parts.netloc:
        raise invalid(
            f"Invalid model version source: '{source[:SHOWN]}'. Registered model sources must use the active model "
            "registry."
        )
    path = parts.path.strip("/").split("/")
    if len(path) > 2 or not path[0].strip() or not path[-1].strip():
        raise _unnamed(source, "model_id")
    if len(path) == 1 and "@" not in path[0]:
        return None
    held = _referred(reader, path)
    identity.require("viewer", held.project)
    run, model = _text(message.run_id), _text(message.model_id)
    if (message.run_id is not UNSET and run != held.run) or (message.model_id is not UNSET and model):
        raise invalid(
            f"Invalid model version source: '{source[:SHOWN]}'. The run_id and model_id request parameters must match "
            "the referenced model version."
        )
    place = location(reader, held)
    # As with MLflow, whose versions do not say of which logged model they are.
    return Lineage(f"models:/{held.name}/{held.version}", place, held.run, "")


def _referred(reader: Reader, path: list[str]) -> Version:
    """The version that `name/3`, `name/Production`, `name/latest` or `name@alias` stands for."""
    name, alias = path[0], ""
    if len(path) == 1:
        name, _, alias = path[0].rpartition("@")
    named = model_names.find(reader, model_rules.name(name))
    if named is None:
        raise missing(f"Registered Model with name={name} not found")
    if named.tags.get(PROMPT_TAG, "false").lower() == "true":
        raise invalid(
            f"Invalid model version source: 'models:/{'/'.join(path)[:SHOWN]}'. Prompt versions cannot be used as "
            "model version sources."
        )
    found: Version | None
    if alias:
        if alias not in named.aliases:
            raise invalid(f"Registered model alias {alias[:SHOWN]} not found.")
        found = model_versions.find(reader, name, named.aliases[alias])
    elif re.fullmatch(r"\d+", path[1]):
        found = model_versions.find(reader, name, model_rules.version(path[1]))
    else:
        all_ = model_versions.of_name(reader, name)
        stage = None if path[1].lower() == "latest" else model_rules.stage(path[1])
        found = next((each for each in reversed(all_) if stage is None or each.stage == stage), None)
    if found is None:
        raise missing(f"Model Version (name={name}, version={(path[1:] or [alias])[0]}) not found")
    return found


class _Parts(NamedTuple):
    """A source taken apart.

    Args:
        local: whether it is a path of the server's own disk.
        proxied: whether it is within the artifacts that the server keeps.
    """

    scheme: str
    netloc: str
    path: str
    local: bool
    proxied: bool


def _split(source: str) -> _Parts:
    try:
        parts = urlsplit(source)
        host = parts.hostname or ""
    except ValueError:
        raise invalid(f"Invalid model version source: '{source[:SHOWN]}'.") from None
    scheme = parts.scheme.lower()
    here = host in ("", ".") or host.startswith(("localhost", "127.0.0.1"))
    if scheme == "file" and not here:
        raise invalid(f"{source[:SHOWN]} is not a valid remote uri.")
    path = tuple(_unquoted(part) for part in parts.path.split("/") if part)
    inside = any(path[i : i + len(_PROXY)] == _PROXY for i in range(len(path)))
    proxied = scheme == "mlflow-artifacts" or (scheme in ("http", "https") and inside)
    return _Parts(scheme, parts.netloc, parts.path, scheme in ("", "file"), proxied)


def _refuse_climbing(source: str) -> None:
    decoded = source
    for _ in range(DECODED_MAX):
        again = unquote_plus(decoded)
        if again == decoded:
            break
        decoded = again
    path = re.sub(r"/+", "/", urlsplit(decoded).path.rstrip("/"))
    climbs = "\0" in path or "\\" in path or ".." in decoded.split("/") or unquote_plus(decoded) != decoded
    if climbs or (path and posixpath.normpath(path) != path):
        raise invalid(
            f"Invalid model version source: '{source[:SHOWN]}'. If supplying a source as an http, https, local file "
            "path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path "
            "references present. Please provide an absolute path."
        )


def _root_of_run(reader: Reader, run: str, source: str, identity: Identity) -> str:
    owner = artifacts.owner(reader, run) if artifact_places.RUN_ID.fullmatch(run) else None
    if owner is None:
        raise _unnamed(source, "run_id")
    identity.require("viewer", owner.project)
    return artifact_places.of_run(reader, run)[1]


def _within(source: str, root: str) -> bool:
    ours, theirs = _normal(root), _normal(source)
    return bool(ours[2]) and theirs[:2] == ours[:2] and theirs[2][: len(ours[2])] == ours[2]


def _normal(uri: str) -> tuple[str, str, tuple[str, ...]]:
    parts = urlsplit(uri)
    return parts.scheme.lower(), parts.netloc.lower(), tuple(_unquoted(p) for p in parts.path.split("/") if p)


def _unquoted(text: str) -> str:
    for _ in range(DECODED_MAX):
        again = unquote(text)
        if again == text:
            break
        text = again
    return text


def _unnamed(source: str, which: str) -> WireError:
    return invalid(
        f"Invalid model version source: '{source[:SHOWN]}'. The {which} request parameter must identify the resource "
        "that contains the source."
    )


def _text(value: schema.Text) -> str:
    return "" if value is UNSET else str(value)
