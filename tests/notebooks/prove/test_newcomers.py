"""The first notebooks everyone tries (iris, wine, digits, diabetes), as they are written, run and pass their own gate."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from roadworthy.notebooks import conversion
from roadworthy.notebooks.conversion import Options
from roadworthy.notebooks.prove import proof
from roadworthy.store import project_file
from tests.notebooks import written

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

IRIS = (
    "md:# Iris",
    """import pandas as pd
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn import metrics""",
    "iris = load_iris()\nX = iris.data\ny = iris.target\nprint(X.shape, iris.target_names)",
    "X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=4)",
    "md:## Neighbours",
    "knn = KNeighborsClassifier(n_neighbors=5)\nknn.fit(X_train, y_train)",
    "y_pred = knn.predict(X_test)\nprint(metrics.accuracy_score(y_test, y_pred))",
    "print(metrics.classification_report(y_test, y_pred))",
)
WINE = (
    "md:# Wine",
    """from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split""",
    "wine = load_wine(as_frame=True)\ndf = wine.frame\ndf['kind'] = df['target'].map({0: 'barolo', 1: 'grignolino', 2: 'barbera'})",
    "X = df.drop(columns=['target', 'kind'])\ny = df['kind']",
    "X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)",
    "md:## Forest",
    "model = RandomForestClassifier(n_estimators=20, random_state=0)\nmodel.fit(X_train, y_train)",
    "pred = model.predict(X_test)\nacc = accuracy_score(y_test, pred)\nf1 = f1_score(y_test, pred, average='macro')\nacc, f1",
)
DIGITS = (
    "md:# Digits",
    """from sklearn import datasets, svm
from sklearn.model_selection import train_test_split""",
    "digits = datasets.load_digits()\ndata = digits.images.reshape((len(digits.images), -1))",
    "X_train, X_test, y_train, y_test = train_test_split(data, digits.target, test_size=0.5, shuffle=False)",
    "md:## Learn",
    "clf = svm.SVC(gamma=0.001)\nclf.fit(X_train, y_train)",
    "clf.score(X_test, y_test)",
)
DIABETES = (
    "md:# Diabetes",
    """import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import train_test_split""",
    "X, y = load_diabetes(return_X_y=True, as_frame=True)",
    "X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)",
    "md:## Line",
    "reg = LinearRegression()\nreg.fit(X_train, y_train)",
    "y_pred = reg.predict(X_test)\nrmse = np.sqrt(mean_squared_error(y_test, y_pred))\nprint(rmse, r2_score(y_test, y_pred))",
)


def rw(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "roadworthy", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(
    ("cells", "task", "asked"),
    [
        (IRIS, "multiclass", {"accuracy"}),
        (WINE, "multiclass", {"accuracy", "f1_macro"}),
        (DIGITS, "multiclass", {"accuracy"}),
        (DIABETES, "regression", {"r2"}),
    ],
    ids=["iris", "wine", "digits", "diabetes"],
)
def test_a_first_notebook_becomes_a_project_that_passes_its_gate(
    tmp_path: Path, cells: tuple[str, ...], task: str, asked: set[str]
) -> None:
    path = tmp_path / "first.ipynb"
    path.write_bytes(msgspec.json.encode(written.document(*cells)))
    made = conversion.convert(path, Options(target=tmp_path / "out"))
    assert made.proof.holds, proof.text(made.proof)
    project = project_file.read(tmp_path / "out" / "roadworthy.toml").project
    assert project.model is not None, made.files["roadworthy.toml"]
    assert project.model.task == task
    ran = rw(tmp_path / "out", "run")
    assert ran.returncode == 0, ran.stderr
    gated = rw(tmp_path / "out", "gate", "--json")
    assert gated.returncode == 0, gated.stdout + gated.stderr
    rules = " ".join(str(rule) for rule in project.gate.rules)
    assert all(f"metrics.{name} >= " in rules for name in asked)
    assert json.loads(gated.stdout)
