"""Notebooks become pipelines that make the same values, and that read as a person would have written them."""

from pathlib import Path

import pytest

from tests.notebooks.convert.apart import both, pipeline, planned


def same(pairs: list) -> bool:
    assert pairs, "nothing was compared"
    return all(one == two for _, one, two in pairs)


def test_cells_become_steps_by_what_they_make(tmp_path: Path, monkeypatch) -> None:
    cells = ("md:# Squares", "numbers = [n for n in range(5)]", "md:## Squared", "squares = [n * n for n in numbers]")
    plan = planned(tmp_path, *cells)
    assert [s.name for s in plan.steps] == ["numbers", "squares"]
    assert plan.steps[1].takes == ("numbers",)
    assert same(both(tmp_path, monkeypatch, *cells))


def test_what_only_looks_is_left_behind(tmp_path: Path) -> None:
    plan = planned(
        tmp_path, "import pandas as pd\nimport matplotlib.pyplot as plt", "table = pd.DataFrame({'a': [1, 2]})\ntable.head()",
        "fig, ax = plt.subplots()\nax.plot(table['a'])\nprint(table)", "twice = table * 2",
    )  # fmt: skip
    text = plan.steps[0].text + plan.steps[-1].text
    assert not any(word in text for word in ("head", "plt", "print", "ax"))
    assert {cell for cell, _ in plan.slice.left} == {1, 2}


def test_a_change_in_a_later_cell_makes_a_new_value(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "md:## Rows", "rows = [3, 1, 2]", "md:## Count", "count = len(rows)", "md:## Sorted", "rows.sort()",
        "md:## First", "first = rows[0] + count",
    )  # fmt: skip
    pairs = both(tmp_path, monkeypatch, *cells)
    assert same(pairs)
    assert {what.partition(".")[0] for what, _, _ in pairs} == {"rows", "count", "sorted_2", "first"} or len(pairs) >= 3


def test_a_step_takes_parameters_in_the_order_of_the_notebook(tmp_path: Path) -> None:
    plan = planned(tmp_path, "rate = 0.5\nbatch = 3", "made = [batch * rate]")
    assert plan.steps[0].takes == ("rate", "batch")


def test_a_function_is_given_what_it_took_from_the_notebook(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "base = [1, 2, 3]\nbase = base + [4]", "def shifted(by, *more):\n    return [b + by for b in base]",
        "md:## Shifted", "high = shifted(10)\nhigher = [*shifted(20), *high]",
    )  # fmt: skip
    text = pipeline(tmp_path, *cells)
    assert "def shifted(by, *more, base):" in text
    assert "shifted(10, base=base)" in text
    assert same(both(tmp_path, monkeypatch, *cells))


def test_functions_that_call_functions_hand_it_on(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "table = {'a': 1}\ntable['b'] = 2", "def inner(key):\n    return table[key]",
        "def outer(key):\n    return inner(key) * 10", "made = [outer('a'), outer('b')]",
    )  # fmt: skip
    assert "inner(key, table=table)" in pipeline(tmp_path, *cells)
    assert same(both(tmp_path, monkeypatch, *cells))


def test_a_function_that_is_handed_around_stands_in_the_step(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "weights = {'a': 2}\nweights['b'] = 3",
        "def weigh(key):\n    return weights[key]",
        "found = list(map(weigh, 'ab'))",
    )
    assert "    def weigh(key):" in pipeline(tmp_path, *cells)
    assert same(both(tmp_path, monkeypatch, *cells))


def test_a_function_that_changes_a_global_keeps_doing_so(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "count = 0",
        "def tick():\n    global count\n    count += 1\n    return count",
        "made = [tick(), tick()]",
        "after = count",
    )
    pairs = both(tmp_path, monkeypatch, *cells)
    assert same(pairs)
    assert [two for what, _, two in pairs if what.endswith(".after")] == [2]


def test_constants_go_up_and_scalars_become_parameters(tmp_path: Path, monkeypatch) -> None:
    cells = ("learningRate = 0.5\nNAMES = ['a', 'b']", "made = [learningRate, *NAMES]")
    plan = planned(tmp_path, *cells)
    assert plan.params == {"learning_rate": 0.5}
    text = pipeline(tmp_path, *cells)
    assert "def made(learning_rate: float):" in text
    assert 'NAMES = ["a", "b"]' in text
    assert same(both(tmp_path, monkeypatch, *cells))


def test_a_constant_that_changes_is_none(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "limit = 3",
        "small = [n for n in range(9) if n < limit]",
        "limit = 5",
        "large = [n for n in range(9) if n < limit]",
    )
    assert planned(tmp_path, *cells).params == {}
    assert same(both(tmp_path, monkeypatch, *cells))


def test_texts_are_parameters_only_when_tagged(tmp_path: Path) -> None:
    cells = ("solver = 'lbfgs'\ngrid = [1, 2]", "made = [solver, grid]")
    assert planned(tmp_path, *cells).params == {}
    assert planned(tmp_path, *cells, tags={0: ["parameters"]}).params == {"solver": "lbfgs", "grid": [1, 2]}


def test_a_value_that_cannot_be_stored_keeps_its_cells_together(tmp_path: Path, monkeypatch) -> None:
    cells = ("md:## Source", "numbers = (n * n for n in range(4))", "md:## Taken", "taken = list(numbers)")
    plan = planned(tmp_path, *cells)
    assert len(plan.steps) == 1
    assert same(both(tmp_path, monkeypatch, *cells))


