"""Models as MLflow's clients make, keep and load them: autologging, flavours, evaluation, logged models."""

import warnings

import lightgbm
import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
client = MlflowClient()
# Said, as to find them out MLflow starts a process for each model; one scene has it do so.
NEEDED = ["scikit-learn", "lightgbm", "onnxruntime"]
X, y = load_iris(return_X_y=True, as_frame=True)


def autologging_scikit_learn_keeps_params_metrics_model_and_data():
    mlflow.set_experiment("autolog")
    mlflow.sklearn.autolog(log_input_examples=True)
    with mlflow.start_run() as run:
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X, y)
        score = pipeline.score(X, y)
        X_test, y_test = X[::3], y[::3]
        score_of_test = pipeline.score(X_test, y_test)
    mlflow.sklearn.autolog(disable=True)
    got = mlflow.get_run(run.info.run_id)
    # The client counts such calls, and names the data by a variable of the caller's own; of the module's it knows none.
    assert got.data.metrics["Pipeline_score-2_X_test"] == score_of_test
    assert got.data.metrics["Pipeline_score_unknown_dataset"] == score
    assert got.data.params["logisticregression__C"] == "0.5"
    assert got.data.metrics["training_accuracy_score"] == score
    assert got.data.tags["estimator_name"] == "Pipeline"
    assert [i.dataset.name for i in got.inputs.dataset_inputs] == ["dataset"] * len(got.inputs.dataset_inputs)
    files = [f.path for f in client.list_artifacts(run.info.run_id)]
    assert "training_confusion_matrix.png" in files
    assert "estimator.html" in files
    loaded = mlflow.sklearn.load_model(f"models:/{got.outputs.model_outputs[0].model_id}")
    assert np.array_equal(loaded.predict(X), pipeline.predict(X))


def autologging_a_grid_search_makes_children():
    mlflow.set_experiment("grid")
    mlflow.sklearn.autolog(max_tuning_runs=None, log_models=False)
    with mlflow.start_run() as run:
        search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, cv=2).fit(X, y)
    mlflow.sklearn.autolog(disable=True)
    children = mlflow.search_runs(
        experiment_names=["grid"],
        filter_string=f"tags.mlflow.parentRunId = '{run.info.run_id}'",
        order_by=["metrics.mean_test_score DESC"],
    )
    assert sorted(children["params.C"]) == ["0.1", "1.0", "10.0"]
    got = mlflow.get_run(run.info.run_id).data
    assert got.params["best_C"] == str(search.best_params_["C"])
    assert got.metrics["best_cv_score"] == search.best_score_ == children["metrics.mean_test_score"][0]
    assert "cv_results.csv" in [f.path for f in client.list_artifacts(run.info.run_id)]


def autologging_lightgbm_keeps_every_iteration():
    mlflow.set_experiment("lightgbm")
    mlflow.lightgbm.autolog(log_models=False)
    data = lightgbm.Dataset(X, y)
    settings = {"objective": "multiclass", "num_class": 3, "verbosity": -1, "num_leaves": 4, "num_threads": 1}
    with mlflow.start_run() as run:
        booster = lightgbm.train(settings, data, num_boost_round=12, valid_sets=[data], valid_names=["train"])
        info = mlflow.lightgbm.log_model(booster, name="booster", pip_requirements=NEEDED)
    mlflow.lightgbm.autolog(disable=True)
    got = mlflow.get_run(run.info.run_id)
    assert got.data.params["num_leaves"] == "4"
    assert got.data.params["num_boost_round"] == "12"
    points = client.get_metric_history(run.info.run_id, "train-multi_logloss")
    assert [p.step for p in points] == list(range(12))
    assert points[0].value > points[-1].value
    loaded = mlflow.lightgbm.load_model(info.model_uri)
    assert [m.model_id for m in got.outputs.model_outputs] == [info.model_id]
    assert np.array_equal(loaded.predict(X), booster.predict(X))


def models_of_scikit_learn_come_back_as_they_were():
    mlflow.set_experiment("flavours")
    model = LogisticRegression().fit(X, y)
    signature = mlflow.models.infer_signature(X, model.predict(X))
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model, name="clf", signature=signature, input_example=X[:2], registered_model_name="flavour-clf",
            params={"C": 1.0}, tags={"kind": "linear"}, pip_requirements=NEEDED,
        )  # fmt: skip
    for uri in (info.model_uri, f"runs:/{run.info.run_id}/clf", "models:/flavour-clf/1", f"models:/{info.model_id}"):
        assert np.array_equal(mlflow.sklearn.load_model(uri).predict(X), model.predict(X)), uri
    wrapped = mlflow.pyfunc.load_model("models:/flavour-clf/1")
    assert np.array_equal(wrapped.predict(X), model.predict(X))
    assert wrapped.metadata.signature == signature
    assert wrapped.metadata.run_id == run.info.run_id
    assert mlflow.models.get_model_info(info.model_uri).flavors["sklearn"]["sklearn_version"]
    version = client.get_model_version("flavour-clf", "1")
    assert version.run_id == run.info.run_id
    assert version.status == "READY"
    assert version.source == f"models:/{info.model_id}"
    assert client.get_model_version_download_uri("flavour-clf", "1")


