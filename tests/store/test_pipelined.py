"""A cursor in a pipeline: what is assumed is held against the answers before anything is committed."""

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest

from roadworthy.nouns.errors import invalid
from roadworthy.store.group import GroupCommit
from roadworthy.store.pipelined import Stale
from roadworthy.store.sql import Asked, Transaction
from roadworthy.store.store import Store

pytestmark = pytest.mark.postgres

INSERT = "INSERT INTO aliases (name, alias, version) VALUES (:name, :alias, 1)"
COUNT = "SELECT count(*) FROM aliases WHERE alias = :alias"


def counted(alias: str = "a") -> Asked:
    def take(rows: list[tuple[Any, ...]], found: dict[Hashable, Any]) -> None:
        found["count"] = rows[0][0]

    return Asked(COUNT, {"alias": alias}, take)


def names(store: Store) -> list[str]:
    with store.read() as reader:
        return sorted(str(row[0]) for row in reader.rows("SELECT name FROM aliases"))


def test_what_was_assumed_rightly_is_committed(pg_store: Store) -> None:
    with pg_store.sql.write(pipeline=True) as tx:
        tx.assume([counted(), counted("b")], lambda found: found == {"count": 0})
        tx.insert_many(INSERT, [{"name": "m", "alias": "a"}])
    assert names(pg_store) == ["m"]


def test_of_what_was_assumed_wrongly_nothing_is_done(pg_store: Store) -> None:
    heard: list[dict[Hashable, Any]] = []

    def holds(found: dict[Hashable, Any]) -> bool:
        heard.append(found)
        return False

    with pytest.raises(Stale), pg_store.sql.write(pipeline=True) as tx:
        tx.assume([counted()], holds)
        tx.insert_many(INSERT, [{"name": "m", "alias": "a"}])
        assert tx.rows(COUNT, alias="a") == [(1,)]
    assert heard == [{"count": 0}]  # as it was when it was asked, whatever came after
    assert names(pg_store) == []
    with pg_store.sql.write(pipeline=True) as tx:  # the connection is as good as before
        tx.insert_many(INSERT, [{"name": "n", "alias": "a"}])
    assert names(pg_store) == ["n"]


def test_what_fails_after_an_assumption_is_what_is_raised(pg_store: Store) -> None:
    with pytest.raises(Exception, match="duplicate key"), pg_store.sql.write(pipeline=True) as tx:
        tx.assume([counted()], lambda _: True)
        tx.insert_many(INSERT, [{"name": "m", "alias": "a"}] * 2)
    assert names(pg_store) == []


class Believing:
    """A reading that believes there is nothing yet, and says how often it was asked."""

    asked: tuple[bool, ...] = ()
    committed_times = 0

    def read(self, tx: Transaction, wanted: list[Any], *, trust: bool) -> bool:
        type(self).asked += (trust,)
        if trust:
            tx.assume([counted()], lambda found: found == {"count": 0})
        return trust

    def committed(self, tx: Transaction) -> None:
        type(self).committed_times += 1


@pytest.mark.parametrize("there", [0, 1])
@pytest.mark.parametrize("refused", [False, True])
def test_a_group_that_trusted_in_vain_is_done_again_and_its_pieces_do_not_notice(
    pg_store: Store, there: int, *, refused: bool
) -> None:
    class Reading(Believing):
        pass

    with pg_store.append() as tx:
        tx.insert_many(INSERT, [{"name": f"before {n}", "alias": "a"} for n in range(there)])

    def work(name: str) -> Any:
        def piece(store: Store) -> str:
            with store.append() as tx:
                tx.insert_many(INSERT, [{"name": name, "alias": "a"}])
            if refused and name == "b":
                raise invalid("no")
            return name

        return piece

    async def scene() -> list[Any]:
        group = GroupCommit(pg_store)
        futures = [group.submit(work(name), ahead=(Reading, name)) for name in "abc"]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        await group.drain()
        return answers

    answers = asyncio.run(scene())
    kept = "ac" if refused else "abc"
    assert [answer for answer in answers if isinstance(answer, str)] == [*kept]
    assert names(pg_store) == sorted([*kept, *(["before 0"] * there)])
    # Whatever went wrong may be of what was trusted; the second time nothing is, the third each piece stands alone.
    assert Reading.asked == ((True, False) if there or refused else (True,))
    assert Reading.committed_times == (0 if refused else 1)
