import json
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from roadworthy.nouns.errors import Fault
from roadworthy.nouns.project import Serving
from roadworthy.serving import control, inference_rows, runtime
from roadworthy.serving.bundle import Bundle
from roadworthy.serving.control import RouterStatus
from roadworthy.serving.model import load
from roadworthy.serving.routes import Route, State, write_state
from tests.serving.servers import FEATURES, ROW, Launcher, Maker, flights, route

TABLE = flights(40, seed=2)[FEATURES].assign(tail=[f"N{i % 17}" for i in range(40)])
RECORDS = TABLE.to_dict(orient="records")


class Two:
    """Two versions behind a router."""

    def __init__(self, launch: Launcher, bundles: list[Bundle], home: Path) -> None:
        self.launch = launch
        self.home = home
        self.bundles = bundles
        self.servers = [launch.app(made, None, "--log", str(home / "inference")) for made in bundles]
        for server in self.servers:
            server.wait()
        self.scores = [load(made).predict(TABLE).tolist() for made in bundles]
        self.router = launch.router(self.state(0.0)).wait()

    def routes(self, share: float) -> tuple[Route, ...]:
        old, new = self.servers
        return (
            route(old, self.bundles[0], 1.0 - share, "live" if share < 1 else "draining"),
            route(new, self.bundles[1], share, "canary" if share < 1 else "live"),
        )

    def state(self, share: float) -> State:
        return State(routes=self.routes(share), entity="tail")

    def split(self, share: float) -> RouterStatus:
        return self.follow(self.state(share))

    def follow(self, state: State) -> RouterStatus:
        write_state(self.launch.folder / "state.json", state)
        return control.reload(self.launch.control())


