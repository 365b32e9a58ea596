"""Model: a named, numbered version registered from a run; aliases such as `champion` point at it."""

from typing import Literal

import msgspec

from roadworthy.nouns.step import Value

FieldType = Literal["integer", "number", "string", "boolean", "datetime"]
Task = Literal["classification", "multiclass", "regression"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One input column: what a request must send.

    Args:
        name: the column's name.
        type: what its values are.
        nullable: whether a value may be missing.
        dtype: pandas' name of the column's type at training, so that the model meets what it was trained on; empty
            leaves the choice to `type`.
    """

    name: str
    type: FieldType
    nullable: bool = False
    dtype: str = ""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What goes in (in column order) and what comes out."""

    inputs: tuple[Field, ...]
    output: FieldType = "number"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version.

    Args:
        name: as in the project file.
        version: counts from 1 per name.
        run: the run that made it.
        value: the stored estimator.
        holdout: the stored rows it is judged on (features and label), never used in training.
        label: the label's column in `holdout`.
        signature: inputs and output.
        task: what kind of answer it gives: a yes or no, one of three or more classes, or a number.
        threshold: score from which a classification says yes, 0 to 1.
        slices: columns whose values are judged one by one.
        profile: digest of the reference profile (see gates/measures/drift.py).
        created_at: seconds since the epoch.
    """

    name: str
    version: int
    run: str
    value: Value
    signature: Signature
    label: str
    holdout: Value | None = None
    task: Task = "classification"
    threshold: float = 0.5
    slices: tuple[str, ...] = ()
    profile: str | None = None
    project: str = ""
    created_at: float = 0.0
    tags: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def classes(self) -> tuple[str | int | float | bool, ...]:
        """The classes that a multi-class model tells apart, in the order of its probabilities; empty for others."""
        return tuple(self.value.meta.get("classes", ()))
