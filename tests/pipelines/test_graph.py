"""The graph: read from names, and refused with the line and the nearest name when a name is not certain."""

from pathlib import Path

import pytest

from roadworthy.nouns.errors import Fault
from roadworthy.pipelines import graph
from roadworthy.pipelines.graph import Graph
from roadworthy.pipelines.reach import Reach
from roadworthy.pipelines.sources import Sources
from roadworthy.store import project_file

TOML = """
[project]
name = "shop"
[data.orders]
path = "orders.csv"
[params]
rate = 0.1
"""


def build(root: Path, text: str, toml: str = "", **files: str) -> Graph:
    (root / "roadworthy.toml").write_text(TOML + toml)
    (root / "pipeline.py").write_text("import roadworthy as rw\n" + text)
    for name, content in files.items():
        (root / f"{name}.py").write_text(content)
    place = project_file.read(root / "roadworthy.toml")
    sources = Sources(root)
    return graph.build(sources, Reach(sources, "pipeline"), place.project)


def test_arguments_say_where_values_come_from(tmp_path: Path) -> None:
    found = build(
        tmp_path,
        "import pandas as pd\nimport pyarrow as pa\nimport duckdb\nfrom pathlib import Path\nfrom typing import Optional\n"
        "@rw.step\ndef model(clean, rate, depth: int = 3):\n    return 1\n"
        "@rw.step(retries=2, timeout='5m', cache=False, format='json', trusted=['a.B'])\n"
        "def clean(orders: 'pa.Table'):\n    return 1\n"
        "@rw.step\ndef b(orders: duckdb.DuckDBPyRelation):\n    return 1\n"
        "@rw.step\ndef c(orders: Optional[Path]):\n    return 1\n"
        "@rw.step\ndef d(orders):\n    return 1\n",
    )
    assert list(found.nodes) == ["clean", "model", "b", "c", "d"]
    assert [(a.name, a.kind) for a in found.nodes["model"].arguments] == [
        ("clean", "step"), ("rate", "param"), ("depth", "default"),
    ]  # fmt: skip
    assert {n: found.nodes[n].arguments[0].arrives for n in ("clean", "b", "c", "d")} == {
        "clean": "arrow", "b": "duckdb", "c": "path", "d": "pandas",
    }  # fmt: skip
    step = found.nodes["clean"].step
    assert (step.retries, step.timeout_s, step.cache, step.format, step.trusted) == (2, 300.0, False, "json", ("a.B",))
    assert found.before("model") == {"clean", "model"}
    assert found.after("clean") == {"clean", "model"}


def test_steps_may_live_in_other_modules_and_under_other_spellings(tmp_path: Path) -> None:
    found = build(
        tmp_path,
        "from steps import one\nfrom more import *\nfrom roadworthy import step as s\n@s\ndef three(one, two): return 3\n",
        steps="from roadworthy import step\n@step\ndef one(): return 1\n@step\ndef not_imported(): return 0\n",
        more="import roadworthy\n@roadworthy.step()\ndef two(): return 2\n",
    )
    assert set(found.nodes) == {"one", "two", "three"}
    assert found.nodes["one"].step.module == "steps"


def test_the_project_file_decides_over_the_code(tmp_path: Path) -> None:
    found = build(
        tmp_path, "@rw.step(retries=1)\ndef a(): return 1\n",
        '[pipeline.steps.a]\nretries = 3\ntimeout = "2s"\ncache = false\n',
    )  # fmt: skip
    step = found.nodes["a"].step
    assert (step.retries, step.timeout_s, step.cache) == (3, 2.0, False)


WRONG = [
    ("@rw.step\ndef clean(ordrs): return 1\n", "", "argument `ordrs` of `clean` is no step", "pipeline.py:3", "`orders`"),
    ("@rw.step\ndef a(b): return 1\n@rw.step\ndef b(a): return 1\n", "", "in a circle: `a` (pipeline.py:3) needs `b`",
     "pipeline.py:3", "split"),
    ("@rw.step\ndef a(a): return 1\n", "", "in a circle", "pipeline.py:3", "split"),
    ("@rw.step\ndef orders(): return 1\n", "", "is a step and also a data set", "pipeline.py:3", "rename"),
    ("@rw.step\ndef rate(): return 1\n@rw.step\ndef b(rate): return 1\n", "",
     "argument `rate` of `b` is a step and a parameter", "pipeline.py:5", "rename"),
    ("@rw.step\ndef a(*rows): return 1\n", "", "takes `*rows`", "pipeline.py:3", "name each argument"),
    ("@rw.step\ndef a(**rows): return 1\n", "", "takes `**rows`", "pipeline.py:3", "name each argument"),
    ("@rw.step\ndef a(x, /): return 1\n", "", "takes `x, /`", "pipeline.py:3", "name each argument"),
    ("N = 2\n@rw.step(retries=N)\ndef a(): return 1\n", "", "must be written out", "pipeline.py:4", "write the value"),
    ("@rw.step(retries=11)\ndef a(): return 1\n", "", "0 to 10 times", "pipeline.py:3", ""),
    ("@rw.step(timeout='soon')\ndef a(): return 1\n", "", "a time limit is", "pipeline.py:3", ""),
    ("@rw.step(retry=1)\ndef a(): return 1\n", "", "takes no `retry`", "pipeline.py:3", "`retries`"),
    ("@rw.step\ndef a(): return 1\n@rw.step\ndef a(): return 2\n", "", "two steps called `a`", "pipeline.py:5", "rename"),
    ("def a(): return 1\n", "", "has no steps", "pipeline.py", "@rw.step"),
    ("@rw.step\ndef clean(): return 1\n", "[pipeline.steps.claen]\nretries = 1\n", "is about no step",
     "roadworthy.toml", "`clean`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "toml", "what", "where", "fix"), WRONG, ids=[w[2][:30] for w in WRONG])
def test_what_is_wrong_is_named_with_its_line(  # noqa: PLR0917 - one case, column by column
    text: str, toml: str, what: str, where: str, fix: str, tmp_path: Path
) -> None:
    with pytest.raises(Fault) as caught:
        build(tmp_path, text, toml)
    assert what in caught.value.what
    assert caught.value.where.startswith(where)
    assert fix in caught.value.fix


def test_a_step_imported_under_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="imported as `uno`"):
        build(
            tmp_path, "from steps import one as uno\n", steps="import roadworthy as rw\n@rw.step\ndef one(): return 1\n"
        )
