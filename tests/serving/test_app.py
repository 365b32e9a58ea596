import gzip
import json
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from roadworthy.nouns.project import Serving
from roadworthy.serving import inference_rows
from roadworthy.serving.model import load
from tests.serving.servers import FEATURES, ROW, Launcher, Maker, Served, flights, free_port

TABLE = flights(5, seed=2)[FEATURES]


@pytest.fixture(scope="module")
def expected(shared: Maker) -> list[float]:
    return load(shared.bundle(shared.model())).predict(TABLE).tolist()


def metric(served: Served, name: str) -> float:
    text = served.ask("GET", "/metrics").body.decode()
    return sum(s.value for f in text_string_to_metric_families(text) for s in f.samples if s.name == name)


def forms() -> dict[str, dict]:
    split = TABLE.to_dict(orient="split")
    return {
        "split": {"dataframe_split": {"columns": split["columns"], "data": split["data"]}},
        "records": {"dataframe_records": TABLE.to_dict(orient="records")},
        "instances": {"instances": TABLE.to_dict(orient="records")},
        "positional": {"instances": TABLE.to_numpy().tolist()},
        "inputs": {"inputs": TABLE.to_dict(orient="list")},
        "params": {"inputs": TABLE.to_dict(orient="list"), "params": {"temperature": 1}},
        "extra": {"dataframe_records": TABLE.assign(other=[{"a": []}] * 5).to_dict(orient="records")},
    }


@pytest.mark.parametrize("form", list(forms()))
def test_all_forms_of_mlflow(server: Served, expected: list[float], form: str) -> None:
    answer = server.ask("POST", "/invocations", forms()[form])
    assert answer.status == 200
    assert answer.json() == {"predictions": pytest.approx(expected, rel=1e-12)}
    assert answer.headers["x-roadworthy-model"] == "late@1"
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["x-request-id"]) == 32


def test_csv_and_lines_as_sagemaker_sends_them(server: Served, expected: list[float]) -> None:
    body = TABLE.to_csv(index=False).encode()
    answer = server.ask("POST", "/invocations", body, content_type="text/csv", accept="text/csv")
    assert [float(line) for line in answer.body.split()] == pytest.approx(expected, rel=1e-12)
    assert answer.headers["content-type"] == "text/csv"
    bare = TABLE.to_csv(index=False, header=False).encode()
    answer = server.ask("POST", "/invocations", bare, content_type="text/csv; header=absent")
    assert answer.json()["predictions"] == pytest.approx(expected, rel=1e-12)
    lines = TABLE.to_json(orient="records", lines=True).encode()
    answer = server.ask("POST", "/invocations", lines, content_type="application/jsonlines")
    assert [json.loads(line)["prediction"] for line in answer.body.splitlines()] == pytest.approx(expected, rel=1e-12)


def test_nothing_asked_nothing_answered(server: Served) -> None:
    assert server.ask("POST", "/invocations", {"dataframe_records": []}).status == 400  # which columns? none are named
    empty = {"dataframe_split": {"columns": FEATURES, "data": []}}
    assert server.ask("POST", "/invocations", empty).json() == {"predictions": []}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"distance": "300"}, "row 1, field 'distance'"), ({"distance": 1.5}, "a whole number"), ({"wind": None}, "not null"),
        ({"wind": "fast"}, "a finite number"), ({"carrier": 5}, "a string"), ({"carrier": {"a": [1]}}, "a string"),
        ({"distance": True}, "boolean True"), ({"distance": 2**80}, "a whole number"), ({"tail": ["N1"]}, "'tail'"),
        ({"id": {"a": 1}}, "'id'"), ({"when": "yesterday"}, "'when'"), ({"when": 1e300}, "'when'"), ({"tail": "x" * 300}, "256"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(server: Served, change: dict, said: str) -> None:
    extras = {"tail": "N1", "id": 1, "when": "2013-01-01"}
    answer = server.predict(ROW | extras, ROW | extras | change)
    assert answer.status == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert said in answer.json()["message"]
    assert "row 1" in answer.json()["where"]
    assert answer.json()["detail"]["field"] == next(iter(change))


def test_a_missing_column_is_named(server: Served) -> None:
    answer = server.predict({k: v for k, v in ROW.items() if k != "wind"})
    assert answer.status == 400
    assert answer.json()["detail"]["field"] == "wind"
    answer = server.ask("POST", "/invocations", b"carrier,distance\nAA,1\n", content_type="text/csv")
    assert (answer.status, answer.json()["detail"]["field"]) == (400, "wind")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400), (b"\xff\xfe", {}, 400), (b'{"inputs": [[NaN]]}', {}, 400), (b"[" * 200_000, {}, 400),
        (b'{"inputs": ' + b'{"a":' * 100_000, {}, 400), (b"{}", {"content_type": "text/plain"}, 415),
        (b"a=1", {"content_type": "application/x-www-form-urlencoded"}, 415), (b"{}", {"content_type": ""}, 415),
        (b"\x80\x04", {"content_type": "application/x-python-pickle"}, 415),
        (gzip.compress(b" " * 1_000_000, mtime=0), {"content_encoding": "gzip"}, 415),
        (b"x", {"content_type": "application/json; charset=utf-16"}, 415),
        (json.dumps({"instances": [[1, 2, 3]] * 10_001}).encode(), {}, 400),
        (b" " * (33 << 20), {}, 413),
    ],
)  # fmt: skip
def test_no_body_is_a_fault_of_ours(server: Served, body: bytes, headers: dict, status: int) -> None:
    before = metric(server, "roadworthy_requests_total")
    try:
        answer = server.ask("POST", "/invocations", body, **headers)
    except (BrokenPipeError, ConnectionResetError):
        assert status == 413  # closed before all of it was sent
    else:
        assert answer.status == status
        assert answer.json()["error_code"]
        assert answer.json()["message"]
    assert metric(server, "roadworthy_requests_total") > before
    assert server.predict(ROW).status == 200


