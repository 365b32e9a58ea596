"""Runs are kept as they happen, on both engines."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.run import CodeVersion, MetricPoint, Run
from roadworthy.nouns.step import StepRun, Value
from roadworthy.registry import metrics, process, run_rows, runs
from roadworthy.store import log
from roadworthy.store.store import Store, open_store


def started(store: Store, **fields) -> Run:
    return runs.start(store, Run(id="", **fields))


def events(store: Store, subject: str) -> list:
    with store.read() as reader:
        return log.newest(reader, subject=subject)


def test_a_run_comes_back_as_it_was(any_store: Store) -> None:
    run = started(any_store, project="p", group="g", params={"lr": 0.1, "deep": {"a": [1, None, "é\x00"]}}, seed=3)
    assert run.status == "running"
    assert run.actor == "tester"
    step = StepRun(step="model", status="ran", output=Value(format="json", digest="d" * 64, size=1), wall_s=1.5)
    runs.settle_step(any_store, run.id, 1, step)
    runs.settle_step(any_store, run.id, 0, StepRun(step="train", status="reused"))
    ended = runs.finish(any_store, run.id, "finished")
    assert [s.step for s in ended.steps] == ["train", "model"]
    assert ended.ended_at == any_store.clock.now()
    assert runs.get(any_store, run.id) == ended
    assert runs.get(any_store, run.id).params == run.params


def test_a_step_settled_again_replaces_itself(any_store: Store) -> None:
    run = started(any_store)
    runs.settle_step(any_store, run.id, 0, StepRun(step="a", status="failed", error="x"))
    runs.settle_step(any_store, run.id, 0, StepRun(step="a", status="ran"))
    assert [(s.step, s.status) for s in runs.get(any_store, run.id).steps] == [("a", "ran")]


def test_the_latest_is_the_one_started_last_whatever_the_clock_says(any_store: Store) -> None:
    first = started(any_store, project="p", started_at=2_000_000_000.0)
    second = started(any_store, project="p", started_at=1_000.0)
    other = started(any_store, project="q")
    assert runs.get(any_store, "latest", "p").id == second.id
    assert runs.get(any_store, "latest").id == other.id
    assert [r.id for r in runs.listing(any_store)] == [other.id, second.id, first.id]
    assert [r.id for r in runs.listing(any_store, project="p", limit=1)] == [second.id]


def test_a_prefix_must_be_of_one_run(any_store: Store) -> None:
    one = runs.start(any_store, Run(id="ab" + "0" * 30))
    runs.start(any_store, Run(id="ab" + "1" * 30))
    assert runs.get(any_store, "ab0").id == one.id
    with pytest.raises(Fault) as several:
        runs.get(any_store, "ab")
    assert several.value.code == Code.INVALID
    assert "ab0000000000" in several.value.fix
    for wrong in ["ac", "zz", "", "a%", "ab0' OR 1=1", "latest "]:
        with pytest.raises(Fault) as none:
            runs.get(any_store, wrong)
        assert none.value.code == Code.NOT_FOUND


def test_filters_are_together(any_store: Store) -> None:
    a = started(any_store, project="p", group="x")
    b = started(any_store, project="p", group="y")
    runs.finish(any_store, a.id, "failed", error="Traceback …\nValueError: someone@example.org")
    assert [r.id for r in runs.listing(any_store, project="p", status="failed")] == [a.id]
    assert runs.listing(any_store, group="y", status="failed") == []
    assert [r.id for r in runs.listing(any_store, group="y", status="running")] == [b.id]


def test_the_log_names_the_kind_of_an_error_and_not_what_it_quotes(any_store: Store) -> None:
    run = started(any_store)
    runs.finish(any_store, run.id, "failed", error="Traceback …\nValueError: someone@example.org")
    assert events(any_store, run.id)[0].detail["error"] == "ValueError"


def test_a_run_whose_process_is_gone_was_killed(any_store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    run = started(any_store, tags={runs.PROCESS_TAG: process.mark(child.pid)})
    assert runs.get(any_store, run.id).status == "running"
    child.kill()
    child.wait()
    assert runs.get(any_store, run.id).status == "killed"
    assert [r.id for r in runs.listing(any_store, status="killed")] == [run.id]
    assert runs.listing(any_store, status="running") == []


def test_a_page_of_killed_runs_does_not_end_early(any_store: Store) -> None:
    gone = process.mark().rpartition(":")[0] + ":longago-1"
    ids = [started(any_store, tags={runs.PROCESS_TAG: gone}).id for _ in range(3)]
    for _ in range(4):
        started(any_store)
    assert [r.id for r in runs.listing(any_store, status="killed", limit=2)] == ids[::-1][:2]
    assert len(runs.listing(any_store, status="running", limit=10)) == 4


@pytest.mark.parametrize("mark", ["", "elsewhere:1:x", "no-port", f"{os.uname().nodename}:abc:1"])
def test_of_what_cannot_be_known_nothing_is_said(mark: str) -> None:
    assert not process.is_gone(mark)


def test_a_pid_used_again_is_another_process() -> None:
    host, pid, birth = process.mark().split(":")
    assert not process.is_gone(f"{host}:{pid}:{birth}")
    assert process.is_gone(f"{host}:{pid}:{birth}0")
    assert process.is_gone(f"{host}:99999999999999999999999:1")


def test_amending_merges_and_updating_replaces(any_store: Store) -> None:
    run = started(any_store, params={"a": 1}, tags={"t": "1"})
    runs.amend(any_store, run.id, params={"b": 2}, tags={"u": "2"})
    found = runs.get(any_store, run.id)
    assert found.params == {"a": 1, "b": 2}
    assert found.tags["t"] + found.tags["u"] == "12"
    runs.update(any_store, Run(id=run.id, code=CodeVersion(digest="c" * 64)))
    assert runs.get(any_store, run.id).params == {}
    assert "code" in events(any_store, run.id)[0].detail["fields"]


def test_what_is_not_there_cannot_be_changed(any_store: Store) -> None:
    for change in (
        lambda: runs.finish(any_store, "f" * 32, "finished"),
        lambda: runs.update(any_store, Run(id="f" * 32)),
        lambda: runs.amend(any_store, "f" * 32, params={"a": 1}),
        lambda: runs.settle_step(any_store, "f" * 32, 0, StepRun(step="a", status="ran")),
    ):
        with pytest.raises(Fault) as fault:
            change()
        assert fault.value.code == Code.NOT_FOUND
    assert events(any_store, "f" * 32) == []


def test_an_id_is_used_once(any_store: Store) -> None:
    runs.start(any_store, Run(id="a" * 32))
    with pytest.raises(Fault) as fault:
        runs.start(any_store, Run(id="a" * 32))
    assert fault.value.code == Code.CONFLICT


def test_the_event_that_ends_a_run_carries_the_digest_of_its_points(any_store: Store) -> None:
    run = started(any_store)
    metrics.log(
        any_store, run.id, [MetricPoint(key=key, value=0.7, step=s) for key, s in [("a", 0), ("b", 0), ("b", 1)]]
    )
    runs.finish(any_store, run.id, "finished")
    said = events(any_store, run.id)[0].detail["metrics"]
    with any_store.append() as tx:
        row = run_rows.find(tx, run.id)
        assert row is not None
        assert metrics.digest(tx, row) == said
        tx.execute("UPDATE metrics SET value = 0.8 WHERE key = 'a'")
        assert metrics.digest(tx, row) != said
        tx.execute("UPDATE metrics SET value = 0.7 WHERE key = 'a'")
        assert metrics.digest(tx, row) == said
        tx.execute("UPDATE metric_chunks SET data = :data", data=bytes(48))
        assert metrics.digest(tx, row) != said


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("lasting") / ".roadworthy") as opened:
        yield opened


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        KEYS,
        st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)),
        max_size=4,
    )
)
def test_parameters_come_back_equal(lasting: Store, params: dict) -> None:
    assert runs.get(lasting, started(lasting, params=params).id).params == params
