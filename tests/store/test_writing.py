"""The writing thread: one thing after another, each outcome on the loop that asked, and an end that waits."""

import asyncio
import threading
import time

from roadworthy.store.writing import Writing


def test_work_is_done_in_order_elsewhere_and_its_outcomes_come_to_the_loop() -> None:
    async def ask() -> tuple[list[int], set[int], set[int]]:
        writing, done = Writing(), asyncio.Event()
        outcomes: list[int] = []
        where: set[int] = set()
        taken: set[int] = set()

        def work(number: int) -> int:
            where.add(threading.get_ident())
            return number

        def take(number: int) -> None:
            taken.add(threading.get_ident())
            outcomes.append(number)
            if number == 99:
                done.set()

        for number in range(100):
            writing.do(lambda number=number: work(number), take)  # type: ignore[misc]
        await done.wait()
        writing.end()
        return outcomes, where, taken

    outcomes, where, taken = asyncio.run(ask())
    assert outcomes == list(range(100))
    assert len(where) == 1
    assert taken == {threading.get_ident()}
    assert not where & taken


def test_the_end_waits_for_what_was_begun() -> None:
    finished: list[str] = []

    async def ask() -> None:
        writing = Writing()
        writing.do(lambda: (time.sleep(0.2), finished.append("work")), lambda _: None)
        writing.end()
        assert finished == ["work"]
        writing.end()  # twice is once
        writing.do(lambda: finished.append("more"), lambda _: None)  # and it can begin again
        writing.end()

    asyncio.run(ask())
    assert finished == ["work", "more"]


def test_a_loop_that_has_ended_hears_nothing_and_the_thread_goes_on() -> None:
    writing = Writing()
    go, finished = threading.Event(), threading.Event()

    async def ask(*, then_end: bool) -> None:
        writing.do(go.wait if not then_end else finished.set, lambda _: None)

    asyncio.run(ask(then_end=False))
    go.set()  # its loop is closed by now
    asyncio.run(ask(then_end=True))
    assert finished.wait(10)
    writing.end()
