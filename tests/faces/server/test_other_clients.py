"""Clients that are not Python's: curl as the docs show it, and MLflow's client for Node.js."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mlflow_client import ROOT
from tests.server_faults.served import Served

NODE = ROOT / "tests" / "clients" / "node"
PAGE = ROOT / "docs" / "how-to" / "track-with-curl.md"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as server:
        yield server


def environment(server: Served) -> dict[str, str]:
    return {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.port}"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_page_on_curl_runs_as_it_stands(served: Served, tmp_path: Path) -> None:
    snippets = re.findall(r"```bash\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    script = "\n".join(["set -euo pipefail", *snippets, "echo", 'echo "run $run"'])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment(served), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = done.stdout.rstrip().rpartition("run ")[2]
    assert f'"run_id":"{run}"' in done.stdout
    assert '"path":"notes.txt"' in done.stdout
    assert '"value":0.25' in done.stdout
    refused = subprocess.run(
        ["bash", "-c", "\n".join([snippets[0], "post runs/get-nothing '{}'"])],
        env=environment(served),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 22
    assert json.loads(refused.stdout)["error_code"] == "ENDPOINT_NOT_FOUND"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js is not installed")
def test_the_client_for_node_finds_what_it_logged(served: Served, tmp_path: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc", "talk.js"):
        shutil.copy(NODE / name, tmp_path / name)
    subprocess.run(["npm", "ci", "--silent"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    done = subprocess.run(
        ["node", "talk.js"], cwd=tmp_path, env=environment(served), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])  # the client prints what it sends
    assert found["experiment"]["name"] == "from node"
    (run,) = found["runs"]
    assert (run["info"]["status"], run["info"]["start_time"]) == ("FINISHED", 1_700_000_000_000)
    assert run["data"]["params"] == [{"key": "depth", "value": "3"}]
    assert {metric["key"]: metric["value"] for metric in run["data"]["metrics"]} == {"loss": 0.2, "auc": 0.71}
    assert [point["value"] for point in found["history"]["metrics"]] == [1 / (step + 1) for step in range(5)]
    assert found["artifacts"]["root_uri"].startswith("mlflow-artifacts:/")
    assert "RESOURCE_DOES_NOT_EXIST" in found["refused"] or "404" in found["refused"]
