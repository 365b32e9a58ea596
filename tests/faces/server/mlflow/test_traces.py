"""Traces: spans by OTLP in both encodings, traces whose client says nothing, searches of any text, projects apart."""

import base64
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.http import BODY_BYTES_MAX
from roadworthy.faces.server.identity.who import Identity
from roadworthy.faces.server.mlflow.schema import trace as schema
from roadworthy.faces.server.mlflow.traces import filters, handlers, otlp
from roadworthy.faces.server.mlflow.traces import store as traces
from roadworthy.faces.server.mlflow.traces.search import Condition
from roadworthy.registry import groups
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store
from tests.faces.server.conversation import Answer, Conversation

V3 = "/api/3.0/mlflow/traces"
TRACE, ROOT, CHILD = bytes(range(16)), b"\1" * 8, b"\2" * 8
ID = f"tr-{TRACE.hex()}"
NS = 1_700_000_000_000_000_000


@pytest.fixture
def talk(any_store: Store) -> Iterator[Conversation]:
    with Conversation(any_store) as conversation:
        yield conversation


def export(**root: Any) -> bytes:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    first = spans.add(trace_id=TRACE, span_id=ROOT, name="ask", start_time_unix_nano=NS, kind=Span.SPAN_KIND_SERVER)
    first.end_time_unix_nano = NS + 1_500_000_000
    for key, value in {"mlflow.spanInputs": '{"q": 1}', "session.id": "s1", **root}.items():
        first.attributes.add(key=key).value.string_value = value
    second = spans.add(trace_id=TRACE, span_id=CHILD, parent_span_id=ROOT, name="call", start_time_unix_nano=NS + 10)
    second.end_time_unix_nano = NS + 20
    second.attributes.add(key="mlflow.spanType").value.string_value = '"LLM"'
    second.attributes.add(key="model").value.string_value = "m_1%"
    second.attributes.add(key="tokens").value.int_value = 2**60
    nested = second.attributes.add(key="nested").value.kvlist_value.values.add(key="a")
    nested.value.array_value.values.add().double_value = float("nan")
    second.events.add(name="first token", time_unix_nano=NS + 15).attributes.add(key="n").value.bool_value = True
    second.status.code = 2
    second.status.message = "it broke"
    body: bytes = message.SerializeToString()
    return body


def send(talk: Conversation, body: bytes, media: str = otlp.PROTOBUF, experiment: str = "0", **more: str) -> Answer:
    return talk.ask("POST", "/v1/traces", body, headers={
        "content-type": media, "x-mlflow-experiment-id": experiment, **more,
    })  # fmt: skip


def found(talk: Conversation, text: str) -> list[str]:
    answer = talk.ask(
        "POST",
        f"{V3}/search",
        json={"locations": [{"mlflow_experiment": {"experiment_id": "0"}}], "filter": text},
    )
    assert answer.status == 200, answer.body
    return [each["trace_id"] for each in answer.json.get("traces", [])]


def test_a_trace_whose_client_says_nothing_is_told_by_its_root(talk: Conversation) -> None:
    answer = send(talk, export())
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", otlp.PROTOBUF)
    info = talk.ask("GET", f"{V3}/{ID}").json["trace"]["trace_info"]
    assert info["state"] == "OK"
    assert info["execution_duration"] == "1.500s"
    assert info["request_preview"] == '{"q": 1}'
    assert info["trace_metadata"]["mlflow.trace.session"] == "s1"
    assert info["tags"]["mlflow.traceName"] == "ask"
    assert info["tags"]["mlflow.trace.spansLocation"] == "TRACKING_STORE"


