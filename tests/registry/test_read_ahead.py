"""Writes that arrive together, for which PostgreSQL is asked ahead, do what the same writes do one after another."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from roadworthy.registry import metrics, read_ahead, run_rows
from roadworthy.registry.read_ahead import Wanted
from roadworthy.store import log
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation

AT = "/api/2.0/mlflow/runs"
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
    "create": st.fixed_dictionaries({"experiment_id": st.just("0"), "tags": pairs, "start_time": st.just(AT_MS)}),
    "delete": st.just({}),
    "restore": st.just({}),
}
often = ["log-metric", "log-batch", "update", "create"] * 5
request = st.sampled_from([*often, *bodies]).flatmap(lambda what: st.tuples(st.just(what), run, bodies[what]))


@pytest.mark.postgres
@given(groups=st.lists(st.lists(request, min_size=2, max_size=8), min_size=1, max_size=3))
@example(groups=[[("log-batch", 0, {"params": [{"key": "a", "value": each}]}) for each in ("x", "y")]])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_together_as_one_by_one(
    store: Store, pg_store: Store, monkeypatch: pytest.MonkeyPatch, groups: list[list[tuple[str, int, Any]]]
) -> None:
    monkeypatch.setattr("roadworthy.store.group.APART_S", 1e-6)  # the next group is read ahead for again
    with Conversation(store) as alone, Conversation(pg_store) as together:
        ids_alone, ids_together = begun(alone), begun(together)
        for group in groups:
            said = [alone.ask("POST", url, json=body) for _, url, body in spelt(group, ids_alone)]
            heard = together.ask_together(spelt(group, ids_together))
            assert [each.status for each in heard] == [each.status for each in said]
        assert state(together, ids_together) == state(alone, ids_alone)
        assert ends(pg_store, ids_together) == ends(store, ids_alone)


@pytest.mark.postgres
def test_what_was_read_ahead_is_forgotten_when_something_else_changes(pg_store: Store) -> None:
    with Conversation(pg_store) as talk:
        ids = begun(talk)
    with pg_store.sql.write(pipeline=True) as tx:
        read_ahead.read(tx, [Wanted(run=ids[0], keys=None, params=True, place=True), Wanted(begins_in=0)])
        assert {each[0] for each in tx.ahead} == {"run", "metrics", "params", "group", "numbers"}
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
            read_ahead.read(tx, wanted)
            heads = [tx.ahead["metrics", tx.ahead["run", each.run].seq].heads for each in wanted]
            found.append(
                [{key: of_run[key] for key in each.keys or ()} for each, of_run in zip(wanted, heads, strict=True)]
            )
    assert found[0] == found[1]
    assert [[key for key, head in each.items() if head is not None] for each in found[0]] == [["a", "b"], ["b"], []]


def begun(talk: Conversation) -> list[str]:
    """Ids of some runs, and of one that does not exist."""
    made = [
        talk.ask("POST", f"{AT}/create", json={"experiment_id": "0", "run_name": f"r{n}", "start_time": AT_MS})
        for n in range(RUNS)
    ]
    return [*(each.json["run"]["info"]["run_id"] for each in made), "0" * 32]


def spelt(group: list[tuple[str, int, Any]], ids: list[str]) -> list[tuple[str, str, Any]]:
    """Requests as they are sent; each run that is created has a name of its own."""
    return [
        ("POST", f"{AT}/{what}", {**body, "run_name": f"new{n}"} if what == "create" else {**body, "run_id": ids[of]})
        for n, (what, of, body) in enumerate(group)
    ]


def state(talk: Conversation, ids: list[str]) -> list[Any]:
    """All runs with all they have, their ids aside."""
    asked = {"experiment_ids": ["0"], "run_view_type": "ALL", "max_results": 1_000}
    found = talk.ask("POST", f"{AT}/search", json=asked).json.get("runs", [])
    described = []
    for each in found:
        info, data = each["info"], each["data"]
        histories = [
            talk.ask("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={info['run_id']}&metric_key={key}").json
            for key in KEYS
        ]
        place = ids.index(info["run_id"]) if info["run_id"] in ids else -1
        kept = {name: info.get(name) for name in ("run_name", "status", "lifecycle_stage", "experiment_id")}
        sets = {kind: sorted(map(str, data.get(kind, []))) for kind in ("metrics", "params", "tags")}
        described.append((place, kept, sets, histories))
    return sorted(described, key=str)


def ends(store: Store, ids: list[str]) -> list[tuple[str, int, Any]]:
    """What the log says of the runs, in order; of those that ended, their points' digest."""
    with store.read() as reader:
        events = log.search(reader, kind="run", limit=10_000)
    return [
        (event.kind, ids.index(event.subject) if event.subject in ids else -1, event.detail.get("metrics"))
        for event in reversed(events)
    ]
