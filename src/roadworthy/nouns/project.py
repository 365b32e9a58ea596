"""Project: a folder with a `roadworthy.toml`. The types here are its schema, its validator and its documentation.

`rw schema` prints them as JSON Schema; store/project_file.py reads a file into them and says where it is wrong.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from roadworthy.nouns.model import Task
from roadworthy.nouns.rule import Level, Rule

# `title` and `examples` say what a pattern allows: in error messages, and in editors through the JSON Schema.
# `$` alone would let a final line break pass.
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_-]{0,62}$(?!\n)",
        title="a lower-case letter, then up to 62 letters, digits, - and _",
        examples=["late-flights"],
    ),
]
Duration = Annotated[
    str,
    Meta(
        pattern=r"^\d+(\.\d+)?(ms|s|m|h|d|w)$(?!\n)",
        title="a number and its unit: ms, s, m, h, d or w",
        examples=["500ms", "30s", "15m", "24h", "7d"],
    ),
]
Percent = Annotated[
    str,
    Meta(
        pattern=r"^(100(\.0+)?|\d{1,2}(\.\d+)?)%$(?!\n)", title="a number from 0 to 100 and %", examples=["10%", "2.5%"]
    ),
]
PythonPath = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$(?!\n)", title="module:function", examples=["source:departed"]),
]
TrackingUri = Annotated[
    str,
    Meta(
        pattern=r"^(|databricks(://.+)?|https?://.+)$(?!\n)",
        title="databricks, databricks://PROFILE, or the URL of a tracking server",
        examples=["databricks", "http://mlflow.example:5000"],
    ),
]
StoreUrl = Annotated[
    str,
    Meta(
        pattern=r"^(sqlite|postgresql://.+)$(?!\n)",
        title="sqlite, or the URL of a PostgreSQL database",
        examples=["sqlite", "postgresql://rw@db.example/road"],
    ),
]
Module = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][\w.]*$(?!\n)", title="a module's name, without .py", examples=["pipeline", "steps.train"]
    ),
]
Port = Annotated[int, Meta(ge=1, le=65535)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]

_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def about(description: str) -> Meta:
    """What a key means, for editors and for people."""
    return Meta(description=description)


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the project file: unknown keys are errors."""


class About(_Table, frozen=True):
    """`[project]`: what the project is called and where its store is."""

    name: Annotated[Name, about("what the project is called")]
    description: Annotated[str, about("one line about it")] = ""
    store: Annotated[StoreUrl, about("sqlite (a file in .roadworthy/) or the URL of a PostgreSQL database")] = "sqlite"
    tracking: Annotated[
        TrackingUri, about("where runs are logged as well: databricks, or a server that speaks MLflow's protocol")
    ] = ""
    sources: Annotated[tuple[str, ...], about("files whose content is a run's code, as globs in the project")] = (
        "*.py",
        "*.toml",
        "*.sql",
        "*.ipynb",
    )


class ColumnContract(_Table, frozen=True):
    """What a column must be. `level = "warn"` reports without stopping."""

    type: Annotated[
        Literal["integer", "number", "string", "boolean", "date", "datetime"] | None, about("what its values are")
    ] = None
    required: Annotated[bool, about("whether the column must be there")] = True
    max_null: Annotated[Share, about("the largest share of missing values, 0 to 1")] = 0.0
    min: Annotated[
        int | float | str | None, about("the smallest value (of a string: the first in order; of a date: the earliest)")
    ] = None
    max: Annotated[int | float | str | None, about("the largest value")] = None
    values: Annotated[tuple[str | int | float | bool, ...] | None, about("the only values there may be")] = None
    pattern: Annotated[str | None, about("a regular expression that every value matches in full")] = None
    unique: Annotated[bool, about("whether no value may come twice")] = False
    sensitive: Annotated[
        bool, about("whether it is personal or secret: masked in reports and in the inference log")
    ] = False
    level: Annotated[Level, about("`warn` reports without stopping")] = "error"


class RowCount(_Table, frozen=True):
    """How many rows there must be."""

    min: Annotated[Annotated[int, Meta(ge=0)] | None, about("the least number of rows")] = None
    max: Annotated[Annotated[int, Meta(ge=0)] | None, about("the largest number of rows")] = None
    level: Annotated[Level, about("`warn` reports without stopping")] = "error"


class Freshness(_Table, frozen=True):
    """How old the newest value of a column may be, by the project's clock."""

    column: Annotated[str, about("a column of dates or moments")]
    max_age: Annotated[Duration, about("how old its newest value may be")]
    level: Annotated[Level, about("`warn` reports without stopping")] = "error"


class SqlRule(_Table, frozen=True):
    """A query over the table `data` that returns the rows that break the rule."""

    name: Annotated[str, about("how the rule is called in reports")]
    sql: Annotated[str, about("a query over the table `data` that returns the rows that break the rule")]
    level: Annotated[Level, about("`warn` reports without stopping")] = "error"


