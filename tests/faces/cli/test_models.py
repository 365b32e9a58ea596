"""`rw models`: list, show, aliases."""

import json
from pathlib import Path

import pytest

from roadworthy.nouns.model import Field, Model, Signature
from roadworthy.nouns.step import Value
from roadworthy.registry import model_names, model_versions, models
from roadworthy.registry.model_versions import Version
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


def test_what_an_mlflow_client_registered_is_listed_and_shown_like_any_other(rw, tmp_path: Path) -> None:
    with open_store(tmp_path / ".roadworthy") as store:
        model_names.create(store, "theirs", project="p")
        said = Version(
            name="theirs", project="p", source="s3://bucket/m", description="red\x1b[31m", tags={"q": "good"}
        )
        model_versions.move(store, model_versions.create(store, said), "Staging")
    assert "theirs@1" in rw("models").stdout
    shown = rw("models", "show", "theirs").stdout
    for part in ["mlflow", "Staging", "s3://bucket/m", "q=good"]:
        assert part in shown
    assert "\x1b" not in shown
    assert json.loads(rw("models", "show", "theirs", "--json").stdout)["tags"] == {"q": "good"}
    refused = rw("approve", "theirs", "--role", "owner")
    assert (refused.returncode, "rw models adopt theirs@1" in refused.stderr) == (5, True)
    assert rw("models", "adopt", "late@1").returncode == 4