class Tripled(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        with open(context.artifacts["words"]) as file:
            self.words = file.read().split()

    def predict(self, context, model_input, params=None):
        return [self.words[i] * 3 for i in model_input["i"]]


def models_of_ones_own_come_back_with_their_files():
    import pathlib

    mlflow.set_experiment("flavours")
    pathlib.Path("words.txt").write_text("ab cd")
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="own", python_model=Tripled(), artifacts={"words": "words.txt"}, pip_requirements=NEEDED
        )
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    assert loaded.predict(pd.DataFrame({"i": [1, 0]})) == ["cdcdcd", "ababab"]


def models_of_onnx_come_back():
    from skl2onnx import to_onnx

    mlflow.set_experiment("flavours")
    model = LogisticRegression().fit(X.to_numpy(np.float32), y)
    onnx = to_onnx(model, X[:1].to_numpy(np.float32), options={"zipmap": False})
    with mlflow.start_run():
        info = mlflow.onnx.log_model(onnx, name="onnx", registered_model_name="flavour-onnx", pip_requirements=NEEDED)
    assert mlflow.onnx.load_model(info.model_uri).SerializeToString() == onnx.SerializeToString()
    got = mlflow.pyfunc.load_model("models:/flavour-onnx/1").predict(X.to_numpy(np.float32))
    assert np.array_equal(got["label"], model.predict(X.to_numpy(np.float32)))


def a_classifier_is_evaluated():
    mlflow.set_experiment("evaluate")
    model = LogisticRegression().fit(X, y)
    data = X.assign(label=y)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(model, name="clf", input_example=X[:2], pip_requirements=NEEDED)
        result = mlflow.models.evaluate(
            info.model_uri, data, targets="label", model_type="classifier", evaluators=["default"],
            evaluator_config={"default": {"log_explainer": False}},
        )  # fmt: skip
    got = mlflow.get_run(run.info.run_id)
    assert result.metrics["accuracy_score"] == model.score(X, y) == got.data.metrics["accuracy_score"]
    files = [f.path for f in client.list_artifacts(run.info.run_id)]
    assert "confusion_matrix.png" in files, files
    assert got.inputs.dataset_inputs
    scored = client.get_logged_model(info.model_id)
    assert any(m.key == "accuracy_score" for m in scored.metrics or [])


def logged_models_are_searched_by_what_they_scored():
    experiment = mlflow.set_experiment("logged")
    data = mlflow.data.from_pandas(X.assign(label=y), name="iris", targets="label")
    ids = []
    for i in range(3):
        with mlflow.start_run():
            made = mlflow.initialize_logged_model(name=f"m{i}", params={"depth": str(i)}, tags={"k": str(i % 2)})
            mlflow.log_metric("acc", 0.5 + i / 10, model_id=made.model_id, dataset=data)
            mlflow.finalize_logged_model(made.model_id, "READY")
            ids.append(made.model_id)
    where = [experiment.experiment_id]
    by_score = [{"field_name": "metrics.acc", "ascending": False}]
    found = mlflow.search_logged_models(where, order_by=by_score, output_format="list")
    assert [m.model_id for m in found] == ids[::-1]
    best = mlflow.search_logged_models(where, "metrics.acc > 0.55 AND params.depth = '1'", output_format="list")
    assert [m.model_id for m in best] == [ids[1]]
    assert best[0].metrics[0].dataset_name == "iris"
    on = mlflow.search_logged_models(
        where, "metrics.acc > 0.55", datasets=[{"dataset_name": "iris", "dataset_digest": data.digest}]
    )
    assert set(on["model_id"]) == set(ids[1:])
    mlflow.set_logged_model_tags(ids[0], {"reviewed": "yes"})
    assert mlflow.get_logged_model(ids[0]).tags["reviewed"] == "yes"
    mlflow.delete_logged_model_tag(ids[0], "reviewed")
    client.delete_logged_model(ids[0])
    assert len(mlflow.search_logged_models(where)) == 2
    outside = mlflow.create_external_model(name="elsewhere", model_type="agent")
    assert mlflow.get_logged_model(outside.model_id).model_type == "agent"