def test_a_body_in_chunks_is_capped_too(server: Served) -> None:
    connection = server.connect()
    connection.putrequest("POST", "/invocations")
    connection.putheader("content-type", "application/json")
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    block = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
    try:
        for _ in range(40):
            connection.send(block)
        status = connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        status = 413
    connection.close()
    assert status == 413


def test_only_declared_routes_and_methods_exist(server: Served) -> None:
    declared = {
        "/": "GET",
        "/ping": "GET",
        "/health": "GET",
        "/version": "GET",
        "/metrics": "GET",
        "/invocations": "POST",
    }
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
    for path, allowed in declared.items():
        for method in methods:
            answer = server.ask(method, path)
            assert (answer.status == 405) == (method != allowed), (method, path)
            if method not in {allowed, "TRACE"}:
                assert answer.headers["allow"] == allowed
    for path in (
        "/api",
        "/ping/",
        "//ping",
        "/invocations/..",
        "/%2e%2e/etc/passwd",
        "/metrics;x",
        "/status",
        "/reload",
        "/PING",
    ):
        for method in methods:
            assert server.ask(method, path).status == 404, path
    assert server.ask("HEAD", "/ping").status == 200


def test_what_it_says_of_itself(server: Served) -> None:
    about = server.ask("GET", "/").json()
    assert about["model"] == "late@1"
    assert [field["name"] for field in about["inputs"]] == FEATURES
    assert server.ask("GET", "/version").json()["model"] == "late@1"
    assert server.ask("GET", "/ping").json()["status"] == "ok"
    answer = server.ask("GET", "/ping", x_request_id="mine-1")
    assert answer.headers["x-request-id"] == "mine-1"
    answer = server.ask("GET", "/ping", x_request_id="no spaces, please")
    assert len(answer.headers["x-request-id"]) == 32
    before = metric(server, "roadworthy_rows_total")
    server.predict(ROW, ROW)
    assert metric(server, "roadworthy_rows_total") == before + 2


def test_versions_per_row_on_request(server: Served) -> None:
    answer = server.predict(ROW, ROW, x_roadworthy_versions="true")
    assert answer.json()["versions"] == ["late@1", "late@1"]


def test_rows_are_kept(server: Served, serve_home: Path) -> None:
    sent = server.predict(
        ROW | {"tail": "N77", "id": 501, "when": "2013-02-01T00:00:00Z"},
        ROW | {"tail": None, "id": 502, "when": 1000.5},
        x_request_id="kept-1",
    )
    until = time.monotonic() + 20
    found: list[dict] = []
    while len(found) < 2 and time.monotonic() < until:
        table = inference_rows.rows(serve_home, "local").to_pylist()
        found = [row for row in table if row["_request"] == "kept-1"]
        time.sleep(0.05)
    assert [row["_key"] for row in found] == ["502", "501"]
    assert found[1]["_at"] == pd.Timestamp("2013-02-01", tz="UTC").timestamp()
    assert found[0]["_at"] == 1000.5
    assert [row["_entity"] for row in found] == [None, "N77"]
    assert [row["_score"] for row in reversed(found)] == sent.json()["predictions"]
    assert found[0]["distance"] == 300


