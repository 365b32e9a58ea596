"""OTLP: OpenTelemetry's spans as they are sent to `/v1/traces`, in protobuf or JSON.

In: a body. Out: for each trace its spans, as rows and as the JSON in which they are answered. A body in another
encoding, or that is no message, is refused; opentelemetry-proto is imported on first use.
"""

import base64
import json
import math
import re
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from roadworthy.faces.server.errors import TooLarge, WireError
from roadworthy.faces.server.mlflow.traces import figures
from roadworthy.faces.server.mlflow.traces.store import Span
from roadworthy.nouns.errors import invalid as fault

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ENCODINGS = ("gzip", "deflate")
SPANS_MAX = 50_000
TYPE_KEY, ID_KEY = "mlflow.spanType", "mlflow.traceRequestId"
INPUTS_KEY, OUTPUTS_KEY = "mlflow.spanInputs", "mlflow.spanOutputs"
SESSION_KEYS = ("session.id", "gen_ai.conversation.id")
PREVIEW_MAX = 1_000
NS_MAX = 2**63 - 1
_HEX_FIELDS = ("traceId", "spanId", "parentSpanId")
_STATUS = ("UNSET", "OK", "ERROR")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


class Root(NamedTuple):
    """What the root span tells of its trace."""

    name: str
    failed: bool
    ended: bool
    request: str | None
    response: str | None
    session: str | None


class Part(NamedTuple):
    """The spans of one trace, and its root if it is among them."""

    trace: str
    spans: list[Span]
    root: Root | None


def read(body: bytes, media: str) -> list[Part]:
    """The spans of an export, by trace in the order in which they come.

    Raises:
        WireError: BAD_REQUEST.
    """
    parts: dict[str, Part] = {}
    count = 0
    for resource in _decoded(body, media).resource_spans:
        for scope in resource.scope_spans:
            for sent in scope.spans:
                count += 1
                if count > SPANS_MAX:
                    raise bad(f"an export has at most {SPANS_MAX:,} spans")
                _take(parts, sent)
    if not parts:
        raise bad("Invalid OpenTelemetry format - no spans found")
    return list(parts.values())


