"""The extension in real JupyterLab and in the notebook, with a real browser: what is shown below cells is seen there."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.notebooks.written import document

CHROMIUM = shutil.which("chromium")
CELLS = ("%load_ext roadworthy", "path = '/home/anna/rows.csv'", "%%rw step doubled\nb = [x * 2 for x in range(3)]")
START_S_MAX = 90.0
RUNS_MAX = 4
SHOWN_MS_MAX = 40_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A Jupyter server with both faces: its address and token."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("lab.ipynb", "notebooks.ipynb"):  # each has a kernel of its own
        (folder / name).write_text(json.dumps(document(*CELLS)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    home = folder / "home"
    variables = {**os.environ, "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home)}
    variables = {k: v for k, v in variables.items() if not k.startswith("ROADWORTHY_")}
    home.mkdir()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
    try:
        until = time.monotonic() + START_S_MAX
        while not _answers(f"http://127.0.0.1:{port}/api/status?token={token}"):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}", token
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield opened
        opened.close()


@pytest.mark.parametrize("face", ["lab/tree", "notebooks"])
def test_findings_and_steps_are_seen_below_their_cells(server: tuple[str, str], browser: Any, face: str) -> None:
    address, token = server
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(90_000)
    page.goto(f"{address}/{face}/{face.partition('/')[0]}.ipynb?token={token}")
    page.locator(".jp-Notebook .jp-Cell").nth(2).wait_for()
    outputs = page.locator(".jp-OutputArea-output")
    finding = outputs.filter(has_text="RWN301")
    _run_all(page, finding)
    assert finding.locator("code").inner_text() == "path = '/home/anna/rows.csv'"
    step = outputs.filter(has_text="step doubled:")
    step.wait_for()
    # Drawn as HTML, not as the text that terminals get.
    assert step.locator("div[style*='border-left']").count() == 1
    page.close()


def _run_all(page: Any, until: Any) -> None:
    """Run all cells until one shows what is waited for: the page forgets what it was told before its kernel was there."""
    from playwright.sync_api import TimeoutError as Late

    for attempt in range(RUNS_MAX):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        try:
            until.wait_for(timeout=SHOWN_MS_MAX)
        except Late:
            if attempt + 1 == RUNS_MAX:
                raise
        else:
            return


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False
