"""`rw gate`, `rw approve` and `rw certificate` as processes, on a project in a folder."""

import json
import os
import subprocess
import sys

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from roadworthy.data.formats.registry import save
from roadworthy.nouns.model import Model
from roadworthy.nouns.run import Environment, Run
from roadworthy.registry import models, runs
from roadworthy.serving.signature import infer
from roadworthy.store.store import open_store

FILE = """
[project]
name = "coins"
[model]
name = "coin"
step = "model"
holdout = "holdout"
label = "y"
[gate]
resamples = 100
rules = ["metrics.auc >= {auc}", "metrics.auc >= champion.metrics.auc - 0.005", {{ rule = "cost.p99_ms <= 0.0001", name = "instant", level = "warn" }}{more}]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project with two versions of a model, the second worse."""
    root = tmp_path_factory.mktemp("coins")
    write_rules(root)
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"a": random.normal(size=800), "b": random.normal(size=800)})
    rows["y"] = (rows["a"] + random.normal(size=800) > 0).astype(int)
    with open_store(root / ".roadworthy") as store:
        for columns in (["a", "b"], ["b"]):
            run = runs.start(store, Run(id=store.ids.new(), project="coins", environment=Environment(lock="0" * 64)))
            runs.finish(store, run.id, "finished")
            estimator = LogisticRegression().fit(rows[columns], rows["y"])
            models.register(
                store,
                Model(
                    name="coin", version=0, run=run.id, label="y", project="coins", value=save(store.blobs, estimator),
                    signature=infer(rows, columns), holdout=save(store.blobs, rows),
                ),
            )  # fmt: skip
    return root


def write_rules(root, auc=0.7, more=""):
    (root / "roadworthy.toml").write_text(FILE.format(auc=auc, more=more))


def rw(root, *args, cwd=None):
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "roadworthy", *args],
        cwd=cwd or root,
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
        check=False,
    )


@pytest.fixture(scope="module")
def passed(root):
    return rw(root, "gate", "coin@1")


@pytest.mark.timeout(120)
def test_a_passed_gate_shows_every_rule_and_the_certificate(passed):
    assert passed.returncode == 0, passed.stderr
    lines = passed.stdout.splitlines()
    assert lines[0].split() == ["rule", "measured", "would", "pass"]
    assert lines[1].startswith("pass  metrics.auc >= 0.7")
    assert "warn  instant" in passed.stdout
    assert "no champion yet" in passed.stdout
    assert "coin@1 passed, certificate " in passed.stdout
    assert "measuring what it costs to run" in passed.stderr


@pytest.mark.timeout(120)
def test_the_second_gate_uses_what_was_measured(root, passed):
    again = rw(root, "gate", "coin@1")
    assert again.returncode == 0
    assert "issued before; nothing has changed since" in again.stdout
    assert "evidence from before is used" in again.stderr


@pytest.mark.timeout(120)
def test_a_refused_gate_exits_with_5_and_says_why(root, passed):
    with open_store(root / ".roadworthy") as store:
        models.set_alias(store, "coin", "champion", 1)
    refused = rw(root, "gate")
    assert refused.returncode == 5
    assert "FAIL  metrics.auc >= 0.7" in refused.stdout
    assert "coin@2 beside the champion coin@1" in refused.stdout
    assert "worse, 95 % interval -0." in refused.stdout
    assert "probability better 0.00" in refused.stdout
    assert (
        "refused: coin@2: the gate refuses: metrics.auc >= 0.7 (and 1 more); measured metrics.auc = 0."
        in refused.stderr
    )
    assert "would pass: metrics.auc >= 0.7" in refused.stderr
    as_json = rw(root, "gate", "--json")
    assert as_json.returncode == 5
    document = json.loads(as_json.stdout)
    assert document["certificate"]["passed"] is False
    assert document["measured"] is False
    assert document["comparisons"][0]["in_words"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["gate", "nobody"], 3, "no such model"),
        (["gate", "coin@9"], 3, "no such version"),
        (["approve", "coin@9", "--role", "owner"], 3, "no such version"),
        (["approve", "coin", "--role", "The Owner"], 2, "a role has lower-case letters"),
        (["certificate", "show", "coin@9"], 3, "no such certificate"),
        (["certificate", "verify", "nothing.json"], 2, "does not exist"),
    ],
)
def test_mistakes_are_told_without_a_traceback(root, args, code, said):
    done = rw(root, *args)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(120)
def test_an_approval_is_recorded_and_opens_the_gate(root, passed):
    write_rules(root, more=", \"approvals.count('owner') >= 1\"")
    try:
        before = rw(root, "gate", "coin@1")
        assert before.returncode == 5
        assert "approvals.count('owner') = 0" in before.stdout
        approved = rw(root, "approve", "coin@1", "--role", "owner", "--comment", "fine", "--json")
        assert json.loads(approved.stdout)["model"] == "coin@1"
        assert rw(root, "gate", "coin@1").returncode == 0
    finally:
        write_rules(root)


@pytest.mark.timeout(120)
def test_an_exported_certificate_is_verified_anywhere(root, passed, tmp_path):
    file, key = tmp_path / "coin.json", tmp_path / "signer.pem"
    exported = rw(root, "certificate", "export", "coin@1", "--to", str(file), "--key-to", str(key))
    assert exported.returncode == 0, exported.stderr
    away = tmp_path / "away"
    away.mkdir()
    holds = rw(root, "certificate", "verify", str(file), "--key", str(key), cwd=away)
    assert holds.returncode == 0, holds.stderr
    assert holds.stdout.startswith("holds: coin@1, passed")
    assert list(away.iterdir()) == []
    assert rw(root, "certificate", "verify", str(file)).returncode == 0

    without_key = rw(root, "certificate", "verify", str(file), cwd=away)
    assert without_key.returncode == 2
    assert "--key" in without_key.stderr

    again = rw(root, "certificate", "export", "coin@1", "--to", str(file))
    assert again.returncode == 4
    assert rw(root, "certificate", "export", "coin@1", "--to", str(file), "--overwrite").returncode == 0


@pytest.mark.timeout(120)
def test_what_was_changed_is_named(root, passed, tmp_path):
    file, key, other = tmp_path / "coin.json", tmp_path / "signer.pem", tmp_path / "model.skops"
    rw(root, "certificate", "export", "coin@1", "--to", str(file), "--key-to", str(key))
    other.write_bytes(b"another model")
    swapped = rw(root, "certificate", "verify", str(file), "--key", str(key), "--model", str(other))
    assert swapped.returncode == 5
    assert "is not the model that was certified" in swapped.stderr
    envelope = msgspec.json.decode(file.read_bytes())
    envelope["payload"] = "A" + envelope["payload"][1:]
    file.write_bytes(msgspec.json.encode(envelope))
    changed = rw(root, "certificate", "verify", str(file), "--key", str(key), "--json")
    assert changed.returncode == 5
    assert json.loads(changed.stdout)["error"]["what"].startswith("the signature does not hold")


@pytest.mark.timeout(120)
def test_certificates_are_listed_and_shown(root, passed):
    listed = rw(root, "certificate", "list", "coin@1")
    assert "passed" in listed.stdout
    newest = json.loads(rw(root, "certificate", "list", "coin@1", "--json").stdout)[0]
    shown = rw(root, "certificate", "show", newest["id"][:10])
    assert shown.returncode == 0, shown.stderr
    assert newest["id"] in shown.stdout
    assert "measured_from" in shown.stdout
    statement = json.loads(rw(root, "certificate", "show", "coin@1", "--json").stdout)["statement"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
