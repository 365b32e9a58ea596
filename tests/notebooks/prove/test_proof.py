"""Notebook and pipeline are run for real and compared; without an equal proof it is said loudly, with the cause."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from roadworthy.notebooks import conversion
from roadworthy.notebooks.conversion import Converted, Options
from roadworthy.notebooks.prove import page, proof
from roadworthy.nouns.errors import Code, Fault
from roadworthy.store import project_file
from tests.notebooks import written

pytestmark = pytest.mark.slow

TUMOURS = (
    "md:# Which tumours are malignant?",
    """import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

TEST_SIZE = 0.25
SEED = 42""",
    "md:## Tumours\n\nFrom Wisconsin.",
    "tumours = load_breast_cancer(as_frame=True).frame\ntumours.head()",
    "tumours['ratio'] = tumours['mean radius'] / tumours['mean area']",
    "md:## Split",
    """X, y = tumours.drop(columns="target"), tumours["target"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=TEST_SIZE, random_state=SEED)""",
    "md:## Model",
    """scaler = StandardScaler().fit(X_train)
clf = LogisticRegression(max_iter=500)
clf.fit(scaler.transform(X_train), y_train)""",
    """print(f"accuracy {accuracy_score(y_test, clf.predict(scaler.transform(X_test))):.3f}")
