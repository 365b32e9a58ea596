"""The example as a user would find it: its own tests pass, its notebook is whole and names no one's home."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from roadworthy.store import project_file

FLIGHTS = Path(__file__).resolve().parents[2] / "examples" / "flights"
NOTEBOOK_BYTES_MAX = 300_000


def test_its_project_file_is_valid() -> None:
    place = project_file.read(FLIGHTS / "roadworthy.toml")
    assert place.project.name == "flights"
    assert place.project.model is not None


@pytest.mark.slow
def test_its_own_tests_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "tests"],
        cwd=FLIGHTS,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_notebook_was_run_and_carries_its_outputs() -> None:
    path = FLIGHTS / "train.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds
    figures = [o for cell in cells for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(figures) >= 5
    assert path.stat().st_size < NOTEBOOK_BYTES_MAX


def test_its_notebook_names_no_ones_home() -> None:
    text = (FLIGHTS / "train.ipynb").read_text("utf-8")
    for trace in ("/home/", "/root/", "/Users/", "/tmp/", str(FLIGHTS.parents[1])):
        assert trace not in text
