"""Leases: one holder at a time, and none that is dead."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.store import locks
from roadworthy.store.store import Store, open_store


def test_a_lease_has_one_holder_and_is_given_back(any_store: Store) -> None:
    with locks.held(any_store, "run", now=0.0):
        with pytest.raises(Fault) as caught:
            locks.take(any_store, "run", now=1.0)
        assert caught.value.code is Code.CONFLICT
        assert str(os.getpid()) in caught.value.what
    assert locks.take(any_store, "run", now=2.0)


def test_a_lease_ends_and_its_old_token_is_worth_nothing(any_store: Store) -> None:
    old = locks.take(any_store, "run", now=0.0, lease_s=10)
    new = locks.take(any_store, "run", now=11.0)
    assert not locks.renew(any_store, "run", old, now=12.0)
    locks.release(any_store, "run", old)
    assert locks.renew(any_store, "run", new, now=12.0)


def test_renewing_keeps_a_lease(any_store: Store) -> None:
    token = locks.take(any_store, "run", now=0.0, lease_s=10)
    assert locks.renew(any_store, "run", token, now=9.0, lease_s=10)
    with pytest.raises(Fault):
        locks.take(any_store, "run", now=12.0)


def _take_and_die(home: str) -> None:
    locks.take(open_store(Path(home)), "run", now=0.0, lease_s=1e9)
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_held_is_free_at_once(store: Store) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=_take_and_die, args=(str(store.home),))
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    assert locks.take(store, "run", now=1.0)


def test_who_holds_a_lease(store):
    assert locks.holder(store, "a", now=100.0) == ""
    with locks.held(store, "a", now=100.0, lease_s=10.0):
        assert locks.holder(store, "a", now=105.0).endswith(f":{os.getpid()}")
        assert locks.holder(store, "a", now=111.0) == ""
    assert locks.holder(store, "a", now=105.0) == ""
