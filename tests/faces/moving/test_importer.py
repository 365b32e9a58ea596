"""Everything of an MLflow comes, under the ids it has; again brings nothing twice; what is bad is told."""

import math
import sqlite3
from pathlib import Path

import pytest

from roadworthy.faces.moving import sources
from roadworthy.faces.moving.importer import FROM_TAG, Importer, Report
from roadworthy.nouns.errors import Code, Fault
from roadworthy.registry import artifacts, groups, history, metrics, model_versions, models, run_rows, runs
from roadworthy.store import log
from roadworthy.store.store import Store
from tests.faces.moving.conftest import Filled
from tests.mlflow_client import needs_mlflow

pytestmark = [pytest.mark.slow, needs_mlflow]


@pytest.fixture(params=["folder", "database"])
def filled(request: pytest.FixtureRequest) -> Filled:
    found: Filled = request.getfixturevalue(f"{request.param}_of_mlflow")
    return found


def bring(store: Store, uri: str, project: str = "") -> Report:
    source = sources.of(uri)
    try:
        return Importer(store, source, project=project, tell=lambda _: None).bring()
    finally:
        source.close()


def test_everything_comes_under_the_ids_it_has(any_store: Store, filled: Filled) -> None:
    store = any_store
    report = bring(store, filled.uri, "flights")
    assert report.problems == []
    assert (report.runs, report.models, report.versions, report.logged_models) == (4, 1, 1, 1)
    first, second, _, fitted = filled.made["runs"]
    with store.read() as reader:
        group = groups.named(reader, "alpha")
        assert group is not None
        assert str(group.id) == filled.made["experiment"]
        gone = groups.named(reader, "gone")
        assert gone is not None
        assert gone.stage == "deleted"
        deleted = run_rows.find(reader, first)
        assert deleted is not None
        assert deleted.stage == "deleted"
        version = model_versions.find(reader, "clf", 1)
        assert log.verify(reader, store.keys).damage == ()
    run = runs.get(store, second)
    assert (run.name, run.status, run.project) == ("r1", "finished", "flights")
    assert run.params == {"a": "1", "b": "x y"}
    assert run.tags["k"] == "v é"
    assert run.tags[FROM_TAG]
    latest = metrics.latest(store, second)
    assert math.isnan(latest.pop("nan"))
    assert latest == {"acc": 1.4, "inf": math.inf, "deep/name": -1.5}
    assert [(p.step, p.value) for p in history.of_run(store, second, "acc")] == [(i, i / 10 + 1) for i in range(5)]
    assert artifacts.read(store, artifacts.get(store, second, "d/x.txt")) == b"hello"
    assert version is not None
    assert (version.run, version.tags) == (fitted, {"t": "u"})
    assert models.aliases(store, "clf") == {"champion": 1}
    below = artifacts.below(store, artifacts.NO_RUN, f"{group.id}/models/{version.model_id}/artifacts")
    assert any(artifact.path.endswith("/MLmodel") for artifact in below)


def test_again_brings_nothing_twice(store: Store, filled: Filled) -> None:
    bring(store, filled.uri)
    with store.read() as reader:
        before = len(log.newest(reader, limit=10_000))
    again = bring(store, filled.uri)
    assert (again.runs, again.runs_present, again.points, again.versions, again.logged_models) == (0, 4, 0, 0, 0)
    assert again.problems == []
    run = filled.made["runs"][1]
    assert len(history.of_run(store, run, "acc")) == 5
    with store.read() as reader:
        assert len(log.newest(reader, limit=10_000)) - before <= 5  # groups and names are looked at again


def test_an_import_that_was_stopped_carries_on(store: Store, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    from roadworthy.registry import imported

    whole, seen = imported.run, []

    def stopping(*given: object) -> object:
        seen.append(given)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(imported, "run", stopping)
    with pytest.raises(KeyboardInterrupt):
        bring(store, filled.uri)
    monkeypatch.setattr(imported, "run", whole)
    report = bring(store, filled.uri)
    assert (report.runs, report.runs_present) == (2, 2)
    assert report.versions == 1


def test_a_number_that_is_taken_here_gives_way(store: Store, database_of_mlflow: Filled) -> None:
    groups.create(store, "mine")
    report = bring(store, database_of_mlflow.uri)
    assert (
        report.renumbered == [f"alpha: 1 -> {report.renumbered[0].rpartition(' ')[2]}"] or len(report.renumbered) == 2
    )
    with store.read() as reader:
        mine, alpha = groups.named(reader, "mine"), groups.named(reader, "alpha")
        assert mine is not None
        assert alpha is not None
        assert mine.id == 1 != alpha.id
        row = run_rows.find(reader, database_of_mlflow.made["runs"][1])
        assert row is not None
        assert row.group_id == alpha.id


def test_a_version_that_is_another_one_here_is_told_and_the_rest_comes(store: Store, filled: Filled) -> None:
    from roadworthy.registry import model_names

    model_names.create(store, "clf")
    model_versions.create(store, model_versions.Version(name="clf", run="f" * 32, source="elsewhere"))
    report = bring(store, filled.uri)
    assert [line.partition(":")[0] for line in report.problems] == ["model clf"]
    assert report.runs == 4


@pytest.mark.parametrize("bad", ["http:/x", "nowhere", "sqlite:///nowhere.db", "ftp://x"])
def test_what_is_no_mlflow_is_said_to_be_none(bad: str) -> None:
    with pytest.raises(Fault) as refusal:
        sources.of(bad)
    assert refusal.value.code in (Code.INVALID, Code.NOT_FOUND)


def test_another_database_and_a_broken_file_are_told(tmp_path: Path, store: Store) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE x (y)")
    connection.close()
    with pytest.raises(Fault, match="not MLflow's"):
        sources.of(f"sqlite:///{other}")
    other.write_bytes(b"no database at all" * 100)
    with pytest.raises(Fault, match="not an SQLite database"):
        sources.of(str(other))
    runs_folder = tmp_path / "mlruns" / "0"
    runs_folder.mkdir(parents=True)
    (runs_folder / "meta.yaml").write_text("[not, fields")
    with pytest.raises(Fault, match="cannot be read"):
        bring(store, str(tmp_path / "mlruns"))