def test_spans_come_back_as_they_were_sent(talk: Conversation) -> None:
    send(talk, export())
    first, second = talk.ask("GET", f"{V3}/get?trace_id={ID}").json["trace"]["spans"]
    assert (first["name"], first["kind"], second["parent_span_id"]) == (
        "ask", "SPAN_KIND_SERVER", base64.b64encode(ROOT).decode(),
    )  # fmt: skip
    assert second["status"] == {"message": "it broke", "code": "STATUS_CODE_ERROR"}
    attributes = {pair["key"]: pair["value"] for pair in second["attributes"]}
    assert attributes["tokens"] == {"int_value": 2**60}
    assert attributes["nested"] == {
        "kvlist_value": {"values": [{"key": "a", "value": {"array_value": {"values": [{"double_value": "NaN"}]}}}]}
    }
    assert attributes["mlflow.traceRequestId"] == {"string_value": ID}
    assert second["events"] == [
        {"time_unix_nano": NS + 15, "name": "first token", "attributes": [{"key": "n", "value": {"bool_value": True}}]}
    ]
    pages = talk.ask("GET", f"/ajax-api/3.0/mlflow/get-trace-artifact?request_id={ID}").json["spans"]
    assert pages[1]["attributes"]["model"] == '"m_1%"'


def test_json_is_taken_as_otlp_writes_it(talk: Conversation) -> None:
    span = {"traceId": TRACE.hex(), "spanId": ROOT.hex(), "name": "json", "startTimeUnixNano": str(NS)}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert send(talk, json.dumps(body).encode(), "application/json; charset=utf-8").status == 200
    info = talk.ask("GET", f"{V3}/{ID}").json["trace"]["trace_info"]
    assert (info["state"], info["tags"]["mlflow.traceName"]) == ("IN_PROGRESS", "json")


def test_what_a_client_says_stands_whichever_comes_first(talk: Conversation) -> None:
    location = {"mlflow_experiment": {"experiment_id": "0"}}
    info = {
        "trace_id": ID, "trace_location": location, "request_time": "2023-11-14T22:13:20.250Z", "state": "ERROR",
        "execution_duration": "9s", "tags": {"mlflow.traceName": "mine", "k": "v"},
    }  # fmt: skip
    for order in (("spans", "info"), ("info", "spans")):
        for what in order:
            if what == "spans":
                assert send(talk, export()).status == 200
            else:
                assert talk.ask("POST", V3, json={"trace": {"trace_info": info}}).status == 200
        said = talk.ask("GET", f"{V3}/{ID}").json["trace"]["trace_info"]
        assert (said["state"], said["execution_duration"], said["tags"]["mlflow.traceName"]) == ("ERROR", "9s", "mine")
        assert said["tags"]["k"] == "v"
        assert len(talk.ask("GET", f"{V3}/get?trace_id={ID}").json["trace"]["spans"]) == 2
        deleted = {"experiment_id": "0", "request_ids": [ID]}
        assert talk.ask("POST", f"{V3}/delete-traces", json=deleted).json == {"traces_deleted": 1}
        assert talk.ask("GET", f"{V3}/get?trace_id={ID}").status == 404


def test_spans_are_found_by_what_is_in_them(talk: Conversation) -> None:
    send(talk, export())
    for text in (
        "span.name = 'call'", "span.type = 'LLM'", "span.status = 'ERROR'", "span.attributes.model = 'm_1%'",
        "span.attributes.model LIKE 'm%'", "span.attributes.model LIKE '%1%'", "trace.text LIKE '%first token%'",
        "span.name = 'call' AND span.type = 'LLM'", "span.name IN ('x', 'call')", "span.attributes.model != 'other'",
        "metadata.`mlflow.trace.session` = 's1'", "execution_time_ms = 1500", "name = 'ask'",
    ):  # fmt: skip
        assert found(talk, text) == [ID], text
    for text in (
        "span.name = 'ask' AND span.type = 'LLM'", "span.attributes.model = 'm_1'", "span.attributes.model = 'mX1%'",
        "span.attributes.model != 'm_1%'", "span.attributes.other = 'm_1%'", "span.name = 'CALL'",
    ):  # fmt: skip
        assert found(talk, text) == [], text


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "bare deflate", "identity"])
def test_compressed_exports_are_taken(talk: Conversation, encoding: str) -> None:
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = {
        "gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes,
        "bare deflate": lambda content: bare.compress(content) + bare.flush(),
    }[encoding](export())  # fmt: skip
    assert send(talk, body, **{"content-encoding": encoding.rpartition(" ")[2].upper()}).status == 200
    assert found(talk, "name = 'ask'") == [ID]


