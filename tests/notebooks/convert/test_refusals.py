"""A notebook that cannot become a pipeline is refused in one sentence that names the cell, and nothing is written."""

from pathlib import Path

import msgspec
import pytest

from roadworthy.notebooks import conversion
from roadworthy.notebooks.convert import program
from roadworthy.notebooks.read import read
from roadworthy.nouns.errors import Code, Fault
from tests.notebooks import written
from tests.notebooks.convert.apart import planned


def refused(folder: Path, *cells: str, tags: dict[int, list[str]] | None = None, language: str = "python") -> Fault:
    path = folder / "made.ipynb"
    path.write_bytes(msgspec.json.encode(written.document(*cells, tags=tags, language=language)))
    before = path.read_bytes()
    with pytest.raises(Fault) as caught:
        conversion.convert(path, conversion.Options(target=folder / "out", proof=False))
    assert path.read_bytes() == before
    assert [p.name for p in folder.iterdir()] == ["made.ipynb"]
    return caught.value


def test_what_is_not_python_is_named_with_its_line(tmp_path: Path) -> None:
    fault = refused(tmp_path, "a = 1", "b = [1,\nc = 2")
    assert fault.code == Code.INVALID
    assert "cell 2 line" in fault.where
    assert "not Python" in fault.what


def test_two_cells_that_need_each_other_are_both_named(tmp_path: Path) -> None:
    fault = refused(tmp_path, "a = b + 1", "b = a + 1")
    assert "cell 1 and cell 2 need each other" in fault.what


def test_what_only_a_later_cell_makes(tmp_path: Path) -> None:
    fault = refused(tmp_path, "a = later * 2", "later = 3")
    assert "only cell 2 makes" in fault.what
    assert "cell 1 line 1" in fault.where


def test_what_a_deleted_cell_made(tmp_path: Path) -> None:
    fault = refused(tmp_path, "a = [1]", "b = gone + a")
    assert "`gone`, which no cell makes" in fault.what


def test_another_language_for_a_cell_or_for_all(tmp_path: Path) -> None:
    assert "it is in bash" in refused(tmp_path, "a = 1", "%%bash\nls").what
    assert "the notebook is in r" in refused(tmp_path, "a <- 1", language="r").what


def test_a_cell_in_another_language_may_be_left_behind(tmp_path: Path) -> None:
    plan = planned(tmp_path, "a = [n for n in range(3)]", "%%bash\nls", tags={1: ["rw:skip"]})
    assert [s.name for s in plan.steps] == ["prepared"]


@pytest.mark.parametrize("asks", ["name = input('who? ')", "import getpass\nword = getpass.getpass()"])
def test_a_cell_that_asks_for_input(tmp_path: Path, asks: str) -> None:
    fault = refused(tmp_path, "a = 1", asks)
    assert "asks a person" in fault.what
    assert "cell 2" in fault.where


def test_a_notebook_that_only_looks(tmp_path: Path) -> None:
    assert "they only look" in refused(tmp_path, "print('hello')", "1 + 1").what


def test_a_folder_that_is_not_empty_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "made.ipynb"
    path.write_bytes(msgspec.json.encode(written.document("a = [n for n in range(3)]")))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(Fault) as caught:
        conversion.convert(path, conversion.Options(target=tmp_path / "out", proof=False))
    assert caught.value.code == Code.CONFLICT
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
    made = conversion.convert(path, conversion.Options(target=tmp_path / "out", proof=False, force=True))
    assert not made.proof.holds
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "out" / "pipeline.py").exists()


def test_magics_are_left_behind_and_said(tmp_path: Path) -> None:
    path = tmp_path / "made.ipynb"
    path.write_bytes(msgspec.json.encode(written.document("%matplotlib inline\na = [1]")))
    assert (0, "`%matplotlib inline`: a magic of the notebook") in program.of(read(path)).left


def test_what_comes_from_a_shell_line(tmp_path: Path) -> None:
    fault = refused(tmp_path, "names = !ls", "count = [len(n) for n in names]")
    assert "a shell line or a magic" in fault.what
    assert "cell 1" in fault.where


def test_lines_that_install_are_never_run(tmp_path: Path) -> None:
    path = tmp_path / "made.ipynb"
    path.write_bytes(msgspec.json.encode(written.document("!pip install nonsense\na = [n for n in range(3)]")))
    made = program.of(read(path))
    assert "pip" not in made.sources[0]
    assert (0, "`!pip install nonsense`: a magic of the notebook") in made.left
