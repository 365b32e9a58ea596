import stat
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from roadworthy.data.formats.registry import save
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.model import Model
from roadworthy.serving import bundle
from roadworthy.serving.model import load, score
from roadworthy.serving.signature import infer
from tests.serving.servers import FEATURES, Maker, flights


def test_what_is_written_serves_as_the_estimator_did(maker: Maker) -> None:
    model = maker.model()
    made = maker.bundle(model)
    rows = flights(50, seed=3)
    expected = score(maker.blobs, model, rows)
    assert np.array_equal(load(bundle.read(made.folder)).predict(rows[["wind", *FEATURES[:2]]]), expected)
    assert expected.shape == (50,)
    assert ((expected > 0) & (expected < 1)).all()
    assert bundle.read(made.folder, public=maker.keys.public()) == made
    assert stat.S_IMODE((made.folder / "bundle.json").stat().st_mode) == 0o600
    assert [p.name for p in made.folder.parent.iterdir() if p.name.startswith(".")] == []


def test_a_bundle_stays_or_is_replaced_as_a_whole(maker: Maker) -> None:
    made = maker.bundle(maker.model())
    before = (made.folder / "bundle.json").stat()
    assert maker.bundle(made.model) == made
    assert (made.folder / "bundle.json").stat().st_ino == before.st_ino
    again = maker.bundle(maker.model(), target="other")
    assert bundle.read(again.folder).settings.target == "other"


@pytest.mark.parametrize("place", ["bundle.json", "certificate.json", "blob"])
def test_any_change_of_a_bundle_is_caught(maker: Maker, place: str) -> None:
    made = maker.bundle(maker.model())
    path = next((made.folder / "blobs").rglob("*[!.]")) if place == "blob" else made.folder / place
    path = next(p for p in (made.folder / "blobs").rglob("*") if p.is_file()) if place == "blob" else path
    content = path.read_bytes()
    path.chmod(0o600)
    for at in range(0, len(content), max(1, len(content) // 25)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            found = bundle.read(made.folder, public=maker.keys.public())
        except Fault:
            continue
        # Of the record, what does not concern the model (a setting, say) is the operator's own.
        assert place == "bundle.json"
        assert found.model.value.digest == made.model.value.digest
    path.unlink()
    with pytest.raises(Fault):
        bundle.read(made.folder)


def test_a_certificate_must_be_about_this_model_and_have_passed(maker: Maker, tmp_path: Path) -> None:
    model = maker.model()
    other = Maker(tmp_path / "other")
    refusals = {
        "signature": (maker.envelope(model), other.keys.public()),
        "another model": (maker.envelope(model, digest="0" * 64), maker.keys.public()),
        "a rule refused": (maker.envelope(model, passed=False), maker.keys.public()),
        "cannot be read": (b"{}", maker.keys.public()),
    }
    for said, (envelope, public) in refusals.items():
        with pytest.raises(Fault, match=said):
            bundle.write(tmp_path / "b", maker.blobs, model, envelope, public)
        assert not (tmp_path / "b").exists()


def test_nothing_that_runs_code_is_served(maker: Maker, tmp_path: Path) -> None:
    data = flights()
    value = save(maker.blobs, LogisticRegression().fit(data[["wind"]], data["late"]), format="pickle", keys=maker.keys)
    model = maker.model(value=value)
    with pytest.raises(Fault) as caught:
        bundle.write(tmp_path / "b", maker.blobs, model, maker.envelope(model), maker.keys.public())
    assert caught.value.code is Code.REFUSED
    made = maker.bundle(maker.model())
    with pytest.raises(Fault, match="does not load"):
        load(msgspec.structs.replace(made, model=model))


def test_a_digest_is_no_path(maker: Maker) -> None:
    made = maker.bundle(maker.model())
    record = msgspec.json.decode((made.folder / "bundle.json").read_bytes())
    for wrong in ("../../../etc/passwd", "/etc/passwd", "..", "%2e%2e/x", "a" * 64 + "/..", "\0" * 64):
        record["model"]["value"]["digest"] = wrong
        (made.folder / "bundle.json").write_bytes(msgspec.json.encode(record))
        with pytest.raises(Fault):
            bundle.read(made.folder)


def trained(maker: Maker, estimator, target, **changes) -> Model:
    data = flights()
    value = save(maker.blobs, estimator.fit(data[["wind", "distance"]], target))
    return maker.model(value=value, signature=infer(data, ["wind", "distance"]), **changes)


def test_other_kinds_of_models(maker: Maker) -> None:
    data = flights()
    regression = LinearRegression()
    model = trained(maker, regression, data["late"] * 3.5, task="regression")
    assert np.array_equal(score(maker.blobs, model, data), regression.predict(data[["wind", "distance"]]))
    assert score(maker.blobs, model, data.head(0)).shape == (0,)
    with pytest.raises(Fault, match="3 classes"):
        score(maker.blobs, trained(maker, LogisticRegression(), np.arange(len(data)) % 3), data)
    with pytest.raises(Fault, match="no probabilities"):
        score(maker.blobs, trained(maker, LinearSVC(), data["late"]), data)
    with pytest.raises(Fault, match="'wind' is missing"):
        score(maker.blobs, model, data.drop(columns="wind"))
    with pytest.raises(Fault, match="cannot predict"):
        score(maker.blobs, maker.model(value=save(maker.blobs, {"a": 1})), data)


def test_onnx_answers_as_scikit_learn_does(maker: Maker) -> None:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    data = flights()
    features = data[["wind", "distance"]].astype("float32")
    estimator = LogisticRegression().fit(features, data["late"])
    by_name = [("wind", FloatTensorType([None, 1])), ("distance", FloatTensorType([None, 1]))]
    pipeline = make_pipeline(ColumnTransformer([("all", "passthrough", ["wind", "distance"])]), LogisticRegression())
    graphs = [
        to_onnx(estimator, features.to_numpy()[:1], options={"zipmap": False}),
        to_onnx(estimator, features.to_numpy()[:1]),
        to_onnx(pipeline.fit(features, data["late"]), initial_types=by_name, options={"zipmap": False}),
    ]
    for graph in graphs:
        model = maker.model(value=save(maker.blobs, graph), signature=infer(data, ["wind", "distance"]))
        found = load(maker.bundle(model)).predict(data)
        assert np.allclose(found, estimator.predict_proba(features)[:, 1], atol=1e-5)
    regression = LinearRegression().fit(features, data["late"])
    value = save(maker.blobs, to_onnx(regression, features.to_numpy()[:1]))
    model = maker.model(value=value, signature=infer(data, ["wind", "distance"]), task="regression")
    assert np.allclose(score(maker.blobs, model, data), regression.predict(features), atol=1e-5)


def test_an_onnx_graph_that_reads_files_is_refused(maker: Maker) -> None:
    import onnx
    from skl2onnx import to_onnx

    data = flights()
    estimator = LogisticRegression().fit(data[["wind", "distance"]], data["late"])
    graph = to_onnx(estimator, np.zeros((1, 2), "float32"))
    weights = graph.graph.initializer.add(name="w", data_type=onnx.TensorProto.FLOAT, dims=[1])
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../../etc/passwd")
    model = maker.model(value=save(maker.blobs, graph), signature=infer(data, ["wind", "distance"]))
    with pytest.raises(Fault, match="other files"):
        score(maker.blobs, model, data)
