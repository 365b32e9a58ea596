"""Keys: what must change them, what must not, and what is said about the difference."""

import ast
import os
import symtable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.pipelines import analysis, keys
from roadworthy.pipelines.libraries import Libraries
from roadworthy.pipelines.reach import Reach
from roadworthy.pipelines.sources import Sources
from tests.pipelines.traps import APART, HEAD, TRAPS, Trap

# Files and data are looked at beside the key (test_cache.py, and the runs of test_never_stale.py).
BESIDE = {"a file read by the step", "a file named in the text, read without Python", "a file read by the module",
          "parameter", "data changed by one byte"}  # fmt: skip


def key_of(root: Path, name: str) -> keys.Material:
    reach = Reach(Sources(root), "pipeline")
    reached = reach.of([("pipeline", name)])
    versions = {} if not reached.libraries else Libraries().versions(reached.libraries)
    return keys.of_code(reach, reached, versions)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("trap", [t for t in TRAPS if t.name not in BESIDE], ids=lambda t: t.name)
def test_an_edit_that_matters_changes_the_key(trap: Trap, tmp_path: Path) -> None:
    before = write(tmp_path / "before", trap.project())
    after = write(tmp_path / "after", trap.edited())
    assert key_of(before, "out").key != key_of(after, "out").key
    for name in trap.unaffected:
        assert key_of(before, name).parts == key_of(after, name).parts


STYLE = [
    ("def helper(x):\n    return x + 1\n", "def helper(x):\n    # why\n\n    return (x\n            + 1)\n"),
    ("def helper(x):\n    return x + 1\n", 'def helper(x):\n    """Says what it does."""\n    return x + 1\n'),
    ("def helper(x):\n    return x + 1\n", '"""A module."""\n\n\n\ndef helper(x):\n    return x + 1  # noqa\n'),
    ("def helper(x):\n    return 'a' + x\n", 'def helper(x):\n    return "a" + x\n'),
    (
        "def helper(x):\n    return x\ndef other():\n    pass\n",
        "def other():\n    pass\ndef helper(x):\n    return x\n",
    ),
    (
        "def helper(x):\n    return x\n",
        "def helper(x):\n    return x\nif __name__ == '__main__':\n    print(helper(3))\n",
    ),
    ("def helper(x):\n    return x\n", "def helper(x):\n    return x\nUNUSED = 3\ndef unused():\n    return 1\n"),
]


@pytest.mark.parametrize(("before", "after"), STYLE)
def test_an_edit_that_does_not_matter_keeps_the_key(before: str, after: str, tmp_path: Path) -> None:
    pipeline = HEAD + "from h import helper\n@rw.step\ndef out():\n    return helper(1)\n"
    one = write(tmp_path / "one", {"pipeline.py": pipeline, "h.py": before})
    two = write(tmp_path / "two", {"pipeline.py": pipeline, "h.py": after})
    assert key_of(one, "out").parts == key_of(two, "out").parts


def test_retries_and_limits_are_no_part_of_a_key_but_formats_are(tmp_path: Path) -> None:
    text = HEAD + "@rw.step(retries=1, timeout='3s')\ndef out():\n    return 1\n"
    one = key_of(write(tmp_path / "1", {"pipeline.py": text}), "out").key
    two = key_of(
        write(tmp_path / "2", {"pipeline.py": text.replace("retries=1, timeout='3s'", "retries=2")}), "out"
    ).key
    three = key_of(write(tmp_path / "3", {"pipeline.py": text.replace("retries=1", "format='pickle'")}), "out").key
    assert one == two != three


def test_an_upstream_step_of_the_same_name_as_an_argument_is_not_its_code(tmp_path: Path) -> None:
    text = HEAD + "@rw.step\ndef clean():\n    return 1\n@rw.step\ndef out(clean):\n    return clean\n"
    one = key_of(write(tmp_path / "1", {"pipeline.py": text}), "out")
    two = key_of(write(tmp_path / "2", {"pipeline.py": text.replace("return 1", "return 2")}), "out")
    assert one.key == two.key


