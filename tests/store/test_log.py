"""The log finds what was done to it."""

import pytest

from roadworthy.nouns.event import Event
from roadworthy.store import log
from roadworthy.store.pipelined import Stale
from roadworthy.store.store import Store


def write(store: Store, count: int) -> None:
    for number in range(count):
        with store.change(Event(kind="thing.made", subject=f"thing-{number}", detail={"number": number})):
            pass


def sign(store: Store) -> str:
    with store.append() as tx:
        return log.checkpoint(tx, store.keys, origin="test", at=store.clock.now()).note


def verify(store: Store, *exported: str) -> log.Verification:
    with store.read() as reader:
        return log.verify(reader, store.keys, exported=exported)


def do(store: Store, sql: str) -> None:
    with store.append() as tx:
        tx.execute(sql)


def test_an_untouched_log_verifies(any_store: Store) -> None:
    write(any_store, 20)
    sign(any_store)
    write(any_store, 3)
    found = verify(any_store)
    assert (found.size, found.checkpoints, found.damage) == (23, 1, ())


def test_an_empty_log_verifies(store: Store) -> None:
    sign(store)
    assert verify(store).damage == ()


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        (
            "UPDATE events SET record = REPLACE(record, '\"number\":4', '\"number\":5') WHERE seq = 4",
            "event 4 was edited",
        ),
        ("UPDATE events SET actor = 'someone else' WHERE seq = 4", "event 4: its columns differ"),
        ("DELETE FROM events WHERE seq = 4", "event 5 stands at place 4"),
        ("DELETE FROM events WHERE seq = 9", "the head says 10 events"),
        ("UPDATE events SET seq = 40 WHERE seq = 4", "stands at place"),
        ("UPDATE events SET leaf = REPLACE(leaf, 'a', 'b') WHERE seq = 4", "no longer hashes to its leaf"),
        ("UPDATE events SET record = 'not json' WHERE seq = 4", "event 4 is not readable"),
        ("UPDATE log_head SET size = 8, roots = (SELECT leaf FROM events WHERE seq = 1)", "the head says 8 events"),
    ],
)
def test_tampering_is_found(any_store: Store, deed: str, told: str) -> None:
    write(any_store, 10)
    do(any_store, deed)
    assert any(told in damage.what for damage in verify(any_store).damage)


def test_two_events_changing_places_are_found(store: Store) -> None:
    write(store, 10)
    for step in ("= -1 WHERE seq = 3", "= 3 WHERE seq = 4", "= 4 WHERE seq = -1"):
        do(store, f"UPDATE events SET seq {step}")
    assert verify(store).damage


def test_a_log_rewritten_as_a_whole_is_found_by_an_exported_checkpoint(store: Store) -> None:
    write(store, 10)
    note = sign(store)
    for table in ("events", "checkpoints"):
        do(store, f"DELETE FROM {table}")
    do(store, "UPDATE log_head SET size = 0, roots = ''")
    store.clock.sleep(1.0)
    write(store, 12)
    assert verify(store).damage == ()  # nothing inside tells
    assert any("not those that were signed" in d.what for d in verify(store, note).damage)


def test_a_log_cut_short_behind_its_head_is_found_by_an_exported_checkpoint(store: Store) -> None:
    write(store, 10)
    note = sign(store)
    do(store, "DELETE FROM events")
    do(store, "DELETE FROM checkpoints")
    do(store, "UPDATE log_head SET size = 0, roots = ''")
    assert any("not those that were signed" in d.what for d in verify(store, note).damage)


def test_a_forged_checkpoint_is_found(store: Store) -> None:
    write(store, 10)
    note = sign(store)
    forged = note.replace("test\n10\n", "test\n9\n")
    assert any("not signed by this project's key" in d.what for d in verify(store, forged).damage)
    assert any("no signature" in d.what for d in verify(store, note.split("\n\n")[0] + "\n\n").damage)
    assert verify(store, "nonsense").damage


def test_a_change_that_fails_leaves_no_event(any_store: Store) -> None:
    write(any_store, 2)
    with pytest.raises(RuntimeError), any_store.change(Event(kind="thing.made", subject="never")):
        raise RuntimeError
    found = verify(any_store)
    assert (found.size, found.damage) == (2, ())


def test_events_say_who_when_and_what(store: Store) -> None:
    with store.change(Event(kind="thing.made", subject="thing", project="p")) as tx:
        tx.note(version=3)
    with store.read() as reader:
        event = log.newest(reader, subject="thing")[0]
    assert (event.actor, event.at, event.detail, event.seq) == ("tester", store.clock.now(), {"version": 3}, 0)


def test_many_pages_verify(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "PAGE", 7)
    write(store, 30)
    assert verify(store).damage == ()


@pytest.mark.postgres
def test_a_writer_that_trusts_where_it_left_the_log_finds_out_that_another_has_written(pg_store: Store) -> None:
    end = log.End()

    def write(subject: str, *, trust: bool = True) -> None:
        with pg_store.sql.write(pipeline=True) as tx:
            log.append_many(tx, [Event(kind="k.done", subject=subject, at=1.0, actor="a")], end, trust=trust)
        end.committed()

    write("first")  # there is nothing to trust yet
    assert not end.trusted
    write("second")
    assert end.trusted
    with pg_store.append() as tx:
        log.append(tx, Event(kind="k.done", subject="another's", at=1.0, actor="b"))
    with pytest.raises(Stale):
        write("in vain")
    write("third", trust=False)
    write("fourth")
    assert not end.trusted  # once in vain, once wary
    write("fifth")
    assert end.trusted
    with pg_store.read() as reader:
        assert log.verify(reader, pg_store.keys).damage == ()
        subjects = [event.subject for event in reversed(log.newest(reader))]
    assert subjects == ["first", "second", "another's", "third", "fourth", "fifth"]
