"""Cells in order, until one fails; code of others in between; limits."""

from pathlib import Path

import pytest

from roadworthy.notebooks.execute.cells import CellEvent, Limits, check_syntax, execute
from roadworthy.nouns.errors import Fault
from tests.notebooks.written import write


def test_cells_run_in_order_and_others_may_look_in_between(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "md:# title", "x = 1", "", "x += 1\nprint(x)", "open('made.txt', 'w')")
    before = notebook.path.read_bytes()
    heard: list[CellEvent] = []
    found = execute(notebook, after={1: "print(x * 10)", 3: "raise ValueError(x)"}, watch=heard.append)
    assert [one.index for one in found.done] == [1, 3, 4]
    assert found.failed is None
    assert found.evaluated[1].text == "10\n"
    assert found.evaluated[3].error is not None
    assert found.evaluated[3].error.value == "2"
    assert found.done[1].ran.text == "2\n"
    assert [(e.place, e.total, e.done is None) for e in heard[:2]] == [(1, 3, True), (1, 3, False)]
    assert (tmp_path / "made.txt").exists()
    assert notebook.path.read_bytes() == before


def test_a_failing_cell_ends_it_unless_it_is_tagged_to_fail(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "1 / 0", "input()", "never = 1", tags={0: ["raises-exception"]})
    found = execute(notebook)
    assert [one.status for one in found.done] == ["ran", "failed"]
    assert found.failed is not None
    assert found.failed.ran.error is not None
    assert "asks for input" in found.failed.ran.error.value


def test_the_limit_for_all_cells_names_itself(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "x = 1", "while True: pass")
    found = execute(notebook, limits=Limits(total_s=1.0))
    assert found.failed is not None
    assert found.failed.index == 1
    assert found.failed.ran.error is not None
    assert found.failed.ran.error.value == "the notebook took longer than 1 s"


def test_a_cell_that_is_no_python_is_named_before_anything_runs(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "x = 1", "%matplotlib inline\n!ls", "def f(:\n    pass")
    with pytest.raises(Fault) as caught:
        check_syntax(notebook)
    assert "cell 3, line 1" in caught.value.where
    check_syntax(write(tmp_path / "b.ipynb", "await x", "files = !ls", "x?"))


def test_another_language_without_its_kernel_is_refused(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "x <- 1", language="r")
    with pytest.raises(Fault) as caught:
        execute(notebook)
    assert "written in r" in caught.value.what
    with pytest.raises(Fault, match="no kernel of this name"):
        execute(notebook, kernel="nothing")
