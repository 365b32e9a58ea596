"""`rw gc`: what the records name is there byte for byte afterwards, what nothing needs is gone, and rules are kept."""

import base64
import os
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.data import snapshots
from roadworthy.data.formats import registry as formats
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.event import Event
from roadworthy.nouns.model import Field, Model, Signature
from roadworthy.nouns.project import Retention
from roadworthy.nouns.run import CodeVersion, Run
from roadworthy.nouns.step import StepRun, Value
from roadworthy.operate import retention
from roadworthy.operate.retention import Collected
from roadworthy.pipelines import cache
from roadworthy.registry import artifacts, models, run_rows, runs
from roadworthy.serving import inference_rows
from roadworthy.store import locks, log, pack_writer, sweeping
from roadworthy.store.blobs import digest_of
from roadworthy.store.clock import SeededIds, SimulatedClock, SystemClock
from roadworthy.store.store import Store, open_store
from tests.dying import killed

DAY_S = 86_400.0
KEEP_ONE = Retention(keep_runs=1, step_outputs="1d")


def age(store: Store, by_s: float = 10 * DAY_S) -> None:
    """All that is in the store's folder was last used days ago."""
    for path in [*store.home.rglob("*")]:
        if not path.name.startswith("store.db"):
            stat = path.lstat()
            os.utime(path, (stat.st_atime - by_s, stat.st_mtime - by_s), follow_symlinks=False)


def gc(store: Store, rules: Retention = KEEP_ONE, *, dry_run: bool = False) -> Collected:
    return retention.collect(store, rules, dry_run=dry_run)


def counts(made: Collected) -> dict[str, int]:
    return {line.what: line.count for line in made.lines if line.count}


def a_run(store: Store, *outputs: object, key: str = "", finish: bool = True) -> Run:
    """A run whose steps made these values, kept for reuse under keys of their own."""
    archive = store.blobs.put(f"code {store.ids.new()}".encode())
    run = runs.start(store, Run(id="", project="p", code=CodeVersion(digest="d", archive=archive)))
    for place, output in enumerate(outputs):
        value = formats.save(store.blobs, output, keys=store.keys)
        own = key or f"{run.id}{place}"
        cache.put(store, "p", [cache.Kept(key=own, step=f"s{place}", parts={}, run=run.id, output=value)])
        runs.settle_step(store, run.id, place, StepRun(step=f"s{place}", status="ran", key=own, output=value))
    if finish:
        runs.finish(store, run.id, "finished")
    store.clock.sleep(2 * DAY_S)
    return runs.get(store, run.id)


def output(run: Run, place: int = 0) -> Value:
    made = run.steps[place].output
    assert made is not None
    return made


def test_a_store_in_use_loses_nothing(any_store: Store, tmp_path: Path) -> None:
    run = a_run(any_store, {"x": 1}, (pd.DataFrame({"a": [1, 2]}), "text"))
    artifacts.keep(any_store, run.id, "plot.png", b"plot")
    (tmp_path / "d").mkdir()
    for i in range(50):
        (tmp_path / "d" / f"{i}").write_bytes(str(i).encode())
    snapshot = snapshots.take(any_store, "d", tmp_path / "d")
    age(any_store)
    assert counts(gc(any_store)) == {}
    assert snapshots.verify(any_store, snapshot) == []
    assert any_store.blobs.get(artifacts.get(any_store, run.id, "plot.png").digest) == b"plot"
    assert formats.load(any_store.blobs, output(run)) == {"x": 1}
    frame, text = formats.load(any_store.blobs, output(run, 1))
    assert (frame["a"].tolist(), text) == ([1, 2], "text")
    assert any_store.blobs.get(run.code.archive or "")


def test_old_runs_let_go_of_what_their_steps_made_and_keep_the_rest(any_store: Store) -> None:
    old, new = a_run(any_store, "old " * 100), a_run(any_store, "new " * 100)
    artifacts.keep(any_store, old.id, "a", b"artifact")
    age(any_store)
    planned = gc(any_store, dry_run=True)
    assert counts(planned) == {"outputs of steps": 1, "blobs": 1}
    assert formats.load(any_store.blobs, output(old)) == "old " * 100
    made = gc(any_store)
    assert (made.lines, made.freed) == (planned.lines, planned.freed)
    assert made.freed == 400
    assert not any_store.blobs.has(output(old).digest)
    assert formats.load(any_store.blobs, output(new)) == "new " * 100
    # The run is still there with all it says of itself, and the cache knows that its output is gone.
    assert runs.get(any_store, old.id) == old
    assert any_store.blobs.get(digest_of(b"artifact")) == b"artifact"
    assert cache.get(any_store, f"{old.id}0") is None
    with any_store.read() as reader:
        assert log.search(reader, kind="store.collected", limit=1)[0].detail["blobs"] == 1
    assert counts(gc(any_store)) == {}


