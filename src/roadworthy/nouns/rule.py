"""Rule: a CEL expression over evidence; an `Outcome` is what it came to.

Contract, gate, canary step and monitor all judge rules over evidence: one grammar, one evaluator, one way to show it.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Level = Literal["error", "warn"]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must hold.

    Args:
        rule: a CEL expression that yields true when all is well, such as `metrics.auc >= 0.66`.
        name: how it is called in reports; the expression itself when empty.
        level: `error` refuses, `warn` only says so.
        why: the reason, shown when it fails.
    """

    rule: Annotated[str, Meta(description="a CEL expression that yields true when all is well")]
    name: Annotated[str, Meta(description="how it is called in reports; the expression itself when absent")] = ""
    level: Annotated[Level, Meta(description="`error` refuses, `warn` only says so")] = "error"
    why: Annotated[str, Meta(description="the reason, shown when it fails")] = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule came to.

    Args:
        rule: the expression.
        name: how it is called.
        passed: whether it held; a rule that cannot be evaluated has not passed.
        level: `error` or `warn`.
        measured: each measured path in the expression with its value, such as `{"metrics.auc": 0.71}`.
        would_pass: what would pass, such as `metrics.auc >= 0.66`, with the right side evaluated.
        problem: why it could not be evaluated, if so.
    """

    rule: str
    name: str
    passed: bool
    level: Level = "error"
    measured: dict[str, Any] = msgspec.field(default_factory=dict)
    would_pass: str = ""
    problem: str = ""
    why: str = ""


def refusals(outcomes: tuple[Outcome, ...] | list[Outcome]) -> list[Outcome]:
    """Those that refuse: failed, and not merely a warning."""
    return [o for o in outcomes if not o.passed and o.level == "error"]