def inflated(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """A body as it was before it was compressed.

    Args:
        encoding: what the Content-Encoding header says; empty or `identity`, `gzip`, or `deflate`.
        bytes_max: larger ones are refused, having been unpacked no further than that.

    Raises:
        WireError: BAD_REQUEST; TooLarge.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ENCODINGS:
        raise bad(f"Unsupported Content-Encoding: {encoding[:80]}")
    # Either window for deflate: with zlib's header, as the standard has it, or bare, as some write it.
    for window in (zlib.MAX_WBITS | 16,) if encoding == "gzip" else (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        unpacker = zlib.decompressobj(window)
        try:
            unpacked = unpacker.decompress(body, bytes_max + 1)
        except zlib.error:
            continue
        if len(unpacked) > bytes_max:
            raise TooLarge(bytes_max)
        if unpacker.eof and not unpacker.unused_data:
            return unpacked
    raise bad(f"Failed to decompress {encoding} payload")


def bad(what: str) -> WireError:
    """BAD_REQUEST, status 400."""
    return WireError("BAD_REQUEST", what, 400)


def _decoded(body: bytes, media: str) -> Any:
    try:
        from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        raise fault("taking traces needs opentelemetry-proto", fix="pip install 'roadworthy[server]'") from None
    message = ExportTraceServiceRequest()
    try:
        if media == PROTOBUF:
            message.ParseFromString(body)
        elif media == JSON:
            ParseDict(_with_bytes(msgspec.json.decode(body)), message, ignore_unknown_fields=True)
        else:
            raise bad(f"Invalid Content-Type: {media[:80]}. Expected: {PROTOBUF} or {JSON}")
    except (DecodeError, ParseError, msgspec.DecodeError, ValueError, TypeError, AttributeError, RecursionError):
        raise bad("Invalid OpenTelemetry format") from None
    return message


def _with_bytes(sent: Any) -> Any:
    """OTLP's JSON with ids in base 64, as protobuf reads bytes, in place of the hex digits that OTLP writes."""
    for resource in sent.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            for span in scope.get("spans", []):
                for field in _HEX_FIELDS:
                    value = span.get(field)
                    if value:
                        if not _HEX.fullmatch(value):
                            raise ValueError(field)
                        span[field] = base64.b64encode(bytes.fromhex(value)).decode()
    return sent


def _take(parts: dict[str, Part], sent: Any) -> None:
    if len(sent.trace_id) != 16 or len(sent.span_id) != 8 or len(sent.parent_span_id) not in (0, 8):
        raise bad("Invalid OpenTelemetry format - a span without ids")
    trace = f"tr-{sent.trace_id.hex()}"
    attributes = [{"key": pair.key, "value": _value(pair.value)} for pair in sent.attributes]
    named = {pair["key"]: pair["value"] for pair in attributes}
    if ID_KEY not in named:
        attributes.append({"key": ID_KEY, "value": {"string_value": trace}})
    status = _STATUS[sent.status.code] if sent.status.code < len(_STATUS) else "UNSET"
    span = Span(
        id=sent.span_id.hex(),
        parent=sent.parent_span_id.hex(),
        name=_text(sent.name),
        type=_plain_text(named.get(TYPE_KEY)),
        status=status,
        start_ns=min(sent.start_time_unix_nano, NS_MAX),
        end_ns=min(sent.end_time_unix_nano, NS_MAX),
        data=msgspec.json.encode(_shown(sent, attributes)).decode().replace("\\u0000", "\\ufffd"),
        figures=figures.of_span({key: plain(value) for key, value in named.items() if key in figures.KEYS}),
    )
    part = parts.setdefault(trace, Part(trace, [], None))
    part.spans.append(span)
    if not span.parent:
        parts[trace] = part._replace(root=_root(span, named))


def _root(span: Span, named: dict[str, Any]) -> Root:
    session = next((_plain_text(named[key]) for key in SESSION_KEYS if key in named), None)
    return Root(
        name=span.name,
        failed=span.status == "ERROR",
        ended=span.end_ns > 0,
        request=_preview(named.get(INPUTS_KEY)),
        response=_preview(named.get(OUTPUTS_KEY)),
        session=session,
    )


def _shown(sent: Any, attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """A span as protobuf's JSON writes it with MLflow's settings: names as they are, what is default left out."""
    status = {"message": _text(sent.status.message), "code": _code(sent.status.code)}
    shown = {
        "trace_id": _base64(sent.trace_id),
        "span_id": _base64(sent.span_id),
        "trace_state": _text(sent.trace_state),
        "parent_span_id": _base64(sent.parent_span_id),
        "flags": sent.flags,
        "name": _text(sent.name),
        "kind": _kind(sent.kind),
        "start_time_unix_nano": sent.start_time_unix_nano,
        "end_time_unix_nano": sent.end_time_unix_nano,
        "attributes": attributes,
        "events": [
            _some({"time_unix_nano": e.time_unix_nano, "name": _text(e.name), "attributes": _pairs(e.attributes)})
            for e in sent.events
        ],
        "links": [
            _some(
                {
                    "trace_id": _base64(each.trace_id),
                    "span_id": _base64(each.span_id),
                    "attributes": _pairs(each.attributes),
                }
            )
            for each in sent.links
        ],
    }
    return {**_some(shown), "status": _some(status)}


def _some(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _pairs(pairs: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"key": _text(pair.key), "value": _value(pair.value)} for pair in pairs]


def _value(value: Any) -> dict[str, Any]:
    kind = value.WhichOneof("value")
    if kind is None:
        return {}
    held = getattr(value, kind)
    if kind == "array_value":
        return {kind: _some({"values": [_value(each) for each in held.values]})}
    if kind == "kvlist_value":
        return {kind: _some({"values": _pairs(held.values)})}
    if kind == "bytes_value":
        return {kind: _base64(held)}
    if kind == "double_value":
        finite = math.isfinite(held)
        return {kind: held if finite else "NaN" if math.isnan(held) else "Infinity" if held > 0 else "-Infinity"}
    return {kind: _text(held) if isinstance(held, str) else held}


def plain(value: dict[str, Any] | None) -> Any:
    """An attribute's value as Python's."""
    if not value:
        return None
    ((kind, held),) = value.items()
    if kind == "array_value":
        return [plain(each) for each in held.get("values", [])]
    if kind == "kvlist_value":
        return {pair["key"]: plain(pair["value"]) for pair in held.get("values", [])}
    return held


def _plain_text(value: dict[str, Any] | None) -> str:
    said = plain(value)
    if not isinstance(said, str):
        return "" if said is None else json.dumps(said, ensure_ascii=False)
    # MLflow's clients write text as JSON in some versions and bare in others.
    return said[1:-1] if len(said) > 1 and said[0] == said[-1] == '"' else said


def _preview(value: dict[str, Any] | None) -> str | None:
    if value is None:
        return None
    said = plain(value)
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return text if len(text) <= PREVIEW_MAX else f"{text[: PREVIEW_MAX - 3]}..."


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _text(value: str) -> str:
    """Text that both engines keep."""
    return value.replace("\0", "\ufffd")


def _code(code: int) -> str:
    return f"STATUS_CODE_{_STATUS[code]}" if 0 < code < len(_STATUS) else ""


def _kind(kind: int) -> str:
    names = ("", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
    return f"SPAN_KIND_{names[kind]}" if 0 < kind < len(names) else ""