def test_what_a_newer_run_reused_stays_for_it(store: Store) -> None:
    old = a_run(store, "shared", key="k")
    run = runs.start(store, Run(id="", project="p"))
    runs.settle_step(store, run.id, 0, StepRun(step="s0", status="reused", key="k", output=output(old)))
    runs.finish(store, run.id, "finished")
    age(store)
    assert counts(gc(store)) == {}
    assert formats.load(store.blobs, output(old)) == "shared"
    assert cache.get(store, "k") is not None


def test_a_models_bytes_rows_and_profile_stay_however_old_its_run(store: Store) -> None:
    run = a_run(store, "estimator", pd.DataFrame({"y": [1, 0]}), "by the way")
    profile = store.blobs.put(b"profile")
    models.register(
        store,
        Model(
            name="m", version=0, run=run.id, value=output(run), holdout=output(run, 1), label="y", profile=profile,
            signature=Signature(inputs=(Field(name="x", type="number"),)), project="p",
        ),
    )  # fmt: skip
    for _ in range(3):
        a_run(store, "later")
    age(store)
    made = gc(store, Retention(keep_runs=1, step_outputs="1d", runs="1d"))
    assert counts(made)["runs"] == 2
    assert runs.get(store, run.id).id == run.id
    model = models.get(store, "m@1")
    for value in (model.value, model.holdout):
        assert value is not None
        assert store.blobs.check(value.digest) == value.size
    assert store.blobs.get(profile) == b"profile"
    assert not store.blobs.has(output(run, 2).digest)


def recorded(store: Store) -> None:
    """A store without any records takes nothing for nobody's."""
    with store.change(Event(kind="test.done", subject="x")):
        pass


def test_a_certificate_keeps_what_it_speaks_of(store: Store) -> None:
    """A signed statement is in base 64, and may be the last to name the bytes that were judged."""
    recorded(store)
    judged = store.blobs.put(b"the model that was judged")
    statement = msgspec.json.encode({"subject": [{"digest": {"blake3": judged}}]})
    envelope = msgspec.json.encode(
        {"payloadType": "x", "payload": base64.b64encode(statement).decode(), "signatures": []}
    )
    certificate = store.blobs.put(envelope)
    with store.append() as tx:
        tx.execute(
            "INSERT INTO certificates (id, model, passed, issued_at, record) VALUES (:id, 'm@1', 1, 0.0, '{}')",
            id=certificate,
        )
    age(store)
    assert counts(gc(store)) == {}
    assert store.blobs.get(judged) == b"the model that was judged"


def test_runs_that_were_deleted_go_for_good_when_their_time_is_over(any_store: Store) -> None:
    kept, deleted = a_run(any_store, "kept"), a_run(any_store, "deleted")
    artifacts.keep(any_store, deleted.id, "a", b"its artifact")
    with any_store.read() as reader:
        row = run_rows.find(reader, deleted.id)
    assert row is not None
    runs.set_stage(any_store, row, "deleted")
    age(any_store)
    rules = Retention(deleted="7d")
    assert counts(gc(any_store, rules)) == {}
    any_store.clock.sleep(8 * DAY_S)
    made = counts(gc(any_store, rules))
    assert made["runs"] == 1
    assert not any_store.blobs.has(digest_of(b"its artifact"))
    with pytest.raises(Fault):
        runs.get(any_store, deleted.id)
    with any_store.read() as reader:
        tables = ("run_params", "run_tags", "metrics", "metric_chunks", "run_datasets", "run_models")
        assert [reader.row(f"SELECT COUNT(*) FROM {table} WHERE run = :run", run=row.seq) for table in tables] == [
            (0,)
        ] * len(tables)
        assert log.search(reader, kind="runs.expired", limit=1)[0].detail["runs"] == [deleted.id]
        assert log.verify(reader, any_store.keys).damage == ()
    assert runs.get(any_store, kept.id) == kept


def test_a_run_under_way_keeps_everything(store: Store) -> None:
    going = a_run(store, "going", finish=False)
    for _ in range(3):
        a_run(store, "later")
    age(store)
    gc(store, Retention(keep_runs=1, step_outputs="1d", runs="1d"))
    assert formats.load(store.blobs, output(going)) == "going"


def test_a_blob_on_its_way_stays(store: Store) -> None:
    recorded(store)
    digest = store.blobs.put(b"its record comes later")
    made = gc(store)
    assert made.young == 1
    assert store.blobs.get(digest) == b"its record comes later"


