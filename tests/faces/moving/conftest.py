"""An MLflow that its own client filled: as a folder and as a database."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import mlflow_client

FILL = """
import json, mlflow, numpy as np
from sklearn.linear_model import LogisticRegression
mlflow.set_experiment("alpha")
ids = []
for i in range(3):
    with mlflow.start_run(run_name=f"r{i}", tags={"k": "v é"}) as run:
        mlflow.log_params({"a": i, "b": "x y"})
        for step in range(5):
            mlflow.log_metric("acc", step / 10 + i, step=step)
        mlflow.log_metric("nan", float("nan"))
        mlflow.log_metric("inf", float("inf"))
        mlflow.log_metric("deep/name", -1.5, step=7)
        mlflow.log_text("hello", "d/x.txt")
        ids.append(run.info.run_id)
client = mlflow.MlflowClient()
with mlflow.start_run(run_name="fitted") as run:
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.log_model(model, name="model", registered_model_name="clf", input_example=np.array([[0.0]]))
    ids.append(run.info.run_id)
client.set_registered_model_alias("clf", "champion", 1)
client.set_model_version_tag("clf", "1", "t", "u")
client.set_registered_model_tag("clf", "q", "w")
client.update_registered_model("clf", description="one line")
client.delete_run(ids[0])
client.delete_experiment(client.create_experiment("gone"))
print(json.dumps({"runs": ids, "experiment": client.get_experiment_by_name("alpha").experiment_id}))
"""


class Filled(NamedTuple):
    """What is there: the place as `rw import mlflow` takes it, and what was made, by name."""

    uri: str
    made: dict[str, Any]


@pytest.fixture(scope="session")
def folder_of_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    home = tmp_path_factory.mktemp("folder")
    said = mlflow_client.run(FILL, uri=f"file://{home}/mlruns", folder=home, MLFLOW_ALLOW_FILE_STORE="true")
    return Filled(str(home / "mlruns"), json.loads(said.splitlines()[-1]))


@pytest.fixture(scope="session")
def database_of_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    home = tmp_path_factory.mktemp("database")
    said = mlflow_client.run(FILL, uri=f"sqlite:///{home}/mlflow.db", folder=home)
    return Filled(f"sqlite:///{home}/mlflow.db", json.loads(said.splitlines()[-1]))


@pytest.fixture
def served_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    return folder