def test_names_in_formatted_texts_are_put_otherwise_too(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "Depth = 3",
        "md:## Loaded",
        "xs = [1, 2]",
        "md:## Said",
        "said = f\"{len(xs)} of {Depth!r:>4} {'{'}{xs[0]:0{Depth}d}\"",
    )
    assert same(both(tmp_path, monkeypatch, *cells))


def test_a_taken_value_may_be_bound_again(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "md:## Raw rows",
        "df = [1, 2, 3]",
        "md:## Clean rows",
        "df = [n for n in df if n > 1]\ndf.append(9)",
        "md:## Sum",
        "total = sum(df)",
    )
    assert same(both(tmp_path, monkeypatch, *cells))


def test_loops_and_conditions_keep_their_order(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "found = []\nbest = None", "md:## Search", "for n in [3, 1, 2]:\n    found.append(n)\n    if best is None or n < best:\n        best = n",
        "md:## After", "if best > 0:\n    found = [*found, best]\nelse:\n    found = []", "end = (found, best)",
    )  # fmt: skip
    assert same(both(tmp_path, monkeypatch, *cells))


def test_comments_and_texts_over_several_lines_stay(tmp_path: Path, monkeypatch) -> None:
    cells = ("# what is asked\nquery = [1] + [2]  # two\n", 'text = """first\n  second\n    third""" + str(query)')
    text = pipeline(tmp_path, *cells)
    assert "# what is asked" in text
    assert "# two" in text
    assert same(both(tmp_path, monkeypatch, *cells))


def test_tags_say_which_step(tmp_path: Path, monkeypatch) -> None:
    cells = ("a = [1]", "b = [*a, 2]", "c = [*b, 3]", "aside = [9]")
    plan = planned(
        tmp_path, *cells, tags={0: ["rw:step=early"], 1: ["rw:step=early"], 2: ["rw:step=late"], 3: ["rw:skip"]}
    )
    assert [s.name for s in plan.steps] == ["early", "late"]
    assert (3, "tagged rw:skip") in plan.slice.left
    assert same(both(tmp_path, monkeypatch, *cells, tags={0: ["rw:step=early"], 1: ["rw:step=early"]}))


def test_a_report_keeps_what_it_prints(tmp_path: Path) -> None:
    cells = ("rows = [n for n in range(2)]", "print('rows', len(rows))")
    plan = planned(tmp_path, *cells, tags={1: ["rw:report"]})
    report = plan.steps[-1]
    assert "print('rows', len(rows))" in report.text
    assert report.takes == ("rows",)


def test_a_file_beside_the_notebook_becomes_a_data_set(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "Some Rows.csv").write_text("a,b\n1,2\n")
    cells = (
        "import os\nimport numpy as np\nFOLDER = 'data'",
        "text = np.loadtxt(os.path.join(FOLDER, 'Some Rows.csv'), delimiter=',', skiprows=1).tolist()\nlines = [*text, 3]",
    )
    plan = planned(tmp_path, *cells)
    assert [(d.name, d.path) for d in plan.data] == [("some_rows", "data/Some Rows.csv")]
    assert "np.loadtxt(some_rows, " in plan.steps[0].text
    assert same(both(tmp_path, monkeypatch, *cells))


def test_unused_imports_are_left_behind(tmp_path: Path) -> None:
    text = pipeline(
        tmp_path, "import os, json\nfrom math import sqrt, floor as down", "made = [down(2.5), json.dumps({})]"
    )
    assert "import json" in text
    assert "floor as down" in text
    assert "sqrt" not in text
    assert "import os" not in text


def test_measures_are_logged_and_named(tmp_path: Path) -> None:
    text = pipeline(
        tmp_path, "from sklearn.metrics import accuracy_score, roc_auc_score", "truth = [0, 1] * 3\nsaid = truth[::-1] + []",
        "print(f'accuracy {accuracy_score(truth, said):.3f}')\nprint('auc', roc_auc_score(truth, said))",
    )  # fmt: skip
    assert '"accuracy": accuracy' in text
    assert '"auc": auc' in text
    assert "rw.log_metrics(" in text
    assert "print" not in text


@pytest.mark.parametrize("name", ["print", "list", "class", "lambda"])
def test_a_step_is_never_called_what_python_needs(tmp_path: Path, name: str) -> None:
    plan = planned(tmp_path, f"md:## {name}", "xs = [n for n in range(3)]")
    assert plan.steps[0].name != name


def test_what_an_except_clause_binds_ends_with_it(tmp_path: Path, monkeypatch) -> None:
    cells = (
        "rows = [n for n in range(3)]",
        "try:\n    rows.append(1 / 0)\nexcept ZeroDivisionError as problem:\n    rows.append(str(problem))",
    )
    assert same(both(tmp_path, monkeypatch, *cells))
    assert "problem" not in "".join(planned(tmp_path, *cells).steps[-1].takes)


def test_a_library_s_object_may_be_changed_by_a_method_that_is_called_for_its_effect(tmp_path: Path) -> None:
    text = pipeline(
        tmp_path, "import emcee", "md:## Made", "sampler = emcee.EnsembleSampler(4, 2, sum)", "md:## Run",
        "sampler.run_mcmc([1], 100);", "sampler.summary();", "md:## Read", "chain = sampler.get_chain()\nlong = chain[:]",
    )  # fmt: skip
    assert "run_mcmc" in text
    assert "summary" not in text