def test_concurrent_clients_each_get_their_own(server: Served, shared: Maker) -> None:
    table = flights(64, seed=11)[FEATURES]
    expected = load(shared.bundle(shared.model())).predict(table)
    records = table.to_dict(orient="records")
    wrong: list[int] = []

    def client(own: int) -> None:
        for i in range(own, 64, 8):
            got = server.predict(records[i]).json()["predictions"][0]
            if not np.isclose(got, expected[i], rtol=1e-12):
                wrong.append(i)

    threads = [threading.Thread(target=client, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert wrong == []


@pytest.mark.slow
def test_what_the_model_refuses_is_a_bad_request(maker: Maker, launch: Launcher) -> None:
    served = launch.app(maker.bundle(maker.model(unknown="error"))).wait()
    answer = served.predict(ROW, ROW | {"carrier": "ZZ"})
    assert answer.status == 400
    assert "row 1" in answer.json()["where"]
    assert "ZZ" in answer.json()["message"]
    assert answer.headers["x-roadworthy-error"] == "model"
    assert served.stop() == 0


@pytest.mark.slow
def test_other_hosts_and_origins_are_refused(maker: Maker, launch: Launcher) -> None:
    port = free_port()
    made = maker.bundle(maker.model())
    served = launch("app", port, "--bundle", str(made.folder), "--port", str(port)).wait()
    for host in ("localhost", f"127.0.0.1:{port}", "[::1]", "LOCALHOST:80"):
        assert served.predict(ROW, host=host).status == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost@evil.example", ""):
        assert served.predict(ROW, host=host).status == 421
        assert served.ask("GET", "/metrics", host=host).status == 421
    assert served.predict(ROW, origin="https://evil.example").status == 403
    assert served.predict(ROW, origin="null").status == 403
    assert served.predict(ROW, origin=f"http://localhost:{port}").status == 200
    # What only the router says is not believed of anyone else.
    part = json.dumps(["carrier", "ab" * 32, 0, 1, 0])
    assert len(served.predict(ROW, ROW, x_roadworthy_part=part).json()["predictions"]) == 2
    twice = b"GET /ping HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(twice)
        assert raw.recv(100).startswith(b"HTTP/1.1 421")
    again = launch("app", port, "--bundle", str(made.folder), "--port", str(port))
    assert again.process.wait(timeout=30) == 4
    assert b"cannot be listened on" in again.log.read_bytes()


@pytest.mark.slow
def test_stopping_finishes_what_is_in_flight_and_keeps_every_row(
    maker: Maker, launch: Launcher, tmp_path: Path
) -> None:
    made = maker.bundle(maker.model(), serving=Serving(flush="1h"))
    served = launch.app(made, None, "--log", str(tmp_path / "inference")).wait()
    answered = []
    stop = threading.Event()

    def client() -> None:
        connection = served.connect()
        while not stop.is_set():
            try:
                connection.request(
                    "POST", "/invocations", json.dumps({"inputs": [ROW]}), {"content-type": "application/json"}
                )
                response = connection.getresponse()
                response.read()
                answered.append(response.status)
            except OSError:
                break
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(answered) < 40:
        time.sleep(0.01)
    assert served.stop() == 0
    stop.set()
    for thread in threads:
        thread.join(timeout=30)
    assert set(answered) == {200}
    # A client that was cut off between its answer and our count may have one row more in the log.
    assert 0 <= inference_rows.rows(tmp_path, "local").num_rows - len(answered) <= 4


@pytest.mark.slow
def test_killed_it_loses_no_more_than_the_last_flush(maker: Maker, launch: Launcher, tmp_path: Path) -> None:
    made = maker.bundle(maker.model(), serving=Serving(flush="100ms"))
    served = launch.app(made, None, "--log", str(tmp_path / "inference")).wait()
    for i in range(20):
        served.predict(ROW, x_request_id=f"first-{i}")
    until = time.monotonic() + 20
    while metric(served, "roadworthy_log_rows_written") < 20 and time.monotonic() < until:
        time.sleep(0.05)
    served.predict(ROW, x_request_id="last")
    served.stop(signal.SIGKILL)
    found = [row["_request"] for row in inference_rows.rows(tmp_path, "local").to_pylist()]
    assert {f"first-{i}" for i in range(20)} <= set(found)
    assert len(found) == len(set(found))
    # What is left of a killed process is a socket file, which the next one replaces.
    assert launch.app(made, served.address).wait().predict(ROW).status == 200


def test_a_bundle_that_is_not_whole_is_not_served(maker: Maker, launch: Launcher, tmp_path: Path) -> None:
    made = maker.bundle(maker.model())
    (made.folder / "certificate.json").write_bytes(b"{}")
    served = launch.app(made)
    assert served.process.wait(timeout=30) == 2
    assert b"certificate" in served.log.read_bytes()
    served = launch("app", 1, "--bundle", str(tmp_path / "nothing"), "--uds", str(tmp_path / "s"))
    assert served.process.wait(timeout=30) == 2
    assert b"Traceback" not in served.log.read_bytes()
