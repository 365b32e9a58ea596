"""Names and versions as a registry shows them: the same rows that `rw models` shows."""

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.registry import model_names, model_search, model_versions, models
from roadworthy.registry.model_search import Condition, Wanted
from roadworthy.registry.model_versions import Version
from roadworthy.store import log
from roadworthy.store.store import Store
from tests.registry.test_models import MADE, another


def registered(store: Store, name: str, **fields: object) -> Version:
    return model_versions.create(store, Version(name=name, source="s3://bucket/model", run="r" * 32, **fields))


def test_what_a_client_registered_is_a_model_that_cannot_be_judged_yet(store: Store) -> None:
    model_names.create(store, "late", project="p", description="Late or not", tags={"team": "ml"})
    made = registered(store, "late", project="p", tags={"a": "1"})
    model = models.get(store, "late@1")
    assert (model.id, model.project, model.run, model.value.format) == ("late@1", "p", "r" * 32, models.UNADOPTED)
    assert models.names(store) == ["late"]
    assert [m.id for m in models.of_run(store, "r" * 32)] == ["late@1"]
    with pytest.raises(Fault, match="not adopted") as refusal:
        models.require_adopted(model)
    assert refusal.value.code is Code.REFUSED
    assert "rw models adopt late@1" in refusal.value.fix
    assert model_versions.get(store, "late", made.version).tags == {"a": "1"}


def test_what_a_run_registered_is_a_version_with_a_name(store: Store) -> None:
    models.register(store, another(1, tags={"k": "v"}))
    models.set_alias(store, "late", "champion", 1)
    version = model_versions.get(store, "late", 1)
    assert (version.run, version.stage, version.tags, version.aliases) == ("r" * 32, "None", {"k": "v"}, ("champion",))
    named = model_names.get(store, "late")
    assert (named.project, named.aliases) == ("p", {"champion": 1})
    assert named.created_ms == round(store.clock.now() * 1000)


def test_both_kinds_share_one_count(any_store: Store) -> None:
    models.register(any_store, MADE)
    assert registered(any_store, "late", project="p").version == 2
    assert models.register(any_store, another(3)).version == 3


def test_adopting_says_what_a_version_is_made_of_once(store: Store) -> None:
    model_names.create(store, "late", project="p")
    registered(store, "late", project="p")
    adopted = models.adopt(store, another(5, version=1))
    assert models.get(store, "late@1") == adopted == models.require_adopted(adopted)
    with pytest.raises(Fault, match="adopted already"):
        models.adopt(store, another(6, version=1))
    with pytest.raises(Fault, match="no such version"):
        models.adopt(store, another(6, version=7))


def test_a_deleted_version_is_gone_but_its_evidence_is_not(any_store: Store) -> None:
    models.register(any_store, MADE)
    registered(any_store, "late", project="p")
    models.set_alias(any_store, "late", "champion", 1)
    for number in (1, 2):
        model_versions.delete(any_store, model_versions.get(any_store, "late", number))
    assert models.versions(any_store, "late") == []
    assert models.aliases(any_store, "late") == {}
    assert models.get(any_store, "late@1").value == MADE.value  # a release may still have to say what it was of
    with pytest.raises(Fault, match="no such"):
        models.get(any_store, "late@2")
    with pytest.raises(Fault, match="no such model"):
        models.set_alias(any_store, "late", "best", 1)
    assert registered(any_store, "late").version == 3


def test_numbers_that_certificates_may_name_are_not_given_out_again(store: Store) -> None:
    models.register(store, MADE)
    model_names.delete(store, "late")
    assert models.names(store) == []
    assert models.register(store, another(2)).id == "late@2"
    model_names.create(store, "plain")
    registered(store, "plain")
    model_names.delete(store, "plain")
    model_names.create(store, "plain")
    assert registered(store, "plain").version == 1


def test_renaming_moves_everything_unless_certificates_may_name_it(any_store: Store) -> None:
    model_names.create(any_store, "a", tags={"k": "v"})
    registered(any_store, "a", tags={"x": "y"})
    models.point(any_store, "a", "best", 1)
    named = model_names.rename(any_store, "a", "b")
    assert (named.name, named.tags, named.aliases) == ("b", {"k": "v"}, {"best": 1})
    assert model_versions.get(any_store, "b", 1).tags == {"x": "y"}
    with pytest.raises(Fault, match="no such model"):
        model_names.get(any_store, "a")
    model_names.create(any_store, "a")
    with pytest.raises(Fault, match="this name already"):
        model_names.rename(any_store, "a", "b")
    models.register(any_store, MADE)
    with pytest.raises(Fault, match="certificates"):
        model_names.rename(any_store, "late", "later")


def test_stages_move_and_archive(store: Store) -> None:
    model_names.create(store, "a")
    one, two = registered(store, "a"), registered(store, "a")
    model_versions.move(store, one, "Production")
    model_versions.move(store, two, "Production", archive=True)
    with store.read() as reader:
        found = model_versions.of_name(reader, "a")
    assert [version.stage for version in found] == ["Archived", "Production"]
    assert [version.version for version in model_versions.latest(found)] == [1, 2]


def test_search_sees_only_the_projects_it_may(any_store: Store) -> None:
    for name, project in (("a", "p"), ("b", "q"), ("c", "")):
        model_names.create(any_store, name, project=project)
        registered(any_store, name, project=project)
    for projects, seen in ((None, ["a", "b", "c"]), (frozenset({"p", ""}), ["a", "c"]), (frozenset(), [])):
        wanted = Wanted(projects=projects)
        assert [named.name for named, _ in model_search.names(any_store, wanted)] == seen
        assert [version.name for version in model_search.versions(any_store, wanted)] == seen


def test_like_tells_upper_from_lower_case_and_takes_no_other_signs(any_store: Store) -> None:
    for name in ("Ant", "ant", "a*t", "a?t", "a[b]t", "a\\t"):
        model_names.create(any_store, name)

    def found(pattern: str, comparator: str = "LIKE") -> list[str]:
        wanted = Wanted(conditions=(Condition(key="name", comparator=comparator, value=pattern),))
        return sorted(named.name for named, _ in model_search.names(any_store, wanted))

    assert found("ant") == ["ant"]
    assert found("ant", "ILIKE") == ["Ant", "ant"]
    assert found("a*t") == ["a*t"]
    assert found("a[b]t") == ["a[b]t"]
    assert found("a\\t") == ["a\\t"]
    assert found("a_t") == sorted(["ant", "a*t", "a?t", "a\\t"])
    assert len(found("%t")) == 6


def test_every_change_is_in_the_log(store: Store) -> None:
    model_names.create(store, "a")
    version = registered(store, "a")
    model_versions.set_tag(store, version, "k", "secret value")
    model_names.describe(store, "a", "d")
    model_versions.delete(store, version)
    with store.read() as reader:
        events = log.newest(reader, limit=9)
    kinds = [event.kind for event in reversed(events)]
    assert kinds == [
        "model.named", "model.registered", "model.version_tagged", "model.described", "model.version_deleted",
    ]  # fmt: skip
    assert "secret value" not in str(events)
