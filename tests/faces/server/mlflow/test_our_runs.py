"""Runs that `rw` itself made, as MLflow's clients see them."""

from roadworthy.nouns.run import MetricPoint, Run
from roadworthy.registry import metrics, process, runs
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

V2 = "/api/2.0/mlflow"


def test_a_run_of_a_project_is_in_the_projects_experiment(any_store: Store) -> None:
    run = runs.start(
        any_store,
        Run(id="", project="p", group="g", name="mine", params={"lr": 0.1, "deep": {"a": [1]}}, tags={"team": "ml"}),
    )
    metrics.log(any_store, run.id, [MetricPoint(key="auc", value=0.75, step=3)])
    with Conversation(any_store) as conversation:
        found = conversation.ask("GET", f"{V2}/experiments/get-by-name?experiment_name=p/g").json["experiment"]
        body = {"experiment_ids": [found["experiment_id"]], "filter": "params.lr = '0.1' and metrics.auc > 0.5"}
        (shown,) = conversation.ask("POST", f"{V2}/runs/search", json=body).json["runs"]
        assert shown["info"]["run_id"] == run.id
        assert (shown["info"]["run_name"], shown["info"]["user_id"], shown["info"]["status"]) == (
            "mine",
            "tester",
            "RUNNING",
        )
        assert {p["key"]: p["value"] for p in shown["data"]["params"]} == {"lr": "0.1", "deep": '{"a": [1]}'}
        tags = {t["key"]: t["value"] for t in shown["data"]["tags"]}
        assert (tags["team"], tags["mlflow.runName"]) == ("ml", "mine")
        assert shown["data"]["metrics"][0]["value"] == 0.75
        # A client may add to it; what our own code gave stays as it was.
        body = {"run_id": run.id, "key": "depth", "value": "3"}
        assert conversation.ask("POST", f"{V2}/runs/log-parameter", json=body).status == 200
    assert runs.get(any_store, run.id).params == {"lr": 0.1, "deep": {"a": [1]}, "depth": "3"}


def test_a_run_whose_process_is_gone_was_killed_for_mlflow_too(store: Store) -> None:
    gone = process.mark().rpartition(":")[0] + ":longago-1"
    run = runs.start(store, Run(id="", tags={runs.PROCESS_TAG: gone}))
    with Conversation(store) as conversation:
        shown = conversation.ask("GET", f"{V2}/runs/get?run_id={run.id}").json["run"]
    assert shown["info"]["status"] == "KILLED"


def test_a_run_of_a_client_is_a_run_of_ours(any_store: Store) -> None:
    with Conversation(any_store) as conversation:
        body = {"experiment_id": "0", "run_name": "theirs", "start_time": 5_000, "user_id": "ada"}
        run_id = conversation.ask("POST", f"{V2}/runs/create", json=body).json["run"]["info"]["run_id"]
        body = {"run_id": run_id, "params": [{"key": "lr", "value": "0.1"}], "tags": [{"key": "a", "value": "b"}]}
        conversation.ask("POST", f"{V2}/runs/log-batch", json=body)
        conversation.ask("POST", f"{V2}/runs/update", json={"run_id": run_id, "status": "FINISHED", "end_time": 6_000})
    run = runs.get(any_store, run_id)
    assert (run.name, run.status, run.started_at, run.ended_at, run.actor) == ("theirs", "finished", 5.0, 6.0, "ada")
    assert (run.params, run.tags["a"]) == ({"lr": "0.1"}, "b")
    assert [each.id for each in runs.listing(any_store)] == [run_id]
