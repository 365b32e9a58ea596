"""Each snippet of the page for those who come from MLflow, run by MLflow's own client against a server of ours."""

import re
from pathlib import Path

import pytest

from tests import mlflow_client
from tests.mlflow_client import ROOT, needs_mlflow
from tests.server_faults.served import Served

PAGE = ROOT / "docs" / "how-to" / "come-from-mlflow.md"


@pytest.mark.slow
@needs_mlflow
def test_every_snippet_runs_as_it_stands(tmp_path: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(snippets) >= 4
    folder = tmp_path / "served"
    folder.mkdir()
    with Served(folder) as server:
        said = mlflow_client.run(
            "\n".join([*snippets, "print('all ran')"]), uri=f"http://127.0.0.1:{server.port}", folder=tmp_path
        )
    assert said.rstrip().endswith("all ran")
