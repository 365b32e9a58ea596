"""Model versions and their aliases."""

import threading
from pathlib import Path

import msgspec
import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.model import Field, Model, Signature
from roadworthy.nouns.step import Value
from roadworthy.registry import models
from roadworthy.store import log
from roadworthy.store.store import Store, open_store

MADE = Model(
    name="late",
    version=0,
    run="r" * 32,
    value=Value(format="skops", digest="a" * 64, size=10),
    signature=Signature(inputs=(Field(name="x", type="number"),)),
    label="y",
    project="p",
)


def another(number: int, **fields) -> Model:
    return msgspec.structs.replace(MADE, value=Value(format="skops", digest=f"{number:064x}", size=1), **fields)


def test_versions_count_up_and_the_same_bytes_of_a_run_are_one(any_store: Store) -> None:
    one = models.register(any_store, MADE)
    assert (one.id, one.created_at) == ("late@1", any_store.clock.now())
    assert models.register(any_store, MADE) == one
    two = models.register(any_store, another(2))
    assert two.id == "late@2"
    assert models.register(any_store, msgspec.structs.replace(MADE, run="s" * 32)).version == 3
    assert models.register(any_store, another(9, name="other", project="q")).version == 1
    assert [m.version for m in models.versions(any_store, "late")] == [3, 2, 1]
    assert models.names(any_store) == ["late", "other"]
    assert models.names(any_store, "q") == ["other"]
    assert [m.id for m in models.of_run(any_store, "s" * 32)] == ["late@3"]


def test_references(any_store: Store) -> None:
    one, two = models.register(any_store, MADE), models.register(any_store, another(2))
    assert models.champion(any_store, "late") is None
    models.set_alias(any_store, "late", "champion", 1)
    assert models.get(any_store, "late") == two
    assert models.get(any_store, "late@1") == models.get(any_store, "late@champion") == one
    assert models.champion(any_store, "late") == one
    models.set_alias(any_store, "late", "champion", 2)
    assert models.aliases(any_store, "late") == {"champion": 2}
    assert models.unset_alias(any_store, "late", "champion") == 2
    assert models.champion(any_store, "late") is None


def test_a_wrong_reference_names_the_nearest(any_store: Store) -> None:
    models.register(any_store, MADE)
    models.set_alias(any_store, "late", "champion", 1)
    for ref, hint in [
        ("lat", "late"),
        ("late@7", "late@1"),
        ("late@champ", "champion"),
        ("late@" + "9" * 40, "late@1"),
    ]:
        with pytest.raises(Fault, match=hint) as fault:
            models.get(any_store, ref)
        assert fault.value.code == Code.NOT_FOUND
    for ref in ["", "@", "late@", "late@-1", "late@1@2", "' OR 1=1 --", "late@²"]:
        with pytest.raises(Fault):
            models.get(any_store, ref)


@pytest.mark.parametrize("alias", ["", "3", "latest", "a b", "-x", "x" * 65, "a@b", "a\n"])
def test_an_alias_cannot_be_taken_for_a_version(any_store: Store, alias: str) -> None:
    models.register(any_store, MADE)
    with pytest.raises(Fault) as fault:
        models.set_alias(any_store, "late", alias, 1)
    assert fault.value.code == Code.INVALID


def test_what_is_not_there_cannot_be_pointed_at(any_store: Store) -> None:
    models.register(any_store, MADE)
    for change in (
        lambda: models.set_alias(any_store, "late", "champion", 2),
        lambda: models.set_alias(any_store, "none", "champion", 1),
        lambda: models.unset_alias(any_store, "late", "champion"),
    ):
        with pytest.raises(Fault) as fault:
            change()
        assert fault.value.code == Code.NOT_FOUND
    with any_store.read() as reader:
        assert [e.kind for e in log.newest(reader)] == ["model.registered"]


@pytest.mark.parametrize("name", ["", "a/b", "a@b", "-a", "a b", "a\n", "x" * 129])
def test_a_name_must_fit_a_reference(any_store: Store, name: str) -> None:
    with pytest.raises(Fault):
        models.register(any_store, another(1, name=name))


def test_registering_at_once_gives_each_its_own_number(any_store: Store, tmp_path: Path) -> None:
    url = any_store.sql.url if any_store.sql.dialect == "postgresql" else "sqlite"
    problems: list[Exception] = []

    def register(number: int) -> None:
        try:
            with open_store(any_store.home, url=url) as mine:
                for turn in range(5):
                    models.register(mine, another(100 * number + turn))
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=register, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(m.version for m in models.versions(any_store, "late")) == list(range(1, 21))
