"""Project: a folder with a `roadworthy.toml`. The types here are its schema, its validator and its documentation.

`rw schema` prints them as JSON Schema; store/project_file.py reads a file into them and says where it is wrong.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from roadworthy.nouns.model import Task
from roadworthy.nouns.rule import Level, Rule

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="lower case letters, digits, - and _")]
Duration = Annotated[
    str, Meta(pattern=r"^\d+(\.\d+)?(ms|s|m|h|d|w)$", description="such as 500ms, 30s, 15m, 24h, 7d, 4w")
]
Percent = Annotated[str, Meta(pattern=r"^(100(\.0+)?|\d{1,2}(\.\d+)?)%$", description="such as 10% or 2.5%")]
PythonPath = Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="module:function")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]

_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the project file: unknown keys are errors."""


class About(_Table, frozen=True):
    """`[project]`: what the project is called and where its store is."""

    name: Name
    description: str = ""
    # sqlite (a file in .roadworthy/) or postgresql://user@host/database
    store: Annotated[str, Meta(pattern=r"^(sqlite|postgresql://.+)$")] = "sqlite"
    # distributions that must be the same for a run to count as the same environment; empty: all
    sources: tuple[str, ...] = ("*.py", "*.toml", "*.sql", "*.ipynb")


class ColumnContract(_Table, frozen=True):
    """What a column must be. `level = "warn"` reports without stopping."""

    type: Literal["integer", "number", "string", "boolean", "date", "datetime"] | None = None
    required: bool = True
    max_null: Share = 0.0
    min: int | float | str | None = None
    max: int | float | str | None = None
    values: tuple[str | int | float | bool, ...] | None = None
    pattern: str | None = None
    unique: bool = False
    sensitive: bool = False
    level: Level = "error"


class RowCount(_Table, frozen=True):
    """How many rows there must be."""

    min: Annotated[int, Meta(ge=0)] | None = None
    max: Annotated[int, Meta(ge=0)] | None = None
    level: Level = "error"


class Freshness(_Table, frozen=True):
    """How old the newest value of a column may be, by the project's clock."""

    column: str
    max_age: Duration
    level: Level = "error"


class SqlRule(_Table, frozen=True):
    """A query over the table `data` that returns the rows that break the rule."""

    name: str
    sql: str
    level: Level = "error"


class Contract(_Table, frozen=True):
    """`[data.NAME.contract]`: what the data must be before anything is trained on it."""

    columns: dict[str, ColumnContract] = msgspec.field(default_factory=dict)
    # columns that may not be there at all: what is known only after the moment of prediction
    forbidden: tuple[str, ...] = ()
    # whether columns that are not named are allowed
    extra_columns: bool = True
    unique: tuple[tuple[str, ...] | str, ...] = ()
    rows: RowCount | None = None
    fresh: Freshness | None = None
    sql: tuple[SqlRule, ...] = ()


class Data(_Table, frozen=True):
    """`[data.NAME]`: a data set; exactly one of `path` and `python`."""

    # file, folder or glob, relative to the project
    path: str | None = None
    # a function of the project that returns a table; its arguments are parameters, and `now` is the clock's datetime
    python: PythonPath | None = None
    description: str = ""
    contract: Contract | None = None


class StepSettings(_Table, frozen=True):
    """`[pipeline.steps.NAME]`: what operations decide about a step, over what the code says."""

    retries: Annotated[int, Meta(ge=0, le=10)] | None = None
    timeout: Duration | None = None
    cache: bool | None = None


class Pipeline(_Table, frozen=True):
    """`[pipeline]`: where the steps are, and how many run at once."""

    module: Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*$")] = "pipeline"
    workers: Annotated[int, Meta(ge=1, le=256)] | None = None
    steps: dict[str, StepSettings] = msgspec.field(default_factory=dict)


class ModelSpec(_Table, frozen=True):
    """`[model]`: which step's output is the model, and what it is judged on."""

    name: Name
    # the step that returns the estimator
    step: str
    # the step that returns the rows it is judged on: features, label, and columns for slices
    holdout: str
    label: str
    # columns the model is given, in order; all of the hold-out but label, entity and time when empty
    features: tuple[str, ...] = ()
    task: Task = "classification"
    threshold: Share = 0.5
    # types beyond scikit-learn's own that the model may contain
    trusted: tuple[str, ...] = ()


