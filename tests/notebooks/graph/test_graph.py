import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.notebooks.dataflow.flow import analyse
from roadworthy.notebooks.graph import lines, svg
from roadworthy.notebooks.graph.cells import Graph, graph
from roadworthy.notebooks.graph.layout import GAP, WIDE, lay_out
from tests.notebooks.making import markdown, notebook


def made(folder: Path, *cells: object) -> Graph:
    read = notebook(folder, *cells)
    return graph(read, analyse(read))


def test_cells_have_titles_of_headings_comments_or_deeds(tmp_path: Path) -> None:
    found = made(tmp_path, markdown("## **Load** `it`"), "x = 1", "# clean the rows\ny = x", "def f(): return y", "f()")
    assert [n.title for n in found.nodes] == ["Load it", "clean the rows", "define f", "f()"]
    assert [n.section for n in found.nodes] == ["Load it"] * 4


def test_imports_are_left_out_and_changes_are_told_apart(tmp_path: Path) -> None:
    found = made(tmp_path, "import os", "x = []", "x.append(os)", "print(x)")
    assert [n.cell for n in found.nodes] == [1, 2, 3]
    assert [(a.source, a.target, a.changed) for a in found.arrows] == [(1, 2, False), (2, 3, True)]
    assert found.nodes[1].changes == ("x",)


def test_cells_that_read_names_from_nowhere_are_marked(tmp_path: Path) -> None:
    found = made(tmp_path, "x = unknown", "y = = 1")
    assert [n.wrong for n in found.nodes] == [True, True]


def test_every_lane_ends_at_its_last_reader(tmp_path: Path) -> None:
    drawn = list(lines.draw(made(tmp_path, "a = 1", "b = 2", "c = a", "d = b + a", "e = d")))
    assert [line[2:6].rstrip() for line in drawn] == ["o", "│o", "├│", "╰╰o", "  ╰"]


def test_names_are_escaped_in_the_picture(tmp_path: Path) -> None:
    text = svg.draw(made(tmp_path, markdown('# a < b & "c"'), "x = '<script>'", "print(x)"))
    ET.fromstring(text)
    assert "<script" not in text
    assert "a &lt; b &amp;" in text


def test_an_empty_notebook_is_drawn(tmp_path: Path) -> None:
    empty = made(tmp_path)
    ET.fromstring(svg.draw(empty))
    assert list(lines.draw(empty)) == []


ARROWS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=24).map(
    lambda pairs: sorted({(min(p), max(p)) for p in pairs if p[0] != p[1]})
)


@settings(max_examples=100, deadline=None)
@given(ARROWS)
def test_arrows_go_down_and_cells_of_a_layer_do_not_overlap(arrows: list[tuple[int, int]]) -> None:
    cells = sorted({end for arrow in arrows for end in arrow})
    widths = {cell: 100.0 + 7 * cell for cell in cells}
    layout = lay_out(cells, arrows, widths)
    for source, target in arrows:
        assert layout.places[source][1] < layout.places[target][1]
        way = layout.ways[source, target]
        assert [layer for _, layer in way] == list(range(layout.places[source][1], layout.places[target][1] + 1))
    rows: dict[int, list[tuple[float, float]]] = {}
    for cell in cells:
        x, layer = layout.places[cell]
        rows.setdefault(layer, []).append((x - widths[cell] / 2, x + widths[cell] / 2))
        assert x - widths[cell] / 2 >= -1e-6
        assert x + widths[cell] / 2 <= layout.width + 1e-6
    for row in rows.values():
        row.sort()
        assert all(right + GAP <= left + 1e-6 for (_, right), (left, _) in pairwise(row))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.floats(100.0, 390.0))
def test_many_that_read_one_cell_stand_in_rows_that_fit_a_page(readers: int, width: float) -> None:
    cells = list(range(readers + 1))
    layout = lay_out(cells, [(0, reader) for reader in cells[1:]], dict.fromkeys(cells, width))
    assert layout.width <= 2 * WIDE


def test_what_has_nothing_to_do_with_each_other_stands_beside_while_there_is_room() -> None:
    def places(width: float) -> dict[int, int]:
        layout = lay_out([0, 1, 2, 3, 4, 5], [(0, 3), (1, 4), (2, 5)], dict.fromkeys(range(6), width))
        return {cell: layer for cell, (_, layer) in layout.places.items()}

    assert places(100.0) == {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1}
    assert places(600.0) == {0: 0, 1: 0, 2: 2, 3: 1, 4: 1, 5: 3}
