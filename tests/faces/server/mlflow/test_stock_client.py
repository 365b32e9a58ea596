"""MLflow's own client against our server: registry, prompts, traces, data sets; and its models on our road."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faces.server.live import Live
from tests.mlflow_client import needs_mlflow, run

pytestmark = [pytest.mark.slow, needs_mlflow]

REGISTRY = """
import mlflow
client = mlflow.MlflowClient()
client.create_registered_model("late", tags={"team": "ml"}, description="Late or not")
one = client.create_model_version("late", "s3://bucket/one", tags={"q": "good"})
two = client.create_model_version("late", "s3://bucket/two")
client.set_registered_model_alias("late", "champion", one.version)
client.transition_model_version_stage("late", two.version, "Production")
copied = client.copy_model_version("models:/late@champion", "other")
assert (copied.source, copied.version) == ("models:/late/1", 1) or copied.source == "models:/late/1", copied
assert client.get_model_version_by_alias("late", "champion").tags == {"q": "good"}
assert [v.version for v in client.search_model_versions("name = 'late'", order_by=["version_number ASC"])] == ["1", "2"]
assert client.get_model_version_download_uri("other", "1") == "s3://bucket/one"
assert [m.name for m in client.search_registered_models("tags.team = 'ml'")] == ["late"]
assert {v.current_stage for v in client.get_latest_versions("late")} == {"None", "Production"}
client.rename_registered_model("other", "renamed")
client.delete_registered_model("renamed")
pages, token = 0, None
for n in range(5):
    client.create_registered_model(f"m{n}")
while True:
    found = client.search_registered_models(max_results=2, page_token=token)
    pages, token = pages + 1, found.token
    if not token:
        break
assert pages == 3, pages
prompt = mlflow.genai.register_prompt(name="greet", template="Hello {{name}}!", tags={"a": "b"})
mlflow.genai.register_prompt(name="greet", template="Hi {{name}}!")
mlflow.genai.set_prompt_alias("greet", alias="prod", version=1)
assert mlflow.genai.load_prompt("prompts:/greet@prod").format(name="Bob") == "Hello Bob!"
assert [p.name for p in mlflow.genai.search_prompts()] == ["greet"]
assert "greet" not in [m.name for m in client.search_registered_models()]
hook = client.create_webhook(name="ci", url="https://8.8.8.8/x", events=["model_version.created"], secret="s")
assert [w.name for w in client.list_webhooks()] == ["ci"]
client.delete_webhook(hook.webhook_id)
"""

TRACES = """
import mlflow
from mlflow.entities import AssessmentSource, Feedback

experiment = mlflow.set_experiment("traced").experiment_id

@mlflow.trace(span_type="LLM", attributes={"model": "m1"})
def inner(x):
    return x * 2

@mlflow.trace
def outer(x):
    mlflow.update_current_trace(tags={"who": "me"}, metadata={"mlflow.trace.session": "s1"})
    return inner(x) + 1

outer(3)
mlflow.flush_trace_async_logging()
trace_id = mlflow.get_last_active_trace_id()
trace = mlflow.get_trace(trace_id)
assert [(s.name, s.span_type, s.inputs, s.outputs) for s in trace.data.spans] == [
    ("outer", "UNKNOWN", {"x": 3}, 7), ("inner", "LLM", {"x": 3}, 6)
], trace.data.spans
assert trace.info.tags["who"] == "me" and trace.info.state == "OK"
source = AssessmentSource(source_type="HUMAN", source_id="bob")
given = mlflow.log_feedback(trace_id=trace_id, name="good", value=True, rationale="r", source=source)
expected = mlflow.log_expectation(trace_id=trace_id, name="answer", value={"x": 1})
mlflow.update_assessment(
    trace_id=trace_id, assessment_id=given.assessment_id, assessment=Feedback(name="good", value=False)
)
mlflow.override_feedback(trace_id=trace_id, assessment_id=given.assessment_id, value="maybe")
mlflow.delete_assessment(trace_id=trace_id, assessment_id=expected.assessment_id)
said = mlflow.get_trace(trace_id).info.assessments
assert [(a.name, a.feedback.value, a.valid) for a in said] == [("good", False, False), ("good", "maybe", True)], said
for text in ("tags.who = 'me'", "attributes.status = 'OK'", "span.attributes.model = 'm1'", "feedback.good = 'maybe'"):
    assert [t.info.trace_id for t in mlflow.search_traces(filter_string=text, return_type="list")] == [trace_id], text
with mlflow.start_run() as run:
    outer(4)
