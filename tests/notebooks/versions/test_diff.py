"""Differences by cell: what changed is shown with its lines, what moved is not taken for new."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.notebooks.versions.diff import Difference, compare


def of(*cells: str, ids: bool = True, **more: object) -> Notebook:
    made = tuple(
        Cell(index=n, kind="code", source=text, id=text.split()[0] if ids and text else f"cell-{n}", count=n)
        for n, text in enumerate(cells)
    )
    return Notebook(path=Path("x.ipynb"), form="ipynb", cells=made, **more)  # type: ignore[arg-type]


def kinds(found: Difference) -> list[tuple[str, int | None, int | None]]:
    return [(change.kind, change.before, change.after) for change in found.cells]


@given(st.lists(st.text(max_size=10), max_size=8))
def test_a_notebook_does_not_differ_from_itself(cells: list[str]) -> None:
    assert compare(of(*cells, ids=False), of(*cells, ids=False)).is_empty


@given(st.lists(st.text(min_size=1, max_size=6), max_size=6), st.lists(st.text(min_size=1, max_size=6), max_size=6))
def test_every_cell_is_accounted_for_once(a: list[str], b: list[str]) -> None:
    found = compare(of(*a, ids=False), of(*b, ids=False))
    before = [change.before for change in found.cells if change.before]
    after = [change.after for change in found.cells if change.after]
    assert len(set(before)) == len(before)
    assert len(set(after)) == len(after)
    assert found.same + len(before) == len(a)
    assert found.same + len(after) == len(b)


def test_changed_added_and_removed_cells_have_their_lines() -> None:
    found = compare(of("a = 1\nb = 2\nc = 3", "gone", "last"), of("a = 1\nb = 5\nc = 3", "last", "print('new')"))
    assert kinds(found) == [("changed", 1, 1), ("removed", 2, None), ("added", None, 3)]
    assert found.cells[0].lines == (" a = 1", "-b = 2", "+b = 5", " c = 3")
    assert found.cells[1].lines == ("-gone",)
    assert found.cells[2].lines == ("+print('new')",)
    assert found.same == 1


def test_a_cell_that_moved_is_not_new() -> None:
    found = compare(of("a", "b", "c", "d"), of("d", "a", "b", "c"))
    assert kinds(found) == [("moved", 4, 1)]
    found = compare(of("x = 1\ny", "b", "c"), of("b", "c", "x = 2\ny"))
    assert kinds(found) == [("moved", 1, 3)]
    assert found.cells[0].lines == ("-x = 1", "+x = 2", " y")


def test_outputs_counts_and_ids_made_up_do_not_count() -> None:
    a = Cell(index=0, kind="code", source="1", id="cell-0", count=1, outputs=({"output_type": "stream"},))
    b = Cell(index=0, kind="code", source="1", id="q", count=9, metadata={"collapsed": True})
    one = Notebook(path=Path("a"), form="ipynb", cells=(a,))
    two = Notebook(path=Path("b"), form="ipynb", cells=(b,))
    assert compare(one, two).is_empty


def test_tags_and_the_kernel_are_noted() -> None:
    a = Notebook(path=Path("a"), form="ipynb", cells=(Cell(index=0, kind="code", source="1", tags=("x",)),),
                 metadata={"kernelspec": {"name": "python3"}})  # fmt: skip
    b = Notebook(path=Path("b"), form="ipynb", cells=(Cell(index=0, kind="code", source="1"),),
                 metadata={"kernelspec": {"name": "other"}})  # fmt: skip
    found = compare(a, b)
    assert found.cells[0].notes == ("tags: x -> none",)
    assert found.notes == ('kernelspec: {"name":"python3"} -> {"name":"other"}',)
