"""What every target promises, as checks that a kind of target, ours or a stranger's, is held against.

In: a way to open the target (as each command does anew), and two releases it may start. Out: which promises were kept
and which do not apply. Called by the tests of each kind; it starts and stops real servers, so give it a target of its
own.
"""

from collections.abc import Callable

import msgspec

from roadworthy.releases.targets.protocol import CanShadow, CanSplitTraffic, Observed, Target, Unit

SHARE = 0.25
TOLERANCE = 1e-6


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Promises kept, and those skipped with the ability that is missing."""

    kept: tuple[str, ...]
    skipped: dict[str, str]


def check(open_target: Callable[[], Target], first: Unit, second: Unit) -> Report:
    """Hold a target against every promise.

    Args:
        open_target: gives the target anew each time; what was started must be found again.
        first, second: different releases.

    Raises:
        AssertionError: naming the promise that was broken.
    """
    kept: list[str] = []
    skipped: dict[str, str] = {}
    try:
        for promise in (_nothing_at_first, _start_takes_no_traffic, _start_again, _send_all, _send_all_again):
            promise(open_target, first)
            kept.append(promise.__name__.strip("_"))
        _second_beside_first(open_target, first, second)
        kept.append("second_beside_first")
        if isinstance(open_target(), CanSplitTraffic):
            _shares(open_target, first, second)
            kept.append("shares")
        else:
            skipped["shares"] = CanSplitTraffic.__name__
        if isinstance(open_target(), CanShadow):
            _shadow(open_target, first, second)
            kept.append("shadow")
        else:
            skipped["shadow"] = CanShadow.__name__
        for move in (_switch, _keep, _keep_again):
            move(open_target, first, second)
            kept.append(move.__name__.strip("_"))
    finally:
        open_target().down()
    _nothing_at_first(open_target, first)
    _down_again(open_target)
    kept.append("down_twice")
    return Report(kept=tuple(kept), skipped=skipped)


def _nothing_at_first(open_target: Callable[[], Target], first: Unit) -> None:
    seen = open_target().observe()
    _hold(not seen.servers, seen, "nothing runs before anything is started, and after everything is stopped")
    _hold(not seen.healthy(first.release), seen, "a release that was not started is not healthy")


def _start_takes_no_traffic(open_target: Callable[[], Target], first: Unit) -> None:
    open_target().start(first)
    seen = open_target().observe()
    _hold(seen.healthy(first.release), seen, "`start` returns when the server answers")
    found = seen.server(first.release)
    _hold(found is not None and found.model == first.model.id, seen, "a server says which model it serves")
    _hold(not seen.shares.get(first.release), seen, "a started server gets no traffic")


def _start_again(open_target: Callable[[], Target], first: Unit) -> None:
    before = open_target().observe().server(first.release)
    open_target().start(first)
    seen = open_target().observe()
    after = seen.server(first.release)
    _hold(before is not None and after is not None and before.pid == after.pid, seen, "a server is started once")


def _send_all(open_target: Callable[[], Target], first: Unit) -> None:
    open_target().send_all(first.release)
    seen = open_target().observe()
    _hold(seen.up and bool(seen.url), seen, "whoever divides the traffic is up and says where")
    _hold_shares(seen, {first.release: 1.0})


def _send_all_again(open_target: Callable[[], Target], first: Unit) -> None:
    before = open_target().observe()
    open_target().send_all(first.release)
    seen = open_target().observe()
    _hold((before.url, before.shares) == (seen.url, seen.shares), seen, "`send_all` twice is as once")


def _second_beside_first(open_target: Callable[[], Target], first: Unit, second: Unit) -> None:
    open_target().start(second)
    seen = open_target().observe()
    _hold(seen.healthy(first.release) and seen.healthy(second.release), seen, "two releases run side by side")
    _hold_shares(seen, {first.release: 1.0})


def _shares(open_target: Callable[[], Target], first: Unit, second: Unit) -> None:
    wanted = {second.release: SHARE, first.release: 1.0 - SHARE}
    for _ in range(2):
        target = open_target()
        assert isinstance(target, CanSplitTraffic)
        target.set_shares(wanted, live=first.release)
        _hold_shares(open_target().observe(), wanted)


def _shadow(open_target: Callable[[], Target], first: Unit, second: Unit) -> None:
    open_target().send_all(first.release)
    target = open_target()
    assert isinstance(target, CanShadow)
    target.shadow(second.release)
    _hold_shares(open_target().observe(), {first.release: 1.0})


def _switch(open_target: Callable[[], Target], _: Unit, second: Unit) -> None:
    open_target().send_all(second.release)
    _hold_shares(open_target().observe(), {second.release: 1.0})


def _keep(open_target: Callable[[], Target], first: Unit, second: Unit) -> None:
    open_target().keep(frozenset({second.release}))
    seen = open_target().observe()
    _hold(seen.server(first.release) is None, seen, "`keep` stops every other server")
    _hold(seen.healthy(second.release), seen, "`keep` leaves the kept alone")
    _hold_shares(seen, {second.release: 1.0})


def _keep_again(open_target: Callable[[], Target], _: Unit, second: Unit) -> None:
    before = open_target().observe()
    open_target().keep(frozenset({second.release}))
    seen = open_target().observe()
    _hold([s.pid for s in before.servers] == [s.pid for s in seen.servers], seen, "`keep` twice is as once")


def _down_again(open_target: Callable[[], Target]) -> None:
    open_target().down()
    seen = open_target().observe()
    _hold(not seen.up and not seen.servers, seen, "`down` twice is as once")


def _hold_shares(seen: Observed, wanted: dict[str, float]) -> None:
    given = {release: share for release, share in seen.shares.items() if share > 0.0}
    same = given.keys() == wanted.keys() and all(abs(given[key] - wanted[key]) < TOLERANCE for key in wanted)
    _hold(same, seen, f"the traffic is divided as told: {wanted}")


def _hold(kept: bool, seen: Observed, promise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not kept:
        raise AssertionError(f"{promise}; seen: {seen}")
