"""What a stored estimator answers: a probability, a value, or one of its classes."""

import csv
import io

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from roadworthy.data.formats.registry import save
from roadworthy.nouns.errors import Fault
from roadworthy.serving.model import classes_of, load
from roadworthy.serving.signature import infer
from tests.serving.servers import Launcher, Maker

NAMES = ["barbera", "barolo, old", "grignolino"]


def wines(count: int = 90) -> pd.DataFrame:
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, count)
    return pd.DataFrame(
        {"a": kind + random.normal(0, 0.2, count), "b": random.normal(0, 1, count), "kind": kind}
    ).assign(kind=[NAMES[k] for k in kind])


def several(maker: Maker, estimator: object, *, classes: list[str] | None = None, version: int = 1):
    rows = wines()
    return recorded(maker, estimator.fit(rows[["a", "b"]], rows["kind"]), classes or NAMES, version)


def recorded(maker: Maker, model: object, classes: list[str], version: int = 1):
    value = save(maker.blobs, model)
    value = msgspec.structs.replace(value, meta={**value.meta, "classes": classes})
    return maker.model(version, value=value, signature=infer(wines(), ["a", "b"]), task="multiclass")


@pytest.mark.parametrize("estimator", [RandomForestClassifier(5, random_state=0), SVC()], ids=["forest", "no chances"])
def test_of_several_classes_the_place_of_the_most_probable_is_answered(tmp_path, estimator) -> None:
    maker = Maker(tmp_path)
    predictor = load(maker.bundle(several(maker, estimator)))
    rows = wines()
    assert [NAMES[int(place)] for place in predictor.predict(rows)] == estimator.predict(rows[["a", "b"]]).tolist()
    said = predictor.said(rows)
    assert said.shape == ((90, 3) if hasattr(estimator, "predict_proba") else (90,))
    assert len(predictor.said(rows[:0])) == 0


def test_a_model_of_other_classes_than_its_record_says_is_refused(tmp_path) -> None:
    maker = Maker(tmp_path)
    model = several(maker, RandomForestClassifier(2, random_state=0), classes=["barbera", "nebbiolo"])
    with pytest.raises(Fault, match="3 classes apart, not 2"):
        load(maker.bundle(model))
    yes_or_no = several(maker, RandomForestClassifier(2, random_state=0), version=2)
    with pytest.raises(Fault) as caught:
        load(maker.bundle(msgspec.structs.replace(yes_or_no, task="classification")))
    assert "multiclass" in caught.value.fix


def test_a_server_answers_with_the_classes_themselves(tmp_path, launch: Launcher) -> None:
    maker = Maker(tmp_path)
    estimator = RandomForestClassifier(5, random_state=0)
    server = launch.app(maker.bundle(several(maker, estimator)))
    server.wait()
    rows = wines()
    expected = estimator.predict(rows[["a", "b"]]).tolist()
    body = {"dataframe_records": rows[["a", "b"]].to_dict(orient="records")}
    assert server.ask("POST", "/invocations", body).json() == {"predictions": expected}
    lines = server.ask("POST", "/invocations", body, accept="text/csv").body.decode()
    assert [row[0] for row in csv.reader(io.StringIO(lines))] == expected
    assert server.ask("GET", "/").json()["classes"] == NAMES


def graph_of(estimator, **options):
    from skl2onnx import to_onnx

    rows = wines()
    columns = rows[["a", "b"]].to_numpy(dtype="float32")
    estimator.fit(columns, rows["kind"])
    return to_onnx(estimator, columns[:1], options={id(estimator): options} if options else None)


@pytest.mark.parametrize("options", [{"zipmap": False}, {}], ids=["a matrix", "mappings"])
@pytest.mark.parametrize("estimator", [LogisticRegression(), RandomForestClassifier(5, random_state=0)])
def test_an_onnx_graph_names_its_classes_and_answers_with_them(tmp_path, estimator, options) -> None:
    maker = Maker(tmp_path)
    graph = graph_of(estimator, **options)
    assert classes_of(graph) == tuple(NAMES)
    model = recorded(maker, graph, NAMES)
    rows = wines()
    expected = estimator.predict(rows[["a", "b"]].to_numpy(dtype="float32")).tolist()
    assert [NAMES[int(place)] for place in load(maker.bundle(model)).predict(rows)] == expected


def test_of_an_onnx_graph_with_a_classifier_for_each_class_no_classes_are_believed() -> None:
    assert classes_of(graph_of(OneVsRestClassifier(LogisticRegression()), zipmap=False)) == ()
    assert classes_of(graph_of(GaussianNB(), zipmap=False)) == ()


def test_an_onnx_graph_of_more_classes_than_the_hold_out_had_is_refused(tmp_path) -> None:
    maker = Maker(tmp_path)
    graph = graph_of(GaussianNB(), zipmap=False)
    predictor = load(maker.bundle(recorded(maker, graph, NAMES[:2])))
    with pytest.raises(Fault, match="3 numbers a row, and the model has 2 classes") as caught:
        predictor.predict(wines())
    assert "every class" in caught.value.fix
