from pathlib import Path

import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.store.clock import NOW_ENVIRONMENT, SystemClock, from_environment
from roadworthy.store.store import open_store


def test_without_the_variable_it_is_the_machines_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NOW_ENVIRONMENT, raising=False)
    assert isinstance(from_environment(), SystemClock)


def test_a_store_opened_at_a_moment_of_history_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(NOW_ENVIRONMENT, "2013-04-01T09:00:00+02:00")
    with open_store(tmp_path / "home") as store:
        first, second = store.clock.now(), store.clock.now()
    assert 1_364_799_600.0 <= first <= second < 1_364_799_600.0 + 60


@pytest.mark.parametrize("written", ["yesterday", "2013-04-01T09:00:00", "1364799600"])
def test_what_is_no_moment_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv(NOW_ENVIRONMENT, written)
    with pytest.raises(Fault) as told:
        from_environment()
    assert told.value.code is Code.INVALID
    assert "2013-04-01T09:00:00+00:00" in told.value.fix