@pytest.fixture(scope="module")
def two(shared: Maker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    launch = Launcher(tmp_path_factory.mktemp("two"))
    bundles = [
        shared.bundle(shared.model(version, seed=version), serving=Serving(entity="tail", flush="100ms"))
        for version in (11, 12)
    ]
    yield Two(launch, bundles, tmp_path_factory.mktemp("home"))
    launch.close()


def versions(two: Two, records: list[dict] = RECORDS) -> list[str]:
    answer = two.router.predict(*records, x_roadworthy_versions="1")
    assert answer.status == 200, answer.body
    return answer.json()["versions"]


def test_one_version_answers_all(two: Two) -> None:
    two.split(0.0)
    answer = two.router.predict(*RECORDS)
    assert answer.json() == {"predictions": pytest.approx(two.scores[0], rel=1e-12)}
    assert answer.headers["x-roadworthy-model"] == "late@11"
    two.split(1.0)
    assert two.router.predict(ROW).headers["x-roadworthy-model"] == "late@12"


def test_rows_of_one_request_are_divided_and_come_back_in_order(two: Two) -> None:
    two.split(0.5)
    found = versions(two)
    assert set(found) == {"late@11", "late@12"}
    expected = [two.scores[int(version.endswith("2"))][row] for row, version in enumerate(found)]
    answer = two.router.predict(*RECORDS)
    assert answer.json() == {"predictions": pytest.approx(expected, rel=1e-12)}
    assert set(answer.headers["x-roadworthy-model"].split(",")) == {"late@11", "late@12"}
    split = TABLE.to_dict(orient="split")
    bodies: list[tuple[bytes, str]] = [
        (TABLE.to_csv(index=False).encode(), "text/csv"),
        (TABLE.to_json(orient="records", lines=True).encode(), "application/jsonlines"),
        (
            json.dumps({"dataframe_split": {"columns": split["columns"], "data": split["data"]}}).encode(),
            "application/json",
        ),
        (json.dumps({"inputs": TABLE.to_dict(orient="list")}).encode(), "application/json"),
    ]
    for body, kind in bodies:
        answer = two.router.ask("POST", "/invocations", body, content_type=kind, accept="text/csv")
        assert [float(line) for line in answer.body.split()] == pytest.approx(expected, rel=1e-9), kind


def test_an_entity_always_meets_the_same_version(two: Two) -> None:
    met: dict[str, str] = {}
    for share in (0.1, 0.5, 0.9):
        two.split(share)
        for record, version in zip(RECORDS, versions(two), strict=True):
            if met.get(record["tail"]) == "late@12":
                assert version == "late@12"
            met[record["tail"]] = version
        alone = two.router.predict(RECORDS[3])
        assert alone.headers["x-roadworthy-model"] == met[RECORDS[3]["tail"]]
    assert set(met.values()) == {"late@11", "late@12"}


def test_without_an_entity_requests_are_spread(two: Two) -> None:
    two.split(0.5)
    counts = Counter(two.router.predict(ROW).headers["x-roadworthy-model"] for _ in range(60))
    assert len(counts) == 2
    same = {two.router.predict(ROW, x_request_id="again").headers["x-roadworthy-model"] for _ in range(5)}
    assert len(same) == 1
    positional = {"instances": [[row[name] for name in FEATURES] for row in RECORDS]}
    assert two.router.ask("POST", "/invocations", positional).status == 200


def test_a_bad_row_of_a_divided_request_is_named_as_the_client_counts(two: Two) -> None:
    two.split(0.5)
    for row in (0, 7, 39):
        records = [r | ({"wind": "x"} if i == row else {}) for i, r in enumerate(RECORDS)]
        answer = two.router.predict(*records)
        assert answer.status == 400
        assert answer.json()["detail"]["row"] == row
    for body, kind, status in (
        (b"{", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"a\n1\n", "text/csv", 400),
    ):
        assert two.router.ask("POST", "/invocations", body, content_type=kind).status == status


def test_what_a_client_says_of_routing_is_not_believed(two: Two) -> None:
    two.split(0.0)
    part = json.dumps(["tail", "ab" * 32, 0, 1, 0])
    answer = two.router.predict(*RECORDS, x_roadworthy_part=part, x_roadworthy_route="shadow")
    assert len(answer.json()["predictions"]) == len(RECORDS)


def test_the_file_is_followed_without_being_told_and_nonsense_is_not(two: Two) -> None:
    two.split(0.0)
    path = two.launch.folder / "state.json"
    write_state(path, two.state(1.0))
    until = time.monotonic() + 20
    while two.router.predict(ROW).headers["x-roadworthy-model"] != "late@12" and time.monotonic() < until:
        time.sleep(0.01)
    assert two.router.predict(ROW).headers["x-roadworthy-model"] == "late@12"
    path.write_bytes(b'{"routes": 7}')
    status = control.reload(two.launch.control())
    assert "not a state" in status.problem
    assert two.router.predict(ROW).headers["x-roadworthy-model"] == "late@12"
    assert two.split(0.0).problem == ""
    assert two.router.predict(ROW).headers["x-roadworthy-model"] == "late@11"


def test_what_it_counts(two: Two) -> None:
    before = two.split(0.0).route("r11")
    two.router.predict(ROW, ROW)
    two.router.predict({})
    after = control.status(two.launch.control()).route("r11")
    assert before is not None
    assert after is not None
    assert (after.requests - before.requests, after.rows - before.rows) == (2, 2)
    assert (after.rejected - before.rejected, after.errors - before.errors, after.in_flight) == (1, 0, 0)
    assert 0 < after.latency_p50_ms <= after.latency_p99_ms
    text = two.router.ask("GET", "/metrics").body.decode()
    samples = {(s.name, s.labels.get("release")) for f in text_string_to_metric_families(text) for s in f.samples}
    assert {("roadworthy_version_requests_total", "r11"), ("roadworthy_server_log_rows_dropped", "r12")} <= samples
    about = two.router.ask("GET", "/").json()
    assert [shown["model"] for shown in about["routes"]] == ["late@11", "late@12"]


def test_a_shadow_sees_all_and_answers_nobody(two: Two) -> None:
    old, new = two.servers
    two.follow(
        State(routes=(route(old, two.bundles[0], 1.0), route(new, two.bundles[1], 0.0, "shadow")), entity="tail")
    )
    before = control.status(two.launch.control()).route("r12")
    answer = two.router.predict(ROW, ROW, x_request_id="shadowed")
    assert answer.headers["x-roadworthy-model"] == "late@11"
    until = time.monotonic() + 20
    found: list[dict] = []
    while len(found) < 2 and time.monotonic() < until:
        table = inference_rows.rows(two.home, "local", shadow=True, model="late@12").to_pylist()
        found = [row for row in table if row["_request"] == "shadowed"]
        time.sleep(0.05)
    assert {row["_route"] for row in found} == {"shadow"}
    after = control.status(two.launch.control()).route("r12")
    assert before is not None
    assert after is not None
    assert after.rows == before.rows + 2


def test_switching_under_load_drops_no_request(two: Two) -> None:
    two.split(0.0)
    stop = threading.Event()
    failed: list[tuple[int, bytes]] = []
    answered: Counter[str] = Counter()

    def client(own: int) -> None:
        connection = two.router.connect()
        while not stop.is_set():
            rows = RECORDS[own : own + 1 + own % 3]
            body = json.dumps({"dataframe_records": rows})
            connection.request("POST", "/invocations", body, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            if response.status != 200 or len(json.loads(content)["predictions"]) != len(rows):
                failed.append((response.status, content))
            answered.update(response.headers["x-roadworthy-model"].split(","))
        connection.close()

    threads = [threading.Thread(target=client, args=(own,)) for own in range(6)]
    for thread in threads:
        thread.start()
    # A third version comes up, takes all, and the first goes for good, while clients ask.
    third = two.launch.app(two.bundles[0], two.launch.folder / "third.sock").wait()
    for turn in range(12):
        two.split((turn % 5) / 4)
        time.sleep(0.1)
    new = Route(model="late@11", release="r13", share=1.0, uds=str(third.address))
    old = route(two.servers[1], two.bundles[1], 0.0, "draining")
    two.follow(State(routes=(new, old), entity="tail"))
    while (left := control.status(two.launch.control()).route("r12")) and left.in_flight:
        time.sleep(0.01)
    two.follow(State(routes=(new,), entity="tail"))
    assert two.servers[1].stop() == 0
    # One of two versions is killed while it answers: the other answers what it had been asked.
    two.follow(State(routes=(new, route(two.servers[0], two.bundles[0], 1.0)), entity="tail"))
    time.sleep(0.3)
    two.servers[0].stop(signal.SIGKILL)
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join(timeout=60)
    assert failed == []
    assert answered["late@11"] > 20
    assert answered["late@12"] > 0


def test_another_version_answers_for_one_that_is_gone(two: Two) -> None:
    served = two.launch.app(two.bundles[0], two.launch.folder / "fourth.sock").wait()
    alive = Route(model="late@11", release="r14", share=0.5, uds=str(served.address), state="canary")
    gone = Route(model="late@12", release="r15", share=0.5, uds=str(two.launch.folder / "nobody.sock"))
    two.follow(State(routes=(gone, alive), entity="tail"))
    for record in RECORDS[:10]:
        assert two.router.predict(record).headers["x-roadworthy-model"] == "late@11"
    many = two.router.predict(*RECORDS)
    assert many.headers["x-roadworthy-model"] == "late@11"
    assert many.json()["predictions"] == pytest.approx(two.scores[0], rel=1e-12)
    found = control.status(two.launch.control()).route("r15")
    assert found is not None
    assert found.errors > 0
    two.follow(State(routes=(gone,)))
    answer = two.router.predict(ROW)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert two.router.ask("GET", "/ping").status == 503


def test_before_anything_is_released(launch: Launcher, tmp_path: Path) -> None:
    router = launch.router(State())
    until = time.monotonic() + 20
    while not launch.control().exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.2)
    answer = router.ask("POST", "/invocations", {"inputs": []})
    assert answer.status == 503
    assert "rw release" in answer.json()["fix"]
    assert router.ask("GET", "/ping").status == 503
    for host in ("evil.example", "127.0.0.1.evil.example:80"):
        assert router.ask("GET", "/", host=host).status == 421
    for method, path in (
        ("GET", "/status"),
        ("POST", "/reload"),
        ("POST", "/ping"),
        ("GET", "/invocations"),
        ("PUT", "/"),
    ):
        assert router.ask(method, path).status in {404, 405}
    assert control.status(launch.control()).unrouted == 1
    # Its socket is the user's own, and a second router may not take it.
    assert launch.control().stat().st_mode & 0o077 == 0
    with pytest.raises(Fault, match="listens on"):
        runtime.bind_unix(launch.control())
    assert router.stop() == 0
    with pytest.raises(Fault, match="does not answer"):
        control.status(launch.control())


def test_sockets_have_short_paths_of_ones_own(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rw-") as short:
        assert runtime.socket_folder(Path(short)) == Path(short) / "run"
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    folder = runtime.socket_folder(deep)
    assert len(str(folder)) < 60
    assert folder.stat().st_mode & 0o777 == 0o700
    assert runtime.socket_folder(deep) == folder
    assert runtime.socket_folder(deep / "other") != folder
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(Fault, match="someone else"):
        runtime.socket_folder(deep)
    folder.unlink()
    with pytest.raises(Fault, match="107 bytes"):
        runtime.bind_unix(deep / "a.sock")
