"""`rw run` as a user meets it."""

import json
from collections.abc import Callable
from pathlib import Path

PIPELINE = """
import pandas as pd
from sklearn.linear_model import LogisticRegression

import roadworthy as rw


@rw.step
def rows(orders: pd.DataFrame) -> pd.DataFrame:
    return orders[orders["x"] >= 0]


@rw.step
def model(rows: pd.DataFrame, strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength).fit(rows[["x", "z"]], rows["y"])


@rw.step
def holdout(rows: pd.DataFrame) -> pd.DataFrame:
    rw.log_metric("rows", len(rows))
    return rows
"""
TOML = """
[project]
name = "shop"
[data.orders]
path = "orders.csv"
[data.orders.contract.columns]
x = { type = "number", min = 0 }
[params]
strength = 1.0
[model]
name = "buys"
step = "model"
holdout = "holdout"
label = "y"
features = ["x", "z"]
"""
ROWS = "x,z,y\n" + "".join(f"{n},{n % 7}.5,{int(n % 10 > 4)}\n" for n in range(60))


def test_a_run_registers_its_model_once(rw: Callable, project_dir: Callable[..., Path]) -> None:
    root = project_dir({"pipeline.py": PIPELINE, "roadworthy.toml": TOML, "orders.csv": ROWS})
    first = rw("run", "--json", cwd=root)
    assert first.returncode == 0, first.stderr
    said = json.loads(first.stdout)
    assert said["model"] == "buys@1"
    assert {s["step"]: s["status"] for s in said["run"]["steps"]} == {"rows": "ran", "model": "ran", "holdout": "ran"}
    again = rw("run", cwd=root)
    assert again.stdout.startswith("nothing to do: all 3 steps reused")
    shown = rw("run", "--set", "strength=0.5", cwd=root)
    assert shown.returncode == 0, shown.stderr
    assert "model: buys@2" in shown.stdout
    assert "auc" in shown.stdout
    assert "params.strength 1.0 -> 0.5" in shown.stdout
    assert "model: running: params.strength" in shown.stderr
    # The same model on the same rows is the same version, whichever run made it.
    assert json.loads(rw("run", "--force", "--set", "strength=0.5", "--json", cwd=root).stdout)["model"] == "buys@2"
    models = json.loads(rw("models", "--json", cwd=root).stdout)
    assert models


def test_why_is_said_without_running(rw: Callable, project_dir: Callable[..., Path]) -> None:
    root = project_dir({"pipeline.py": PIPELINE, "roadworthy.toml": TOML, "orders.csv": ROWS})
    dry = rw("run", "--dry-run", cwd=root)
    assert dry.returncode == 0, dry.stderr
    assert "data orders: read when it runs" in dry.stdout
    assert rw("run", cwd=root).returncode == 0
    found = json.loads(rw("run", "--explain", "--json", "--set", "strength=2", cwd=root).stdout)
    assert {s["step"]: s["action"] for s in found["steps"]}.get("model") in {"run", "wait"}


def test_a_broken_contract_shows_the_rules_and_ends_with_5(rw: Callable, project_dir: Callable[..., Path]) -> None:
    root = project_dir({"pipeline.py": PIPELINE, "roadworthy.toml": TOML, "orders.csv": ROWS + "-3,1,0\n"})
    done = rw("run", cwd=root)
    assert done.returncode == 5
    assert "x: range" in done.stdout
    assert "1 of 61" in done.stdout
    assert "the data breaks its contract: orders: x: range" in done.stderr
    said = json.loads(rw("run", "--json", cwd=root).stdout)
    assert [f["rule"] for f in said["error"]["findings"] if not f["passed"]] == ["x: range"]


def test_a_failing_step_shows_the_users_traceback_and_ends_with_1(
    rw: Callable, project_dir: Callable[..., Path]
) -> None:
    text = "import roadworthy as rw\n@rw.step\ndef a():\n    return {}['lost']\n@rw.step\ndef b(a): return a\n"
    root = project_dir({"pipeline.py": text, "roadworthy.toml": '[project]\nname = "shop"\n'})
    done = rw("run", cwd=root)
    assert done.returncode == 1
    assert "KeyError: 'lost'" in done.stderr
    assert 'pipeline.py", line 4, in a' in done.stderr
    assert "child.py" not in done.stderr
    assert "its input a failed" in done.stdout


def test_mistakes_are_one_message_with_the_nearest_name(rw: Callable, project_dir: Callable[..., Path]) -> None:
    root = project_dir({"pipeline.py": PIPELINE, "roadworthy.toml": TOML, "orders.csv": ROWS})
    for arguments, said in (
        (["--set", "strenght=2"], "did you mean `strength`?"),
        (["--set", "strength=high"], "of type float"),
        (["--only", "modl"], "did you mean `model`?"),
        (["--from", "hold"], "did you mean `holdout`?"),
    ):
        done = rw("run", *arguments, cwd=root)
        assert done.returncode in {2, 3}
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_nothing_to_run_is_said(rw: Callable, project_dir: Callable[..., Path]) -> None:
    root = project_dir({"roadworthy.toml": '[project]\nname = "shop"\n'})
    done = rw("run", cwd=root)
    assert done.returncode == 3
    assert "the project has no module `pipeline`" in done.stderr
