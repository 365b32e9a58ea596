from pathlib import Path

import pytest

from roadworthy.notebooks.dataflow.flow import analyse
from roadworthy.notebooks.notebook import Notebook
from roadworthy.notebooks.read import is_notebook, read
from roadworthy.nouns.errors import Fault

PERCENT = """\
# ---
# jupyter:
#   kernelspec:
#     name: python3
# ---

# %% [markdown] tags=["intro"]
# # Title
# Some text

# %% Load tags=["load", "parameters"]
import pandas as pd
# %matplotlib inline
df = pd.read_csv("a.csv")

# %%
# !pip install x
# %%time
df.head()
"""

MARIMO = '''\
import marimo

__generated_with = "0.9.0"
app = marimo.App(width="medium")

with app.setup:
    import pandas as pd


@app.cell
def _():
    import marimo as mo
    return (mo,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # Title
    """)
    return


@app.cell
def load(
    pd,
):
    # read it
    df = pd.DataFrame()
    _private = 1
    return (df,)


@app.function
def double(x):
    return 2 * x


app._unparsable_cell(
    r"""
    if broken
    """,
    name="_"
)

if __name__ == "__main__":
    app.run()
'''

DATABRICKS = """\
# Databricks notebook source
# MAGIC %md
# MAGIC # Title

# COMMAND ----------

# DBTITLE 1,Load it
# MAGIC %run ./setup

# COMMAND ----------

table = dbutils.widgets.get("table")
df = spark.table(table)

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT * FROM x

# COMMAND ----------

# MAGIC %pip install great-expectations
"""


def made(folder: Path, text: str, name: str = "x.py") -> Notebook:
    path = folder / name
    path.write_text(text)
    assert is_notebook(path)
    return read(path)


def test_percent_cells_have_tags_titles_lines_and_magics(tmp_path: Path) -> None:
    found = made(tmp_path, PERCENT)
    assert found.form == "percent"
    assert found.kernel == "python3"
    first, second, third = found.cells
    assert (first.kind, first.source, first.tags) == ("markdown", "# Title\nSome text", ("intro",))
    assert second.tags == ("load", "parameters")
    assert second.metadata["title"] == "Load"
    assert second.source.split("\n") == ["import pandas as pd", "%matplotlib inline", 'df = pd.read_csv("a.csv")']
    assert PERCENT.split("\n")[second.line - 1] == "import pandas as pd"
    assert third.source.split("\n") == ["!pip install x", "%%time", "df.head()"]


def test_code_before_the_first_mark_is_a_cell(tmp_path: Path) -> None:
    found = made(tmp_path, "import os\n# %%\nos.getcwd()\n")
    assert [(c.source, c.line) for c in found.cells] == [("import os", 1), ("os.getcwd()", 3)]


def test_a_markdown_cell_may_be_a_text_in_quotes(tmp_path: Path) -> None:
    found = made(tmp_path, '# %% [markdown]\n"""\n# Title\n"""\n# %%\n1\n')
    assert found.cells[0].source == "# Title"


def test_marimo_cells_are_the_bodies_of_functions(tmp_path: Path) -> None:
    found = made(tmp_path, MARIMO)
    assert found.form == "marimo"
    assert [(c.kind, c.source) for c in found.cells] == [
        ("code", "import pandas as pd"),
        ("code", "import marimo as mo"),
        ("markdown", "# Title"),
        ("code", "# read it\ndf = pd.DataFrame()\n_private = 1"),
        ("code", "def double(x):\n    return 2 * x"),
        ("code", "if broken"),
    ]
    lines = MARIMO.split("\n")
    for cell in found.cells:
        if cell.kind == "code":
            assert lines[cell.line - 1].strip() or cell.source == "if broken"
            if cell.source != "if broken":
                assert lines[cell.line - 1].strip() == cell.source.split("\n")[0]
    flow = analyse(found)
    assert flow.cells[-1].error is not None
    assert [(e.source, e.target, e.name) for e in flow.edges if e.name == "pd"] == [(0, 3, "pd")]


def test_a_marimo_notebook_that_is_no_python_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(MARIMO.replace("df = pd.DataFrame()", "df = ("))
    with pytest.raises(Fault) as caught:
        read(path)
    assert "marimo" in caught.value.what
    assert caught.value.where.partition(":")[2].isdigit()


def test_databricks_sources_have_languages_runs_and_titles(tmp_path: Path) -> None:
    found = made(tmp_path, DATABRICKS)
    assert found.form == "databricks"
    assert [(c.kind, c.language, c.source.split("\n")[0]) for c in found.cells] == [
        ("markdown", "python", ""),
        ("code", "python", "%run ./setup"),
        ("code", "python", 'table = dbutils.widgets.get("table")'),
        ("code", "sql", ""),
        ("code", "python", "%pip install great-expectations"),
    ]
    assert found.cells[1].metadata["title"] == "Load it"
    assert DATABRICKS.split("\n")[found.cells[2].line - 1].startswith("table =")
    flow = analyse(found)
    assert flow.opaque  # %run makes names that nobody can see
    assert flow.unresolved == ()  # and dbutils and spark are given


def test_databricks_sources_in_sql_are_read(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        "-- Databricks notebook source\nSELECT 1\n\n-- COMMAND ----------\n\n-- MAGIC %python\n-- MAGIC x = 1\n",
        "x.sql",
    )
    assert found.language == "sql"
    assert [(c.language, c.source.strip()) for c in found.cells] == [("sql", "SELECT 1"), ("python", "x = 1")]


def test_windows_line_ends_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(PERCENT.replace("\n", "\r\n").encode())
    assert [c.source for c in read(path).cells] == [c.source for c in made(tmp_path, PERCENT, "y.py").cells]
