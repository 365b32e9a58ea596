"""The executed notebook: the original's JSON with new outputs, in any form it was read from."""

import json
import stat
from pathlib import Path

import pytest

from roadworthy.notebooks.execute import document
from roadworthy.notebooks.execute.cells import CellDone
from roadworthy.notebooks.execute.ran import Ran
from roadworthy.notebooks.read import read
from roadworthy.nouns.errors import Fault
from tests.notebooks.written import write

OUTPUTS = (
    {"output_type": "stream", "name": "stdout", "text": "a\nb\n"},
    {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": "<Figure>\nx"}, "metadata": {}},
)
DONE = {1: CellDone(index=1, status="ran", ran=Ran(end="ok", outputs=OUTPUTS, count=4, wall_s=0.5))}


def test_all_but_outputs_stays_as_the_file_has_it(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "md:# T", "x = 1", "y = 2")
    raw = json.loads(notebook.path.read_text())
    raw["metadata"]["own"] = {"odd": [float("nan"), 10**30]}
    raw["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "stale"}]
    notebook.path.write_text(json.dumps(raw))
    made = document.filled(document.of(read(notebook.path)), DONE, sources={}, about={"run": "r"})
    assert made["cells"][1]["outputs"][0]["text"] == ["a\n", "b\n"]
    assert made["cells"][1]["outputs"][1]["data"] == {"image/png": "AAAA", "text/plain": ["<Figure>\n", "x"]}
    assert made["cells"][1]["execution_count"] == 4
    assert made["cells"][2]["outputs"] == []
    again = json.loads(document.text(made))
    assert repr(again["metadata"]["own"]) == repr(raw["metadata"]["own"])
    assert [cell["source"] for cell in again["cells"]] == [cell["source"] for cell in raw["cells"]]


def test_older_versions_and_scripts_become_notebooks_of_today(tmp_path: Path) -> None:
    import nbformat

    old = tmp_path / "old.ipynb"
    cells = [
        {"cell_type": "heading", "level": 2, "source": "T", "metadata": {}},
        {
            "cell_type": "code",
            "input": "x = 1",
            "outputs": [],
            "prompt_number": 3,
            "language": "python",
            "metadata": {},
        },
    ]
    old.write_text(json.dumps({"worksheets": [{"cells": cells}], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}))
    script = tmp_path / "s.py"
    script.write_text('# %% [markdown]\n# ## T\n\n# %% tags=["parameters"]\nx = 1\n')
    for path in (old, script):
        made = document.filled(document.of(read(path)), DONE, sources={}, about={})
        nbformat.validate(nbformat.from_dict(json.loads(document.text(made))))
        assert "".join(made["cells"][1]["source"]) == "x = 1"
    assert made["cells"][1]["metadata"]["tags"] == ["parameters"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text("before")
    path.chmod(0o640)
    document.write(path, b"after")
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(Fault, match="cannot be written"):
        document.write(tmp_path / "none" / "a.ipynb", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ipynb"]
