"""`mlflow experiments`, `mlflow runs` and `mlflow artifacts`, as at a terminal."""

import csv
import json
import subprocess
from pathlib import Path

import mlflow
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.cli import cli

client = MlflowClient()


def _say(*words):
    done = CliRunner().invoke(cli, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def experiments_by_command():
    said = _say("experiments", "create", "-n", "typed")
    experiment = client.get_experiment_by_name("typed").experiment_id
    assert experiment in said
    assert "typed" in _say("experiments", "search")
    got = json.loads(_say("experiments", "get", "-x", experiment, "--output", "json"))
    assert got["name"] == "typed"
    _say("experiments", "rename", "-x", experiment, "--new-name", "typed again")
    _say("experiments", "delete", "-x", experiment)
    assert "typed again" in _say("experiments", "search", "--view", "deleted_only")
    _say("experiments", "restore", "-x", experiment)
    assert client.get_experiment_by_name("typed again").lifecycle_stage == "active"


def runs_by_command():
    experiment = mlflow.set_experiment("by command").experiment_id
    with mlflow.start_run(run_name="shown") as run:
        mlflow.log_metric("m", 0.5)
        mlflow.log_param("p", "q")
    listed = _say("runs", "list", "--experiment-id", experiment)
    assert "shown" in listed
    assert run.info.run_id in listed
    described = json.loads(_say("runs", "describe", "--run-id", run.info.run_id))
    assert described["data"]["metrics"] == {"m": 0.5}
    assert described["data"]["params"] == {"p": "q"}
    _say("runs", "delete", "--run-id", run.info.run_id)
    assert "shown" not in _say("runs", "list", "--experiment-id", experiment)
    assert "shown" in _say("runs", "list", "--experiment-id", experiment, "--view", "deleted_only")
    _say("runs", "restore", "--run-id", run.info.run_id)
    said = _say("runs", "create", "--experiment-id", experiment, "--run-name", "made", "--tags", "a=b")
    made = json.loads(said[said.index("{") :])
    assert client.get_run(made["run_id"]).data.tags["a"] == "b"
    _say("experiments", "csv", "-x", experiment, "-o", "runs.csv")
    with open("runs.csv") as file:
        rows = {row["run_id"]: row for row in csv.DictReader(file)}
    assert rows[run.info.run_id]["metrics.m"] == "0.5"
    assert set(rows) == {run.info.run_id, made["run_id"]}


def artifacts_by_command():
    mlflow.set_experiment("by command")
    with mlflow.start_run() as run:
        pass
    Path("sent/deep").mkdir(parents=True)
    Path("sent/a.txt").write_text("a")
    Path("sent/deep/b.txt").write_text("b")
    _say("artifacts", "log-artifact", "-l", "sent/a.txt", "-r", run.info.run_id, "-a", "one")
    _say("artifacts", "log-artifacts", "-l", "sent", "-r", run.info.run_id, "-a", "all")
    listed = json.loads(_say("artifacts", "list", "-r", run.info.run_id, "-a", "all"))
    assert [(f["path"], f["is_dir"]) for f in listed] == [("all/a.txt", False), ("all/deep", True)]
    Path("fetched").mkdir()
    _say("artifacts", "download", "-r", run.info.run_id, "-a", "all", "-d", "fetched")
    assert Path("fetched/all/deep/b.txt").read_text() == "b"
    _say("artifacts", "download", "-u", f"runs:/{run.info.run_id}/one/a.txt", "-d", "fetched")
    assert Path("fetched/a.txt").read_text() == "a"


def the_program_itself():
    done = subprocess.run(["mlflow", "experiments", "search"], capture_output=True, text=True, check=True)
    assert "by command" in done.stdout
    gone = CliRunner().invoke(cli, ["runs", "describe", "--run-id", "0" * 32])
    assert gone.exit_code != 0
    assert "RESOURCE_DOES_NOT_EXIST" in str(gone.exception)