def test_why_static_reading_is_unsure_is_said(tmp_path: Path) -> None:
    text = HEAD + "import h\n@rw.step\ndef out(name):\n    return getattr(h, name)()\n"
    found = key_of(write(tmp_path, {"pipeline.py": text, "h.py": ""}), "out")
    assert found.unsure == ("getattr (line 5) in pipeline",)
    assert "whole project" in found.parts


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("h.py", "x + 1", "x + 2"), ["code of helper h.clean changed"]),
        (("pipeline.py", "clean(1)", "clean(2)"), ["its code changed"]),
        (("h.py", "RATE = 1", "RATE = 2"), ["constant h.RATE changed"]),
        (("h.py", "return x + 1", "return more(x)"), ["code of helper h.clean changed", "it now uses helper h.more"]),
        (("h.py", "UP = []", "UP = []\nUP.append(1)"), ["it now uses constant h.UP"]),
        (("h.py", "UP = []", "UP = []\nprint(1)"), ["code that runs when h is imported changed"]),
    ],
)
def test_what_changed_is_named(edit: tuple[str, str, str], said: list[str], tmp_path: Path) -> None:
    files = {
        "pipeline.py": HEAD + "from h import clean\n@rw.step\ndef out():\n    return clean(1)\n" + APART,
        "h.py": "RATE = 1\nUP = []\ndef clean(x):\n    return x + 1 + RATE\ndef more(x):\n    return x\n",
    }
    one = key_of(write(tmp_path / "1", files), "out").parts
    files[edit[0]] = files[edit[0]].replace(edit[1], edit[2])
    planner_step = type("S", (), {"module": "pipeline", "name": "out"})
    assert sorted(keys.differences(one, key_of(write(tmp_path / "2", files), "out").parts, planner_step)) == sorted(
        said
    )


def test_differences_of_everything_else_are_in_words() -> None:
    before = {"library scikit-learn": "1.6", "param lr": "0.1", "input clean": "a", "seed": "1", "python": "3.11"}
    now = {"library scikit-learn": "1.9", "param lr": "0.05", "input clean": "b", "seed": "2", "python": "3.12"}
    assert keys.differences(before, now) == [
        "input clean changed",
        "scikit-learn 1.6 -> 1.9",
        "params.lr 0.1 -> 0.05",
        "python 3.11 -> 3.12",
        "seed 1 -> 2",
    ]


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(), st.none()),
       st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(), st.none()))  # fmt: skip
def test_different_parameters_read_differently(one: object, two: object) -> None:
    same = type(one) is type(two) and repr(one) == repr(two)
    assert (keys.shown(one) == keys.shown(two)) == same


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(Path(os.__file__).parent.glob("*.py"))))
def test_scopes_agree_with_pythons_own(path: Path) -> None:
    """Every global name that Python's symbol table sees is seen; files are those of the standard library."""
    text = path.read_bytes()
    facts = analysis.read(text, str(path))
    found = {(s.kind, s.binds[0]): {c.partition(".")[0] for c in s.uses.chains} for s in facts.statements if s.binds}
    tables = symtable.symtable(text.decode(), str(path), "exec").get_children()
    twice = {t.get_name() for t in tables if [o.get_name() for o in tables].count(t.get_name()) > 1}
    for table in tables:
        kind = "class" if table.get_type() == "class" else "function"
        if table.get_name() in twice or (kind, table.get_name()) not in found:
            continue
        missing = global_names(table) - found[kind, table.get_name()] - {"__class__"}
        assert not missing, (path.name, table.get_name())


def global_names(table: symtable.SymbolTable) -> set[str]:
    # A function called `top` is taken for the module by Python's own reading of its table.
    if table.get_name() == "top":
        return set()
    names = {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return names.union(*(global_names(child) for child in table.get_children()))


def test_facts_are_kept_by_content(tmp_path: Path) -> None:
    root = write(tmp_path, {"pipeline.py": HEAD + APART})
    first = Sources(root, kept=tmp_path / "kept")
    made = first.facts("pipeline")
    first.keep()
    assert Sources(root, kept=tmp_path / "kept").facts("pipeline") == made
    (tmp_path / "kept").write_bytes(b"\xff damaged")
    assert Sources(root, kept=tmp_path / "kept").facts("pipeline") == made


def test_what_is_not_python_is_named_with_its_line(tmp_path: Path) -> None:
    root = write(tmp_path, {"pipeline.py": "x = 1\ndef (:\n"})
    with pytest.raises(Exception, match="not valid Python") as caught:
        Reach(Sources(root), "pipeline")
    assert caught.value.where == "pipeline.py:2"


def test_every_trap_is_valid_python() -> None:
    for trap in TRAPS:
        for files in (trap.project(), trap.edited()):
            for name, text in files.items():
                if name.endswith(".py"):
                    ast.parse(text)
