"""Sources: paths and globs of the project, and what its functions return."""

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from roadworthy.data import snapshots, sources
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.project import Place
from roadworthy.store import project_file
from roadworthy.store.clock import SimulatedClock
from roadworthy.store.store import Store

TOML = """
[project]
name = "demo"
[data.one]
path = "data/1.csv"
[data.all]
path = "data/*.csv"
[data.folder]
path = "data"
[data.gone]
path = "data/*.parquet"
[data.typed]
path = "zip.csv"
[data.typed.contract.columns.zip]
type = "string"
"""
SOURCE = """
import pathlib
import pandas as pd
from more import FACTOR

def table(now, rows, scale=2):
    return pd.DataFrame({"x": [i * scale * FACTOR for i in range(rows)], "day": now})

def path():
    return pathlib.Path("data")

def whole(**params):
    return pd.DataFrame([params])

def wants(missing):
    return None

def fails():
    return 1 / 0

def number():
    return 5
"""

Write = Callable[..., pathlib.Path]


@pytest.fixture
def place(project_dir: Write) -> Place:
    functions = ["table", "path", "whole", "wants", "fails", "number", "absent"]
    toml = TOML + "".join(f'[data.{name}]\npython = "source:{name}"\n' for name in functions)
    toml += '[data.nowhere]\npython = "nothing:there"\n[data.broken]\npython = "broken:f"\n'
    root = project_dir(
        {
            "roadworthy.toml": toml,
            "source.py": SOURCE,
            "more.py": "FACTOR = 10\n",
            "broken.py": "import not_installed_anywhere\n",
            "data/1.csv": "a,b\n1,x\n",
            "data/2.csv": "a,b\n2,y\n",
            "zip.csv": "zip,n\n12345,1\n",
        }
    )
    return project_file.read(root / "roadworthy.toml")


def read(store: Store, place: Place, name: str, **params: Any) -> dict[str, list[Any]]:
    snapshot = sources.resolve(store, place, name, params=params)
    found: dict[str, list[Any]] = snapshots.read(store, snapshot, pa.Table).to_pydict()
    return found


def test_paths_and_globs_are_relative_to_the_project(store: Store, place: Place) -> None:
    assert read(store, place, "one") == {"a": [1], "b": ["x"]}
    assert read(store, place, "all") == {"a": [1, 2], "b": ["x", "y"]}
    assert read(store, place, "folder") == {"a": [1, 2], "b": ["x", "y"]}
    snapshot = snapshots.get(store, "all", "demo")
    assert (snapshot.source, [f.path for f in snapshots.files(store, snapshot)]) == ("data/*.csv", ["1.csv", "2.csv"])


def test_a_function_gets_the_stores_time_and_the_parameters_it_names(
    store: Store, place: Place, clock: SimulatedClock
) -> None:
    found = read(store, place, "table", rows=2, other="ignored")
    assert found["x"] == [0, 20]
    assert found["day"][0].timestamp() == clock.now()
    assert read(store, place, "table", rows=2, scale=3)["x"] == [0, 30]
    assert set(read(store, place, "whole", a=1)) == {"a", "now"}
    assert read(store, place, "path")["a"] == [1, 2]


def test_edits_are_seen_and_nothing_of_the_project_stays_loaded(store: Store, place: Place) -> None:
    read(store, place, "table", rows=1)
    (place.root / "more.py").write_text("FACTOR = 100\n\n")
    assert read(store, place, "table", rows=2)["x"] == [0, 200]
    assert "source" not in sys.modules
    assert "more" not in sys.modules
    assert str(place.root) not in sys.path


def test_a_contract_says_what_is_text(store: Store, place: Place) -> None:
    assert read(store, place, "typed") == {"zip": ["12345"], "n": [1]}


@pytest.mark.parametrize(
    ("name", "code", "message", "where"),
    [
        ("nope", Code.NOT_FOUND, "no such data set", "[data.nope]"),
        ("gone", Code.NOT_FOUND, "no file fits", "data/*.parquet"),
        ("wants", Code.INVALID, "wants 'missing'", "source:wants"),
        ("fails", Code.INVALID, "ZeroDivisionError", "source.py:19"),
        ("number", Code.INVALID, "must be a table, not a int", "source:number"),
        ("absent", Code.NOT_FOUND, "no function absent", "source:absent"),
        ("nowhere", Code.NOT_FOUND, "no such module", "nothing:there"),
        ("broken", Code.INVALID, "not_installed_anywhere", "broken.py:1"),
    ],
)
def test_what_is_wrong_is_one_message(
    store: Store,
    place: Place,
    name: str,
    *,
    code: Code,
    message: str,
    where: str,
) -> None:
    with pytest.raises(Fault, match=message) as caught:
        sources.resolve(store, place, name, params={})
    assert caught.value.code is code
    assert caught.value.where.endswith(where)
