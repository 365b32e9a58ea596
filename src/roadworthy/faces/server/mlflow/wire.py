"""The conventions of MLflow's wire that every endpoint shares: how requests are read and answers written.

In: a request whose body is JSON or whose query is fields. Out: a record of `schema`'s kind, and back. What protobuf's
JSON does is done here once: 64-bit integers may come as text, unknown fields are passed over, names may be in camel
case, absent fields are left out of answers, numbers that JSON does not know are `NaN`, `Infinity`, `-Infinity`.
"""

import math
import types
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import Handler, Reply, Request, Route
from roadworthy.faces.server.identity.who import Need

T = TypeVar("T")
V2 = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
V3 = ("/api/3.0/mlflow", "/ajax-api/3.0/mlflow")
SHOWN = 200  # characters of a bad value that a message repeats

_encoder = msgspec.json.Encoder()


class Message(msgspec.Struct, kw_only=True):
    """A message of the wire. A field that may be absent is `T | UnsetType = UNSET`, and then left out of answers."""


def invalid(message: str) -> WireError:
    """INVALID_PARAMETER_VALUE, status 400."""
    return WireError("INVALID_PARAMETER_VALUE", message, 400)


def missing(message: str) -> WireError:
    """RESOURCE_DOES_NOT_EXIST, status 404."""
    return WireError("RESOURCE_DOES_NOT_EXIST", message, 404)


def exists(message: str) -> WireError:
    """RESOURCE_ALREADY_EXISTS, status 400."""
    return WireError("RESOURCE_ALREADY_EXISTS", message, 400)


def required(value: object, name: str) -> None:
    """Refuse an absent or empty parameter, in MLflow's words.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    if value is None or value is msgspec.UNSET or value == "":
        raise invalid(
            f"Missing value for required parameter '{name}'. See the API docs for more information about request "
            "parameters."
        )


def read(request: Request, kind: type[T]) -> T:
    """The request's message: its JSON body, or for GET without one its query.

    Raises:
        WireError: INVALID_PARAMETER_VALUE, naming the field.
    """
    try:
        if request.method == "GET" and request.query:
            return msgspec.convert(_of_query(request, kind), kind, strict=False)
        body = request.body
        if not body.strip():
            return msgspec.convert({}, kind)
        decoder: msgspec.json.Decoder[T] = _decoder(cast("Any", kind))
        return decoder.decode(body)
    except msgspec.ValidationError as problem:
        again = _camel(request.body, kind)
        if again is not None:
            return again
        raise invalid(f"Invalid request: {problem}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise WireError("BAD_REQUEST", f"the body is not JSON: {problem}", 400) from None
    except ValueError as problem:
        raise invalid(f"the query cannot be read: {str(problem)[:SHOWN]}") from None


def answer(message: object = None, status: int = 200) -> Reply:
    """A message as an answer; an empty one unless given."""
    return Reply(status, b"{}" if message is None else _encoder.encode(message))


def number(value: float) -> float | str:
    """A float as protobuf's JSON writes it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def endpoint(
    method: Any, path: str, handler: Handler, needs: Need, *, versions: Iterable[tuple[str, ...]] = (V2,), **more: Any
) -> tuple[Route, ...]:
    """The routes of one endpoint: under `/api` and `/ajax-api`, of each version of the protocol that has it."""
    return tuple(
        Route(method, prefix + path, handler, needs, face="mlflow", **more) for both in versions for prefix in both
    )


@lru_cache(maxsize=512)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


def _of_query(request: Request, kind: Any) -> dict[str, Any]:
    hints = _lists(kind)
    values: dict[str, Any] = {}
    for name, sent in request.fields().items():
        if name in hints:
            values[name] = sent if hints[name] else sent[-1]
    return values


@lru_cache(maxsize=512)
def _lists(kind: Any) -> dict[str, bool]:
    """Field to whether it is repeated."""
    found = {}
    for name, hint in get_type_hints(kind).items():
        parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        found[name] = any(get_origin(part) in (list, tuple) for part in parts)
    return found


def _camel(body: bytes, kind: type[T]) -> T | None:
    """The message when its names are in camel case, as protobuf's JSON may write them; None when that does not help."""
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(sent, dict):
        return None
    renamed = {_snake(str(name)): value for name, value in sent.items()}
    if renamed.keys() == sent.keys():
        return None
    try:
        return msgspec.convert(renamed, kind, strict=False)
    except msgspec.ValidationError:
        return None


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
