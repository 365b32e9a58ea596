"""From our store to a server over the wire and back: what arrives is what was sent, and nothing is sent twice."""

import json
from pathlib import Path

import pytest

from roadworthy.faces.moving import sources
from roadworthy.faces.moving.exporter import Exporter
from roadworthy.faces.moving.importer import Importer
from roadworthy.registry import history, metrics, models, runs
from roadworthy.registry.forward import OURS
from roadworthy.registry.remote import Remote
from roadworthy.store.store import Store, open_store
from tests import mlflow_client
from tests.faces.moving.conftest import Filled
from tests.mlflow_client import needs_mlflow
from tests.server_faults.served import Served

pytestmark = [pytest.mark.slow, needs_mlflow]

ASK = """
import json, mlflow, numpy as np
runs = mlflow.search_runs(experiment_names=["alpha"], order_by=["attributes.run_name"])
model = mlflow.pyfunc.load_model("models:/clf@champion")
client = mlflow.MlflowClient()
run = runs[runs["tags.mlflow.runName"] == "r1"].iloc[0]
print(json.dumps({
    "names": list(runs["tags.mlflow.runName"]), "ours": run["tags.roadworthy.run"], "a": run["params.a"],
    "acc": [p.value for p in client.get_metric_history(run.run_id, "acc")],
    "text": mlflow.artifacts.load_text(run.artifact_uri + "/d/x.txt"),
    "predicted": model.predict(np.array([[0.0], [1.0]])).tolist(),
}))
"""


def test_what_is_exported_is_there_for_the_stock_client(
    store: Store, database_of_mlflow: Filled, served_folder: Path, tmp_path: Path
) -> None:
    source = sources.of(database_of_mlflow.uri)
    Importer(store, source, project="", tell=lambda _: None).bring()
    source.close()
    with Served(served_folder) as server:
        uri = f"http://127.0.0.1:{server.port}"
        remote = Remote(uri)
        report = Exporter(store, remote, project="", tell=lambda _: None).send()
        assert report.problems == []
        assert (report.runs, report.models, report.versions) == (3, 1, 1)
        again = Exporter(store, remote, project="", tell=lambda _: None).send()
        assert (again.runs, again.runs_present, again.versions, again.files) == (0, 3, 0, 0)
        remote.close()
        found = json.loads(mlflow_client.run(ASK, uri=uri, folder=tmp_path).splitlines()[-1])
        # And back again, over REST, into a third store.
        with open_store(tmp_path / "third") as third:
            back = sources.of(uri)
            brought = Importer(third, back, project="", tell=lambda _: None).bring()
            back.close()
            assert brought.problems == []
            assert (brought.runs, brought.versions) == (3, 1)
            (same,) = [run for run in runs.listing(third) if run.tags.get(OURS) == database_of_mlflow.made["runs"][1]]
            assert metrics.latest(third, same.id)["acc"] == 1.4
            assert len(history.of_run(third, same.id, "acc")) == 5
            assert models.aliases(third, "clf") == {"champion": 1}
    assert found == {
        "names": ["fitted", "r1", "r2"], "ours": database_of_mlflow.made["runs"][1], "a": "1",
        "acc": [1.0, 1.1, 1.2, 1.3, 1.4], "text": "hello", "predicted": [0, 1],
    }  # fmt: skip
