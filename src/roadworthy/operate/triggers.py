"""When the loop sets out on a new journey: a pure decision from what is known.

In: what is live, what the monitors found, what was acted upon before. Out: a reason to retrain, a reason to wait, or
neither. Called by loop.py.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from roadworthy.nouns.monitor import Window
from roadworthy.nouns.project import MonitorSpec
from roadworthy.nouns.rule import refusals


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is made from.

    Args:
        now: by the project's clock, seconds since the epoch.
        live: the model that serves, empty when none does.
        coming: the model of a release under way, empty when there is none.
        monitors: by name, as in the project file.
        windows: as judged.
        answered: breaches that were acted upon.
        retrained_at: when the last journey began.
        cooldown_s: the least time between two journeys.
        new_data: what data has come since the last journey, in words; empty when that is no reason to retrain.
    """

    now: float
    live: str = ""
    coming: str = ""
    monitors: Mapping[str, MonitorSpec] = msgspec.field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    answered: frozenset[str] = frozenset()
    retrained_at: float | None = None
    cooldown_s: float = 0.0
    new_data: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: `go` down the road, `wait` for the cooldown, or `stay`.

    Args:
        reason: in words.
        answers: the breaches that this acts upon.
        until: when a wait ends, seconds since the epoch.
    """

    do: Literal["go", "wait", "stay"]
    reason: str = ""
    answers: tuple[str, ...] = ()
    until: float = 0.0


def decide(known: Situation) -> Decision:
    """Whether to set out now.

    With nothing live there is every reason. A release under way is waited for: its outcome may answer the breach.
    Otherwise a monitor whose action is `retrain` must have found a breach in a window of the model that is live, not
    acted upon before; breaches of a model that no longer serves ask for nothing.
    """
    if known.coming:
        return Decision(do="stay", reason=f"{known.coming} is on its way")
    breaches = [window for window in known.windows if _asks(known, window)] if known.live else []
    if not known.live:
        reason = "nothing is live"
    elif breaches:
        reason = "; ".join(dict.fromkeys(f"{w.monitor}: {broken_rules(w)}" for w in breaches))
    elif known.new_data:
        reason = known.new_data
    else:
        return Decision(do="stay")
    answers = tuple(key(window) for window in breaches)
    cool = known.retrained_at + known.cooldown_s if known.retrained_at is not None else known.now
    if known.now < cool:
        return Decision(do="wait", reason=reason, until=cool)
    return Decision(do="go", reason=reason, answers=answers)


def key(window: Window) -> str:
    """A breach by name: the window and which rules broke, since a rule that waited for labels may break later."""
    broken = "&".join(sorted(outcome.rule for outcome in refusals(window.outcomes)))
    return f"{window.monitor}|{window.model}|{window.start:.3f}|{broken}"


def broken_rules(window: Window) -> str:
    """Which rules broke, by name."""
    return ", ".join(outcome.name for outcome in refusals(window.outcomes))


def _asks(known: Situation, window: Window) -> bool:
    spec = known.monitors.get(window.monitor)
    return (
        spec is not None
        and spec.action == "retrain"
        and window.model == known.live
        and bool(refusals(window.outcomes))
        and key(window) not in known.answered
    )
