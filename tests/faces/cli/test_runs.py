"""`rw runs`: list, show, compare."""

import json
from pathlib import Path

import pytest

from roadworthy.nouns.run import CodeVersion, MetricPoint, Run
from roadworthy.nouns.step import StepRun
from roadworthy.registry import artifacts, metrics, runs
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import open_store


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    """Ids of a finished, a failed and a running run, the last of another group."""
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "p"\n')
    clock = SimulatedClock(1_700_000_000.0)
    with open_store(tmp_path / ".roadworthy", clock=clock) as store:
        a = runs.start(store, Run(id="a" * 32, project="p", params={"lr": 0.1}, code=CodeVersion(digest="1")))
        metrics.log(store, a.id, [MetricPoint(key="auc", value=0.7)])
        artifacts.keep(store, a.id, "plots/roc.png", b"123")
        runs.settle_step(store, a.id, 0, StepRun(step="train", status="ran", wall_s=2.5, why="new"))
        clock.set(1_700_000_061.0)
        runs.finish(store, a.id, "finished")
        b = runs.start(
            store, Run(id="b" * 32, project="p", params={"lr": 0.2}, code=CodeVersion(digest="1"), name="\x1b[31mred")
        )
        runs.finish(store, b.id, "failed", error="Traceback\nValueError: no")
        c = runs.start(store, Run(id="c" * 32, project="p", group="g"))
    return [a.id, b.id, c.id]


def test_runs_are_listed_newest_first(rw, three: list[str]) -> None:
    done = rw("runs")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["run", "status", "started", "took", "name", "metrics"]
    assert [line[:1] for line in lines[1:]] == ["c", "b", "a"]
    assert "1 min 01 s" not in lines[3]
    assert "61.0 s" in lines[3]
    assert "auc 0.7" in lines[3]
    assert "\x1b" not in done.stdout


def test_runs_are_filtered(rw, three: list[str]) -> None:
    assert [r["id"] for r in json.loads(rw("runs", "--json", "--status", "failed").stdout)] == [three[1]]
    assert [r["id"] for r in json.loads(rw("runs", "--json", "--group", "g").stdout)] == [three[2]]
    assert [r["id"] for r in json.loads(rw("runs", "--json", "--limit", "2").stdout)] == three[:0:-1]
    assert json.loads(rw("runs", "--json", "--limit", "3").stdout)[2]["metrics"] == {"auc": 0.7}
    none = rw("runs", "--group", "none")
    assert (none.returncode, none.stdout) == (0, "")
    assert rw("runs", "--limit", "0").returncode == 2
    assert rw("runs", "--status", "fine").returncode == 2


def test_a_run_is_shown(rw, three: list[str]) -> None:
    shown = rw("runs", "show", "a").stdout
    for part in ["a" * 32, "finished", "lr", "0.1", "train", "2.5 s", "auc", "0.7", "plots/roc.png", "3 B"]:
        assert part in shown
    assert "roadworthy.process" not in shown
    failed = rw("runs", "show", "bbb").stdout
    assert "ValueError: no" in failed
    assert "\x1b" not in failed
    record = json.loads(rw("runs", "show", "--json").stdout)
    assert (record["id"], record["tags"]) == (three[2], {})
    assert rw("runs", "show", "d").returncode == 3


def test_two_runs_are_compared(rw, three: list[str]) -> None:
    shown = rw("runs", "compare", "a", "b").stdout
    assert "parameters that differ" in shown
    assert "the same: data, environment, code" in shown
    record = json.loads(rw("runs", "compare", "a", "b", "--json").stdout)
    assert record["params"] == [{"name": "lr", "a": 0.1, "b": 0.2}]
    assert rw("runs", "compare", "a", "z").returncode == 3
