"""What is found in somebody's MLflow, whichever way it is kept: the records between its readers and the importer.

In: nothing of ours. Out: experiments, runs, points, artifacts, models, as MLflow has them. Each reader (database.py,
folder.py, rest.py) is a `Source`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec


class FoundExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment; times in milliseconds since 1970."""

    id: str
    name: str
    location: str = ""
    stage: str = "active"
    created_ms: int = 0
    updated_ms: int = 0
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class FoundRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its points; `status` is MLflow's (`FINISHED`), times are in milliseconds."""

    id: str
    experiment: str
    name: str = ""
    user: str = ""
    status: str = "FINISHED"
    stage: str = "active"
    start_ms: int | None = None
    end_ms: int | None = None
    location: str = ""
    params: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class FoundPoints(msgspec.Struct, frozen=True, kw_only=True):
    """The points of one metric of a run, in columns."""

    key: str
    steps: list[int]
    times_ms: list[int]
    values: list[float]


class FoundArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file; `path` is relative to the folder of what it belongs to."""

    path: str
    size: int = 0


class FoundVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered model."""

    version: int
    source: str = ""
    run: str = ""
    run_link: str = ""
    description: str = ""
    user: str = ""
    stage: str = "None"
    status: str = "READY"
    status_message: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    location: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class FoundModel(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model with its versions."""

    name: str
    description: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    aliases: dict[str, int] = msgspec.field(default_factory=dict)
    versions: tuple[FoundVersion, ...] = ()


class FoundLogged(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model (`m-…`)."""

    id: str
    experiment: str
    name: str = ""
    location: str = ""
    status: str = "READY"
    stage: str = "active"
    type: str = ""
    run: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    params: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class Source(Protocol):
    """Somebody's MLflow, read from the beginning to the end; nothing of it is changed."""

    name: str

    def experiments(self) -> Iterable[FoundExperiment]:
        """All of them, deleted ones too."""
        ...

    def runs(self, experiment: FoundExperiment) -> Iterator[FoundRun]:
        """The runs of one, deleted ones too, in an order that stays the same."""
        ...

    def points(self, run: FoundRun) -> Iterator[FoundPoints]:
        """All metrics of a run."""
        ...

    def logged(self, experiment: FoundExperiment) -> Iterator[FoundLogged]:
        """The logged models of an experiment."""
        ...

    def models(self) -> Iterator[FoundModel]:
        """The registered models."""
        ...

    def artifacts(self, owner: FoundRun | FoundLogged) -> Iterator[FoundArtifact]:
        """The files of a run or a logged model."""
        ...

    def fetch(self, owner: FoundRun | FoundLogged, artifact: FoundArtifact, target: Path) -> None:
        """Write one file to `target`."""
        ...

    def close(self) -> None: ...
