"""Writes that arrive together, for which PostgreSQL is asked ahead, do what the same writes do one after another."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from roadworthy.registry import metrics, read_ahead, run_rows
from roadworthy.registry.read_ahead import ReadAhead, Wanted
from roadworthy.store import log as eventlog
from roadworthy.store.clock import SeededIds, SimulatedClock
from roadworthy.store.store import Store, open_store
from tests.faces.server.conversation import Conversation

AT = "/api/2.0/mlflow/runs"
NUMBERS = itertools.count()
RUNS = 3
KEYS = ("a", "b", "c")
AT_MS = 1_700_000_000_000

# Mostly what succeeds: a group in which something fails is done again without what was read ahead.
run = st.sampled_from([*range(RUNS)] * 8 + [RUNS])  # the last is of nobody
key = st.sampled_from(KEYS)
text = st.sampled_from(["x"] * 12 + ["y"])
point = st.fixed_dictionaries(
    {
        "key": key,
        "value": st.sampled_from([0.5, 1.5, "NaN"]),
        "timestamp": st.integers(AT_MS, AT_MS + 2),
        "step": st.integers(0, 2),
    }
)
pair = st.fixed_dictionaries({"key": key, "value": text})
pairs = st.lists(pair, max_size=3, unique_by=lambda each: each["key"])
bodies = {
    "log-metric": point,
    "log-batch": st.fixed_dictionaries({"metrics": st.lists(point, max_size=5), "params": pairs, "tags": pairs}),
    "log-parameter": pair,
    "set-tag": pair,
    "update": st.fixed_dictionaries({"status": st.sampled_from(["RUNNING", "FINISHED"]), "run_name": text}),
    "create": st.fixed_dictionaries({"tags": pairs, "start_time": st.just(AT_MS)}),
    "delete": st.just({}),
    "restore": st.just({}),
}
often = ["log-metric", "log-batch", "update", "create"] * 5
request = st.sampled_from([*often, *bodies]).flatmap(lambda what: st.tuples(st.just(what), run, bodies[what]))


# Mostly one server, so that it remembers, and now and then another that writes to the same runs.
server = st.sampled_from([0, 0, 0, 1])
group = st.lists(request, min_size=1, max_size=8)


@pytest.mark.postgres
@given(groups=st.lists(st.tuples(server, group), min_size=1, max_size=5))
@example(groups=[(0, [("log-batch", 0, {"params": [{"key": "a", "value": each}]}) for each in ("x", "y")])])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_together_and_by_two_servers_as_one_by_one(
    store: Store,
    pg_store: Store,
    other_store: Store,
    monkeypatch: pytest.MonkeyPatch,
    groups: list[tuple[int, list[tuple[str, int, Any]]]],
) -> None:
    monkeypatch.setattr("roadworthy.store.group.APART_S", 1e-6)  # the next group is read ahead for again
    monkeypatch.setattr("roadworthy.registry.read_ahead.STALE_MAX", 1_000)
    with Conversation(store) as alone, Conversation(pg_store) as one, Conversation(other_store) as other:
        place_alone, place_together = experiment(alone), experiment(one)
        ids_alone, ids_together = begun(alone, place_alone), begun(one, place_together)
        for number, group in groups:
            said = [alone.ask("POST", url, json=body) for _, url, body in spelt(group, ids_alone, place_alone)]
            heard = (one, other)[number].ask_together(spelt(group, ids_together, place_together))
            assert [each.status for each in heard] == [each.status for each in said]
        assert state(one, ids_together, place_together) == state(alone, ids_alone, place_alone)
        assert ends(pg_store, ids_together) == ends(store, ids_alone)


@pytest.mark.postgres
def test_one_server_after_the_other_trusts_what_it_has_left_and_finds_out_what_the_other_did(
    pg_store: Store, other_store: Store
) -> None:
    with Conversation(pg_store) as one, Conversation(other_store) as other:
        run_id = begun(one)[0]
        reading = reading_of(one)
        before = reading.trusted
        assert before == RUNS - 1  # the first said what number the next will have
        assert log(one, run_id, 1) == 200
        assert log(one, run_id, 2) == 200
        assert (reading.trusted - before, reading.stale) == (2, 0)  # what it began itself is known too
        assert log(other, run_id, 3) == 200
        assert log(one, run_id, 4) == 200
        assert (reading.trusted - before, reading.stale) == (3, 1)
        assert history(other, run_id) == [1, 2, 3, 4]
        assert log(one, run_id, 5) == 200
        assert (reading.trusted - before, reading.stale) == (4, 1)


@pytest.mark.postgres
def test_two_servers_that_begin_runs_in_turns_give_each_its_number_and_one_log(
    pg_store: Store, other_store: Store
) -> None:
    with Conversation(pg_store) as one, Conversation(other_store) as other:
        ids = [run_id for _ in range(6) for talk in (one, other, other) for run_id in begun(talk)[:RUNS]]
        with pg_store.read() as reader:
            rows = [run_rows.find(reader, run_id) for run_id in ids]
            assert [row.seq for row in rows if row is not None] == list(range(1, len(ids) + 1))
            checked = eventlog.verify(reader, pg_store.keys)
            assert (checked.damage, checked.size) == ((), len(ids))
        for talk in (one, other):
            assert 0 < reading_of(talk).stale < reading_of(talk).trusted


@pytest.mark.postgres
def test_an_experiment_that_another_server_deleted_takes_no_runs(pg_store: Store, other_store: Store) -> None:
    with Conversation(pg_store) as one, Conversation(other_store) as other:
        place = experiment(one)
        begun(one, place)
        gone = other.ask("POST", "/api/2.0/mlflow/experiments/delete", json={"experiment_id": place})
        assert gone.status == 200
        refused = one.ask("POST", f"{AT}/create", json={"experiment_id": place})
        assert refused.status == 400
        assert "must be in the 'active' state" in refused.json["message"]


@pytest.mark.postgres
@pytest.mark.parametrize("keep", ["metrics", "params"])
def test_what_another_server_wrote_counts_for_who_did_not_know_of_it(
    pg_store: Store, other_store: Store, keep: str
) -> None:
    with Conversation(pg_store) as one, Conversation(other_store) as other:
        run_id = begun(one)[0]
        if keep == "params":
            sent = {"run_id": run_id, "params": [{"key": "a", "value": "1"}]}
            assert other.ask("POST", f"{AT}/log-batch", json=sent).status == 200
            sent["params"][0]["value"] = "2"  # type: ignore[index]
            refused = one.ask("POST", f"{AT}/log-batch", json=sent)
            assert refused.status == 400
            assert "old_value" in refused.body.decode()
        else:
            assert log(other, run_id, 7) == 200
            ended = {"run_id": run_id, "status": "FINISHED", "end_time": AT_MS}
            assert one.ask("POST", f"{AT}/update", json=ended).status == 200
            with pg_store.read() as reader:
                event = eventlog.search(reader, kind="run.finished", limit=1)[0]
                row = run_rows.find(reader, run_id)
                assert row is not None
                assert event.detail["metrics"] == metrics.digest(reader, row) != ""


@pytest.mark.postgres
def test_a_run_that_another_server_deleted_is_not_written_to(pg_store: Store, other_store: Store) -> None:
    with Conversation(pg_store) as one, Conversation(other_store) as other:
        run_id = begun(one)[0]
        assert log(one, run_id, 1) == 200
        assert other.ask("POST", f"{AT}/delete", json={"run_id": run_id}).status == 200
        refused = one.ask("POST", f"{AT}/log-metric", json=metric(run_id, 2))
        assert refused.status == 400
        assert "must be in the 'active' state" in refused.json["message"]
        assert history(one, run_id) == [1]


@pytest.mark.postgres
def test_what_is_shown_of_a_run_is_made_anew_after_a_write_that_trusted(pg_store: Store) -> None:
    with Conversation(pg_store) as talk:
        run_id = begun(talk)[0]
        for step in (1, 2, 3):
            assert log(talk, run_id, step) == 200
            for _ in range(2):  # the first look keeps what it made
                found = talk.ask("POST", f"{AT}/search", json={"experiment_ids": ["0"], "filter": "metrics.m > 0"})
                assert [each["value"] for each in found.json["runs"][0]["data"]["metrics"]] == [float(step)]
        assert reading_of(talk).stale == 0


@pytest.mark.postgres
def test_a_run_that_two_servers_write_to_is_read_first_after_a_few_times(pg_store: Store, other_store: Store) -> None:
    with Conversation(pg_store) as one, Conversation(other_store) as other:
        run_id = begun(one)[0]
        for step in range(0, 20, 2):
            assert [log(one, run_id, step), log(other, run_id, step + 1)] == [200, 200]
        for talk in (one, other):
            assert reading_of(talk).stale <= read_ahead.STALE_MAX
        assert history(one, run_id) == list(range(20))


@pytest.mark.postgres
def test_no_more_runs_are_remembered_than_memory_is_to_hold(pg_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadworthy.registry.read_ahead.KNOWN_MAX", 2)
    monkeypatch.setattr("roadworthy.registry.read_ahead.KNOWN_METRICS_MAX", 3)
    monkeypatch.setattr("roadworthy.registry.read_ahead.KNOWN_PARAMS_MAX", 7)
    with Conversation(pg_store) as talk:
        ids = begun(talk)[:RUNS]
        reading = reading_of(talk)
        assert list(reading._known) == ids[-2:]
        before = reading.trusted
        for run_id in ids:
            assert log(talk, run_id, 1) == 200
        assert reading.trusted == before  # each had been forgotten for another
        last = reading._known[ids[-1]]
        for key in "abc":
            assert last.heads is not None
            assert talk.ask("POST", f"{AT}/log-metric", json={**metric(ids[-1], 1), "key": key}).status == 200
        assert last.heads is None
        for key, known in (("a", {"a": "xxx"}), ("b", None)):
            sent = {"run_id": ids[-1], "params": [{"key": key, "value": "xxx"}]}
            assert talk.ask("POST", f"{AT}/log-batch", json=sent).status == 200
            assert last.params == known


@pytest.mark.postgres
def test_a_batch_of_very_many_metrics_leaves_nothing_stale(pg_store: Store) -> None:
    with Conversation(pg_store) as talk:
        run_id = begun(talk)[0]
        for step in range(3):
            assert log(talk, run_id, 2 * step) == 200
            points = [
                {"key": key, "value": 1.0, "timestamp": AT_MS, "step": 2 * step + 1}
                for key in ["m", *(f"k{n}" for n in range(metrics.KEYS_ASKED_FOR_MAX))]
            ]
            assert talk.ask("POST", f"{AT}/log-batch", json={"run_id": run_id, "metrics": points}).status == 200
        assert history(talk, run_id) == list(range(6))
        assert reading_of(talk).stale == 0


@pytest.mark.postgres
def test_many_points_of_several_runs_at_once_are_merged_and_none_is_lost(pg_store: Store) -> None:
    with Conversation(pg_store) as talk:
        ids = begun(talk)[:RUNS]
        for step in range(0, 140, 2):
            sent = [("POST", f"{AT}/log-metric", metric(run_id, step + n)) for run_id in ids for n in (0, 1)]
            assert {each.status for each in talk.ask_together(sent)} == {200}
        for run_id in ids:
            assert history(talk, run_id) == list(range(140))
        assert reading_of(talk).trusted >= 60  # merging takes nothing away from what is remembered


@pytest.mark.postgres
def test_what_was_read_ahead_is_forgotten_when_something_else_changes(pg_store: Store) -> None:
    with Conversation(pg_store) as talk:
        ids = begun(talk)
    with pg_store.sql.write(pipeline=True) as tx:
        wanted = [Wanted(run=ids[0], keys=None, params=True, place=True), Wanted(begins_in=0)]
        ReadAhead().read(tx, wanted, trust=True)
        assert {each[0] for each in tx.ahead} == {"run", "metrics", "params", "group", "numbers", "last"}
        held = run_rows.hold(tx, ids[0])
        assert held is not None
        tx.execute("UPDATE runs SET name = 'other' WHERE id = :id", id=ids[0])
        assert not tx.ahead
        assert run_rows.hold(tx, ids[0]) == held._replace(name="other")


@pytest.mark.postgres
def test_metrics_are_the_same_looked_for_in_all_runs_or_each_in_its_own(
    pg_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Conversation(pg_store) as talk:
        ids = begun(talk)
        for run_id, keys in zip(ids, ("ab", "b", ""), strict=False):
            for key in keys:
                talk.ask(
                    "POST", f"{AT}/log-metric", json={"run_id": run_id, "key": key, "value": 1, "timestamp": AT_MS}
                )
    wanted = [Wanted(run=ids[0], keys="abc"), Wanted(run=ids[1], keys="bc"), Wanted(run=ids[2], keys="a")]
    found = []
    for crossed in (0, 100):
        monkeypatch.setattr(metrics, "CROSSED_MAX", crossed)
        with pg_store.sql.write(pipeline=True) as tx:
            ReadAhead().read(tx, wanted, trust=True)
            heads = [tx.ahead["metrics", tx.ahead["run", each.run].seq].heads for each in wanted]
            found.append(
                [{key: of_run[key] for key in each.keys or ()} for each, of_run in zip(wanted, heads, strict=True)]
            )
    assert found[0] == found[1]
    assert [[key for key, head in each.items() if head is not None] for each in found[0]] == [["a", "b"], ["b"], []]


@pytest.fixture
def other_store(pg_store: Store, tmp_path: Path, clock: SimulatedClock) -> Iterator[Store]:
    """The same store, opened by another server."""
    home = tmp_path / "other" / ".roadworthy"
    with open_store(home, url=pg_store.sql.url, clock=clock, ids=SeededIds(8), actor="tester") as opened:
        yield opened


def reading_of(talk: Conversation) -> ReadAhead:
    found = talk.server.group._readings[ReadAhead]
    assert isinstance(found, ReadAhead)
    return found


def metric(run_id: str, step: int) -> dict[str, Any]:
    return {"run_id": run_id, "key": "m", "value": float(step), "timestamp": AT_MS, "step": step}


def log(talk: Conversation, run_id: str, step: int) -> int:
    return talk.ask("POST", f"{AT}/log-metric", json=metric(run_id, step)).status


def history(talk: Conversation, run_id: str) -> list[int]:
    found = talk.ask("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key=m").json["metrics"]
    return sorted(int(each.get("step", 0)) for each in found)


def experiment(talk: Conversation) -> str:
    """A new experiment, so that what other examples left is not seen."""
    made = talk.ask("POST", "/api/2.0/mlflow/experiments/create", json={"name": f"e{next(NUMBERS)}"})
    return str(made.json["experiment_id"])


def begun(talk: Conversation, place: str = "0") -> list[str]:
    """Ids of some runs, and of one that does not exist."""
    made = [
        talk.ask("POST", f"{AT}/create", json={"experiment_id": place, "run_name": f"r{n}", "start_time": AT_MS})
        for n in range(RUNS)
    ]
    return [*(each.json["run"]["info"]["run_id"] for each in made), "0" * 32]


def spelt(group: list[tuple[str, int, Any]], ids: list[str], place: str) -> list[tuple[str, str, Any]]:
    """Requests as they are sent; each run that is created has a name of its own."""
    named = [{"run_name": f"new{n}", "experiment_id": place} for n in range(len(group))]
    return [
        ("POST", f"{AT}/{what}", {**body, **(named[n] if what == "create" else {"run_id": ids[of]})})
        for n, (what, of, body) in enumerate(group)
    ]


def state(talk: Conversation, ids: list[str], place: str) -> list[Any]:
    """All runs with all they have, their ids and their experiment's aside."""
    asked = {"experiment_ids": [place], "run_view_type": "ALL", "max_results": 1_000}
    found = talk.ask("POST", f"{AT}/search", json=asked).json.get("runs", [])
    described = []
    for each in found:
        info, data = each["info"], each["data"]
        histories = [
            talk.ask("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={info['run_id']}&metric_key={key}").json
            for key in KEYS
        ]
        place = ids.index(info["run_id"]) if info["run_id"] in ids else -1
        kept = {name: info.get(name) for name in ("run_name", "status", "lifecycle_stage")}
        sets = {kind: sorted(map(str, data.get(kind, []))) for kind in ("metrics", "params", "tags")}
        described.append((place, kept, sets, histories))
    return sorted(described, key=str)


def ends(store: Store, ids: list[str]) -> list[tuple[str, int, Any]]:
    """What the log says last of the runs, in order; of those that ended, their points' digest."""
    with store.read() as reader:
        events = eventlog.search(reader, kind="run", limit=100)
    return [
        (event.kind, ids.index(event.subject) if event.subject in ids else -1, event.detail.get("metrics"))
        for event in reversed(events)
    ]
