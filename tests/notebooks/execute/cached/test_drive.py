"""Reuse never changes what happens: after any edit, a cached run says what a whole run says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy.notebooks.execute import tracked
from roadworthy.notebooks.execute.cached import drive
from roadworthy.notebooks.execute.tracked import Made, Options
from roadworthy.registry import metrics
from roadworthy.store.store import Store
from tests.notebooks.written import write

CELLS = (
    "import random\nimport json\nimport roadworthy as rw",
    "n = 3",
    "random.seed(n)\nrows = [random.random() for _ in range(n)]",
    "def total(values):\n    return sum(values) + offset",
    "offset = 10",
    "table = {'rows': rows}\nalias = rows",
    "table['rows'].append(1.0)",
    "rw.log_metric('total', total(rows))\nprint(round(total(alias), 6), len(rows))",
    "gen = (i for i in range(3))",
    "print(sum(gen), random.random())",
    "with open('out.json', 'w') as f:\n    json.dump(rows, f)",
    "print(len(json.load(open('out.json'))))",
)


def cached(store: Store, root: Path, *cells: str) -> Made:
    notebook = write(root / "a.ipynb", *cells)
    return tracked.run(store, notebook, options=Options(root=root), way=drive.in_kernel)


def printed(made: Made) -> list[str]:
    return [one.ran.text for one in made.execution.done]


def whole(root: Path, *cells: str) -> list[str]:
    """What the cells print when all of them run: plain Python does, for none has magics."""
    folder = root / "whole"
    folder.mkdir(exist_ok=True)
    script = f"names = {{}}\nfor cell in {cells!r}:\n    exec(cell, names)\n    print(end='\\x00')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder, env=os.environ | {"ROADWORTHY_STEP_OUT": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split("\x00")[:-1]


def statuses(made: Made) -> dict[int, str]:
    return {one.index + 1: one.status for one in made.execution.done}


def edited(cells: tuple[str, ...], place: int, text: str) -> tuple[str, ...]:
    return (*cells[:place], text, *cells[place + 1 :])


@pytest.mark.slow
def test_after_every_edit_a_cached_run_says_what_a_whole_run_says(store: Store, tmp_path: Path) -> None:
    first = cached(store, tmp_path, *CELLS)
    assert printed(first) == whole(tmp_path, *CELLS)
    again = cached(store, tmp_path, *CELLS)
    assert set(statuses(again).values()) == {"reused"}
    assert printed(again) == printed(first)
    assert metrics.latest(store, again.run.id) == metrics.latest(store, first.run.id)
    cells = CELLS
    for place, text in [
        (1, "n = 4"),
        (4, "offset = 20"),
        (3, "def total(values):\n    '''Sum.'''\n    return 2 * sum(values) + offset"),
        (6, "table['rows'].append(2.0)\ntable['rows'].append(3.0)"),
        (9, "print(sum(gen), random.random(), 'again')"),
        (5, "table = {'rows': list(rows)}\nalias = rows"),
        (0, "import random\nimport json\nimport math\nimport roadworthy as rw"),
    ]:
        cells = edited(cells, place, text)
        made = cached(store, tmp_path, *cells)
        assert made.run.status == "finished"
        assert printed(made) == whole(tmp_path, *cells), text


@pytest.mark.slow
def test_only_what_an_edit_reaches_runs_again(store: Store, tmp_path: Path) -> None:
    cells = (
        "import time",
        "a = list(range(5))",
        "b = [x * 2 for x in a]  # dear",
        "c = sum(b)\nprint(c)",
        "d = len(a)\nprint(d)",
    )
    cached(store, tmp_path, *cells)
    comment = cached(store, tmp_path, *edited(cells, 2, "# a comment\nb = [x*2 for x in a]"))
    assert set(statuses(comment).values()) == {"reused"}
    late = cached(store, tmp_path, *edited(cells, 3, "c = sum(b) + 1\nprint(c)"))
    assert statuses(late) == {1: "reused", 2: "reused", 3: "reused", 4: "ran", 5: "reused"}
    assert printed(late)[3:] == ["21\n", "5\n"]
    # What it makes comes out the same, so what is below need not run.
    early = cached(store, tmp_path, *edited(cells, 1, "a = [0, 1, 2, 3, 4]"))
    assert statuses(early) == {1: "reused", 2: "ran", 3: "reused", 4: "reused", 5: "reused"}
    assert early.execution.done[2].why == "what it reads came out the same"


@pytest.mark.slow
def test_a_file_that_a_cell_read_counts(store: Store, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("1 2 3")
    cells = ("rows = open('rows.txt').read().split()", "print(len(rows))", "print('else')")
    cached(store, tmp_path, *cells)
    (tmp_path / "rows.txt").write_text("1 2 3 4")
    made = cached(store, tmp_path, *cells)
    assert statuses(made) == {1: "ran", 2: "ran", 3: "reused"}
    assert printed(made)[1] == "4\n"
    assert made.execution.done[0].why == "file rows.txt changed"


@pytest.mark.slow
def test_a_cell_that_fails_beside_reused_ones_is_tried_with_all(store: Store, tmp_path: Path) -> None:
    cells = ("x = 1\nglobals()['y'] = 2", "z = 1", "print(z)")
    cached(store, tmp_path, *cells)
    # `y` comes from where no analysis sees it; the whole notebook knows it.
    made = cached(store, tmp_path, *edited(cells, 2, "print(z + eval('y'))"))
    assert made.run.status == "finished"
    assert printed(made)[2] == "3\n"
    failing = cached(store, tmp_path, *edited(cells, 2, "print(z / 0)"))
    assert failing.run.status == "failed"
    assert failing.execution.failed is not None
    assert failing.execution.failed.index == 2


def test_why_is_said_before_anything_runs(store: Store, tmp_path: Path) -> None:
    cells = ("gen = (i for i in range(3))", "print(sum(gen))", "!true", "x = 1")
    cached(store, tmp_path, *cells)
    notebook = write(tmp_path / "a.ipynb", *edited(cells, 1, "print(sum(gen) + 1)"))
    _, plan = drive.make(store, tmp_path, "", notebook, "a.ipynb")
    assert [d.action for d in plan.decisions.values()] == ["run", "run", "run", "reuse"]
    assert "cell 2 needs `gen`: no format stores" in plan.decisions[0].why
    assert plan.decisions[1].why == "its code changed"
    assert "shell line" in plan.decisions[2].why
