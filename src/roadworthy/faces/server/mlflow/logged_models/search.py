"""Search over logged models: by their columns, parameters, tags, and metrics on data sets.

In: conditions and an order that `handlers.py` parsed. Out: a page of records. A statement is put together from the
constant fragments below and those of registry/conditions.py; what a user wrote goes in as bound parameters alone.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from roadworthy.faces.server.mlflow.logged_models import store as logged
from roadworthy.faces.server.mlflow.logged_models.store import LoggedModel
from roadworthy.registry.conditions import Bound
from roadworthy.store.store import Store

# What filters and orders may name, with the column that it is.
ATTRIBUTES = {
    "name": "m.name",
    "model_id": "m.id",
    "model_type": "m.type",
    "status": "m.status",
    "source_run_id": "m.source_run",
    "experiment_id": "m.group_id",
    "artifact_location": "m.location",
    "status_message": "m.message",
    "creation_time": "m.created_ms",
    "creation_timestamp": "m.created_ms",
    "creation_timestamp_ms": "m.created_ms",
    "last_updated_time": "m.updated_ms",
    "last_updated_timestamp": "m.updated_ms",
    "last_updated_timestamp_ms": "m.updated_ms",
}
NUMERIC = frozenset(name for name, column in ATTRIBUTES.items() if column.endswith(("_ms", "group_id", "status")))
_FROM = f"SELECT {logged.COLUMNS} FROM logged_models m"
_PARAM = "EXISTS (SELECT 1 FROM logged_model_params t WHERE t.model = m.seq AND t.key = :{key} AND {holds})"
_TAG = "EXISTS (SELECT 1 FROM logged_model_tags t WHERE t.model = m.seq AND t.key = :{key} AND {holds})"
_METRIC = "EXISTS (SELECT 1 FROM logged_model_metrics t WHERE t.model = m.seq AND t.key = :{key} AND {holds}{on})"
_ON_DATASETS = "EXISTS (SELECT 1 FROM logged_model_metrics t WHERE t.model = m.seq{on})"
# The newest point of a metric of each model, over which it is ordered.
_NEWEST = """ LEFT JOIN (
    SELECT t.model, t.value, ROW_NUMBER() OVER (PARTITION BY t.model ORDER BY t.at_ms DESC, t.step DESC, t.run) AS place
    FROM logged_model_metrics t WHERE t.key = :{key}{on}
) {name} ON {name}.model = m.seq AND {name}.place = 1"""
_NULLS_LAST = "CASE WHEN {column} IS NULL THEN 1 ELSE 0 END, {column} {direction}"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison."""

    entity: Literal["attributes", "params", "tags", "metrics"]
    key: str
    comparator: str
    value: str | float | tuple[str, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an order: an attribute, or the newest value of a metric, on a data set if one is named."""

    attribute: str = ""
    metric: str = ""
    ascending: bool = True
    dataset: str = ""
    digest: str = ""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for.

    Args:
        groups: MLflow's experiments.
        datasets: name and digest (empty for any) of those on which metrics count.
        projects: those that may be seen; None for all.
    """

    groups: tuple[int, ...]
    conditions: tuple[Condition, ...] = ()
    datasets: tuple[tuple[str, str], ...] = ()
    order: tuple[Order, ...] = ()
    limit: int = 50
    skip: int = 0
    projects: frozenset[str] | None = None


def search(store: Store, wanted: Wanted) -> list[LoggedModel]:
    """A page of models, the newest first unless ordered otherwise."""
    with store.read() as reader:
        bound = Bound(reader.dialect)
        joins, order = _order(bound, wanted.order)
        clauses = [
            "m.deleted = 0",
            f"m.group_id IN ({bound.listed(wanted.groups)})",
            bound.within("m.project", wanted.projects),
            *_conditions(bound, wanted),
        ]
        sql = f"{_FROM}{joins} WHERE {' AND '.join(clauses)} ORDER BY {order} LIMIT :limit OFFSET :skip"
        return logged.whole(reader, reader.rows(sql, limit=wanted.limit, skip=wanted.skip, **bound.values))


def _conditions(bound: Bound, wanted: Wanted) -> list[str]:
    on = _on(bound, wanted.datasets)
    clauses = []
    for each in wanted.conditions:
        if each.entity == "attributes":
            clauses.append(bound.holds(ATTRIBUTES[each.key], each.comparator, each.value))
            continue
        holds = bound.holds("t.value", each.comparator, each.value)
        pattern = {"params": _PARAM, "tags": _TAG, "metrics": _METRIC}[each.entity]
        clauses.append(pattern.format(key=bound.bind(each.key), holds=holds, on=on))
    if wanted.datasets and not any(each.entity == "metrics" for each in wanted.conditions):
        clauses.append(_ON_DATASETS.format(on=on))
    return clauses


def _order(bound: Bound, wanted: Sequence[Order]) -> tuple[str, str]:
    joins, parts, named = "", [], set()
    for place, each in enumerate(wanted):
        if each.metric:
            column = f"o{place}.value"
            on = _on(bound, [(each.dataset, each.digest)] if each.dataset else ())
            joins += _NEWEST.format(key=bound.bind(each.metric), on=on, name=f"o{place}")
        else:
            column = ATTRIBUTES[each.attribute]
            named.add(column)
        parts.append(_NULLS_LAST.format(column=column, direction="ASC" if each.ascending else "DESC"))
    if "m.created_ms" not in named:
        parts.append("m.created_ms DESC")
    if "m.id" not in named:
        parts.append("m.id ASC")
    return joins, ", ".join(parts)


def _on(bound: Bound, datasets: Sequence[tuple[str, str]]) -> str:
    """That a point is of one of the data sets; nothing when none is named."""
    if not datasets:
        return ""
    any_of = [
        f"(t.dataset = :{bound.bind(name)}" + (f" AND t.digest = :{bound.bind(digest)})" if digest else ")")
        for name, digest in datasets
    ]
    return f" AND ({' OR '.join(any_of)})"
