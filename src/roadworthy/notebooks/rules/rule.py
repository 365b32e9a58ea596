"""What a rule is: a code, a name, a severity, a docstring that teaches, and a function from a notebook to findings.

A rule is a class in a module of this folder, listed in `catalogue.py`; other packages add theirs by the entry point
group `roadworthy.notebook_rules`. The docstring is the rule's page: a first line that says what is wrong, why it
matters, and after `Fix:` what to do.
"""

from collections.abc import Iterator
from typing import Protocol

from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject


class NotebookRule(Protocol):
    """One thing to look for in notebooks."""

    code: str
    name: str
    severity: Severity

    def find(self, subject: Subject) -> Iterator[Finding]:
        """Every place in the notebook that the rule is about."""
        ...
