import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.notebooks import raw
from roadworthy.notebooks.check import check
from roadworthy.notebooks.fix import Fixed, edited, fix
from roadworthy.notebooks.notebook import Notebook
from roadworthy.notebooks.read import read
from roadworthy.notebooks.rules.catalogue import chosen
from roadworthy.notebooks.rules.finding import Edit
from roadworthy.notebooks.rules.subject import Surroundings
from roadworthy.nouns.errors import Fault
from tests.notebooks.making import code, document, markdown, write


def fixed(path: Path) -> Fixed:
    def look(notebook: Notebook):
        return check(notebook, chosen(), Surroundings())

    return fix(read(path), look)


def test_unused_and_repeated_imports_and_help_lines_go(tmp_path: Path) -> None:
    path = write(tmp_path, "import os\nimport sys, re", "import re\nprint(re)\nre?", "from a import b, c\nb")
    assert fixed(path).fixed == 5
    assert [c.source for c in read(path).cells] == ["import re", "print(re)", "from a import b\nb"]
    assert not [f for f in fixed(path).findings if f.edit is not None]


def test_only_the_lines_that_are_meant_change(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        markdown('# Grüße\n\n```json\n{"cells": []}\n```'),
        code(
            "import os\nimport re\n\nprint(re, 'é')",
            count=7,
            outputs=[{"output_type": "stream", "name": "stdout", "text": ["x\n"]}],
            tags=["t"],
        ),
        "y = 1",
    )
    before = path.read_text("utf-8")
    fixed(path)
    after = path.read_text("utf-8")
    assert after == before.replace('    "import os\\n",\n', "")
    assert before != after


@pytest.mark.parametrize("indent", [None, 1, 2, 4, "\t"])
@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_file_keeps_the_way_it_is_written(
    tmp_path: Path, indent: int | str | None, as_text: bool, ascii_only: bool
) -> None:
    made = document("import os\nprint('ü')", "x = 1")
    if as_text:
        for cell in made["cells"]:
            cell["source"] = "".join(cell["source"])
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(made, indent=indent, ensure_ascii=ascii_only), "utf-8")
    fixed(path)
    made["cells"][0]["source"] = "print('ü')" if as_text else ["print('ü')"]
    assert path.read_text("utf-8") == json.dumps(made, indent=indent, ensure_ascii=ascii_only)


def test_a_cell_of_which_nothing_is_left_goes_with_its_comma(tmp_path: Path) -> None:
    for place in range(3):
        cells = ["x = 1", "y = 2"]
        cells.insert(place, "import os")
        path = write(tmp_path, *cells)
        fixed(path)
        assert path.read_text("utf-8") == json.dumps(document("x = 1", "y = 2"), indent=1, ensure_ascii=False) + "\n"


def test_an_only_cell_stays_empty(tmp_path: Path) -> None:
    path = write(tmp_path, "import os")
    fixed(path)
    assert [c.source for c in read(path).cells] == [""]


def test_imports_that_share_a_line_or_have_a_comment_stay(tmp_path: Path) -> None:
    sources = [
        "import os; x = 1",
        "import os  # noqa",
        "if x:\n    import os",
        "from a import (\n    b,  # used by\n    c,\n)\nc",
    ]
    for source in sources:
        path = write(tmp_path, source)
        before = path.read_bytes()
        fixed(path)
        assert path.read_bytes() == before


def test_an_import_over_several_lines_is_written_anew(tmp_path: Path) -> None:
    names = [f"a_rather_long_name_{n}" for n in range(6)]
    source = "from a import (\n    unused,\n" + "".join(f"    {n},\n" for n in names) + ")\n" + ", ".join(names)
    path = write(tmp_path, source)
    fixed(path)
    assert read(path).cells[0].source == source.replace("    unused,\n", "")


def test_scripts_are_fixed_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(b"# %% [markdown]\r\n# import os\r\n\r\n# %%\r\nimport os\r\nimport re\r\nprint(re)\r\n# re?\r\n")
    assert fixed(path).fixed == 2
    assert path.read_bytes() == b"# %% [markdown]\r\n# import os\r\n\r\n# %%\r\nimport re\r\nprint(re)\r\n"


def test_a_marimo_notebook_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("import marimo\napp = marimo.App()\n\n@app.cell\ndef _():\n    import os\n    return (os,)\n")
    before = path.read_bytes()
    fixed(path)
    assert path.read_bytes() == before


def test_rights_and_links_stay_and_nothing_is_left_over(tmp_path: Path) -> None:
    target = write(tmp_path, "import os\nx = 1", name="real.ipynb")
    target.chmod(0o640)
    link = tmp_path / "link.ipynb"
    link.symlink_to(target)
    fixed(link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert read(target).cells[0].source == "x = 1"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.ipynb", "real.ipynb"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "import os\nx = 1")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(Fault):
            fixed(path)
    finally:
        tmp_path.chmod(0o700)


def test_a_file_that_changes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path, "import os\nx = 1")
    rules = chosen()
    seen = []

    def look(notebook: Notebook):
        seen.append(1)
        if len(seen) == 2:
            path.write_text(json.dumps(document("changed")))
        return check(notebook, rules, Surroundings())

    with pytest.raises(Fault) as caught:
        fix(read(path), look)
    assert "changed while" in caught.value.what
    assert read(path).cells[0].source == "changed"


def test_lines_of_cells_are_found_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, markdown("# a"), "x = 1\ny = 2", "z = 3")
    text = path.read_text("utf-8")
    lines = text.splitlines()
    for cell, places in zip(read(path).cells, raw.file_lines(text), strict=True):
        for source, place in zip(cell.source.split("\n"), places, strict=True):
            assert json.dumps(source)[1:-1] in lines[place - 1]


SOURCES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(sources=SOURCES, cell=st.integers(0, 4), indent=st.sampled_from([None, 1, 2]), ascii_only=st.booleans())
def test_any_source_can_be_replaced_and_no_other_changes(
    sources: list[str], cell: int, indent: int | None, ascii_only: bool
) -> None:
    cell %= len(sources)
    made = document(*sources)
    text = json.dumps(made, indent=indent, ensure_ascii=ascii_only)
    spans = raw.cell_spans(text)
    assert len(spans) == len(sources)
    new = raw.encoded("x = 'ü'\ny", text, spans[cell])
    changed = text[: spans[cell].source_start] + new + text[spans[cell].source_end :]
    made["cells"][cell]["source"] = ["x = 'ü'\n", "y"]
    assert json.loads(changed) == made
    assert len(raw.file_lines(text)) == len(sources)


def test_edits_of_one_cell_are_applied_from_below(tmp_path: Path) -> None:
    path = write(tmp_path, "a\nb\nc\nd")
    text = edited(read(path), path.read_text("utf-8"), {0: [Edit(1, 1), Edit(3, 4, ("x", "y", "z"))]})
    assert "".join(json.loads(text)["cells"][0]["source"]) == "b\nx\ny\nz"
