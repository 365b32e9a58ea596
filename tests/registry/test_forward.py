"""Runs sent to a tracking server: whole, once, and later when it does not answer now."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.run import MetricPoint, Run
from roadworthy.registry import artifacts, forward, metrics, runs
from roadworthy.registry.remote import Remote, address
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store
from tests.server_faults.served import Served, free_port


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture
def remote(served: Served) -> Iterator[Remote]:
    opened = Remote(f"http://127.0.0.1:{served.port}")
    yield opened
    opened.close()


def ended(store: Store, project: str, status: str = "finished") -> Run:
    run = runs.start(
        store, Run(id="", project=project, name="one", params={"depth": 3, "deep": {"a": [1]}}, tags={"k": "v"})
    )
    points = [MetricPoint(key="loss", value=1 / (step + 1), step=step, at=1000.0 + step) for step in range(2_500)]
    metrics.log(
        store, run.id, [*points, MetricPoint(key="nan", value=float("nan")), MetricPoint(key="inf", value=float("inf"))]
    )
    artifacts.keep(store, run.id, "notes/ä b.txt", b"hello")
    return runs.finish(store, run.id, status)  # type: ignore[arg-type]


def test_a_run_arrives_whole(store: Store, remote: Remote) -> None:
    run = ended(store, "whole")
    sent = forward.send(store, remote, run.id)
    assert (sent.files, sent.kept_here, sent.again) == (1, "", False)
    there = remote.get("runs/get", run_id=sent.run)["run"]
    assert there["info"]["status"] == "FINISHED"
    assert there["info"]["start_time"] == round(run.started_at * 1000)
    assert {p["key"]: p["value"] for p in there["data"]["params"]} == {"depth": "3", "deep": '{"a": [1]}'}
    tags = {tag["key"]: tag["value"] for tag in there["data"]["tags"]}
    assert (tags["k"], tags[forward.OURS]) == ("v", run.id)
    history = list(remote.pages("metrics/get-history", {"run_id": sent.run, "metric_key": "loss"}, "metrics", get=True))
    assert [(p["step"], p["value"], p["timestamp"]) for p in history] == [
        (step, 1 / (step + 1), 1_000_000 + step * 1000) for step in range(2_500)
    ]
    assert [f["path"] for f in remote.get("artifacts/list", run_id=sent.run, path="notes")["files"]] == [
        "notes/ä b.txt"
    ]
    group = remote.get("experiments/get-by-name", experiment_name="whole")["experiment"]
    assert group["experiment_id"] == there["info"]["experiment_id"]


def test_a_run_is_sent_once(store: Store, remote: Remote) -> None:
    run = ended(store, "once")
    first = forward.send(store, remote, run.id)
    again = forward.send(store, remote, run.id)
    assert again.again
    assert again.run == first.run


def test_what_was_half_sent_comes_whole_without_a_second_run(
    store: Store, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(store, "half")

    def gone(*_: object) -> None:
        raise ConnectionError("the line is cut")

    with monkeypatch.context() as patch:
        patch.setattr(remote, "upload", gone)
        with pytest.raises(ConnectionError):
            forward.send(store, remote, run.id)
    sent = forward.send(store, remote, run.id)
    found = remote.post("runs/search", {"experiment_ids": [_experiment(remote, "half")]})["runs"]
    assert [r["info"]["run_id"] for r in found] == [sent.run]
    history = list(remote.pages("metrics/get-history", {"run_id": sent.run, "metric_key": "loss"}, "metrics", get=True))
    assert len(history) == 2_500


def test_runs_wait_for_a_server_that_does_not_answer(store: Store, clock: SimulatedClock, served: Served) -> None:
    run = ended(store, "later", "failed")
    nowhere = Remote(f"http://127.0.0.1:{free_port()}", clock=clock)
    with pytest.raises(Fault) as refusal:
        forward.send(store, nowhere, run.id)
    assert refusal.value.code is Code.UNAVAILABLE
    assert forward.send_all(store, "", "later") == []
    assert forward.send_all(store, f"http://127.0.0.1:{served.port}", "later") == []
    remote = Remote(f"http://127.0.0.1:{served.port}")
    (found,) = remote.post("runs/search", {"experiment_ids": [_experiment(remote, "later")]})["runs"]
    assert found["info"]["status"] == "FAILED"
    remote.close()


def test_a_run_that_was_passed_over_goes_however_many_came_after_it(
    store: Store, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{served.port}"
    early = runs.start(store, Run(id="", project="crowd", name="early"))
    for _ in range(3):
        runs.finish(store, runs.start(store, Run(id="", project="crowd")).id, "finished")
    assert forward.send_all(store, url, "crowd") == []
    runs.finish(store, early.id, "finished")
    monkeypatch.setattr(forward, "AT_ONCE_MAX", 1)
    sent: list[str] = []
    real = forward.send
    monkeypatch.setattr(forward, "send", lambda s, r, run_id: sent.append(run_id) or real(s, r, run_id))
    assert forward.send_all(store, url, "crowd") == []
    assert forward.send_all(store, url, "crowd") == []
    assert sent == [early.id]


def test_credentials_come_from_where_mlflow_finds_them(tmp_path: Path) -> None:
    assert address("http://h:5000/base/", {}) == ("http://h:5000/base", "")
    assert address("https://h", {"MLFLOW_TRACKING_TOKEN": "t"}).authorization == "Bearer t"
    named = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "pw"}
    assert address("http://h", named).authorization == "Basic YWRhOnB3"
    assert address("http://ada:pw@h:1", {}) == ("http://h:1", "Basic YWRhOnB3")
    profile = tmp_path / "cfg"
    profile.write_text(
        "[DEFAULT]\nhost = https://a.example\ntoken = x\n[dev]\nhost = https://dev.example/\ntoken = %y\n"
    )
    file = {"DATABRICKS_CONFIG_FILE": str(profile)}
    assert address("databricks", file) == ("https://a.example", "Bearer x")
    assert address("databricks://dev", file) == ("https://dev.example", "Bearer %y")
    told = {"DATABRICKS_HOST": "b.example", "DATABRICKS_TOKEN": "z"}
    assert address("databricks", {**file, **told}) == ("https://b.example", "Bearer z")


@pytest.mark.parametrize("uri", ["", "mlruns", "ftp://h", "http://", "databricks", "databricks://none"])
def test_what_is_no_tracking_server_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(Fault) as refusal:
        address(uri, {"DATABRICKS_CONFIG_FILE": str(tmp_path / "none")})
    assert refusal.value.code is Code.INVALID


def test_a_server_that_speaks_something_else_is_told(served: Served) -> None:
    remote = Remote(f"http://127.0.0.1:{served.port}/elsewhere")
    with pytest.raises(Fault) as refusal:
        remote.get("experiments/get-by-name", experiment_name="x")
    assert refusal.value.code is Code.NOT_FOUND
    remote.close()


def _experiment(remote: Remote, name: str) -> str:
    return str(remote.get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"])
