"""What the code of a cell says of it: which parts its key has, whether it sets things up, whether it must always run."""

from pathlib import Path

import pytest

from roadworthy.notebooks.dataflow.flow import analyse
from roadworthy.notebooks.execute.cached.keys import Code, differences, key, of
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.pipelines.libraries import Libraries

IMPORTS = "import os, random, warnings\nimport numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt"


def codes(*cells: str, tags: tuple[str, ...] = ()) -> list[Code]:
    made = tuple(
        Cell(index=n, kind="code", source=text, id=f"id{n}", tags=tags if n == len(cells) - 1 else ())
        for n, text in enumerate(cells)
    )
    notebook = Notebook(path=Path("x.ipynb"), form="ipynb", cells=made)
    return of(notebook, analyse(notebook), Libraries(path=[]), name="x")


@pytest.mark.parametrize(
    "text",
    ["pd.set_option('display.max_rows', 5)", "os.environ['A'] = 'b'", "plt.style.use('ggplot')", "np.random.seed(1)",
     "plt.rcParams['figure.dpi'] = 80", "warnings.filterwarnings('ignore')", "%matplotlib inline",
     "if True:\n    pd.options.display.width = 90"],
)  # fmt: skip
def test_cells_that_set_things_up_are_known(text: str) -> None:
    assert codes(IMPORTS, text)[1].sets_up


@pytest.mark.parametrize(
    "text",
    ["pd.DataFrame({'a': [1]}).T", "pd.read_csv('x.csv')", "pd.concat([a, b]).head()", "plt.plot([1, 2])", "x = np.zeros(3)",
     "plt.figure(); plt.show()", "model.fit(X)", "print(1)", "%time x = 1", "np.random.default_rng(0).random()"],
)  # fmt: skip
def test_cells_that_only_compute_or_draw_are_not_taken_for_it(text: str) -> None:
    assert not codes(IMPORTS, text)[1].sets_up


@pytest.mark.parametrize(
    ("text", "why"),
    [("!ls", "shell line"), ("exec('x = 1')", "exec"), ("from os import *", "all names of os"), ("print(_)", "output of"),
     ("%run other.py", "run")],
)  # fmt: skip
def test_what_cannot_be_known_always_runs(text: str, why: str) -> None:
    assert why in codes(IMPORTS, text)[1].always


def test_a_tag_makes_a_cell_run_always() -> None:
    assert codes("x = 1", tags=("rw:always",))[0].always == "it is tagged rw:always"
    assert not codes("x = 1")[0].always


def test_comments_and_layout_are_no_part_of_a_key() -> None:
    a, b, c = (codes(text)[0].parts for text in ("x = [1,2]", "# why\nx = [\n 1, 2]", "x = [1, 3]"))
    assert key(a) == key(b)
    assert key(a) != key(c)
    assert differences(a, c) == "its code changed"


def test_environment_variables_that_are_named_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RW_TEST_SIZE", "1")
    before = codes(IMPORTS, "n = int(os.environ['RW_TEST_SIZE'])")[1].parts
    monkeypatch.setenv("RW_TEST_SIZE", "2")
    after = codes(IMPORTS, "n = int(os.environ['RW_TEST_SIZE'])")[1].parts
    assert differences(before, after) == "environment variable RW_TEST_SIZE changed"
    assert "1" not in before["variable RW_TEST_SIZE"][:1] or len(before["variable RW_TEST_SIZE"]) == 32


def test_imports_and_plain_functions_stand_for_themselves() -> None:
    stands = codes("import numpy as np\ndef f(x, n=1):\n    return x\n@cache\ndef g(): ...\nh = 1")[0].stands
    assert stands["np"] == "import numpy"
    assert stands["f"].startswith("function ")
    assert "g" not in stands
    assert "h" not in stands


def test_what_functions_read_is_needed_by_whoever_calls_them() -> None:
    found = codes("def f():\n    return rate", "rate = 1", "y = f()")
    assert found[2].needs == {"f", "rate"}
