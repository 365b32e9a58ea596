"""Reproduction: identical when it is, and the first step that differs named with its cause when it is not."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from roadworthy.data.formats import registry as formats
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.run import Environment
from roadworthy.pipelines import rebuilt, reproduce
from roadworthy.pipelines.likeness import Judge
from roadworthy.registry import runs
from roadworthy.store.store import Store

HERE = reproduce.Options(same_environment=True)
HEAD = "import roadworthy as rw\n"
MODEL = HEAD + (
    "import pandas as pd\nfrom sklearn.ensemble import RandomForestClassifier\nfrom h import width\n"
    "@rw.step\ndef rows(orders: pd.DataFrame): return orders.sample(frac=0.9)\n"
    "@rw.step\ndef model(rows, trees): return RandomForestClassifier(trees).fit(rows[['x']], rows['y'])\n"
    "@rw.step\ndef score(model, rows): return {'mean': float(model.predict_proba(rows[['x']])[:, 1].mean()) * width()}\n"
)
TOML = (
    '[project]\nname = "shop"\n[data.orders]\npath = "orders.csv"\n[params]\ntrees = 5\nseed = 3\n'
    "day = 2020-01-01\n"
)  # fmt: skip
CSV = "x,y\n" + "".join(f"{n},{n % 2}\n" for n in range(40))


def repeat(project: object, run: object) -> reproduce.Reproduction:
    return reproduce.reproduce(project.store, project.place, run, options=HERE)


def test_a_run_is_reproduced_after_code_and_data_are_gone(bench: Callable) -> None:
    h = "from pathlib import Path\ndef width(): return float(Path('width.txt').read_text())\n"
    project = bench({"pipeline.py": MODEL, "h.py": h, "width.txt": "2.0", "roadworthy.toml": TOML, "orders.csv": CSV})
    run = project.run(settings=("trees=7",))
    assert run.status == "finished", [s.error for s in run.steps]
    project.write({"pipeline.py": "oh no", "h.py": "", "width.txt": "9", "orders.csv": "x,y\n1,1\n"})
    made = repeat(project, run)
    assert made.reproduced
    assert [(s.step, s.verdict) for s in made.steps] == [
        ("rows", "identical"),
        ("model", "identical"),
        ("score", "identical"),
    ]
    again = runs.get(project.store, made.again)
    assert again.reproduces == run.id
    assert again.params["trees"] == 7
    assert again.snapshots == run.snapshots
    assert not (project.store.home / "reproductions" / run.id).exists()


def test_the_first_step_that_differs_is_named_with_its_cause(bench: Callable) -> None:
    text = HEAD + (
        "import numpy as np\n@rw.step\ndef steady(): return 1\n"
        "@rw.step\ndef drawn(steady):\n    return np.random.default_rng().random(5)\n"
        "@rw.step\ndef after(drawn): return float(drawn.sum())\n"
    )
    project = bench({"pipeline.py": text})
    made = repeat(project, project.run())
    assert [(s.step, s.verdict) for s in made.steps] == [
        ("steady", "identical"),
        ("drawn", "different"),
        ("after", "different"),
    ]
    assert made.divergent == "drawn"
    assert made.cause == "it draws random numbers from a generator without a seed: default_rng(seed) (pipeline.py:7)"
    assert "5 of 5 values differ, by up to" in made.steps[1].found


def test_a_repetition_is_not_reused_by_later_runs(bench: Callable) -> None:
    project = bench({"pipeline.py": HEAD + "import time\n@rw.step\ndef a(): return time.time_ns()\n"})
    run = project.run()
    made = repeat(project, run)
    assert made.divergent == "a"
    assert "it asks what time it is" in made.cause
    assert project.run().id == run.id
    assert project.value(project.run(), "a") == project.value(run, "a")


def test_another_environment_is_named_as_the_cause(bench: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + "import os\n@rw.step\ndef a(): return os.environ.get('MOOD', 'none')\n"
    project = bench({"pipeline.py": text})
    run = project.run()
    monkeypatch.setenv("MOOD", "high")
    made = repeat(project, run)
    assert made.divergent == "a"
    assert made.cause == "environment variable MOOD changed"


def test_what_cannot_be_repeated_is_refused(bench: Callable, store: Store) -> None:
    project = bench({"pipeline.py": HEAD + "@rw.step\ndef a(): return open('big.bin').read()\n", "big.bin": "x"})
    run = project.run()
    kept = project.store.blobs.path("0" * 64)
    assert not kept.exists()
    project.write({"pipeline.py": "", "big.bin": "y"})
    assert repeat(project, run).reproduced  # small files that were read are kept
    with pytest.raises(Fault, match="no steps to repeat"):
        repeat(project, runs.start(store, type(run)(id="")))


@pytest.mark.parametrize(
    ("one", "two", "verdict", "found"),
    [
        (1.0, 1.0, "identical", ""),
        (1.0, 1.0 + 1e-12, "within tolerance", "largest difference"),
        (1.0, 1.1, "different", "1 before, 1.1 now"),
        ({"a": [1, 2.0]}, {"a": [1, 2.5]}, "different", "a: [1]: 2 before, 2.5 now"),
        ({"a": 1}, {"b": 1}, "different", "keys"),
        ([1], [1, 2], "different", "1 items before, 2 now"),
        (np.arange(3.0), np.arange(3.0) + 1e-11, "within tolerance", "largest difference 1e-11"),
        (np.arange(3.0), np.array([0.0, 1.0, 9.0]), "different", "1 of 3 values differ, by up to 7"),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0 + 1e-13]), "within tolerance", ""),
        (np.array([np.nan, 1.0]), np.array([1.0, 1.0]), "different", "1 of 2 values differ"),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]}), "different", "column a: 1 of 2 values differ"),
        (pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": ["y"]}), "different", "column a: 1 of 1 values differ"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), "different", "columns"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1, 2]}), "different", "1 rows before, 2 now"),
        (pa.table({"a": [1.0]}), pa.table({"a": [1.0 + 1e-12]}), "within tolerance", "largest"),
        ("a", "b", "different", "'a' before"),
        (1, "1", "different", "a int before, a str now"),
    ],
)
def test_likeness(one: object, two: object, verdict: str, found: str, store: Store) -> None:
    values = [formats.save(store.blobs, value) for value in (one, two)]
    likeness = Judge(store, tolerance=1e-9).values(*values)
    assert likeness.verdict == verdict
    assert found in likeness.found


def test_models_are_compared_by_what_they_answer(store: Store) -> None:
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    models = [LinearRegression().fit(rows, [0.0, 1.0, 2.0 + extra]) for extra in (0.0, 1e-12, 0.5)]
    values = [formats.save(store.blobs, model) for model in models]
    judge = Judge(store, tolerance=1e-9, rows=rows)
    assert judge.values(values[0], values[1]).verdict in {"within tolerance", "identical"}
    assert judge.values(values[0], values[2]).verdict == "different"


def test_environments_are_told_apart_line_by_line() -> None:
    one = Environment(python="3.11.7", platform="Linux", packages={"a": "1", "b": "1"})
    two = Environment(python="3.12.0", platform="Linux", packages={"a": "2", "c": "1"})
    assert rebuilt.differences(one, two) == ("python 3.11.7 -> 3.12.0", "a 1 -> 2", "b 1 -> none", "c none -> 1")


@pytest.mark.slow
def test_an_environment_is_rebuilt_with_uv(store: Store) -> None:
    import subprocess
    import sys

    wanted = Environment(python=sys.version.split()[0], packages={"msgspec": rebuilt_version("msgspec"),
                         "blake3": rebuilt_version("blake3"), "click": rebuilt_version("click")})  # fmt: skip
    lines: list[str] = []
    try:
        python = rebuilt.interpreter(store.home, wanted, lines.append)
    except Fault as fault:
        pytest.skip(f"no package index: {fault.what[:200]}")
    assert rebuilt.interpreter(store.home, wanted, lines.append) == python
    assert "kept from before" in lines[-1]
    code = "import roadworthy, msgspec, importlib.metadata as m; print(m.version('roadworthy'), msgspec.__version__)"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert said == [rebuilt_version("roadworthy"), rebuilt_version("msgspec")]


def test_an_environment_that_cannot_be_had_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(Fault) as caught:
        rebuilt.interpreter(store.home, Environment(packages={"no-such-package-of-ours": "1.0"}), lambda _: None)
    assert "--same-environment" in caught.value.fix


def rebuilt_version(name: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(name)


def test_dates_come_back_as_dates() -> None:
    from roadworthy.pipelines import orders

    value = {"a": dt.date(2020, 1, 2), "b": [dt.datetime(2020, 1, 2, 3, tzinfo=dt.UTC)], "c": dt.time(1, 2), "d": 1}
    assert orders.unwrap(orders.wrap(value)) == value
