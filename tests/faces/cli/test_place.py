"""Rules are judged by their grammar before anything is trained, and only when they changed."""

import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy.faces.cli import place
from roadworthy.nouns.errors import Fault

FILE = '[project]\nname = "p"\n[gate]\nrules = ["metrics.auc >= 0.5", "{rule}"]\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    return lambda rule: (tmp_path / "roadworthy.toml").write_text(FILE.format(rule=rule))


@pytest.mark.parametrize(("rule", "said"), [("metrics.auc >=", "no CEL expression"), ("metrisc.auc > 1", "metrics")])
def test_a_rule_that_cannot_be_judged_is_named_where_it_is(write, rule: str, said: str) -> None:
    write(rule)
    here, store = place.open_here()
    with store, pytest.raises(Fault) as fault:
        place.check_rules(here)
    assert fault.value.where == "roadworthy.toml:4:32"
    assert said in str(fault.value)
    assert fault.value.what.startswith("gate.rules[1]: ")


def test_good_rules_are_not_judged_again(write, tmp_path: Path) -> None:
    write("cost.p99_ms < 1.0")
    code = (
        "import sys; from roadworthy.faces.cli import place\n"
        "here, store = place.open_here(); place.check_rules(here); print('cel' in sys.modules)"
    )

    def loads_cel() -> str:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    assert [loads_cel(), loads_cel()] == ["True\n", "False\n"]
    write("cost.p99_ms < 2.0")
    assert loads_cel() == "True\n"


def test_outside_a_project_the_store_of_tracking_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Fault, match="rw new"):
        place.open_around()
    (tmp_path / ".roadworthy").mkdir()
    store, project = place.open_around()
    with store:
        assert project == ""
