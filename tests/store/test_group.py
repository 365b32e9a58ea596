"""Group commit: many pieces of work, one transaction; each succeeds or fails alone, and none before it is durable."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.nouns.errors import Code, Fault, invalid
from roadworthy.nouns.event import Event
from roadworthy.store import log
from roadworthy.store.group import GroupCommit
from roadworthy.store.store import Store, open_store
from tests.postgres import Server

INSERT = "INSERT INTO aliases (name, alias, version) VALUES (:name, :alias, 1)"


def point(name: str, *, fail: bool = False) -> object:
    def work(store: Store) -> str:
        with store.change(Event(kind="model.alias_set", subject=name)) as tx:
            tx.execute(INSERT, name=name, alias="a")
            if fail:
                raise invalid("no", where=name)
        return name

    return work


def names(store: Store) -> list[str]:
    with store.read() as reader:
        return sorted(str(row[0]) for row in reader.rows("SELECT name FROM aliases"))


async def submitted(store: Store, works: list[object]) -> tuple[list[object], int]:
    group = GroupCommit(store)
    futures = [group.submit(work, actor="ada") for work in works]  # type: ignore[arg-type]
    answers = await asyncio.gather(*futures, return_exceptions=True)
    await group.drain()
    return answers, group.commits


def test_what_is_asked_at_once_shares_one_transaction(any_store: Store) -> None:
    answers, commits = asyncio.run(submitted(any_store, [point(f"m{i}") for i in range(20)]))
    assert answers == [f"m{i}" for i in range(20)]
    assert commits == 1
    assert len(names(any_store)) == 20


def test_a_piece_that_fails_takes_back_its_own_and_no_other(any_store: Store) -> None:
    answers, _ = asyncio.run(submitted(any_store, [point("a"), point("b", fail=True), point("c")]))
    assert [answers[0], answers[2]] == ["a", "c"]
    assert isinstance(answers[1], Fault)
    assert names(any_store) == ["a", "c"]
    with any_store.read() as reader:
        assert [e.subject for e in log.search(reader, kind="model.alias_set")] == ["c", "a"]
        assert {e.actor for e in log.search(reader, kind="model.alias_set")} == {"ada"}
        assert log.verify(reader, any_store.keys).damage == ()


def test_a_statement_that_the_database_refuses_fails_alone(any_store: Store) -> None:
    answers, _ = asyncio.run(submitted(any_store, [point("a"), point("a"), point("b")]))
    assert isinstance(answers[1], Exception)
    assert names(any_store) == ["a", "b"]


def test_a_refused_piece_does_no_harm_to_groups_after_it(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadworthy.store.group.APART_S", 1e-6)  # the next group is tried without savepoints again

    async def scene() -> None:
        group = GroupCommit(any_store)

        async def of(name: str, count: int, *, refused: bool = False) -> None:
            works = [point(f"{name}{n}") for n in range(count)] + [point(f"{name} no", fail=True)] * refused
            futures = [group.submit(work) for work in works]  # type: ignore[arg-type]
            answers = await asyncio.gather(*futures, return_exceptions=True)
            assert answers[:count] == [f"{name}{n}" for n in range(count)]

        for turn in range(3):
            await of(f"a{turn}.", 12)
            await of(f"b{turn}.", 12, refused=True)
            for lone in range(4):
                await of(f"c{turn}.{lone}.", 1)
        await group.drain()

    asyncio.run(scene())
    assert len(names(any_store)) == 3 * (12 + 12 + 4)


def test_a_read_in_a_piece_sees_what_the_pieces_before_it_wrote(any_store: Store) -> None:
    answers, _ = asyncio.run(submitted(any_store, [point("a"), names]))
    assert answers[1] == ["a"]


def test_another_process_that_holds_the_lock_is_waited_for_without_stopping_the_loop(store: Store) -> None:
    async def scene() -> int:
        group = GroupCommit(store)
        other = sqlite3.connect(store.home / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        future = group.submit(point("a"))  # type: ignore[arg-type]
        turns = 0
        while turns < 50:
            await asyncio.sleep(0.001)
            turns += 1
        assert not future.done()
        other.execute("ROLLBACK")
        other.close()
        assert await future == "a"
        await group.drain()
        return turns

    assert asyncio.run(scene()) == 50
    assert names(store) == ["a"]


def test_too_many_waiting_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadworthy.store.group.WAITING_MAX", 3)

    async def scene() -> Fault:
        group = GroupCommit(store)
        for i in range(3):
            group.submit(point(f"m{i}"))  # type: ignore[arg-type]
        with pytest.raises(Fault) as refusal:
            group.submit(point("late"))  # type: ignore[arg-type]
        await group.drain()
        return refusal.value

    assert asyncio.run(scene()).code is Code.UNAVAILABLE
    assert names(store) == ["m0", "m1", "m2"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fates=st.lists(st.booleans(), max_size=300))
def test_exactly_what_succeeded_is_there(store: Store, fates: list[bool]) -> None:
    with store.append() as tx:
        tx.execute("DELETE FROM aliases")
    answers, _ = asyncio.run(submitted(store, [point(f"{i:03}", fail=fate) for i, fate in enumerate(fates)]))
    assert names(store) == sorted(str(a) for a in answers if isinstance(a, str))
    assert sum(isinstance(a, str) for a in answers) == fates.count(False)


def test_a_full_disk_fails_the_group_as_unavailable_and_the_next_succeeds(store: Store) -> None:
    def full(inner: Store) -> None:
        with inner.append() as tx:
            row = tx.row("PRAGMA page_count")
            assert row is not None
            tx.row(f"PRAGMA max_page_count = {row[0]}")
            tx.execute(INSERT, name="x" * 1_000_000, alias="a")

    answers, _ = asyncio.run(submitted(store, [point("a"), full, point("b")]))
    assert [answer.code for answer in answers if isinstance(answer, Fault)] == [Code.UNAVAILABLE] * 3
    assert names(store) == []
    with store.append() as tx:
        tx.row("PRAGMA max_page_count = 1000000")
    answers, _ = asyncio.run(submitted(store, [point("a"), point("b")]))
    assert answers == ["a", "b"]


@pytest.mark.postgres
def test_two_servers_that_want_each_others_rows_both_have_their_way(postgres: Server, tmp_path: Path) -> None:
    url = postgres.new_database()
    stores = [open_store(tmp_path / name, url=url) for name in "ab"]
    with stores[0].append() as tx:
        tx.execute_many(INSERT, [{"name": name, "alias": "a"} for name in "xy"])
    both = threading.Barrier(2)
    met: set[int] = set()

    def hold(name: str, server: int, *, meet: bool) -> object:
        def work(store: Store) -> None:
            with store.append() as tx:
                tx.execute("UPDATE aliases SET version = version + 1 WHERE name = :name", name=name)
            if meet and server not in met:  # the first time, each has its first row before it wants the other's
                met.add(server)
                both.wait(60)

        return work

    def serve(server: int, names: str) -> list[object]:
        first, second = names
        works = [hold(first, server, meet=True), hold(second, server, meet=False)]
        return asyncio.run(submitted(stores[server], works))[0]

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(serve, (0, 1), ("xy", "yx")))
    assert answers == [[None, None], [None, None]]
    with stores[0].read() as reader:
        assert reader.rows("SELECT name, version FROM aliases ORDER BY name") == [("x", 3), ("y", 3)]
    for store in stores:
        store.close()


@pytest.mark.postgres
def test_work_that_raises_what_is_no_exception_ends_neither_the_writing_thread_nor_the_loop(pg_store: Store) -> None:
    def work(store: Store) -> None:
        raise SystemExit

    async def scene() -> tuple[object, object]:
        group = GroupCommit(pg_store)
        first = await asyncio.gather(group.submit(work), return_exceptions=True)
        second = await group.submit(point("a"))  # type: ignore[arg-type]
        await group.drain()
        return first[0], second

    refused, answered = asyncio.run(scene())
    assert isinstance(refused, RuntimeError)
    assert isinstance(refused.__cause__, SystemExit)
    assert answered == "a"
    assert names(pg_store) == ["a"]
