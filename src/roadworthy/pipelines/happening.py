"""What a run tells whoever watches it while it goes on."""

from collections.abc import Callable
from typing import Literal

import msgspec

from roadworthy.nouns.step import StepRun

Kind = Literal[
    "resumed", "nothing", "asking", "data", "warning", "started", "running", "retrying", "settled", "registered"
]


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    Args:
        kind: what.
        step: which step or data set it is about.
        text: a line for people.
        settled: what was done about the step.
    """

    kind: Kind
    text: str
    step: str = ""
    settled: StepRun | None = None


Watch = Callable[[Happening], None]
