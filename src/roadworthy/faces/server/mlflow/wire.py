"""The conventions of MLflow's wire that every endpoint shares: how requests are read and answers written.

In: a request whose body is JSON or whose query is fields. Out: a record of `schema`'s kind, and back. What protobuf's
JSON does is done here once: 64-bit integers may come as text, unknown fields are passed over, names may be in camel
case, absent fields are left out of answers, numbers that JSON does not know are `NaN`, `Infinity`, `-Infinity`.
"""

import json
import math
import re
import types
from collections.abc import Iterable, Mapping
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

# Numbers that JSON does not know and many write.
_NUMBERS = re.compile(rb"[:\[,]\s*-?(?:NaN|Infinity)\b")
_FIELD = re.compile(r"at `\$\.(\w+)`$")

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


def bad_value(name: str, value: object) -> WireError:
    """INVALID_PARAMETER_VALUE of a parameter that cannot be what it is, in MLflow's words."""
    shown = json.dumps(value, separators=(",", ":"), default=str)[:SHOWN]
    return invalid(
        f"Invalid value {shown} for parameter '{name}' supplied:  Hint: Value was of type '{type(value).__name__}'. "
        "See the API docs for more information about request parameters."
    )


def read(request: Request, kind: type[T]) -> T:
    """The request's message: its JSON body, or for GET without one its query.

    Raises:
        WireError: INVALID_PARAMETER_VALUE, naming the field.
    """
    try:
        if request.method == "GET" and request.query:
            asked = _of_query(request, kind)
            try:
                return msgspec.convert(asked, kind, strict=False)
            except msgspec.ValidationError as problem:
                raise _refusal(problem, asked) from None
        body = request.body
        if not body.strip():
            return msgspec.convert({}, kind)
        decoder: msgspec.json.Decoder[T] = _decoder(cast("Any", kind))
        message = decoder.decode(body)
        camel = _camel_names(cast("Any", kind))
        return _again(body, kind) if camel and camel.search(body) else message
    except msgspec.ValidationError:
        return _again(request.body, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        if _NUMBERS.search(request.body):
            return _again(request.body, kind)
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


@lru_cache(maxsize=512)
def _camel_names(kind: Any) -> re.Pattern[bytes] | None:
    """What finds the fields' names in camel case, in quotes; None when all look the same there."""
    names = [camel for name in get_type_hints(kind) if (camel := _camel(name)) != name]
    return re.compile(f'"(?:{"|".join(names)})"'.encode()) if names else None


def _again(body: bytes, kind: type[T]) -> T:
    """The message, read as protobuf's JSON may be written: names in camel case, nulls for what is absent, NaN bare.

    Raises:
        WireError: INVALID_PARAMETER_VALUE, in MLflow's words where a field's type is wrong.
    """
    try:
        sent = msgspec.json.decode(body)
        if isinstance(sent, str):  # old clients wrote JSON into JSON
            sent = msgspec.json.decode(sent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError) as problem:
            raise WireError("BAD_REQUEST", f"the body is not JSON: {problem}", 400) from None
    if sent is None:
        sent = {}
    if not isinstance(sent, dict):
        raise invalid("Invalid request: the body is no JSON object")
    names = {_camel(name): name for name in get_type_hints(kind)}
    fields: dict[str, Any] = {}
    for said, value in sent.items():
        name = names.get(str(said), str(said))
        if name in fields:
            raise invalid(f"Request specifies both '{name}' and '{_camel(name)}'; provide only one of them.")
        if value is not None:
            fields[name] = [_present(each) for each in value] if isinstance(value, list) else value
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as problem:
        raise _refusal(problem, fields) from None


def _refusal(problem: msgspec.ValidationError, fields: Mapping[str, Any]) -> WireError:
    """What is said of a field of the wrong type."""
    found = _FIELD.search(str(problem))
    wrong = "" if found is None else str(found[1])
    return invalid(f"Invalid request: {problem}") if wrong not in fields else bad_value(wrong, fields[wrong])


def _present(value: Any) -> Any:
    """A message of a list without what is null in it."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
