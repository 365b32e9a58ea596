"""A notebook's run in the registry: parameters, steps, what cells logged, the executed notebook."""

import json
from pathlib import Path

import pytest

from roadworthy.notebooks.execute.tracked import Options, run
from roadworthy.nouns.errors import Fault
from roadworthy.registry import artifacts, metrics, runs
from roadworthy.store.store import Store
from tests.notebooks.written import write


def executed(store: Store, run_id: str, name: str) -> dict:
    return json.loads(artifacts.read(store, artifacts.get(store, run_id, name)))


def test_a_run_keeps_the_executed_notebook_and_what_cells_logged(store: Store, tmp_path: Path) -> None:
    notebook = write(
        tmp_path / "train.ipynb",
        "md:# Train",
        "lr = 0.1",
        "import roadworthy as rw\nrw.log_metric('auc', lr * 2)\nrw.log_artifact(b'x', name='notes.txt')\nrw.set_tag('a', 'b')",
        "print('learning rate', lr)",
        tags={1: ["parameters"]},
    )
    before = notebook.path.read_bytes()
    made = run(store, notebook, options=Options(settings=["lr=0.3"], root=tmp_path, command="test"))
    found = runs.get(store, made.run.id)
    assert (found.status, found.params, found.name) == ("finished", {"lr": 0.3}, "train")
    assert found.tags["notebook"] == "train.ipynb"
    assert found.tags["a"] == "b"
    assert [(s.step, s.status) for s in found.steps] == [("cell 2", "ran"), ("cell 3", "ran"), ("cell 4", "ran")]
    assert all(s.wall_s > 0 and s.memory_peak_mb > 10 for s in found.steps)
    assert metrics.latest(store, found.id) == {"auc": 0.6}
    assert [a.path for a in artifacts.listing(store, found.id)] == ["notes.txt", "train.ipynb"]
    document = executed(store, found.id, "train.ipynb")
    assert ["".join(c["source"]) for c in document["cells"]][1:3] == ["lr = 0.1", "# Parameters\nlr = 0.3"]
    assert document["cells"][2]["metadata"]["tags"] == ["injected-parameters"]
    assert document["cells"][4]["outputs"][0]["text"] == ["learning rate 0.3\n"]
    assert document["metadata"]["roadworthy"]["run"] == found.id
    assert notebook.path.read_bytes() == before
    import nbformat

    nbformat.validate(nbformat.from_dict(document))


def test_a_failed_run_keeps_what_was_done_until_then(store: Store, tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "print('first')", "1 / 0", "print('never')")
    document = json.loads(notebook.path.read_text())
    document["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["stale\n"]}]
    notebook.path.write_text(json.dumps(document))
    made = run(store, notebook, options=Options(root=tmp_path))
    found = runs.get(store, made.run.id)
    assert found.status == "failed"
    assert found.error is not None
    assert found.error.startswith("cell 2 of a.ipynb: ZeroDivisionError: division by zero")
    assert "\x1b" not in found.error
    assert [s.status for s in found.steps] == ["ran", "failed"]
    cells = executed(store, found.id, "a.ipynb")["cells"]
    assert cells[0]["outputs"][0]["text"] == ["first\n"]
    assert cells[1]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert cells[2]["outputs"] == []  # what an earlier run left is no output of this one


def test_a_kernel_that_dies_makes_a_failed_run(store: Store, tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "x = 1", "import os\nos.kill(os.getpid(), 9)")
    made = run(store, notebook, options=Options(root=tmp_path))
    assert made.run.status == "failed"
    assert made.run.error is not None
    assert "cell 2" in made.run.error
    assert "SIGKILL" in made.run.error


def test_wrong_parameters_make_no_run(store: Store, tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "x = 1")
    with pytest.raises(Fault):
        run(store, notebook, options=Options(root=tmp_path, settings=["y=1"]))
    assert runs.listing(store) == []
