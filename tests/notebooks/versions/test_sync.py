"""A notebook and its script: the one that changed is written to the other, and no edit is ever lost."""

import json
import os
from pathlib import Path

import pytest

from roadworthy.notebooks.read import read
from roadworthy.notebooks.versions.sync import sync
from roadworthy.nouns.errors import Code, Fault
from tests.notebooks.written import document


def sources(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, Path]:
    made = document("md:# Title", "x = 1", "%matplotlib inline\nprint(x)", tags={1: ["parameters"]})
    made["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]
    notebook = tmp_path / "a.ipynb"
    notebook.write_text(json.dumps(made, indent=1))
    home = tmp_path / "home"
    home.mkdir()
    return home, notebook, tmp_path / "a.py"


def test_a_script_is_made_and_both_ways_are_followed(pair: tuple[Path, Path, Path]) -> None:
    home, notebook, script = pair
    before = notebook.read_bytes()
    assert sync(home, notebook).done == "wrote script"
    assert notebook.read_bytes() == before
    assert '# %% tags=["parameters"]' in script.read_text()
    assert "# %matplotlib inline" in script.read_text()
    assert sync(home, notebook).done == "nothing"
    script.write_text(script.read_text().replace("x = 1", "x = 2"))
    done = sync(home, notebook)
    assert done.done == "wrote notebook"
    assert done.copy is not None
    assert done.copy.read_bytes() == before
    assert sources(notebook) == ["# Title", "x = 2", "%matplotlib inline\nprint(x)"]
    assert read(notebook).cells[2].outputs[0]["text"] == ["1\n"]
    assert read(notebook).cells[1].tags == ("parameters",)
    notebook.write_text(notebook.read_text().replace("x = 2", "x = 3"))
    assert sync(home, notebook).done == "wrote script"
    assert "x = 3" in script.read_text()


def test_when_both_changed_nothing_is_written_until_one_is_named(pair: tuple[Path, Path, Path]) -> None:
    home, notebook, script = pair
    sync(home, notebook)
    script.write_text(script.read_text().replace("x = 1", "x = 2"))
    notebook.write_text(notebook.read_text().replace("x = 1", "x = 3"))
    both = notebook.read_bytes(), script.read_bytes()
    with pytest.raises(Fault, match="both changed") as caught:
        sync(home, notebook)
    assert caught.value.code == Code.CONFLICT
    assert "cell 2" in caught.value.what
    assert (notebook.read_bytes(), script.read_bytes()) == both
    done = sync(home, notebook, take="notebook")
    assert "x = 3" in script.read_text()
    assert done.copy is not None
    assert done.copy.read_bytes() == both[1]


def test_the_same_change_on_both_sides_is_no_conflict(pair: tuple[Path, Path, Path]) -> None:
    home, notebook, script = pair
    sync(home, notebook)
    script.write_text(script.read_text().replace("x = 1", "x = 2"))
    notebook.write_text(notebook.read_text().replace("x = 1", "x = 2"))
    assert sync(home, notebook).done == "nothing"


def test_two_that_were_never_paired_go_by_the_newer_and_keep_the_older(pair: tuple[Path, Path, Path]) -> None:
    home, notebook, script = pair
    script.write_text("# %%\nx = 9\n")
    os.utime(script, ns=(1, 10**18))
    os.utime(notebook, ns=(1, 2 * 10**18))
    done = sync(home, notebook)
    assert (done.done, "newer" in done.why) == ("wrote script", True)
    assert done.copy is not None
    assert done.copy.read_text() == "# %%\nx = 9\n"


def test_a_notebook_is_made_of_a_script_alone(tmp_path: Path) -> None:
    script = tmp_path / "b.py"
    script.write_text("# %% [markdown]\n# # T\n\n# %%\nx = 1\n")
    assert sync(tmp_path / "home", tmp_path / "b.ipynb", script).done == "wrote notebook"
    assert sources(tmp_path / "b.ipynb") == ["# T", "x = 1"]


def test_what_cannot_be_a_pair_is_refused(pair: tuple[Path, Path, Path]) -> None:
    home, notebook, script = pair
    script.write_text("x = 1\n")
    with pytest.raises(Fault, match="no cells"):
        sync(home, notebook)
    assert script.read_text() == "x = 1\n"
    with pytest.raises(Fault, match="neither"):
        sync(home, notebook.with_name("none.ipynb"))
    notebook.write_text("{")
    with pytest.raises(Fault, match="not a notebook"):
        sync(home, notebook, script)
