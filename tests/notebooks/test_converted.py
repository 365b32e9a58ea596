"""Real notebooks, as they are, become pipelines that are shown to be equal; the page tells of all that were tried."""

import re

import pytest

from tests.notebooks import converted

# Three of those on the page, from two packages, that take seconds.
SOME = (
    "statsmodels-0.15.0/examples/notebooks/ols.ipynb",
    "statsmodels-0.15.0/examples/notebooks/glm.ipynb",
    "imbalanced-learn-0.14.2/doc/auto_examples/evaluation/plot_metrics.ipynb",
)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SOME)
def test_a_real_notebook_is_converted_and_proven(name: str) -> None:
    verdict, said = converted.outcome(converted.convert(converted.find(name)))
    assert verdict in {"identical", "within tolerance"}, said


def test_the_page_tells_of_every_notebook_tried() -> None:
    text = converted.PAGE.read_text("utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, re.MULTILINE))
    assert set(rows) == set(converted.NOTEBOOKS)
    assert len(rows) >= 15
    equal = [name for name, verdict in rows.items() if verdict.strip() in {"identical", "within tolerance"}]
    assert len(equal) >= 12
    assert f"**{len(equal)} are equal.**" in text
