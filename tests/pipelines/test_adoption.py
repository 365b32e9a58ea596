"""A model that an MLflow client logged joins the road: converted, never unpickled, judged on the rows it was logged with."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from roadworthy.gates import gate
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.project import Place
from roadworthy.nouns.run import Run
from roadworthy.pipelines import adoption
from roadworthy.pipelines.adoption import Asked
from roadworthy.registry import artifacts, model_names, model_versions, models, runs
from roadworthy.registry.model_versions import Version
from roadworthy.serving.model import score
from roadworthy.store import project_file
from roadworthy.store.store import Store

LOGGED = "1/models/m-1/artifacts"
INPUTS = [
    {"type": "double", "name": "distance", "required": True},
    {"type": "long", "name": "hour", "required": True},
]
SKLEARN = """
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.skops}
  sklearn: {pickled_model: model.skops, serialization_format: %s, sklearn_version: 1.9.1}
signature:
  inputs: '%s'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
"""


@pytest.fixture
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"hour": rng.integers(0, 24, 300), "distance": rng.normal(size=300) * 100})
    return table.assign(late=(table.distance + 5 * table.hour + rng.normal(size=300) * 30 > 60).astype(int))


@pytest.fixture
def estimator(rows: pd.DataFrame) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[["distance", "hour"]], rows.late)


def logged(store: Store, files: dict[str, bytes]) -> str:
    """What a client does: upload files, register the model."""
    for name, content in files.items():
        artifacts.put(store, artifacts.NO_RUN, f"{LOGGED}/{name}", store.blobs.put(content), len(content))
    model_names.create(store, "late")
    location = f"mlflow-artifacts:/{LOGGED}"
    return model_versions.create(store, Version(name="late", source="models:/m-1", location=location)).id


def mlmodel(form: str = "skops", inputs: list[dict[str, Any]] = INPUTS) -> bytes:
    return (SKLEARN % (form, json.dumps(inputs))).encode()


def parquet(rows: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    rows.to_parquet(out)
    return out.getvalue()


@pytest.mark.slow  # the gate measures what it costs to run
def test_a_logged_model_is_adopted_and_passes_the_gate(
    store: Store, tmp_path: Path, rows: pd.DataFrame, estimator: Any
) -> None:
    run = runs.start(store, Run(id="", project="", tags={adoption.LABEL_TAG: "late"}))
    content = parquet(rows)
    artifacts.put(store, run.id, adoption.HOLDOUT, store.blobs.put(content), len(content))
    files = {"MLmodel": mlmodel(), "model.skops": skops.io.dumps(estimator)}
    logged(store, files)
    ref = model_versions.create(
        store, Version(name="late", run=run.id, location=f"mlflow-artifacts:/{LOGGED}", tags={"team": "ml"})
    ).id
    model = adoption.adopt(store, ref, Asked(project="flights"))
    assert (model.id, model.value.format, model.task, model.label, model.project) == (
        "late@2", "skops", "classification", "late", "flights",
    )  # fmt: skip
    assert [(f.name, f.type, f.dtype) for f in model.signature.inputs] == [
        ("distance", "number", "float64"), ("hour", "integer", "int64"),
    ]  # fmt: skip
    expected = estimator.predict_proba(rows[["distance", "hour"]])[:, 1]
    assert score(store.blobs, model, rows) == pytest.approx(expected)
    assert models.names(store, "flights") == ["late"]
    assert model_names.get(store, "late").project == "flights"
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "flights"\n[gate]\nrules = ["metrics.auc > 0.8"]\n')
    place: Place = project_file.read(tmp_path / "roadworthy.toml")
    assert gate.pass_through(store, place, models.get(store, ref)).certificate.passed


def test_what_was_not_adopted_is_not_judged(store: Store, tmp_path: Path) -> None:
    ref = logged(store, {"MLmodel": mlmodel()})
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "flights"\n[gate]\nrules = ["metrics.auc > 0.8"]\n')
    with pytest.raises(Fault, match="not adopted") as refusal:
        gate.pass_through(store, project_file.read(tmp_path / "roadworthy.toml"), models.get(store, ref))
    assert refusal.value.code is Code.REFUSED


@pytest.mark.parametrize("form", ["cloudpickle", "pickle", "null"])
def test_a_pickle_is_refused_unread_with_how_to_log_it(store: Store, tmp_path: Path, form: str) -> None:
    ref = logged(store, {"MLmodel": mlmodel(form), "model.skops": b"\x80\x04cos\nsystem\n."})
    with pytest.raises(Fault, match="loading it runs whatever is in it") as refusal:
        adoption.adopt(store, ref, Asked(label="late", holdout=tmp_path / "none.parquet"))
    assert refusal.value.code is Code.REFUSED
    assert 'serialization_format="skops"' in refusal.value.fix


def test_a_pickle_that_says_it_is_skops_is_not_unpickled(store: Store, tmp_path: Path, rows: pd.DataFrame) -> None:
    class Sly:
        def __reduce__(self) -> Any:
            return Path(tmp_path / "owned").touch, ()

    rows.to_parquet(tmp_path / "holdout.parquet")
    ref = logged(store, {"MLmodel": mlmodel(), "model.skops": pickle.dumps(Sly())})
    with pytest.raises(Fault, match="not a skops archive"):
        adoption.adopt(store, ref, Asked(label="late", holdout=tmp_path / "holdout.parquet"))
    assert not (tmp_path / "owned").exists()


def test_types_that_nobody_trusts_are_named(store: Store, tmp_path: Path, rows: pd.DataFrame) -> None:
    rows.to_parquet(tmp_path / "holdout.parquet")
    strange = skops.io.dumps({"a": Strange()})
    ref = logged(store, {"MLmodel": mlmodel(), "model.skops": strange})
    with pytest.raises(Fault, match="nobody has trusted") as refusal:
        adoption.adopt(store, ref, Asked(label="late", holdout=tmp_path / "holdout.parquet"))
    assert "--trust" in refusal.value.fix
    assert "Strange" in refusal.value.fix


class Strange:
    """A type that is no library's."""