def test_a_small_body_that_unpacks_to_a_large_one_is_refused_before_it_fills_the_memory(talk: Conversation) -> None:
    bomb = gzip.compress(bytes(200 << 20), compresslevel=9)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    answer = send(talk, bomb, **{"content-encoding": "gzip"})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status, answer.json["error_code"]) == (413, "INVALID_PARAMETER_VALUE")
    assert peak < 3 * BODY_BYTES_MAX


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"not gzip", "gzip"), (gzip.compress(b"x" * 100, mtime=0)[:-4], "gzip"), (gzip.compress(b"", mtime=0) + b"more", "gzip"),
        (b"", "gzip"), (b"not deflate", "deflate"), (b"x", "br"), (b"x", "gzip, gzip"),
    ],
)  # fmt: skip
def test_what_cannot_be_unpacked_is_refused(talk: Conversation, body: bytes, encoding: str) -> None:
    answer = send(talk, body, **{"content-encoding": encoding})
    assert (answer.status, answer.json["error_code"]) == (400, "BAD_REQUEST")


def test_compressed_bodies_are_taken_nowhere_else(talk: Conversation) -> None:
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    assert talk.ask("POST", f"{V3}/search", gzip.compress(b"{}"), headers=headers).status == 415


def test_a_run_is_linked_to_the_traces_that_name_it(talk: Conversation) -> None:
    run = talk.ask("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json["run"]["info"]["run_id"]
    assert send(talk, export(), **{"x-mlflow-run-id": run}).status == 200
    assert found(talk, f"run_id = '{run}'") == [ID]
    assert send(talk, export(), **{"x-mlflow-run-id": "nobody's"}).status == 404


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"", otlp.PROTOBUF, 400),
        (b"\xff\xff\xff", otlp.PROTOBUF, 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"resourceSpans": 3}', "application/json", 400),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}', "application/json", 400),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00","spanId":"01"}]}]}]}', "application/json", 400),
        (b"x", "text/plain", 400),
        (b"[" * 100_000, "application/json", 400),
    ],
)
def test_what_is_no_export_is_refused(store: Store, body: bytes, media: str, status: int) -> None:
    with Conversation(store) as talk:
        answer = send(talk, body, media)
        assert (answer.status, answer.json["error_code"]) == (status, "BAD_REQUEST")
        assert talk.ask("POST", "/v1/traces", export(), headers={"content-type": otlp.PROTOBUF}).status == 422
        assert send(talk, export(), experiment="99").status == 404


@given(st.binary(max_size=200))
def test_any_bytes_are_spans_or_refused(body: bytes) -> None:
    for media in (otlp.PROTOBUF, otlp.JSON):
        try:
            assert otlp.read(body, media)
        except WireError as refusal:
            assert refusal.status == 400  # noqa: PT017 - either may be


WORDS = st.sampled_from([
    "status", "span.name", "span.attributes.x", "tags.`a b`", "metadata.m", "feedback.good", "expectation.e",
    "issue.id", "timestamp_ms", "prompt", "text", "run_id", "=", "!=", "LIKE", "IN", "NOT IN", "IS NULL", ">", "AND",
    "'x'", '"y"', "3", "('a', 'b')", "(", "nothing.x", "span.", "RLIKE",
])  # fmt: skip


@given(st.one_of(st.lists(WORDS, max_size=9).map(" ".join), st.text(max_size=60)))
def test_any_text_gives_conditions_or_a_refusal(text: str) -> None:
    try:
        parsed: Any = filters.conditions(text)
    except WireError as refusal:
        parsed = ()
        assert (refusal.code, refusal.status) == ("INVALID_PARAMETER_VALUE", 400)  # noqa: PT017 - either may be
    assert all(isinstance(each, Condition) for each in parsed)