class Contract(_Table, frozen=True):
    """`[data.NAME.contract]`: what the data must be before anything is trained on it."""

    columns: Annotated[dict[str, ColumnContract], about("what each column must be, by name")] = msgspec.field(
        default_factory=dict
    )
    forbidden: Annotated[
        tuple[str, ...],
        about("columns that may not be there at all: what is known only after the moment of prediction"),
    ] = ()
    extra_columns: Annotated[bool, about("whether columns that are not named are allowed")] = True
    unique: Annotated[
        tuple[tuple[str, ...] | str, ...], about("columns, or lists of columns, of which no combination may come twice")
    ] = ()
    rows: Annotated[RowCount | None, about("how many rows there must be")] = None
    fresh: Annotated[Freshness | None, about("how old the newest row may be")] = None
    sql: Annotated[tuple[SqlRule, ...], about("rules as queries")] = ()


class Data(_Table, frozen=True):
    """`[data.NAME]`: a data set; exactly one of `path` and `python`."""

    path: Annotated[str | None, about("file, folder or glob, relative to the project")] = None
    python: Annotated[
        PythonPath | None,
        about("a function of the project that returns a table; it takes parameters by name, and `now`, the moment"),
    ] = None
    description: Annotated[str, about("one line about the data set")] = ""
    contract: Annotated[Contract | None, about("what the data must be before anything is trained on it")] = None


class StepSettings(_Table, frozen=True):
    """`[pipeline.steps.NAME]`: what operations decide about a step, over what the code says."""

    retries: Annotated[Annotated[int, Meta(ge=0, le=10)] | None, about("how often to try again after a failure")] = None
    timeout: Annotated[Duration | None, about("the limit for one attempt")] = None
    cache: Annotated[bool | None, about("whether its output may be reused")] = None


class Pipeline(_Table, frozen=True):
    """`[pipeline]`: where the steps are, and how many run at once."""

    module: Annotated[Module, about("the module that has the steps")] = "pipeline"
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | None,
        about("how many steps run at once; as many as there are cores when absent"),
    ] = None
    steps: Annotated[dict[str, StepSettings], about("settings by step name")] = msgspec.field(default_factory=dict)


class ModelSpec(_Table, frozen=True):
    """`[model]`: which step's output is the model, and what it is judged on."""

    name: Annotated[Name, about("what the model is registered as")]
    step: Annotated[str, about("the step that returns the estimator")]
    holdout: Annotated[
        str, about("the step that returns the rows it is judged on: features, label, and columns for slices")
    ]
    label: Annotated[str, about("the column of the hold-out that holds the truth")]
    features: Annotated[
        tuple[str, ...],
        about("columns the model is given, in order; all of the hold-out but label, entity and time when empty"),
    ] = ()
    task: Annotated[
        Task, about("what kind of answer the model gives: yes or no, one of several classes, or a number")
    ] = "classification"
    threshold: Annotated[Share, about("the score from which a classification says yes, 0 to 1")] = 0.5
    trusted: Annotated[tuple[str, ...], about("types beyond scikit-learn's own that the model may contain")] = ()


class Gate(_Table, frozen=True):
    """`[gate]`: the rules between a model and the road."""

    rules: Annotated[
        tuple[Rule | str, ...], about("CEL expressions over the evidence, such as `metrics.auc >= 0.66`")
    ] = ()
    slices: Annotated[tuple[str, ...], about("columns of the hold-out whose values are judged one by one")] = ()
    slice_min_rows: Annotated[int, Meta(ge=1), about("slices with fewer rows are not judged")] = 100
    resamples: Annotated[
        int,
        Meta(ge=100, le=100_000),
        about("how many bootstrap resamples compare a challenger with the champion"),
    ] = 1000
    confidence: Annotated[float, Meta(gt=0.5, lt=1.0), about("the confidence of the interval of their difference")] = (
        0.95
    )


class Canary(_Table, frozen=True):
    """`[release.NAME.canary]`: the shares a new version goes through and what must hold before the next."""

    shares: Annotated[tuple[Percent, ...], about("the shares of traffic, one after another, before it gets all")] = (
        "10%",
    )
    min_rows: Annotated[
        int, Meta(ge=1), about("rows the new version must have answered at a share before it is judged")
    ] = 500
    patience: Annotated[Duration, about("after this long without enough rows or with a failing rule, roll back")] = "1h"
    rules: Annotated[tuple[Rule | str, ...], about("CEL expressions over `canary` and `live` that must hold")] = (
        "canary.errors.share <= live.errors.share + 0.01",
        "canary.latency.p99_ms <= 2.0 * live.latency.p99_ms + 20.0",
        "canary.score.psi <= 0.25",
    )


class Target(_Table, frozen=True):
    """`[release.NAME]`: where models are released to; `local` is processes on this machine behind a router."""

    type: Annotated[
        Name, about("`local`, or a kind that an installed package adds (entry point group roadworthy.targets)")
    ] = "local"
    port: Annotated[Port, about("of the router, on the loopback address")] = 8600
    workers: Annotated[int, Meta(ge=1, le=64), about("how many processes serve each version")] = 1
    options: Annotated[dict[str, Any], about("what another kind of target needs to know")] = msgspec.field(
        default_factory=dict
    )
    canary: Annotated[Canary, about("how a new version is tried on a share of the traffic")] = Canary()


