"""MLflow's own clients and commands against our server; each scene is asserted through the client (see programs/)."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faces.server.live import Live
from tests.faces.server.stock import played
from tests.mlflow_client import ROOT, needs_mlflow

pytestmark = [pytest.mark.slow, needs_mlflow]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.mark.parametrize("program", ["tracking", "models", "registry", "commands"])
def test_every_scene_goes_as_with_mlflows_own_server(served: Live, tmp_path: Path, program: str) -> None:
    failed = played.failures(program, served.port, tmp_path)
    assert not failed, "\n".join(f"{scene}:\n{problem}" for scene, problem in failed.items())
    log = served.log.read_text()
    assert "Traceback" not in log, log[-3000:]


def test_clients_that_must_say_who_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "password").write_text("correct horse battery")
    _rw(folder, "user", "add", "ada", "--role", "editor", "--password-file", "password")
    tokens = {
        role: json.loads(_rw(folder, "token", "create", f"a-{role}", "--role", role, "--json"))["token"]
        for role in ("editor", "viewer")
    }
    with Live(folder, "--login") as server:
        failed = played.failures(
            "signed_in", server.port, tmp_path / "client", SCENE_USER="ada", SCENE_PASSWORD="correct horse battery",
            SCENE_EDITOR=tokens["editor"], SCENE_VIEWER=tokens["viewer"],
        )  # fmt: skip
        log = server.log.read_text()
    assert not failed, "\n".join(f"{scene}:\n{problem}" for scene, problem in failed.items())
    assert "Traceback" not in log, log[-3000:]
    assert not any(token in log for token in tokens.values())


def test_the_page_lists_every_scene() -> None:
    page = (ROOT / "docs" / "reference" / "mlflow-clients.md").read_text("utf-8")
    listed = {path.stem for path in played.PROGRAMS.glob("*.py")} - {"scenes"}
    missing = [scene for program in sorted(listed) for scene in played.scenes(program) if f"`{scene}`" not in page]
    assert missing == []


def _rw(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "roadworthy", "server", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