def test_nothing_is_swept_while_a_manifest_cannot_be_read(store: Store, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"a")
    snapshot = snapshots.take(store, "d", tmp_path / "d")
    store.blobs.path(snapshot.manifest).unlink()
    orphan = store.blobs.put(b"orphan")
    age(store)
    with pytest.raises(Fault, match="manifest") as caught:
        gc(store)
    assert caught.value.code is Code.CONFLICT
    assert store.blobs.has(orphan)


def test_a_second_collection_is_refused_and_a_plan_is_not(store: Store) -> None:
    with locks.held(store, retention.LEASE, now=SystemClock().now()):
        with pytest.raises(Fault, match="held by"):
            gc(store)
        assert gc(store, dry_run=True).dry_run


def test_old_snapshots_that_no_run_names_go_and_share_what_stays(any_store: Store, tmp_path: Path) -> None:
    taken = []
    for number in range(4):
        root = tmp_path / f"d{number}"
        root.mkdir()
        for i in range(3):
            (root / f"{i}").write_bytes(f"{i or number}".encode() * 100)
        taken.append(snapshots.take(any_store, "d", root))
        any_store.clock.sleep(2 * DAY_S)
    run = runs.start(any_store, Run(id="", project="p", snapshots={"d": taken[1].id}))
    runs.finish(any_store, run.id, "finished")
    age(any_store)
    assert counts(gc(any_store)) == {}
    rules = Retention(snapshots="3d")
    planned = gc(any_store, rules, dry_run=True)
    # The first: its manifest, and the one file that is its own. The second is a run's, the third young, the last newest.
    assert counts(planned) == {"snapshots": 1, "blobs": 2}
    assert gc(any_store, rules).lines == planned.lines
    assert {each.id for each in snapshots.listing(any_store)} == {each.id for each in taken[1:]}
    assert all(snapshots.verify(any_store, each) == [] for each in taken[1:])
    with any_store.read() as reader:
        assert log.search(reader, kind="snapshots.expired", limit=1)[0].detail == {"snapshots": [taken[0].id]}


def test_environments_and_copies_that_nobody_used_go(store: Store) -> None:
    for name in ("old", "used"):
        (store.home / "environments" / name / "bin").mkdir(parents=True)
        (store.home / "environments" / name / "bin" / "python").write_bytes(b"x" * 1000)
        (store.home / "environments" / name / "ready").touch()
    (store.home / "unpacked" / "copy").mkdir(parents=True)
    (store.home / "unpacked" / "copy" / "file").write_bytes(b"y" * 500)
    (store.home / "steps" / f"{os.getpid()}").mkdir(parents=True)
    (store.home / "steps" / "999999999").mkdir()
    age(store, 40 * DAY_S)
    (store.home / "environments" / "used" / "ready").touch()
    made = gc(store)
    assert counts(made) == {"rebuilt environments": 1, "laid-out copies of data": 1, "what killed runs left": 1}
    assert made.freed == 1500
    assert [path.name for path in (store.home / "environments").iterdir()] == ["used"]
    assert [path.name for path in (store.home / "steps").iterdir()] == [f"{os.getpid()}"]


def test_files_of_labels_become_one_with_the_newest_of_each_key(store: Store) -> None:
    for i in range(5):
        table = pa.table({"_key": ["a", f"k{i}"], "label": [float(i), 1.0], "_at": [float(i), 0.0]})
        inference_rows.add_labels(store.home, table)
    before = inference_rows.labels(store.home).sort_by("_key").to_pylist()
    assert counts(gc(store, dry_run=True)) == {"files of labels, merged": 5}
    assert counts(gc(store)) == {"files of labels, merged": 5}
    assert len(list((store.home / "labels").glob("*.parquet"))) == 1
    assert inference_rows.labels(store.home).sort_by("_key").to_pylist() == before