@given(st.lists(WORDS, min_size=3, max_size=9).map(" ".join))
def test_whatever_is_parsed_can_be_asked_of_the_store(text: str) -> None:
    try:
        conditions = filters.conditions(text)
    except WireError:
        return
    from roadworthy.faces.server.mlflow.traces import search
    from roadworthy.registry.conditions import Bound

    for dialect in ("sqlite", "postgresql"):
        bound = Bound(dialect)
        clause = search.where(bound, search.Wanted(groups=(0,), conditions=conditions))
        assert "'x'" not in clause  # values are bound, never written


@given(st.integers(min_value=-(10**11), max_value=10**13))
def test_moments_and_durations_come_back(ms: int) -> None:
    assert schema.duration_ms(schema.duration(ms), "d") == ms
    moment = abs(ms) % 10**13
    assert schema.moment_ms(schema.moment(moment), "m") == moment


@given(st.text(max_size=30))
def test_what_is_no_moment_is_refused(text: str) -> None:
    for parse in (schema.moment_ms, schema.duration_ms):
        try:
            parse(text, "field")
        except WireError as refusal:
            assert refusal.status == 400  # noqa: PT017 - either may be


def test_another_projects_traces_are_not_there(store: Store, clock: SimulatedClock) -> None:
    group = groups.create(store, "secret", project="secret")
    with store.append() as tx:
        traces.put(tx, group, traces.Trace(id="tr-1", at_ms=1, state="OK"))
    stranger = Identity(name="eve", roles={"other": "admin"})
    viewer = Identity(name="val", roles={"secret": "viewer"})
    with store.read() as reader:
        with pytest.raises(WireError, match="not found"):
            handlers.require(reader, "tr-1", stranger)
        assert handlers.require(reader, "tr-1", viewer).id == "tr-1"
        with pytest.raises(Exception, match="no editor"):
            handlers.require(reader, "tr-1", viewer, "editor")
    assert clock.now() > 0


def test_an_assessment_of_another_trace_is_not_overwritten(talk: Conversation) -> None:
    send(talk, export())
    other = export().replace(TRACE, bytes(reversed(TRACE)))
    send(talk, other)
    theirs = f"tr-{bytes(reversed(TRACE)).hex()}"
    said = {"assessment_id": "a-1", "assessment_name": "good", "feedback": {"value": True}}
    assert talk.ask("POST", f"{V3}/{ID}/assessments", json={"assessment": said}).status == 200
    changed = {**said, "feedback": {"value": False}}
    assert talk.ask("POST", f"{V3}/{theirs}/assessments", json={"assessment": changed}).status == 404
    kept = talk.ask("GET", f"{V3}/{ID}/assessments/a-1").json["assessment"]
    assert kept["feedback"] == {"value": True}
    assert msgspec.json.decode(msgspec.json.encode(kept))["valid"] is True


def test_how_far_conditions_go_together_is_counted_as_mlflow_counts_it(store: Store) -> None:
    location = {"mlflow_experiment": {"experiment_id": "0"}}
    with Conversation(store) as talk:
        for n in range(12):
            info = {
                "trace_id": f"tr-{n:032x}", "trace_location": location, "request_time": "2023-11-14T22:13:20Z",
                "state": "ERROR" if n % 3 == 0 else "OK", "tags": {"a": "x" if n % 2 else "y"},
            }  # fmt: skip
            talk.ask("POST", V3, json={"trace": {"trace_info": info}})

        def correlation(first: str, second: str) -> dict[str, float]:
            sent = {"experiment_ids": ["0"], "filter_string1": first, "filter_string2": second}
            answer: dict[str, float] = talk.ask("POST", f"{V3}/calculate-filter-correlation", json=sent).json
            return answer

        # The numbers are those that MLflow 3.17.2 answers for the same traces.
        never = correlation("status='ERROR'", "status='OK'")
        assert (never["npmi"], never["joint_count"]) == (-1.0, 0)
        assert never["npmi_smoothed"] == pytest.approx(-0.558414807684529)
        same = correlation("status='OK'", "status='OK'")
        assert (same["npmi"], same["total_count"]) == (pytest.approx(1.0), 12)
        assert same["npmi_smoothed"] == pytest.approx(0.7709041052389323)
        assert "npmi" not in correlation("tags.a='zz'", "status='OK'")
