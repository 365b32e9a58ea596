"""`rw.release(model)` from a real kernel: through the gate and out, or not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy.notebooks.execute.cells import Execution, execute
from roadworthy.notebooks.execute.kernel import TRIAL
from roadworthy.store.store import open_store
from tests.notebooks.written import write

TRAIN = """
import roadworthy as rw
import source
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
table = source.tumours()
features = [c for c in ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity",
                        "concave_points", "symmetry", "fractal_dimension")]
X_train, X_test, y_train, y_test = train_test_split(table[features], table["malignant"], random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X_train, y_train)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    command = [sys.executable, "-m", "roadworthy", "new", "tumours"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    root = tmp_path / "tumours"
    text = (root / "roadworthy.toml").read_text()
    assert "port = 8600" in text
    (root / "roadworthy.toml").write_text(text.replace("port = 8600", "port = 8787"))
    return root


def run(project: Path, *cells: str) -> Execution:
    return execute(write(project / "a.ipynb", *cells))


@pytest.mark.slow
def test_a_model_goes_out_through_the_gate(project: Path) -> None:
    try:
        found = run(project, TRAIN, "released = rw.release(model)\nreleased", "print(released.url)")
        assert found.failed is None, found.failed
        shown = found.done[1].ran.outputs[-1]["data"]
        assert shown["text/plain"].startswith("tumours@1 is live on local")
        assert "metrics.auc" in shown["text/html"]
        status = [sys.executable, "-m", "roadworthy", "status", "--json"]
        said = json.loads(subprocess.run(status, cwd=project, check=True, capture_output=True).stdout)
        assert "tumours@1" in json.dumps(said)
        with open_store(project / ".roadworthy") as store, store.read() as reader:
            kinds = [str(row[0]) for row in reader.rows("SELECT kind FROM events ORDER BY seq")]
        assert "model.registered" in kinds
        assert "certificate.issued" in kinds
    finally:
        down = [sys.executable, "-m", "roadworthy", "release", "--down"]
        subprocess.run(down, cwd=project, check=False, capture_output=True)


@pytest.mark.slow
def test_what_the_gate_refuses_stays(project: Path) -> None:
    worse = "model.fit(X_train, y_train.sample(frac=1, random_state=1).to_numpy())"
    found = run(project, TRAIN, worse, "rw.release(model)")
    assert found.failed is not None
    assert found.failed.index == 2
    error = found.failed.ran.error
    assert error is not None
    assert error.traceback.startswith("refused: tumours@1: the gate refuses")
    assert "would pass" in error.traceback
    assert "nothing was released" in found.failed.ran.outputs[-2]["data"]["text/plain"]


def test_a_trial_releases_nothing(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "import roadworthy as rw\nrw.release(object())")
    found = execute(notebook, environment={TRIAL: "1"})
    assert found.done[0].ran.text == "not released: this is a trial of the notebook\n"


def test_outside_a_project_it_says_where_to_get_one(tmp_path: Path) -> None:
    found = run(tmp_path, "import roadworthy as rw\nrw.release(object())")
    assert found.failed is not None
    error = found.failed.ran.error
    assert error is not None
    assert error.traceback.startswith("not found: ")
    assert "rw new my-model --from-notebook" in error.traceback