def test_the_database_gives_its_space_back(store: Store) -> None:
    for _ in range(2):
        for i in range(60):
            run = runs.start(store, Run(id="", project="p", params={"text": "x" * 50_000, "i": i}))
            runs.finish(store, run.id, "finished")
            store.clock.sleep(DAY_S)
        size = (store.home / "store.db").stat().st_size
        made = gc(store, Retention(keep_runs=1, step_outputs="1d", runs="1d"))
        assert counts(made)["free space in the database"] == 1
        after = (store.home / "store.db").stat().st_size
        assert after < size - 2_000_000
        assert len(runs.listing(store, limit=1000)) == 1


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    made=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), min_size=1, max_size=8),
    keep=st.integers(1, 4),
    removed=st.booleans(),
)
def test_after_a_collection_everything_named_is_restored_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, int, bool]], keep: int, *, removed: bool
) -> None:
    """Runs that share outputs and artifacts, snapshots that share files: in any order, under any rules."""
    folder = tmp_path_factory.mktemp("gc")
    with open_store(folder / ".roadworthy", clock=SimulatedClock(1e9), ids=SeededIds(3), actor="t") as store:
        kept: list[tuple[Run, bytes]] = []
        taken: dict[str, dict[str, bytes]] = {}
        for number, (shared, files, orphan) in enumerate(made):
            run = a_run(store, f"output {shared}", [number], key="")
            content = f"artifact {shared}".encode()
            artifacts.keep(store, run.id, "a", content)
            kept.append((run, content))
            if files:
                root = folder / f"d{number}"
                root.mkdir()
                texts = {f"{i}": f"{i % (shared + 1)} {files}".encode() for i in range(files * 15)}
                for name, text in texts.items():
                    (root / name).write_bytes(text)
                taken[snapshots.take(store, f"d{number}", root).id] = texts
            if orphan:
                store.blobs.put(f"orphan {number}".encode())
        age(store)
        gc(store, Retention(keep_runs=keep, step_outputs="1s", runs="1s" if removed else None))
        for ref, texts in taken.items():
            to = folder / f"out-{ref[:8]}"
            snapshots.restore(store, snapshots.get(store, ref), to)
            assert {path.name: path.read_bytes() for path in to.iterdir()} == texts
        there = {run.id for run in runs.listing(store, limit=100)}
        assert there == {run.id for run, _ in (kept[-keep:] if removed else kept)}
        for place, (run, content) in enumerate(kept):
            if run.id in there:
                assert artifacts.read(store, artifacts.get(store, run.id, "a")) == content
            if place >= len(kept) - keep:
                assert formats.load(store.blobs, output(run)) == f"output {made[place][0]}"
                assert formats.load(store.blobs, output(run, 1)) == [place]
        for number, (_, _, orphan) in enumerate(made):
            assert not (orphan and store.blobs.has(digest_of(f"orphan {number}".encode())))


def test_a_collection_beside_a_writer_takes_nothing_of_it(store: Store) -> None:
    """A writer that relies on an old blob, between what was read and the sweep: it is put back, or written again."""
    recorded(store)
    old = store.blobs.put(b"old and unnamed")
    age(store)
    used = sweeping._used_ns
    seen: list[str] = []

    def meanwhile(blobs: object, path: Path, name: str) -> int:
        if name == old and path.parent.name == sweeping.TRASH and not seen:
            seen.append(name)
            # It was moved aside a moment ago; a writer comes now.
            assert store.blobs.put(b"old and unnamed") == old
        return used(blobs, path, name)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeping, "_used_ns", meanwhile)
        gc(store)
    assert seen
    assert store.blobs.get(old) == b"old and unnamed"


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5, 8, 13, 21])
def test_a_collection_that_is_killed_is_carried_on_and_loses_nothing(store: Store, tmp_path: Path, at: int) -> None:
    for number in range(4):
        run = a_run(store, f"output {number}" * 50)
        artifacts.keep(store, run.id, "a", f"artifact {number}".encode())
        store.blobs.put(f"orphan {number}".encode())
    (tmp_path / "d").mkdir()
    for i in range(40):
        (tmp_path / "d" / f"{i}").write_bytes(f"{i}".encode() * 100)
    snapshot = snapshots.take(store, "d", tmp_path / "d")
    with pack_writer.Writer(store.blobs.packs.folder) as writer:
        for content in (b"0" * 100, b"dead" * 5000):
            writer.add(bytes.fromhex(digest_of(content)), content)
        writer.finish()
    rules = Retention(keep_runs=1, step_outputs="1d", runs="1d")
    age(store)
    home, clock = store.home, SimulatedClock(store.clock.now())

    def collect() -> None:
        with open_store(home, clock=clock, actor="killed") as own:
            gc(own, rules)

    killed(at, collect)
    age(store)
    gc(store, rules)
    assert snapshots.verify(store, snapshot) == []
    assert artifacts.read(store, artifacts.get(store, run.id, "a")) == b"artifact 3"
    assert formats.load(store.blobs, output(run)) == "output 3" * 50
    assert [each.id for each in runs.listing(store)] == [run.id]
    assert not any(store.blobs.has(digest_of(f"orphan {number}".encode())) for number in range(4))
    assert not store.blobs.has(digest_of(b"dead" * 5000))
    with store.read() as reader:
        assert log.verify(reader, store.keys).damage == ()
