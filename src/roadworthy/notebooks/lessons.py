"""What a rule teaches, from its docstring: what is wrong, why it matters, what to do.

In: a rule. Out: a `Lesson`. Called by reports, by the command and by the documentation, so that they say the same.
"""

import inspect
import re
from typing import NamedTuple

from roadworthy.notebooks.rules.rule import NotebookRule


class Lesson(NamedTuple):
    """A rule in words: one sentence, why it matters, what to do."""

    title: str
    why: str
    fix: str


def lesson(rule: NotebookRule) -> Lesson:
    """A rule's docstring, taken apart."""
    text = inspect.cleandoc(type(rule).__doc__ or rule.name)
    head, _, rest = text.partition("\n")
    why, _, fix = rest.partition("Fix:")
    return Lesson(head.strip(), _plain(why), _plain(fix))


def _plain(text: str) -> str:
    paragraphs = [re.sub(r"\s*\n\s*", " ", part).strip() for part in text.strip().split("\n\n")]
    return "\n\n".join(part for part in paragraphs if part)
