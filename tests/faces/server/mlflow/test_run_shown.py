"""What pages show of runs is kept, and never shown once the run has changed."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from roadworthy.faces.server.mlflow import run_shown
from roadworthy.nouns.run import MetricPoint, Run
from roadworthy.registry import expiry, imported, metrics, process, run_rows, runs, shown
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

V2 = "/api/2.0/mlflow"


def asked(path: str, **fields: Any) -> Callable[[Conversation, Store, str], None]:
    """A change by a client."""

    def change(conversation: Conversation, _: Store, run_id: str) -> None:
        answer = conversation.ask("POST", f"{V2}/runs/{path}", json={"run_id": run_id, **fields})
        assert answer.status == 200, answer.json

    return change


def bring_again(_: Conversation, store: Store, run_id: str) -> None:
    with store.read() as reader:
        row = run_rows.find(reader, run_id)
    assert row is not None
    imported.run(store, row, {"lr": "0.3"}, {"more": "x"}, {"auc": [(9_000, 9, 0.9)]})


CHANGES: dict[str, Callable[[Conversation, Store, str], object]] = {
    "a metric": asked("log-metric", key="auc", value=0.9, timestamp=9_000, step=9),
    "a metric of another name": asked("log-metric", key="loss", value=0.1, timestamp=9_000),
    "a parameter": asked("log-parameter", key="depth", value="3"),
    "a tag": asked("set-tag", key="team", value="ops"),
    "a tag less": asked("delete-tag", key="team"),
    "a batch": asked("log-batch", metrics=[{"key": "auc", "value": 1.0, "timestamp": 9_000, "step": 10}]),
    "a batch of tags": asked("log-batch", tags=[{"key": "a", "value": "b"}]),
    "another name": asked("update", run_name="another"),
    "another status": asked("update", status="FAILED", end_time=7_000),
    "deletion": asked("delete"),
    "a point from our own code": lambda _, store, run: metrics.log(
        store, run, [MetricPoint(key="auc", value=2.0, step=9)]
    ),
    "more from our own code": lambda _, store, run: runs.amend(store, run, params={"depth": 3}, tags={"a": "b"}),
    "a record written anew": lambda _, store, run: runs.update(
        store, msgspec.structs.replace(runs.get(store, run), tags={"only": "this"}, name="another", project="p")
    ),
    "the same run brought again": bring_again,
}


def ended_run(conversation: Conversation) -> str:
    tags = [{"key": "team", "value": "ml"}]
    body = {"experiment_id": "0", "run_name": "mine", "start_time": 5_000, "tags": tags}
    run_id = str(conversation.ask("POST", f"{V2}/runs/create", json=body).json["run"]["info"]["run_id"])
    batch = {
        "metrics": [{"key": "auc", "value": 0.75, "timestamp": 5_500, "step": 1}],
        "params": [{"key": "lr", "value": "0.1"}],
    }
    conversation.ask("POST", f"{V2}/runs/log-batch", json={"run_id": run_id, **batch})
    conversation.ask("POST", f"{V2}/runs/update", json={"run_id": run_id, "status": "FINISHED", "end_time": 6_000})
    return run_id


def searched(conversation: Conversation) -> list[dict[str, Any]]:
    experiments = conversation.ask("POST", f"{V2}/experiments/search", json={"max_results": 100}).json["experiments"]
    ids = [each["experiment_id"] for each in experiments]
    body = {"experiment_ids": ids, "run_view_type": "ALL"}
    found: list[dict[str, Any]] = conversation.ask("POST", f"{V2}/runs/search", json=body).json.get("runs", [])
    return found


def got(conversation: Conversation, run_id: str) -> Any:
    return conversation.ask("GET", f"{V2}/runs/get?run_id={run_id}").json["run"]


def kept(store: Store, run_id: str) -> bool:
    with store.read() as reader:
        row = run_rows.find(reader, run_id)
        assert row is not None
        return row.seq in shown.of_runs(reader, [row.seq])


def is_kept(conversation: Conversation, store: Store, run_id: str) -> bool:
    """Whether a search leaves something to be kept, when what waits has been written."""
    searched(conversation)
    # A write of anything else waits behind what is to be kept.
    conversation.ask("POST", f"{V2}/experiments/set-experiment-tag", json={"experiment_id": "0", "key": "a"})
    return kept(store, run_id)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_kept_of_a_run_is_not_shown_once_it_has(any_store: Store, change: str) -> None:
    with Conversation(any_store) as conversation:
        run_id = ended_run(conversation)
        assert is_kept(conversation, any_store, run_id)
        assert searched(conversation) == [got(conversation, run_id)]
        before = got(conversation, run_id)
        CHANGES[change](conversation, any_store, run_id)
        assert not kept(any_store, run_id)
        after = got(conversation, run_id)
        assert after != before
        assert searched(conversation) == [after]
        assert is_kept(conversation, any_store, run_id)
        assert searched(conversation) == [after]


def test_nothing_is_kept_of_a_run_that_goes_on(store: Store) -> None:
    with Conversation(store) as conversation:
        body = {"experiment_id": "0", "start_time": int(time.time() * 1000)}
        run_id = conversation.ask("POST", f"{V2}/runs/create", json=body).json["run"]["info"]["run_id"]
        assert not is_kept(conversation, store, run_id)
        conversation.ask("POST", f"{V2}/runs/update", json={"run_id": run_id, "status": "FINISHED"})
        assert is_kept(conversation, store, run_id)


def test_a_run_whose_process_may_yet_be_found_gone_is_made_anew_each_time(store: Store) -> None:
    gone = process.mark().rpartition(":")[0] + ":longago-1"
    run = runs.start(store, Run(id="", started_at=5.0, tags={runs.PROCESS_TAG: gone}))
    with Conversation(store) as conversation:
        assert not is_kept(conversation, store, run.id)
        (found,) = searched(conversation)
    assert found["info"]["status"] == "KILLED"


def test_what_is_kept_goes_with_the_run(store: Store) -> None:
    with Conversation(store) as conversation:
        run_id = ended_run(conversation)
        assert is_kept(conversation, store, run_id)
        with store.read() as reader:
            row = run_rows.find(reader, run_id)
    assert row is not None
    expiry.remove(store, [run_id])
    with store.read() as reader:
        assert shown.of_runs(reader, [row.seq]) == {}


def test_keeping_twice_is_keeping_once(any_store: Store) -> None:
    with Conversation(any_store) as conversation:
        run_id = ended_run(conversation)
        with any_store.read() as reader:
            row = run_rows.find(reader, run_id)
        assert row is not None
        for _ in range(2):
            run_shown.keep(any_store, [row.seq])
        assert searched(conversation) == [got(conversation, run_id)]