def test_a_regression_is_told_from_a_classification(store: Store, tmp_path: Path, rows: pd.DataFrame) -> None:
    fitted = LinearRegression().fit(rows[["distance", "hour"]], rows.late)
    rows.to_csv(tmp_path / "holdout.csv", index=False)
    ref = logged(store, {"MLmodel": mlmodel(), "model.skops": skops.io.dumps(fitted)})
    model = adoption.adopt(store, ref, Asked(label="late", holdout=tmp_path / "holdout.csv"))
    assert model.task == "regression"
    with pytest.raises(Fault, match="adopted already"):
        adoption.adopt(store, ref, Asked(label="late"))


ONNX = """
flavors:
  python_function: {loader_module: mlflow.onnx, data: model.onnx}
  onnx: {data: model.onnx, onnx_version: 1.19.0}
signature:
  inputs: '%s'
"""


@pytest.mark.parametrize("classifier", [LogisticRegression(), GaussianNB()], ids=["names its classes", "does not"])
def test_an_onnx_graph_of_several_classes_is_told_from_a_regression(
    store: Store, tmp_path: Path, rows: pd.DataFrame, classifier: Any
) -> None:
    from skl2onnx import to_onnx

    kind = np.array(["early", "late", "on time"])[np.arange(len(rows)) % 3]
    rows = rows.drop(columns="late").assign(distance=rows.distance + 500 * (np.arange(len(rows)) % 3), kind=kind)
    columns = rows[["distance", "hour"]].to_numpy(dtype="float32")
    graph = to_onnx(classifier.fit(columns, kind), columns[:1], options={"zipmap": False})
    rows.to_csv(tmp_path / "holdout.csv", index=False)
    said = (ONNX % json.dumps(INPUTS)).encode()
    ref = logged(store, {"MLmodel": said, "model.onnx": graph.SerializeToString()})
    model = adoption.adopt(store, ref, Asked(label="kind", holdout=tmp_path / "holdout.csv"))
    assert (model.task, model.classes) == ("multiclass", ("early", "late", "on time"))
    places = score(store.blobs, model, rows)
    assert [model.classes[int(place)] for place in places] == classifier.predict(columns).tolist()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no file 'MLmodel'"),
        ({"MLmodel": b": : :"}, "cannot be read"),
        ({"MLmodel": b"\xff\xfe\x00"}, "cannot be read"),
        ({"MLmodel": b"[1, 2]"}, "no fields"),
        ({"MLmodel": b"flavors: 3"}, "names no flavours"),
        ({"MLmodel": b"a: &a [x]\nflavors: {pytorch: {data: *a}}"}, "not served: pytorch"),
        ({"MLmodel": b"flavors: !!python/object/apply:os.system ['true']"}, "cannot be read"),
        ({"MLmodel": mlmodel().replace(b"pickled_model: model.skops", b"pickled_model: ../../secret")}, "not a path"),
        ({"MLmodel": mlmodel(inputs=[{"type": "tensor"}])}, "names no columns"),
        ({"MLmodel": mlmodel(inputs=[{"type": "array", "name": "x"}])}, "names no columns"),
        ({"MLmodel": mlmodel()}, "no file 'model.skops'"),
    ],
)
def test_damaged_models_get_one_clear_message(store: Store, tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    ref = logged(store, files)
    with pytest.raises(Fault, match=says):
        adoption.adopt(store, ref, Asked(label="late", holdout=tmp_path / "none.parquet"))
    assert models.get(store, ref).value.format == models.UNADOPTED


def test_what_is_lacking_is_said(store: Store, tmp_path: Path, rows: pd.DataFrame, estimator: Any) -> None:
    ref = logged(store, {"MLmodel": mlmodel(), "model.skops": skops.io.dumps(estimator)})
    with pytest.raises(Fault, match="label is not known"):
        adoption.adopt(store, ref, Asked())
    with pytest.raises(Fault, match="no hold-out rows"):
        adoption.adopt(store, ref, Asked(label="late"))
    with pytest.raises(Fault, match="no such file"):
        adoption.adopt(store, ref, Asked(label="late", holdout=tmp_path / "none.parquet"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(Fault, match="hold-out cannot be read"):
        adoption.adopt(store, ref, Asked(label="late", holdout=tmp_path / "bad.parquet"))
    rows.drop(columns="hour").to_parquet(tmp_path / "less.parquet")
    with pytest.raises(Fault, match="no column `hour`"):
        adoption.adopt(store, ref, Asked(label="late", holdout=tmp_path / "less.parquet"))


def test_files_elsewhere_are_not_fetched(store: Store) -> None:
    model_names.create(store, "late")
    ref = model_versions.create(store, Version(name="late", source="https://169.254.169.254/model")).id
    with pytest.raises(Fault, match="not kept here"):
        adoption.adopt(store, ref, Asked(label="late"))


def test_a_name_that_could_not_be_released_is_refused(store: Store) -> None:
    model_names.create(store, "late flights")
    ref = model_versions.create(store, Version(name="late flights", source="s3://x/y")).id
    with pytest.raises(Fault, match="rename it"):
        adoption.adopt(store, ref, Asked(label="late"))
