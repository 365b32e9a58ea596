"""`rw models`: list, show, aliases."""

import json
from pathlib import Path

import pytest

from roadworthy.nouns.model import Field, Model, Signature
from roadworthy.nouns.step import Value
from roadworthy.registry import models
from roadworthy.store.store import open_store


@pytest.fixture(autouse=True)
def two(tmp_path: Path) -> None:
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "p"\n')
    with open_store(tmp_path / ".roadworthy") as store:
        for digit in "ab":
            models.register(
                store,
                Model(
                    name="late", version=0, run="r" * 32, value=Value(format="skops", digest=digit * 64, size=2_000),
                    signature=Signature(inputs=(Field(name="carrier", type="string", nullable=True),)), label="y", project="p",
                ),
            )  # fmt: skip


def test_models_are_listed(rw) -> None:
    assert rw("models", "alias", "set", "late@1", "champion").stdout == "late@champion is now late@1\n"
    lines = rw("models").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["late@2", "late@1"]
    assert "champion" in lines[2]
    assert [(m["id"], m["aliases"]) for m in json.loads(rw("models", "--json").stdout)] == [
        ("late@2", []),
        ("late@1", ["champion"]),
    ]


def test_a_model_is_shown(rw) -> None:
    rw("models", "alias", "set", "late", "champion")
    shown = rw("models", "show", "late@champion").stdout
    for part in ["late@2", "champion", "skops", "2 KB", "carrier", "may be missing", "b" * 64]:
        assert part in shown
    assert json.loads(rw("models", "show", "late@1", "--json").stdout)["id"] == "late@1"


def test_aliases_come_and_go(rw) -> None:
    rw("models", "alias", "set", "late@1", "champion")
    rw("models", "alias", "set", "late@2", "champion")
    assert json.loads(rw("models", "show", "late@champion", "--json").stdout)["version"] == 2
    assert rw("models", "alias", "unset", "late", "champion").stdout == "late@champion is no more; it was late@2\n"
    assert rw("models", "alias", "unset", "late", "champion").returncode == 3
    assert rw("models", "show", "late@champion").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "lat"], 3, "did you mean late?"),
        (["alias", "set", "late@9", "x"], 3, "the newest is late@2"),
        (["alias", "set", "late@1", "7"], 2, "begin with a letter"),
        (["alias", "unset", "late@1", "x"], 2, "belongs to a model's name"),
    ],
)
def test_mistakes_say_what_would_pass(rw, arguments: list[str], code: int, said: str) -> None:
    done = rw("models", *arguments)
    assert (done.returncode, said in done.stderr) == (code, True)
