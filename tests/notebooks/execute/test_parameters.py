"""Parameters: read as the type that is there, injected as papermill does, or put in place of a constant."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.notebooks.execute.parameters import constants, prepare
from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.nouns.errors import Fault
from tests.notebooks.written import write

TAGGED = {0: ["parameters"]}


def run(notebook: Notebook) -> dict[str, object]:
    names: dict[str, object] = {}
    for cell in notebook.code:
        exec(cell.source, names)
    return names


def test_a_tagged_cell_is_followed_by_what_was_set(tmp_path: Path) -> None:
    notebook = write(
        tmp_path / "a.ipynb", "lr = 0.1\ndepth: int = 3\nnames = ['a']\nflag = False", "y = lr", tags=TAGGED
    )
    made = prepare(notebook, ["lr=1", "flag=yes", 'names=["b", "c"]'])
    assert made.values == {"lr": 1.0, "depth": 3, "names": ["b", "c"], "flag": True}
    assert made.injected == "# Parameters\nlr = 1.0\nflag = True\nnames = ['b', 'c']"
    names = run(made.notebook)
    assert (names["y"], names["depth"], names["names"]) == (1.0, 3, ["b", "c"])
    assert notebook.cells[0].source == "lr = 0.1\ndepth: int = 3\nnames = ['a']\nflag = False"


def test_without_a_tag_a_constant_given_once_is_replaced(tmp_path: Path) -> None:
    notebook = write(
        tmp_path / "a.ipynb", "é = 'ü'; lr = 0.1; n = (1 +\n 2)", "seed = 1\nk = 5", "seed = 2\ny = lr * k"
    )
    made = prepare(notebook, ["lr=0.5", "k=7"])
    assert made.values == {"lr": 0.5, "k": 7}
    assert made.notebook.cells[0].source == "é = 'ü'; lr = 0.5; n = (1 +\n 2)"
    assert run(made.notebook)["y"] == 3.5
    with pytest.raises(Fault, match="no parameter called seed"):
        prepare(notebook, ["seed=4"])


def test_a_wrong_type_and_an_unknown_name_are_refused(tmp_path: Path) -> None:
    notebook = write(tmp_path / "a.ipynb", "rate = 0.1\ndepth = 3", tags=TAGGED)
    with pytest.raises(Fault, match="of type int"):
        prepare(notebook, ["depth=0.5"])
    with pytest.raises(Fault) as caught:
        prepare(notebook, ["rat=0.5"])
    assert caught.value.fix == "did you mean `rate`?"
    with pytest.raises(Fault, match="NAME=VALUE"):
        prepare(notebook, ["rate"])


def test_what_papermill_injected_before_is_replaced(tmp_path: Path) -> None:
    tags = {0: ["parameters"], 1: ["injected-parameters"]}
    notebook = write(tmp_path / "a.ipynb", "lr = 0.1", "lr = 0.9", "y = lr", tags=tags)
    assert run(prepare(notebook, ["lr=0.5"]).notebook)["y"] == 0.5
    assert run(prepare(notebook, []).notebook)["y"] == 0.9


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True).filter(str.isidentifier), LITERALS, max_size=4))
def test_every_literal_is_found_where_it_stands(values: dict[str, object]) -> None:
    try:
        source = "; ".join(f"{name} = {value!r}" for name, value in values.items())
        ast.parse(source)
    except SyntaxError:  # a keyword
        return
    found = constants(Cell(index=0, kind="code", source=source))
    assert {name: constant.value for name, constant in found.items()} == values
    for constant in found.values():
        line, start, last, end = constant.span
        assert line == last == 1
        assert ast.literal_eval(source.encode()[start:end].decode()) == constant.value