class Gate(_Table, frozen=True):
    """`[gate]`: the rules between a model and the road."""

    rules: tuple[Rule | str, ...] = ()
    # columns of the hold-out whose values are judged one by one
    slices: tuple[str, ...] = ()
    slice_min_rows: Annotated[int, Meta(ge=1)] = 100
    resamples: Annotated[int, Meta(ge=100, le=100_000)] = 1000
    confidence: Annotated[float, Meta(gt=0.5, lt=1.0)] = 0.95


class Canary(_Table, frozen=True):
    """`[release.NAME.canary]`: the shares a new version goes through and what must hold before the next."""

    shares: tuple[Percent, ...] = ("10%",)
    # rows the new version must have answered at a share before it is judged
    min_rows: Annotated[int, Meta(ge=1)] = 500
    # after this long without enough rows or with a failing rule, roll back
    patience: Duration = "1h"
    rules: tuple[Rule | str, ...] = (
        "canary.errors.share <= live.errors.share + 0.01",
        "canary.latency.p99_ms <= 2.0 * live.latency.p99_ms + 20.0",
        "canary.score.psi <= 0.25",
    )


class Target(_Table, frozen=True):
    """`[release.NAME]`: where models are released to; `local` is processes on this machine behind a router."""

    # `local`, or a kind that an installed package adds (entry point group roadworthy.targets)
    type: Name = "local"
    # of the router, on the loopback address
    port: Port = 8600
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    # what another kind of target needs to know
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    canary: Canary = Canary()


class Serving(_Table, frozen=True):
    """`[serving]`: what requests carry besides features, and what is kept of them."""

    # column by which one entity always meets the same version; rows without it go by the request
    entity: str | None = None
    # column that identifies a row, by which labels are joined later
    key: str | None = None
    # column that says when the event happened; the moment of serving when absent
    time: str | None = None
    # columns never written to the inference log in the clear (those marked sensitive in a contract are added)
    sensitive: tuple[str, ...] = ()
    max_rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    max_body_mb: Annotated[int, Meta(ge=1, le=1024)] = 32
    flush: Duration = "1s"
    retention: Duration = "400d"


class MonitorSpec(_Table, frozen=True):
    """`[monitor.NAME]`: rules over windows of served traffic."""

    rules: tuple[Rule | str, ...]
    window: Duration = "1d"
    min_rows: Annotated[int, Meta(ge=1)] = 500
    # columns to compare with the reference profile; all features and the score when empty
    columns: tuple[str, ...] = ()
    action: Literal["alert", "retrain"] = "alert"
    webhook: str | None = None


class Operate(_Table, frozen=True):
    """`[operate]`: the loop that watches, retrains, gates and releases."""

    every: Duration = "1d"
    target: str = "local"
    # the least time between two retrainings
    cooldown: Duration = "0s"


class Project(_Table, frozen=True):
    """A whole `roadworthy.toml`."""

    project: About
    data: dict[Name, Data] = msgspec.field(default_factory=dict)
    pipeline: Pipeline = Pipeline()
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    model: ModelSpec | None = None
    gate: Gate = Gate()
    release: dict[Name, Target] = msgspec.field(default_factory=dict)
    serving: Serving = Serving()
    monitor: dict[Name, MonitorSpec] = msgspec.field(default_factory=dict)
    operate: Operate = Operate()

    @property
    def name(self) -> str:
        return self.project.name


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A project where it lies: its folder, and the file as read."""

    root: Path
    project: Project

    @property
    def home(self) -> Path:
        return self.root / ".roadworthy"


def seconds(duration: str) -> float:
    """A `Duration` in seconds.

    >>> seconds("15m")
    900.0
    """
    unit = duration.lstrip("0123456789.")
    return float(duration[: -len(unit)]) * _DURATION_UNITS_S[unit]


def share(percent: str) -> float:
    """A `Percent` as a share of one.

    >>> share("10%")
    0.1
    """
    return float(percent.rstrip("%")) / 100.0


def rules(written: tuple[Rule | str, ...]) -> tuple[Rule, ...]:
    """Rules as the project file has them, a bare string being a rule without a name."""
    return tuple(Rule(rule=r) if isinstance(r, str) else r for r in written)
