import msgspec
import pytest

from roadworthy.operate import journal
from roadworthy.operate.journal import Action, Journey, Replay, State
from roadworthy.store import log


def act(n, kind="watched"):
    return Action(kind=kind, at=float(n), what=f"action {n}")


def test_a_loop_that_never_ran(any_store):
    assert journal.load(any_store, "p") == State(project="p")


def test_what_is_written_is_read(any_store):
    state = State(
        project="p",
        journey=Journey(reason="drift", answers=("a|b",), run="r" * 32, tries=1),
        replay=Replay(source="s:f", prefix="replay-x-", began=1.0, moment=2.0),
    )
    journal.save(any_store, state, kind="operate.intended", detail={"why": "drift"})
    assert journal.load(any_store, "p") == state
    assert journal.load(any_store, "another") == State(project="another")
    with any_store.read() as reader:
        event = log.newest(reader)[0]
    assert (event.kind, event.subject, event.detail) == ("operate.intended", "p", {"why": "drift"})


def test_moving_on_writes_no_event(any_store):
    state = journal.save(any_store, State(project="p"), kind="operate.turned")
    moved = journal.move(any_store, msgspec.structs.replace(state, turns=7))
    assert journal.load(any_store, "p") == moved
    with any_store.read() as reader:
        assert len(log.newest(reader)) == 1


def test_what_was_done_is_bounded(store, monkeypatch):
    monkeypatch.setattr(journal, "ACTIONS_KEPT_MAX", 3)
    monkeypatch.setattr(journal, "ANSWERED_KEPT_MAX", 2)
    state = State(project="p")
    for n in range(5):
        state = journal.did(store, state, act(n), answered=(*state.answered, f"k{n}"))
        state = journal.load(store, "p")
    assert [a.at for a in state.actions] == [2.0, 3.0, 4.0]
    assert state.answered == ("k3", "k4")


def test_the_present_of_a_replayed_project_is_the_replays(store, clock):
    assert journal.present(store, "p") == clock.now()
    replay = Replay(source="s:f", prefix="x", began=1.0, moment=99.0)
    journal.move(store, State(project="p", replay=replay))
    assert journal.present(store, "p") == 99.0


@pytest.mark.parametrize("kind", ["refused", "released"])
def test_an_action_is_an_event(store, kind):
    journal.did(store, State(project="p"), Action(kind=kind, at=1.0, what="it was", subject="m@1", detail={"a": 1}))
    with store.read() as reader:
        event = log.newest(reader)[0]
    assert (event.kind, event.subject, event.detail) == (f"operate.{kind}", "m@1", {"what": "it was", "a": 1})
