"""Clients that must say who they are: by a user's name and password, by a token, and by nothing or something wrong."""

import os

import mlflow
from mlflow import MlflowClient
from requests import HTTPError
from scenes import refused

USER, PASSWORD = os.environ["SCENE_USER"], os.environ["SCENE_PASSWORD"]
EDITOR, VIEWER = os.environ["SCENE_EDITOR"], os.environ["SCENE_VIEWER"]


def _as(*, user="", password="", token=""):
    for name, value in (("USERNAME", user), ("PASSWORD", password), ("TOKEN", token)):
        os.environ.pop(f"MLFLOW_TRACKING_{name}", None)
        if value:
            os.environ[f"MLFLOW_TRACKING_{name}"] = value
    return MlflowClient()


def a_user_logs_by_name_and_password():
    client = _as(user=USER, password=PASSWORD)
    mlflow.set_experiment("by password")
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0)
        mlflow.log_text("hello", "a.txt")
    assert client.get_run(run.info.run_id).data.metrics == {"m": 1.0}
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/a.txt") == "hello"


def a_program_logs_by_token():
    client = _as(token=EDITOR)
    experiment = client.create_experiment("by token")
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "hello", "a.txt")
    client.create_registered_model("by-token")
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["a.txt"]


def a_viewer_reads_and_changes_nothing():
    client = _as(token=VIEWER)
    experiment = client.get_experiment_by_name("by token").experiment_id
    run = client.search_runs([experiment])[0].info.run_id
    assert client.get_registered_model("by-token").name == "by-token"
    for call, *arguments in (
        (client.create_experiment, "more"), (client.create_run, experiment), (client.log_metric, run, "m", 1.0),
        (client.set_tag, run, "k", "v"), (client.delete_run, run),
        (client.create_registered_model, "more"), (client.delete_registered_model, "by-token"),
    ):  # fmt: skip
        refused("PERMISSION_DENIED", "", call, *arguments)
    try:
        client.log_text(run, "x", "b.txt")
    except HTTPError as problem:
        status = problem.response.status_code
    assert status == 403
    assert [f.path for f in client.list_artifacts(run)] == ["a.txt"]


def strangers_are_turned_away():
    for client in (_as(), _as(user=USER, password="wrong"), _as(token="rw_nothing"), _as(user="nobody", password="x")):
        refused("401", "", client.search_experiments)
