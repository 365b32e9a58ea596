"""The property itself, with real runs: after an edit that matters, the result is the new one."""

from collections.abc import Callable

import pytest

from tests.pipelines.traps import TRAPS, Trap


@pytest.mark.slow
@pytest.mark.parametrize("trap", TRAPS, ids=lambda t: t.name)
def test_no_stale_result_after(trap: Trap, bench: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    project = bench(trap.project())
    first = project.run()
    assert project.value(first, "out") == trap.before
    assert project.run().id == first.id  # unchanged: nothing runs
    project.write(trap.edited())
    second = project.run()
    after = project.value(second, "out")
    assert after == trap.after
    assert type(after) is type(trap.after)
    for name in trap.unaffected:
        assert project.statuses(second)[name] == "reused"
