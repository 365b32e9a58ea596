"""MLflow's own pages, walked through in a browser: each shows what MLflow's client logged, and no request fails."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faces.server.live import Live
from tests.faces.server.stock import played
from tests.mlflow_client import PYTHON, needs_mlflow, run

CHROMIUM = shutil.which("chromium")
SHOWN_MS_MAX = 60_000
# What MLflow's own server does not have either unless its accounts or its assistant are set up.
NOT_OFFERED = ("/mlflow/users/current", "/mlflow/assistant/")
_WHERE = """
import mlflow
found = mlflow.search_runs(experiment_names=["wine tasting"], filter_string="attributes.run_name = 'tasting-4'")
print(found["experiment_id"][0], found["run_id"][0])
"""

pytestmark = [
    pytest.mark.slow,
    needs_mlflow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


class Shown(NamedTuple):
    """A server that shows MLflow's pages, and what is in it."""

    url: str
    experiment: str
    run: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder: Path = tmp_path_factory.mktemp("shown")
    with Live(folder, "--mlflow-ui", str(PYTHON)) as server:
        assert played.failures("filled", server.port, folder / "client") == {}
        url = f"http://127.0.0.1:{server.port}"
        experiment, run_id = run(_WHERE, uri=url, folder=folder / "client").split()[-2:]
        yield Shown(url, experiment, run_id)


def test_every_page_shows_what_was_logged_and_no_request_fails(shown: Shown) -> None:
    from playwright.sync_api import sync_playwright

    of_experiment = f"#/experiments/{shown.experiment}"
    of_run = f"{of_experiment}/runs/{shown.run}"
    pages = {
        "#/experiments": ["wine tasting"],
        f"{of_experiment}/runs": [f"tasting-{i}" for i in range(5)],
        of_run: ["tasting-4", "criterion", "accuracy"],
        f"{of_run}/model-metrics": ["loss", "accuracy"],
        f"{of_run}/artifacts": ["notes", "plots", "eval.json"],
        "#/models": ["sommelier", "champion"],
        "#/models/sommelier": ["Knows its wines"],
        "#/models/sommelier/versions/1": ["champion", "tasting-4", "palate"],
        f"{of_experiment}/traces": ["which year?"],
        f"{of_experiment}/overview/usage": ["42 (31 input, 11 output)", "$0.75", "nose-large", "p50"],
        f"{of_experiment}/overview/quality": ["dry", "Total aggregate scores"],
        f"{of_experiment}/overview/tool-calls": ["Tool"],
        "#/prompts": ["pairing"],
    }
    failed: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.on(
            "response", lambda answer: failed.append(f"{answer.status} {answer.url}") if answer.status >= 400 else 0
        )
        page.on("pageerror", lambda problem: failed.append(str(problem)))
        for path, words in pages.items():
            page.goto(f"{shown.url}/{path}")
            for word in words:
                page.get_by_text(word).first.wait_for(timeout=SHOWN_MS_MAX)
            if path.endswith("model-metrics"):  # the curve itself: as many points as were logged
                page.locator(".scatterlayer .point").nth(39).wait_for(state="attached", timeout=SHOWN_MS_MAX)
            if path.endswith("artifacts"):
                page.get_by_text("notes").first.click()
                page.get_by_text("nose.txt").first.click()
                page.get_by_text("the nose is of cherries").first.wait_for(timeout=SHOWN_MS_MAX)
        browser.close()
    assert [one for one in failed if not any(path in one for path in NOT_OFFERED)] == []
