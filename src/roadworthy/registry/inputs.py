"""Inputs and outputs: the data sets and models that a run's client says it read, and the models it says it made.

In: descriptions, as clients send them. Out: those of a run or of a page of runs. This file owns the tables `datasets`,
`run_datasets` and `run_models`. A data set is known in its group by name and digest; what the pipelines read are
snapshots (data/snapshots.py), which are more than descriptions.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from roadworthy.registry import groups, labels
from roadworthy.registry.run_rows import Row
from roadworthy.store.sql import Dialect, Reader, Transaction

SUMMARIES_MAX = 1_000

_FIND = "SELECT id FROM datasets WHERE group_id = :group_id AND name = :name AND digest = :digest"
_INSERT = """
INSERT INTO datasets (id, group_id, name, digest, source_type, source, schema, profile)
VALUES (:id, :group_id, :name, :digest, :source_type, :source, :schema, :profile)
"""
_READ_BY = """
INSERT INTO run_datasets (run, dataset, context, tags) VALUES (:run, :dataset, :context, :tags)
ON CONFLICT (run, dataset) DO NOTHING
"""
_PUT_MODEL = """
INSERT INTO run_models (run, direction, model_id, step) VALUES (:run, :direction, :model_id, :step)
ON CONFLICT (run, direction, model_id, step) DO NOTHING
"""
_DATASETS = """
SELECT i.run, i.context, i.tags, d.name, d.digest, d.source_type, d.source, d.schema, d.profile
FROM run_datasets i JOIN datasets d ON d.id = i.dataset
"""
_DATASETS_OF: dict[Dialect, str] = {
    "sqlite": f"{_DATASETS} WHERE i.run IN (SELECT value FROM json_each(:runs)) ORDER BY i.run, i.dataset",
    "postgresql": f"{_DATASETS} WHERE i.run = ANY(:runs) ORDER BY i.run, i.dataset",
}
_MODELS = "SELECT run, direction, model_id, step FROM run_models"
_MODELS_OF: dict[Dialect, str] = {
    "sqlite": f"{_MODELS} WHERE run IN (SELECT value FROM json_each(:runs)) ORDER BY run, step, model_id",
    "postgresql": f"{_MODELS} WHERE run = ANY(:runs) ORDER BY run, step, model_id",
}
_SUMMARIES = """
SELECT DISTINCT d.group_id, d.name, d.digest, i.context FROM datasets d JOIN run_datasets i ON i.dataset = d.id
"""
_SUMMARIES_OF: dict[Dialect, str] = {
    "sqlite": f"{_SUMMARIES} WHERE d.group_id IN (SELECT value FROM json_each(:groups)) LIMIT :limit",
    "postgresql": f"{_SUMMARIES} WHERE d.group_id = ANY(:groups) LIMIT :limit",
}

Direction = Literal["input", "output"]


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A data set as a client described it; `schema` and `profile` are text of its own choosing."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """That a run read a data set: what for, such as `training`, and what else its client noted."""

    dataset: Dataset
    context: str | None = None
    tags: list[tuple[str, str]] = []


class Model(NamedTuple):
    """A model that a run read or made, and at which step."""

    direction: str
    model_id: str
    step: int


class Summary(NamedTuple):
    """A data set of a group, and what runs read it for."""

    group_id: int
    name: str
    digest: str
    context: str | None


def add_datasets(tx: Transaction, run: Row, reads: Sequence[Read]) -> None:
    """Note what a run that the caller holds read; what was noted before stays as it was."""
    for each in reads:
        dataset = each.dataset
        row = tx.row(_FIND, group_id=run.group_id, name=dataset.name, digest=dataset.digest)
        if row is None:
            number = groups.next_number(tx, "datasets")
            tx.execute(_INSERT, id=number, group_id=run.group_id, **msgspec.structs.asdict(dataset))
        else:
            number = int(row[0])
        tags = msgspec.json.encode(each.tags).decode()
        tx.execute(_READ_BY, run=run.seq, dataset=number, context=each.context, tags=tags)


def add_models(tx: Transaction, run: Row, models: Sequence[Model]) -> None:
    """Note the models that a run that the caller holds read or made."""
    tx.execute_many(_PUT_MODEL, [{"run": run.seq, **model._asdict()} for model in models])


def datasets_of(reader: Reader, runs: Sequence[int]) -> dict[int, list[Read]]:
    """What each of several runs read; those that read nothing are left out."""
    found: dict[int, list[Read]] = {}
    rows = reader.rows(_DATASETS_OF[reader.dialect], runs=labels.listed(reader, runs))
    for run, context, tags, name, digest, source_type, source, schema, profile in rows:
        dataset = Dataset(
            name=name, digest=digest, source_type=source_type, source=source, schema=schema, profile=profile
        )
        noted = msgspec.json.decode(tags, type=list[tuple[str, str]])
        found.setdefault(run, []).append(Read(dataset=dataset, context=context, tags=noted))
    return found


def models_of(reader: Reader, runs: Sequence[int]) -> dict[int, list[Model]]:
    """The models that each of several runs read or made; those without are left out."""
    found: dict[int, list[Model]] = {}
    for run, direction, model_id, step in reader.rows(_MODELS_OF[reader.dialect], runs=labels.listed(reader, runs)):
        found.setdefault(run, []).append(Model(direction, model_id, step))
    return found


def summaries(reader: Reader, numbers: Sequence[int], limit: int = SUMMARIES_MAX) -> list[Summary]:
    """The data sets of some groups."""
    rows = reader.rows(_SUMMARIES_OF[reader.dialect], groups=labels.listed(reader, numbers), limit=limit)
    return [Summary(int(group), str(name), str(digest), context) for group, name, digest, context in rows]
