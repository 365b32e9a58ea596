"""The demo's own notebook becomes a gated project, and the proof is equal."""

import shutil
from pathlib import Path

import pytest

from roadworthy.notebooks import conversion
from roadworthy.notebooks.prove import proof
from roadworthy.store import project_file

FLIGHTS = Path(__file__).resolve().parents[3] / "examples" / "flights"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_flights_notebook_becomes_a_gated_project(tmp_path: Path) -> None:
    here = tmp_path / "flights"
    here.mkdir()
    for name in ("train.ipynb", "source.py", "features.py"):
        shutil.copy(FLIGHTS / name, here)
    made = conversion.convert(here / "train.ipynb", conversion.Options(name="late-flights", target=tmp_path / "made"))
    assert made.proof.verdict == "identical", proof.text(made.proof)
    compared = {c.what: c.type for c in made.proof.compared}
    assert compared["flights"] == "pandas DataFrame"
    assert "sklearn Pipeline" in compared.values()
    project = project_file.read(tmp_path / "made" / "roadworthy.toml").project
    assert project.model is not None
    assert (project.model.step, project.model.holdout, project.model.label) == ("model", "holdout", "late")
    assert len(project.model.features) == 17
    assert [str(rule) for rule in project.gate.rules if "metrics.auc >= 0.6" in str(rule)]
    assert project.data["flights"].python == "sources:flights"
    text = (tmp_path / "made" / "pipeline.py").read_text()
    assert not [word for word in ("plt.", ".head(", "print(", "permutation_importance") if word in text]
