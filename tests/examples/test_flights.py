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
# What `rw new` writes, in short.
MADE = """\
[project]
name = "late-flights"

[data.flights]
python = "sources:flights"

[pipeline]
module = "pipeline"

[params]
seed = 7

[model]
name = "late-flights"
step = "model"
holdout = "holdout"
label = "late"

[gate]
rules = ["metrics.auc >= 0.68"]

[release.local]
port = 8600

[monitor.drift]
window = "1d"
rules = ["drift.large.count == 0"]
"""


def test_its_settings_of_production_are_valid(tmp_path: Path) -> None:
    made = tmp_path / "roadworthy.toml"
    made.write_text(MADE, "utf-8")
    command = [sys.executable, str(FLIGHTS / "merge_toml.py"), str(FLIGHTS / "production.toml"), str(made)]
    subprocess.run(command, capture_output=True, check=True)
    project = project_file.read(made).project
    assert project.data["flights"].python == "source:departed"
    assert project.monitor.keys() == {"drift", "performance", "service"}
    assert len(project.gate.rules) == 7
    assert project.params == {"seed": 7}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_its_own_tests_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "tests"],
        cwd=FLIGHTS,
        capture_output=True,
        text=True,
        timeout=1150,
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
