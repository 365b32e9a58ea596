"""MLflow's own pages: found in an installed MLflow, sent file by file and no other, and shown by a browser."""

import shutil
import sys
from pathlib import Path

import pytest

from roadworthy.faces.server.mlflow import pages
from roadworthy.faces.server.server import Settings
from roadworthy.nouns.errors import Code, Fault
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation
from tests.faces.server.live import Live
from tests.mlflow_client import PYTHON, needs_mlflow, run

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that looks like MLflow's."""
    build = tmp_path / "mlflow" / pages.BUILD
    (build / "static" / "js").mkdir(parents=True)
    (build / "index.html").write_text("<title>MLflow</title>")
    (build / "static" / "js" / "main.js").write_text("1")
    (build.parent / "secret.py").write_text("no")
    (build / "out").symlink_to(build.parent / "secret.py")
    return tmp_path / "mlflow"


def test_the_pages_are_found_by_any_of_their_folders(package: Path) -> None:
    build = (package / pages.BUILD).resolve()
    for named in (package.parent, package, build):
        assert pages.folder(str(named)) == build


def test_what_has_no_pages_is_refused(tmp_path: Path) -> None:
    for named in (str(tmp_path), str(tmp_path / "none"), sys.executable, "/bin/false"):
        with pytest.raises(Fault) as fault:
            pages.folder(named)
        assert fault.value.code is Code.INVALID


def test_only_files_of_the_folder_are_sent(store: Store, package: Path) -> None:
    with Conversation(store, Settings(mlflow_ui=str(pages.folder(str(package))))) as conversation:
        page = conversation.ask("GET", "/")
        assert (page.status, page.body) == (200, b"<title>MLflow</title>")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        script = conversation.ask("GET", "/static-files/static/js/main.js")
        assert (script.status, script.body) == (200, b"1")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "immutable" in script.headers["cache-control"]
        for path in (
            "static-files/out", "static-files/../secret.py", "static-files/%2e%2e/secret.py", "static-files//etc/passwd",
            "static-files/static", "static-files/", "static-files/static/js/main.js%00", "static-files/..%5csecret.py",
        ):  # fmt: skip
            assert conversation.ask("GET", f"/{path}").status == 404, path
        assert conversation.ask("POST", "/").status == 405


def test_there_are_no_pages_unless_asked_for(store: Store) -> None:
    with Conversation(store) as conversation:
        assert conversation.ask("GET", "/").status == 404
        assert conversation.ask("GET", "/static-files/index.html").status == 404


FILL = """
import mlflow
mlflow.set_experiment("seen")
with mlflow.start_run(run_name="a run to see") as run:
    mlflow.log_metrics({"auc": 0.75}); mlflow.log_param("depth", 3)
print(run.info.experiment_id, run.info.run_id)
"""


@pytest.mark.slow
@needs_mlflow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_runs_in_mlflows_pages(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with Live(tmp_path, "--mlflow-ui", str(PYTHON)) as server:
        url = f"http://127.0.0.1:{server.port}"
        group, run_id = run(FILL, uri=url, folder=tmp_path).splitlines()[-1].split()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            refused: list[str] = []
            page.on("console", lambda said: refused.append(said.text) if "Content Security" in said.text else None)
            page.on("pageerror", lambda problem: refused.append(str(problem)))
            page.goto(f"{url}/#/experiments/{group}/runs")
            page.get_by_text("a run to see").first.wait_for(timeout=60_000)
            page.goto(f"{url}/#/experiments/{group}/runs/{run_id}")
            page.get_by_text("auc").first.wait_for(timeout=60_000)
            page.get_by_text("depth").first.wait_for(timeout=60_000)
            browser.close()
    assert refused == []
