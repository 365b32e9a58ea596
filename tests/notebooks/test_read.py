import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.notebooks.read import is_notebook, read
from roadworthy.nouns.errors import Code, Fault
from tests.notebooks.making import code, document, markdown, write


def refused(path: Path) -> Fault:
    with pytest.raises(Fault) as caught:
        read(path)
    return caught.value


def test_cells_come_with_their_kind_tags_count_and_place(tmp_path: Path) -> None:
    path = write(tmp_path, markdown("# Title"), code("a = 1", count=3, tags=["parameters"]), code("%%bash\nls"))
    found = read(path)
    assert [(c.index, c.kind, c.language) for c in found.cells] == [
        (0, "markdown", "python"),
        (1, "code", "python"),
        (2, "code", "bash"),
    ]
    assert found.cells[1].tags == ("parameters",)
    assert found.cells[1].count == 3
    assert [c.index for c in found.code] == [1]
    assert (found.form, found.kernel, found.nbformat) == ("ipynb", "python3", (4, 5))


def test_a_source_may_be_one_text_or_a_list_of_lines(tmp_path: Path) -> None:
    made = document("a = 1\nb = 2", "a = 1\nb = 2")
    made["cells"][1]["source"] = "a = 1\nb = 2"
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(made))
    first, second = read(path).cells
    assert first.source == second.source == "a = 1\nb = 2"


def test_nbformat_3_is_read_with_outputs_in_the_shape_of_4(tmp_path: Path) -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "old"},
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 2, "source": ["Head"]},
                    {
                        "cell_type": "code",
                        "language": "python",
                        "input": ["x = 1\n", "x"],
                        "prompt_number": 4,
                        "outputs": [
                            {"output_type": "pyout", "prompt_number": 4, "text": ["1"]},
                            {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": ["t"]},
                            {"output_type": "stream", "stream": "stderr", "text": ["s"]},
                        ],
                    },
                ]
            }
        ],
    }
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(old))
    found = read(path)
    assert found.nbformat == (3, 0)
    assert found.cells[0].source == "## Head"
    cell = found.cells[1]
    assert (cell.source, cell.count) == ("x = 1\nx", 4)
    assert cell.outputs[0]["output_type"] == "execute_result"
    assert cell.outputs[0]["data"] == {"text/plain": ["1"]}
    assert cell.outputs[1]["output_type"] == "error"
    assert cell.outputs[2] == {"output_type": "stream", "name": "stderr", "text": ["s"]}


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"kernelspec": {"name": "ir", "language": "R"}}, "r"),
        ({"kernelspec": None, "language_info": {"name": "julia"}}, "julia"),
        ({"kernelspec": {"name": "python3"}}, "python"),
        ({"kernelspec": None}, "python"),
        ({"kernelspec": None, "jupytext": {"main_language": "R"}}, "r"),
    ],
)
def test_the_language_comes_from_the_kernel(tmp_path: Path, metadata: dict, language: str) -> None:
    found = read(write(tmp_path, "x", **metadata))
    assert found.language == language
    assert found.cells[0].language == language


def test_a_file_that_is_cut_off_says_so_and_after_what(tmp_path: Path) -> None:
    path = write(tmp_path, "a = 1", "b = 2")
    whole = path.read_text()
    for length in (1, 30, len(whole) // 2, len(whole) - 3):
        path.write_text(whole[:length])
        problem = refused(path)
        assert problem.code is Code.INVALID
        assert "cut off" in problem.what
        assert problem.fix


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary"),
        (b"PK\x03\x04zip", "binary"),
        (b'{"a": 1}', "no `nbformat`"),
        (b"[1, 2]", "no object"),
        (b'{"nbformat": 5, "cells": []}', "nbformat 5 is not read"),
        (b'{"nbformat": 2, "worksheets": []}', "nbformat 2 is not read"),
        (b'{"nbformat": "4", "cells": []}', "no `nbformat`"),
        (b'{"nbformat": 4}', "no `cells`"),
        (b'{"nbformat": 4, "cells": [3]}', "cell 1 has no `cell_type`"),
        (b'{"nbformat": 4,\n<<<<<<< ours\n "cells": []}', "merge conflict"),
        (b'{"nbformat": 4, "cells": [nonsense]}', "no JSON"),
        (b"{'nbformat': 4}", "no JSON"),
    ],
)
def test_what_is_no_notebook_is_refused_with_what_is_wrong(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    problem = refused(path)
    assert problem.code is Code.INVALID
    assert words in problem.what
    assert "x.ipynb" in problem.where


def test_a_merge_conflict_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text('{"nbformat": 4,\n<<<<<<< ours\n "cells": []}')
    assert refused(path).where.endswith("x.ipynb:2")


def test_a_folder_a_pipe_and_nothing_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).code is Code.INVALID
    assert refused(tmp_path / "none.ipynb").code is Code.NOT_FOUND
    os.mkfifo(tmp_path / "pipe.ipynb")
    assert refused(tmp_path / "pipe.ipynb").code is Code.INVALID


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.ipynb"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)  # a hole: nothing is written
    problem = refused(path)
    assert "MB are read" in problem.what


@pytest.mark.slow
def test_two_hundred_megabytes_of_outputs_are_read_and_told_by_cell(tmp_path: Path) -> None:
    from tests.notebooks.making import findings

    big = {"output_type": "stream", "name": "stdout", "text": "x" * 200_000_000}
    found = findings(tmp_path, "a = 1", code("print(a)", count=1, outputs=[big]), select="RWN601")
    assert [(f.cell, "200.0 MB" in f.message) for f in found] == [(1, True)]


def test_a_mark_of_byte_order_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document("a")).encode())
    assert read(path).cells[0].source == "a"


def test_a_plain_script_and_text_that_is_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text("print(1)\n")
    assert "no cells" in refused(path).what
    path.write_bytes(b"# %%\nx = '\xff'\n")
    assert "not text" in refused(path).what
    assert not is_notebook(tmp_path / "none.py")


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "cells",
                        "cell_type",
                        "source",
                        "metadata",
                        "outputs",
                        "tags",
                        "nbformat",
                        "execution_count",
                        "input",
                        "worksheets",
                        "kernelspec",
                        "language_info",
                        "data",
                        "output_type",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=25,
    )
)
def test_any_json_is_a_notebook_or_a_fault(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("any") / "x.ipynb"
    for made in (
        value,
        {"nbformat": 4, "cells": value},
        {
            "nbformat": 4,
            "cells": [value, {"cell_type": "code", "source": value, "outputs": value, "metadata": value}],
            "metadata": value,
        },
        {"nbformat": 3, "worksheets": [{"cells": [value, {"cell_type": "heading", "level": value, "source": value}]}]},
    ):
        path.write_text(json.dumps(made))
        try:
            found = read(path)
        except Fault:
            continue
        assert all(isinstance(cell.source, str) for cell in found.cells)


def test_a_kernel_that_calls_every_language_by_one_name_is_not_believed(tmp_path: Path) -> None:
    def language(spec: str, info: str) -> str:
        path = tmp_path / "x.ipynb"
        metadata = {"kernelspec": {"name": "k", "language": spec}, "language_info": {"name": info}}
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": []}))
        return read(path).language

    assert language("F#", "C#") == "f#"
    assert language("python", "ipython") == "python"
    assert language("scala", "python") == "python"
    assert language("R", "R") == "r"
