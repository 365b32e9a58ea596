"""Finding: what a rule says of one place in a notebook, and the edit that mends it where one is safe.

Made by rules; shown by faces; written as SARIF by `sarif.py`; applied by `fix.py`.
"""

from typing import Literal

import msgspec

Severity = Literal["error", "warn", "note"]
Part = Literal["source", "output"]


class Edit(msgspec.Struct, frozen=True):
    """Lines of a cell's source that others take the place of.

    Args:
        first, last: lines from 1, both included; the whole cell goes when no line is left in it.
        lines: what stands there afterwards.
    """

    first: int
    last: int
    lines: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    Args:
        code: of the rule, such as RWN105.
        name: of the rule, such as defined-below.
        severity: error and warn fail a check, note does not.
        message: what is wrong, in a sentence.
        fix: what to do.
        cell: place among all cells, from 0.
        id: of the cell.
        line, column: in the cell, from 1, in characters.
        end_line, end_column: where it ends; the column is behind the last character.
        part: whether it is about the source or an output of the cell.
        text: the line of source it is about; empty when showing it would tell a secret.
        edit: what mends it, when that is safe.
    """

    code: str
    name: str
    severity: Severity
    message: str
    fix: str
    cell: int
    id: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1
    part: Part = "source"
    text: str = ""
    edit: Edit | None = None
