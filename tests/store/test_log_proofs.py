"""Searching the log and proving an event, on both engines; reads are of one moment."""

import pytest

from roadworthy.nouns.errors import Fault
from roadworthy.nouns.event import Event
from roadworthy.store import chain, log
from roadworthy.store.store import Store, open_store


def write(store: Store, *kinds: str) -> None:
    for number, kind in enumerate(kinds):
        with store.change(Event(kind=kind, subject=f"s{number % 2}", actor="b" if number % 3 else "")):
            pass


def test_filters_hold_together(any_store: Store) -> None:
    write(any_store, "run.started", "run.finished", "runs", "model.registered", "run")
    with any_store.read() as reader:
        assert [e.seq for e in log.search(reader)] == [4, 3, 2, 1, 0]
        assert [e.seq for e in log.search(reader, kind="run")] == [4, 1, 0]
        assert [e.seq for e in log.search(reader, kind="run", subject="s0")] == [4, 0]
        assert [e.seq for e in log.search(reader, actor="tester", limit=1)] == [3]
        assert log.search(reader, kind="%") == log.search(reader, subject="' OR 1=1 --") == []


def test_every_event_is_proved(any_store: Store) -> None:
    write(any_store, *(f"k.{n}" for n in range(11)))
    with any_store.read() as reader:
        for seq in range(11):
            proof = log.prove(reader, seq)
            leaf = chain.leaf_hash(proof.record.encode())
            path = [bytes.fromhex(step) for step in proof.path]
            assert leaf.hex() == proof.leaf
            assert chain.verify_inclusion(leaf, seq, proof.size, path, bytes.fromhex(proof.root))
            assert not chain.verify_inclusion(leaf, (seq + 1) % 11, proof.size, path, bytes.fromhex(proof.root))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE events SET record = '{}' WHERE seq = 1",
        "UPDATE events SET leaf = 'zz' WHERE seq = 2",
        "DELETE FROM events WHERE seq = 3",
        "UPDATE log_head SET size = 3",
        "UPDATE log_head SET roots = 'zz'",
        "UPDATE log_head SET roots = ''",
    ],
)
def test_by_a_log_that_was_changed_nothing_is_proved(any_store: Store, sql: str) -> None:
    write(any_store, "a", "b", "c", "d")
    with any_store.append() as tx:
        tx.execute(sql)
    with any_store.read() as reader:
        with pytest.raises(Fault, match="was changed"):
            log.prove(reader, 1)
        assert log.verify(reader, any_store.keys).damage


@pytest.mark.parametrize("sql", ["UPDATE log_head SET roots = 'zz'", "UPDATE events SET record = '{' WHERE seq = 0"])
def test_a_changed_log_is_a_fault_to_readers_and_writers(any_store: Store, sql: str) -> None:
    write(any_store, "a")
    with any_store.append() as tx:
        tx.execute(sql)
    with pytest.raises(Fault, match="was changed"):
        if "head" in sql:
            write(any_store, "b")
        with any_store.read() as reader:
            log.search(reader)


def test_a_reading_transaction_does_not_see_what_comes_after(any_store: Store) -> None:
    write(any_store, "a")
    url = any_store.sql.url if any_store.sql.dialect == "postgresql" else "sqlite"
    with open_store(any_store.home, url=url) as other, any_store.read() as reader:
        assert len(log.search(reader)) == 1
        write(other, "b", "c")
        assert len(log.search(reader)) == 1
        assert log.verify(reader, any_store.keys).damage == ()
    with any_store.read() as reader:
        assert len(log.search(reader)) == 3


def test_a_number_that_is_none_is_found(store: Store) -> None:
    write(store, "a", "b")
    with store.append() as tx:
        tx.execute("UPDATE events SET seq = 'x' WHERE seq = 1")
    with store.read() as reader, pytest.raises(Fault, match="was changed"):
        log.verify(reader, store.keys)
