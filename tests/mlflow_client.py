"""MLflow's own client, in an environment of its own that `make test-all` sets up (requirements/mlflow.txt)."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"
RUN_S_MAX = 240

needs_mlflow = pytest.mark.skipif(
    not (PYTHON.parent.parent / "ready").exists(), reason="MLflow's client is not set up: make .venv-mlflow/ready"
)


def run(script: str, *arguments: str, uri: str = "", folder: Path, **variables: str) -> str:
    """Run a program of the stock client; what it printed.

    Args:
        uri: what MLFLOW_TRACKING_URI says.
        folder: where it runs.
        variables: more of its environment.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "ROADWORTHY_", "PYTHON"))}
    environment = {
        **clean, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet",
        "MPLBACKEND": "agg", "HOME": str(folder), **variables,
    }  # fmt: skip
    done = subprocess.run(
        [PYTHON, "-c", script, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout
