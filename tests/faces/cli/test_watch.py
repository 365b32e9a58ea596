"""`rw watch`, `rw labels` and `rw operate status`, as a user types them, on rows that were served."""

import json
import os
import subprocess
import sys
import time

import pytest

from roadworthy.store.store import open_store
from tests.operate.conftest import DAY, Served

# Windows end by the real clock here.
MIDNIGHT = time.time() // DAY * DAY - 3 * DAY

FILE = """
[project]
name = "p"
[model]
name = "late"
step = "model"
holdout = "holdout"
label = "late"
[serving]
key = "id"
[monitor.drift]
window = "1d"
min_rows = 200
rules = ["drift.large.count == 0", "performance.auc >= 0.6", "volume.rows >= 100"]
[monitor.traffic]
window = "1d"
min_rows = 10
rules = ["volume.change > -0.5"]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("late")
    (root / "roadworthy.toml").write_text(FILE)
    with open_store(root / ".roadworthy", actor="tester") as store:
        served = Served(store)
        model = served.register()
        truth = served.serve(model, MIDNIGHT, MIDNIGHT + DAY)
        served.serve(model, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY, seed=2, shift=2.0)
    truth.rename(columns={"_key": "id", "label": "late"}).to_csv(root / "truth.csv", index=False)
    return root


def rw(root, *args, text=None):
    return subprocess.run(
        [sys.executable, "-m", "roadworthy", *args],
        cwd=root,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_names_examples(root):
    for verb in ("watch", "labels", "operate"):
        said = rw(root, verb, "--help")
        assert said.returncode == 0
        assert "Examples:" in said.stdout
        assert "noqa" not in said.stdout


def test_two_days_of_a_served_model(root):
    first = rw(root, "watch", "--json")
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    mine = [w for w in found["windows"] if w["monitor"] == "drift"][:2]
    assert [w["rows"] for w in mine] == [1000, 1000]
    assert mine[0]["waiting"] == {"performance.auc >= 0.6": "0 of 200 labels"}
    assert [o["passed"] for o in mine[0]["outcomes"]] == [True, True]
    assert [o["passed"] for o in mine[1]["outcomes"]] == [False, True]
    assert {a["monitor"] for a in found["alerts"]} == {"drift", "traffic"}
    assert "alert: drift on late@1" in first.stderr

    assert rw(root, "watch", "--fail-on-alert").returncode == 5

    added = rw(root, "labels", "add", "truth.csv")
    assert (added.returncode, added.stdout) == (0, "1,000 labels added\n")
    again = rw(root, "watch", "--json")
    judged = json.loads(again.stdout)["windows"]
    assert [(w["start"], w["labelled"]) for w in judged] == [(MIDNIGHT, 1000), (MIDNIGHT, 1000)]
    assert judged[0]["facts"]["performance"]["auc"] > 0.6

    text = rw(root, "watch", "--all")
    assert "drift  late@1  " in text.stdout
    assert "  held\n" in text.stdout
    assert "broken drift.large.count == 0  (drift.large.count = 1)" in text.stdout
    assert "distance" in text.stdout
    assert "auc 0." in text.stdout


def test_labels(root):
    assert rw(root, "labels", "add", "-", text="id,late\nk1,1\nk2,0\n").stdout == "2 labels added\n"
    count = json.loads(rw(root, "labels", "count", "--json").stdout)
    assert count[0]["model"] == "late@1"
    assert count[0]["rows"] == 2000
    newest = json.loads(rw(root, "labels", "list", "--limit", "2", "--json").stdout)
    assert [(row["key"], row["label"]) for row in newest] == [("k1", 1.0), ("k2", 0.0)]
    assert "known since" in rw(root, "labels", "list").stdout
    assert "labelled" in rw(root, "labels", "count").stdout


@pytest.mark.parametrize(
    ("args", "text", "said"),
    [
        (("add", "-"), "id,outcome\n1,2\n", "no column 'late'"),
        (("add", "-", "--key", "nope"), "id,late\n1,1\n", "no column 'nope'"),
        (("add", "-"), "id,late\nk1,maybe\n", "must be a finite number"),
        (("add", "-"), "", "cannot be read"),
        (("add", "gone.csv"), "", "No such file"),
    ],
)
def test_labels_that_are_none(root, args, text, said):
    found = rw(root, "labels", *args, text=text)
    assert found.returncode == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_windows_of_another_length_are_looked_at_once(root):
    found = rw(root, "watch", "--window", "12h", "--json")
    assert found.returncode == 0, found.stderr
    assert len(json.loads(found.stdout)["windows"]) > 0
    wrong = rw(root, "watch", "--window", "soon")
    assert wrong.returncode == 2
    assert "no length of a window" in wrong.stderr


def test_status_of_a_loop_that_never_ran(root):
    said = rw(root, "operate", "status")
    assert said.returncode == 0, said.stderr
    assert "loop of p: not running" in said.stdout
    assert json.loads(rw(root, "operate", "status", "--json").stdout)["state"]["turns"] == 0


def test_a_rule_with_a_wrong_name(root, tmp_path):
    (tmp_path / "roadworthy.toml").write_text(FILE.replace("drift.large.count", "drifts.large.count"))
    found = rw(tmp_path, "watch")
    assert found.returncode == 2
    assert "drifts" in found.stderr