roc_auc_score(y_test, clf.predict_proba(scaler.transform(X_test))[:, 1])""",
)


def converted(folder: Path, *cells: str, tags: dict[int, list[str]] | None = None, **options) -> Converted:
    path = folder / "made.ipynb"
    path.write_bytes(msgspec.json.encode(written.document(*cells, tags=tags)))
    before = path.read_bytes()
    made = conversion.convert(path, Options(target=folder / "out", **options))
    assert path.read_bytes() == before
    return made


def test_a_notebook_becomes_a_project_that_is_shown_to_be_equal(tmp_path: Path) -> None:
    made = converted(tmp_path, *TUMOURS)
    assert made.proof.verdict == "identical", proof.text(made.proof)
    assert {c.what for c in made.proof.compared} >= {'split["X_test"]', "metric accuracy", "metric auc", "scaler"}
    project = project_file.read(tmp_path / "out" / "roadworthy.toml").project
    assert project.params == {"test_size": 0.25, "seed": 42}
    assert project.model is not None
    assert (project.model.step, project.model.holdout, project.model.label) == ("model", "holdout", "target")
    assert any("metrics.auc >= 0.9" in str(rule) for rule in project.gate.rules)
    assert "make_pipeline(scaler, logistic_regression)" in made.files["pipeline.py"]
    kept = json.loads((tmp_path / "out" / "proof.json").read_text())
    assert kept["verdict"] == "identical"
    assert "all identical" in (tmp_path / "out" / "proof.html").read_text()
    said = {n.what: n.why for n in made.proof.not_compared}
    assert "head" in said["cell 4"]


def test_chance_without_a_seed_is_found_to_be_the_cause(tmp_path: Path) -> None:
    made = converted(tmp_path, "import random", "md:## Draw", "drawn = [random.random() for _ in range(3)]")
    assert made.proof.verdict == "different"
    assert made.proof.cause == "seed"
    assert made.proof.first is not None
    assert "`drawn`, cell 3" in made.proof.first.notebook
    assert "NOT EQUAL" in proof.headline(made.proof)


def test_a_seed_and_what_it_governs_stay_together(tmp_path: Path) -> None:
    made = converted(
        tmp_path, "import random\nrandom.seed(3)", "md:## First", "first = [random.random() for _ in range(3)]",
        "random.random()", "md:## Second", "second = [random.random() for _ in range(3)]",
    )  # fmt: skip
    assert made.proof.verdict == "identical", proof.text(made.proof)


def test_the_time_is_found_to_be_the_cause(tmp_path: Path) -> None:
    made = converted(tmp_path, "import time", "md:## Asked", "asked = [time.time_ns(), 1]")
    assert (made.proof.verdict, made.proof.cause) == ("different", "time")


def test_the_order_of_a_set_is_found_to_be_the_cause(tmp_path: Path) -> None:
    words = ", ".join(repr(f"word{n}") for n in range(20))
    made = converted(tmp_path, "md:## Words", f"words = [*{{{words}}}, 'end']", "md:## Sorted", "firsts = words[:5]")
    assert (made.proof.verdict, made.proof.cause) == ("different", "order")


def test_classes_of_the_notebook_are_compared_too(tmp_path: Path) -> None:
    made = converted(
        tmp_path, "import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int\n    y: int", "md:## Points",
        "points = [Point(n, n * n) for n in range(3)]", "md:## Far", "far = max(points, key=lambda p: p.x)",
    )  # fmt: skip
    assert made.proof.verdict == "identical", proof.text(made.proof)


@pytest.mark.parametrize(
    ("cell", "code", "what"),
    [
        ("1 / 0", Code.INVALID, "ZeroDivisionError"),
        ("while True:\n    pass", Code.UNAVAILABLE, "longer than"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", Code.UNAVAILABLE, "died"),
        ("__import__('builtins').input('who? ')", Code.INVALID, "asks a person"),
    ],
)
def test_a_cell_that_cannot_end_well_is_named(tmp_path: Path, cell: str, code: Code, what: str) -> None:
    with pytest.raises(Fault) as caught:
        converted(tmp_path, "a = [n for n in range(3)]", cell, cell_s_max=3.0)
    assert caught.value.code == code
    assert "cell 2" in caught.value.where
    assert what in caught.value.what
    assert [p.name for p in tmp_path.iterdir()] == ["made.ipynb"]


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    shown = page.render(
        proof.Proof(
            notebook="<x>.ipynb", verdict="different", reason="", cause="seed", evidence=("`a` moved",),
            first=proof.Compared(what="a", notebook="`a`, cell 1", kind="value", verdict="different", found="1 & 2"),
        )
    ).decode()  # fmt: skip
    assert "&lt;x&gt;.ipynb" in shown
    assert "1 &amp; 2" in shown
    assert not re.search(r"(src|href)=", shown)
    assert str(tmp_path) not in shown


def test_two_steps_that_give_parts_of_the_same_names_are_told_apart(tmp_path: Path) -> None:
    cells = (
        "import numpy as np",
        "md:## First",
        "a, b = np.arange(3), np.arange(4)\nc = a * 1",
        "md:## Second",
        "a, b = a * 2, b * 3",
    )
    made = converted(tmp_path, *cells)
    assert made.proof.verdict == "identical", proof.text(made.proof)
    assert [c.what for c in made.proof.compared if c.what.endswith('["a"]')]


def test_an_object_that_a_method_changes_unseen_stays_with_what_reads_it(tmp_path: Path) -> None:
    made = converted(
        tmp_path, "import configparser", "md:## Made", "settings = configparser.ConfigParser()\nbefore = [1, 2]",
        "md:## Changed", "settings.read_string('[mail]\\nport = 25');", "md:## Read",
        "ports = [int(settings['mail']['port']), *before]",
    )  # fmt: skip
    assert made.proof.verdict == "identical", proof.text(made.proof)
    assert "read_string" in made.files["pipeline.py"]
    assert "ports" in {c.what.strip("`") for c in made.proof.compared}


def test_an_object_that_nobody_can_copy_stays_with_what_is_called_on_it(tmp_path: Path) -> None:
    made = converted(
        tmp_path, "import sqlite3", "connection = sqlite3.connect(':memory:')", "md:## Filled",
        "connection.executescript('create table t (n); insert into t values (1), (2);')", "md:## Read",
        "rows = connection.execute('select n from t').fetchall()",
    )  # fmt: skip
    assert made.proof.verdict == "identical", proof.text(made.proof)
    assert "executescript" in made.files["pipeline.py"]


def test_the_moment_at_which_a_value_was_made_is_found_to_be_the_cause(tmp_path: Path) -> None:
    made = converted(
        tmp_path, "from email.message import Message\nimport datetime as clock", "md:## Made",
        "made = Message()\nmade.when = clock.datetime(2026, 1, 1) + clock.timedelta(__import__('os').getpid())\n"
        "made['a'] = 'b'",
    )  # fmt: skip
    assert (made.proof.verdict, made.proof.cause) == ("different", "time"), proof.text(made.proof)


def test_a_generator_that_begins_with_the_state_of_another_stays_with_its_seed(tmp_path: Path) -> None:
    made = converted(
        tmp_path, "import numpy as np\nnp.random.seed(3)", "md:## First", "first = np.random.normal(size=2)",
        "md:## Own", "own = np.random.RandomState()\nown.set_state(np.random.get_state())\nbegin = [own.normal()]",
        "md:## Drawn", "drawn = own.normal(size=3) + first.sum()",
    )  # fmt: skip
    assert made.proof.verdict == "identical", proof.text(made.proof)
