"""Groups of runs: named once, deleted and restored with their runs, and made for the runs of projects."""

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.run import Run
from roadworthy.registry import groups, run_rows, runs
from roadworthy.store import log
from roadworthy.store.store import Store


def named(store: Store, name: str) -> groups.Group:
    with store.read() as reader:
        found = groups.named(reader, name)
    assert found is not None
    return found


def stage_of(store: Store, run: str) -> str:
    with store.read() as reader:
        row = run_rows.find(reader, run)
    assert row is not None
    return row.stage


def test_every_store_has_the_group_of_runs_that_name_none(any_store: Store) -> None:
    with any_store.read() as reader:
        found = groups.find(reader, 0)
    assert found is not None
    assert (found.name, found.project, found.stage) == (groups.DEFAULT, "", "active")


def test_a_name_is_given_once(any_store: Store) -> None:
    made = groups.create(any_store, "rain", project="p", location="s3://b", tags={"b": "2", "a": "1"})
    assert named(any_store, "rain") == made
    with pytest.raises(Fault) as taken:
        groups.create(any_store, "rain")
    assert taken.value.code is Code.CONFLICT
    other = groups.create(any_store, "snow")
    with pytest.raises(Fault) as taken:
        groups.rename(any_store, other.id, "rain")
    assert taken.value.code is Code.CONFLICT
    groups.rename(any_store, made.id, "showers")
    assert named(any_store, "showers").id == made.id
    groups.create(any_store, "rain")


def test_what_is_not_there_cannot_be_changed(any_store: Store) -> None:
    for change in (
        lambda: groups.rename(any_store, 99, "x"),
        lambda: groups.set_stage(any_store, 99, "deleted"),
        lambda: groups.set_tag(any_store, 99, "a", "b"),
    ):
        with pytest.raises(Fault) as fault:
            change()
        assert fault.value.code is Code.NOT_FOUND


def test_a_group_is_deleted_and_restored_with_its_runs(any_store: Store) -> None:
    run = runs.start(any_store, Run(id="", group="g"))
    other = runs.start(any_store, Run(id="", group="h"))
    group = named(any_store, "g")
    groups.set_stage(any_store, group.id, "deleted")
    assert (named(any_store, "g").stage, stage_of(any_store, run.id), stage_of(any_store, other.id)) == (
        "deleted", "deleted", "active",
    )  # fmt: skip
    assert [each.id for each in runs.listing(any_store)] == [other.id]
    with pytest.raises(Fault):
        groups.rename(any_store, group.id, "i")
    groups.set_stage(any_store, group.id, "active")
    assert stage_of(any_store, run.id) == "active"
    with any_store.read() as reader:
        said = log.newest(reader, subject=str(group.id))
    assert [(event.kind, event.detail["runs"]) for event in said] == [("group.restored", 1), ("group.deleted", 1)]


def test_a_run_of_ours_makes_its_group_and_finds_it_again(any_store: Store) -> None:
    for _ in range(2):
        runs.start(any_store, Run(id="", project="p", group="g"))
    runs.start(any_store, Run(id="", project="p"))
    assert named(any_store, "p/g").project == "p"
    assert named(any_store, "p").project == "p"


def test_a_group_of_another_project_is_not_entered(any_store: Store) -> None:
    groups.create(any_store, "p/g", project="other")
    run = runs.start(any_store, Run(id="", project="p", group="g"))
    own = named(any_store, "p/g (2)")
    assert own.project == "p"
    with any_store.read() as reader:
        row = run_rows.find(reader, run.id)
    assert row is not None
    assert row.group_id == own.id


def test_a_deleted_group_is_there_again_when_a_run_of_ours_begins_in_it(any_store: Store) -> None:
    first = runs.start(any_store, Run(id="", project="p"))
    groups.set_stage(any_store, named(any_store, "p").id, "deleted")
    second = runs.start(any_store, Run(id="", project="p"))
    assert named(any_store, "p").stage == "active"
    assert (stage_of(any_store, first.id), stage_of(any_store, second.id)) == ("deleted", "active")


def test_tags_are_set_and_taken_back(any_store: Store) -> None:
    made = groups.create(any_store, "rain", tags={"a": "1"})
    groups.set_tag(any_store, made.id, "a", "2")
    groups.set_tag(any_store, made.id, "b", "é")
    assert named(any_store, "rain").tags == {"a": "2", "b": "é"}
    assert groups.delete_tag(any_store, made.id, "a")
    assert not groups.delete_tag(any_store, made.id, "a")
    assert named(any_store, "rain").tags == {"b": "é"}


def test_moving_a_run_to_another_group_takes_what_is_searched_for_along(any_store: Store) -> None:
    run = runs.start(any_store, Run(id="", group="g", params={"lr": 1}, tags={"t": "x"}))
    runs.update(any_store, Run(id=run.id, group="h", params={"lr": 1}, tags=run.tags, started_at=run.started_at))
    new = named(any_store, "h").id
    with any_store.read() as reader:
        for table in ("run_params", "run_tags"):
            assert {row[0] for row in reader.rows(f"SELECT group_id FROM {table}")} == {new}