class Serving(_Table, frozen=True):
    """`[serving]`: what requests carry besides features, and what is kept of them."""

    entity: Annotated[
        str | None, about("column by which one entity always meets the same version; rows without it go by the request")
    ] = None
    key: Annotated[str | None, about("column that identifies a row, by which labels are joined later")] = None
    time: Annotated[
        str | None, about("column that says when the event happened; the moment of serving when absent")
    ] = None
    sensitive: Annotated[
        tuple[str, ...],
        about(
            "columns never written to the inference log in the clear (those marked sensitive in a contract are added)"
        ),
    ] = ()
    max_rows: Annotated[int, Meta(ge=1, le=1_000_000), about("the most rows one request may hold")] = 10_000
    max_body_mb: Annotated[int, Meta(ge=1, le=1024), about("the largest body of a request, MiB")] = 32
    flush: Annotated[Duration, about("how long a served row may wait before it is written to the inference log")] = "1s"
    retention: Annotated[Duration, about("how long the inference log is kept")] = "400d"


class MonitorSpec(_Table, frozen=True):
    """`[monitor.NAME]`: rules over windows of served traffic."""

    rules: Annotated[tuple[Rule | str, ...], about("CEL expressions over the window, such as `drift.large.count <= 3`")]
    window: Annotated[Duration, about("how much time one judgement covers")] = "1d"
    min_rows: Annotated[int, Meta(ge=1), about("windows with fewer rows are not judged")] = 500
    columns: Annotated[
        tuple[str, ...], about("columns to compare with the reference profile; all features and the score when empty")
    ] = ()
    action: Annotated[Literal["alert", "retrain"], about("what a breach leads to, besides an alert")] = "alert"
    webhook: Annotated[str | None, about("where alerts are sent, as CloudEvents")] = None


class Operate(_Table, frozen=True):
    """`[operate]`: the loop that watches, retrains, gates and releases."""

    every: Annotated[Duration, about("how often the loop goes round")] = "1d"
    target: Annotated[str, about("the release target it keeps, by name")] = "local"
    cooldown: Annotated[Duration, about("the least time between two retrainings")] = "0s"
    retrain_on: Annotated[
        tuple[Literal["breach", "data"], ...],
        about(
            "what sets off a retraining once a model is live: a breach of a monitor whose action is `retrain`, new data"
        ),
    ] = ("breach",)


class Retention(_Table, frozen=True):
    """`[retention]`: what `rw gc` may take away. Ages count back from the newest run, not from today."""

    keep_runs: Annotated[int, Meta(ge=1), about("so many of the newest runs keep everything, however old")] = 100
    step_outputs: Annotated[Duration, about("how long other runs keep what their steps made")] = "90d"
    runs: Annotated[
        Duration | None,
        about("older runs are removed, but for the newest and those that made a model; none are when absent"),
    ] = None
    snapshots: Annotated[
        Duration | None,
        about("older snapshots that no run names are removed, but for the newest of a data set; none when absent"),
    ] = None
    deleted: Annotated[Duration, about("how long runs that were deleted can still be restored")] = "7d"
    environments: Annotated[
        Duration, about("how long an environment that `rw reproduce` rebuilt is kept without being used")
    ] = "30d"


class NotebookChecks(_Table, frozen=True):
    """`[notebook]`: what `rw notebook check` looks for."""

    select: Annotated[
        tuple[str, ...],
        about("rules that are on, by code, beginning of a code or name, such as `RWN5`; all when empty"),
    ] = ()
    ignore: Annotated[tuple[str, ...], about("rules that are off, in the same way")] = ()
    exclude: Annotated[tuple[str, ...], about("notebooks that are left out, as globs from the project's folder")] = ()
    output_max_kb: Annotated[int, Meta(ge=1), about("from where on an output is large, kB")] = 1000


class Project(_Table, frozen=True):
    """A whole `roadworthy.toml`."""

    project: Annotated[About, about("what the project is called and where its store is")]
    data: Annotated[dict[Name, Data], about("data sets by name")] = msgspec.field(default_factory=dict)
    pipeline: Annotated[Pipeline, about("where the steps are")] = Pipeline()
    params: Annotated[dict[str, Any], about("parameters: steps take them by argument name")] = msgspec.field(
        default_factory=dict
    )
    model: Annotated[ModelSpec | None, about("which step makes the model, and what it is judged on")] = None
    gate: Annotated[Gate, about("the rules between a model and the road")] = Gate()
    release: Annotated[dict[Name, Target], about("targets by name")] = msgspec.field(default_factory=dict)
    serving: Annotated[Serving, about("what requests carry, and what is kept of them")] = Serving()
    monitor: Annotated[dict[Name, MonitorSpec], about("monitors by name")] = msgspec.field(default_factory=dict)
    operate: Annotated[Operate, about("the loop that watches, retrains, gates and releases")] = Operate()
    notebook: Annotated[NotebookChecks, about("what `rw notebook check` looks for")] = NotebookChecks()
    retention: Annotated[Retention, about("what `rw gc` may take away")] = Retention()

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