mlflow.flush_trace_async_logging()
assert len(mlflow.search_traces(run_id=run.info.run_id, return_type="list")) == 1
client = mlflow.MlflowClient()
client.link_traces_to_run([trace_id], run.info.run_id)
assert len(mlflow.search_traces(run_id=run.info.run_id, return_type="list")) == 2
data = mlflow.genai.datasets.create_dataset(name="qa", experiment_id=[experiment], tags={"t": "1"})
data.merge_records([{"inputs": {"q": "1+1"}, "expectations": {"answer": "2"}}])
data.merge_records([{"inputs": {"q": "1+1"}, "expectations": {"hint": "two"}}])
data.merge_records(mlflow.search_traces(experiment_ids=[experiment]))
read = mlflow.genai.datasets.get_dataset(dataset_id=data.dataset_id).to_df()
assert len(read) == 3 and {"answer": "2", "hint": "two"} in read.expectations.tolist(), read
assert [d.name for d in mlflow.genai.datasets.search_datasets(experiment_ids=[experiment])] == ["qa"]
assert client.delete_traces(experiment_id=experiment, trace_ids=[trace_id]) == 1
"""

LOG = """
import mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(0)
X = pd.DataFrame({"distance": rng.normal(size=600) * 100, "hour": rng.integers(0, 24, 600)})
y = (X.distance + 5 * X.hour + rng.normal(size=600) * 30 > 60).astype(int)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
signature = infer_signature(X, model.predict(X))
mlflow.set_experiment("flights")
with mlflow.start_run():
    mlflow.log_param("C", 1.0)
    X.head(300).assign(late=y.head(300)).to_parquet("holdout.parquet")
    mlflow.log_artifact("holdout.parquet", "roadworthy")
    mlflow.set_tag("roadworthy.label", "late")
    mlflow.sklearn.log_model(
        model, name="model", signature=signature, registered_model_name="late-flights", serialization_format="skops",
        pip_requirements=["scikit-learn"],
    )
    mlflow.sklearn.log_model(
        model, name="pickled", signature=signature, registered_model_name="pickled",
        serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
    )
expected = model.predict_proba(X.head(1))[0, 1]
loaded = mlflow.pyfunc.load_model("models:/late-flights/1")
assert (loaded.predict(X.head(5)) == model.predict(X.head(5))).all()
print(expected, X.distance[0], X.hour[0])
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path) as live:
        yield live


def url(server: Live) -> str:
    return f"http://localhost:{server.port}"


def rw(folder: Path, *arguments: str, fails: int = 0) -> str:
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "roadworthy", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == fails, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_registry_and_prompts(server: Live, tmp_path: Path) -> None:
    run(REGISTRY, uri=url(server), folder=tmp_path)


def test_traces_feedback_and_data_sets(server: Live, tmp_path: Path) -> None:
    run(TRACES, uri=url(server), folder=tmp_path)


def test_what_it_logged_is_adopted_gated_released_and_scores(server: Live, tmp_path: Path) -> None:
    expected, distance, hour = run(LOG, uri=url(server), folder=tmp_path).splitlines()[-1].split()
    (tmp_path / "roadworthy.toml").write_text(
        f'[project]\nname = "flights"\n[gate]\nrules = ["metrics.auc >= 0.7"]\n[release.local]\nport = {_free_port()}\n'
    )
    assert "not adopted" in rw(tmp_path, "gate", "late-flights@1", fails=5)
    assert 'serialization_format="skops"' in rw(tmp_path, "models", "adopt", "pickled@1", fails=5)
    assert "adopted late-flights@1: skops, classification" in rw(tmp_path, "models", "adopt", "late-flights@1")
    assert "passed, certificate" in rw(tmp_path, "gate", "late-flights@1")
    try:
        released = rw(tmp_path, "release", "late-flights@1", "--yes")
        address = released.rpartition("http://")[2].split()[0]
        row = {"dataframe_records": [{"distance": float(distance), "hour": int(hour)}]}
        request = urllib.request.Request(
            f"http://{address}/invocations", json.dumps(row).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            (predicted,) = json.load(answer)["predictions"]
    finally:
        rw(tmp_path, "release", "--down", "--yes")
    assert predicted == pytest.approx(float(expected))
    shown = run(
        "import mlflow; print(mlflow.MlflowClient().get_model_version_by_alias('late-flights', 'champion').version)",
        uri=url(server), folder=tmp_path,
    )  # fmt: skip
    assert shown.strip() == "1"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_what_rw_run_registered_is_loaded_by_the_client(server: Live, tmp_path: Path) -> None:
    project = tmp_path / "project"
    rw(tmp_path, "new", "project")
    rw(project, "run")
    with Live(project) as beside:
        said = run(LOAD, uri=url(beside), folder=tmp_path).splitlines()[-1]
    assert said == "loaded"


LOAD = """
import mlflow, pandas as pd
client = mlflow.MlflowClient()
(version,) = client.search_model_versions()
assert version.current_stage == "None" and client.get_run(version.run_id).info.status == "FINISHED"
model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
columns = model.metadata.signature.inputs.to_dict()
kinds = {"double": 1.0, "float": 1.0, "long": 1, "integer": 1, "string": "a", "boolean": True}
row = pd.DataFrame([{c["name"]: kinds[c["type"]] for c in columns}])
assert len(model.predict(row)) == 1
print("loaded")
"""
