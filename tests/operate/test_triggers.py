import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.nouns.monitor import Window
from roadworthy.nouns.project import MonitorSpec
from roadworthy.nouns.rule import Outcome
from roadworthy.operate.triggers import Situation, decide, key

RETRAIN = MonitorSpec(rules=("a > 1",), action="retrain")
ALERT = MonitorSpec(rules=("a > 1",))


def window(*, passed=False, model="m@1", monitor="drift", start=0.0, rule="a > 1", level="error"):
    outcome = Outcome(rule=rule, name=rule, passed=passed, level=level)
    return Window(monitor=monitor, model=model, start=start, end=start + 1, outcomes=(outcome,))


BASE = Situation(now=100.0, live="m@1", monitors={"drift": RETRAIN, "quiet": ALERT})


def given_that(**changes):
    return decide(msgspec.structs.replace(BASE, **changes))


def test_nothing_live_sets_out():
    assert given_that(live="").do == "go"


def test_nothing_wrong_stays():
    assert given_that().do == "stay"
    assert given_that(windows=(window(passed=True),)).do == "stay"


def test_a_breach_sets_out_and_names_what_it_answers():
    decision = given_that(windows=(window(), window(start=5.0)))
    assert (decision.do, decision.reason) == ("go", "drift: a > 1")
    assert decision.answers == (key(window()), key(window(start=5.0)))


@pytest.mark.parametrize(
    "found",
    [window(monitor="quiet"), window(monitor="gone"), window(model="m@0"), window(level="warn"), window(passed=True)],
)
def test_what_asks_for_nothing(found):
    assert given_that(windows=(found,)).do == "stay"


def test_an_answered_breach_is_answered_once():
    assert given_that(windows=(window(),), answered=frozenset({key(window())})).do == "stay"


def test_a_rule_that_breaks_later_in_the_same_window_is_another_breach():
    assert given_that(windows=(window(rule="b > 1"),), answered=frozenset({key(window())})).do == "go"


def test_a_release_under_way_is_waited_for():
    assert given_that(windows=(window(),), coming="m@2").do == "stay"
    assert given_that(live="", coming="m@1").do == "stay"


def test_the_cooldown():
    decision = given_that(windows=(window(),), retrained_at=90.0, cooldown_s=20.0)
    assert (decision.do, decision.until) == ("wait", 110.0)
    assert given_that(windows=(window(),), retrained_at=80.0, cooldown_s=20.0).do == "go"


def test_new_data():
    assert given_that(new_data="new data in flights").reason == "new data in flights"
    assert given_that(new_data="new data in flights", live="m@1", coming="m@2").do == "stay"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["drift", "quiet"]), st.sampled_from(["m@1", "m@0"]), st.booleans(), st.integers(0, 3)
        )
    ),
    st.booleans(),
)
def test_acting_once_answers_everything(found, alive):
    windows = tuple(window(monitor=m, model=v, passed=p, start=float(s)) for m, v, p, s in found)
    first = given_that(windows=windows, live="m@1" if alive else "")
    after = given_that(windows=windows, live="m@1", answered=frozenset(first.answers))
    if alive:
        assert after.do == "stay"
