"""Real notebooks: none makes the checker fail, and what was judged of its findings still holds."""

import json
from collections import Counter

import jsonschema
import pytest

from roadworthy.notebooks.check import Checked
from roadworthy.notebooks.dataflow.flow import analyse
from roadworthy.notebooks.graph import lines, svg
from roadworthy.notebooks.graph.cells import graph
from roadworthy.notebooks.read import read
from roadworthy.notebooks.reports import github, sarif
from roadworthy.notebooks.rules.catalogue import every
from tests.notebooks import sarif_schema, tally, wild

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def checked() -> list[Checked]:
    return tally.checked()


def test_no_real_notebook_makes_the_checker_fail(checked: list[Checked]) -> None:
    assert [(each.path, each.problem) for each in checked if each.problem is not None] == []
    packages = Counter(wild.named(each.path).partition("/")[0] for each in checked)
    assert len(checked) >= 100
    assert len(packages) >= 10


def test_what_was_judged_is_still_found_and_nearly_all_true(checked: list[Checked]) -> None:
    labels = tally.labels()
    assert len({label.place for label in labels}) >= 190
    found = {tally.place(each, finding) for each, finding in tally.findings(checked)}
    gone = [label.place for label in labels if label.place not in found]
    assert gone == [], "rules changed: draw a sample and judge it anew (python -m tests.notebooks.tally --sample SEED)"
    assert sum(label.true for label in labels) / len(labels) >= 0.95


def test_the_page_is_as_the_rules_have_it(checked: list[Checked]) -> None:
    assert tally.PAGE.read_text("utf-8") == tally.page(checked, tally.labels()), "run: python -m tests.notebooks.tally"


def test_every_real_notebook_can_be_reported(checked: list[Checked]) -> None:
    log = sarif(checked, every())
    assert len(log["runs"][0]["results"]) == sum(len(each.findings) for each in checked)
    if sarif_schema.can_be_had():
        plain = json.loads(json.dumps(log))
        assert list(jsonschema.Draft4Validator(sarif_schema.schema()).iter_errors(plain)) == []
    assert sum(1 for _ in github(checked)) == len(log["runs"][0]["results"])


def test_every_real_notebook_can_be_drawn() -> None:
    for path in wild.notebooks("statsmodels", "dowhy", "jupytext", "tsfresh"):
        notebook = read(path)
        drawn = graph(notebook, analyse(notebook))
        assert svg.draw(drawn).endswith("</svg>\n")
        assert len(list(lines.draw(drawn))) == len(drawn.nodes)
