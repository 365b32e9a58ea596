"""The records of a conversion: data sets, steps with what they take and give, and the files that come of it.

Made by `planning.py`, `data_sets.py` and `steps.py`; read by `module.py`, `project_files.py` and the proof.
"""

import msgspec

from roadworthy.notebooks.convert.grouping import Group


class Typed(msgspec.Struct, frozen=True):
    """An annotation and the import lines it needs; empty for none."""

    text: str = ""
    imports: tuple[str, ...] = ()


class DataSet(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A data set of the project: a file, or a table that a function makes.

    Args:
        name: in the project file.
        path: as the notebook wrote it, relative to its folder; empty for a function.
        function: the function's text; `cell`: where it stood; `seen`: the key of the value the original had.
        names: that its text uses.
        rows: how many there were.
    """

    name: str
    path: str = ""
    function: str = ""
    cell: int = -1
    seen: str = ""
    rows: int = 0
    description: str = ""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A value that a step gives.

    Args:
        key: in the dict that the step returns; empty when it returns the value itself.
        name: what the notebook calls it.
        seen: the key under which the original's value is captured.
        cell: where the notebook makes it.
    """

    key: str
    name: str
    seen: str
    cell: int
    typed: Typed = Typed()


class Step(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A step, written.

    Args:
        text: the function.
        takes: names of its arguments.
        outputs: what it gives.
        metrics: metric to the key of the original's number.
        cells: where its statements stood.
        imports: lines that its annotations need.
        picks: (step, key): it only hands on that part of another's output.
    """

    name: str
    group: Group | None
    text: str
    takes: tuple[str, ...]
    outputs: tuple[Output, ...]
    metrics: dict[str, str]
    cells: tuple[int, ...]
    imports: tuple[str, ...] = ()
    typed: Typed = Typed()


class ModelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The model of the project: its step, the hold-out's step, label, features, and what it was measured at.

    Args:
        task: classification, multiclass or regression; `classes`: how many of them.
        measured: measure, as the gate calls it, to the number the notebook found.
        gated: measure to the number that the gate's own measures find on the hold-out.
    """

    name: str
    step: str
    holdout: str
    label: str
    features: tuple[str, ...]
    task: str
    measured: dict[str, float]
    trusted: tuple[str, ...] = ()
    gated: dict[str, float] = msgspec.field(default_factory=dict)
    classes: int = 2
