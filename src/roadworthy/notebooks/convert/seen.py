"""What was seen while the original ran: of each value its type and how it can be stored, and where chance was used.

Written by `watching.py` in the kernel, as JSON; read by conversion (which steps can hand over what) and by the proof.
"""

from typing import Literal

import msgspec

Storable = Literal["plain", "pickle", "no"]


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A value as it was at one place of the notebook.

    Args:
        key: which place and name: `cell:statement:name`, or `cell:statement#expression`.
        type: such as `pandas.DataFrame`, with the module in which the class can be imported.
        items: types inside a dict's values, a list or a tuple, where they are few.
        storable: as it is, only by pickle, or not at all.
        trusted: types that must be trusted for it to be stored.
        why: it cannot be stored, or not be captured.
        shape: of tables and arrays.
        columns: of a table, when they are text.
        number: of a scalar.
        file: with the pickled value, in the capture's folder; empty if it could not be captured.
        digest: of the pickle.
        facts: of a model: number of features, classes, and so on.
    """

    key: str
    type: str
    items: tuple[str, ...] = ()
    storable: Storable = "plain"
    trusted: tuple[str, ...] = ()
    why: str = ""
    shape: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    number: float | None = None
    file: str = ""
    digest: str = ""
    facts: dict[str, str] = msgspec.field(default_factory=dict)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the original.

    Args:
        values: by key.
        draws: statements after which a global random generator was in another state.
        surprises: by cell, names whose values changed there although nothing in the text says so.
        same: keys of values that were the same before the statement that seems to change them.
        clock: statements that asked for the time.
        wall_s: how long it took.
        environment: versions of what was loaded.
    """

    values: dict[str, Value] = msgspec.field(default_factory=dict)
    draws: frozenset[tuple[int, int]] = frozenset()
    surprises: dict[int, tuple[str, ...]] = msgspec.field(default_factory=dict)
    same: frozenset[str] = frozenset()
    wall_s: float = 0.0
    packages: dict[str, str] = msgspec.field(default_factory=dict)

    def also_changed(self, cell: int) -> set[str]:
        """Names whose values changed in a cell although nothing in the text says so."""
        return set(self.surprises.get(cell, ()))

    def unchanged(self, statement: tuple[int, int], name: str) -> bool:
        """Whether a value was the same after a statement that seems to change it."""
        return key_of(statement, name) in self.same


def key_of(statement: tuple[int, int], name: str) -> str:
    """The key of a name's value after a statement."""
    return f"{statement[0]}:{statement[1]}:{name}"


def key_of_result(statement: tuple[int, int], at: int) -> str:
    """The key of an expression's value, by its place in the statement's tree."""
    return f"{statement[0]}:{statement[1]}#{at}"
