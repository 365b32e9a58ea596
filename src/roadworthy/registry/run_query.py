"""What a search over runs asks, as data: conditions, an order, which groups, where to go on.

In: whatever grammar a face speaks (faces/server/mlflow/filters.py has MLflow's). Out: records that
registry/run_search.py answers. All conditions hold together; there is no `or` in any grammar we speak.
"""

from typing import Literal, NamedTuple

import msgspec

Kind = Literal["attribute", "param", "tag", "metric", "dataset"]
Comparator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"]
Value = str | int | float | tuple[str, ...] | None

# Attributes by our names: id, name, actor, status, location, start_ms, end_ms. Of data sets: name, digest, context.
ATTRIBUTES = ("id", "name", "actor", "status", "location", "start_ms", "end_ms")
NUMERIC_ATTRIBUTES = ("start_ms", "end_ms")
DATASET_ATTRIBUTES = ("name", "digest", "context")


class Condition(NamedTuple):
    """One condition: what is compared, how, with what."""

    kind: Kind
    key: str
    comparator: Comparator
    value: Value = None


class Order(NamedTuple):
    """One term of an order; what has no such value comes last, after NaN."""

    kind: Kind
    key: str
    ascending: bool = True


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A search over runs.

    Args:
        groups: numbers of the groups that are searched.
        stage: `active`, `deleted`, or empty for both.
        conditions: all hold.
        order: the newest first, then by id, where it leaves runs equal.
        limit: how many at most.
        after: the `place` of the last run that was seen.
        place: where the artifacts of a group go that names no place, before its number.
    """

    groups: tuple[int, ...]
    stage: str = "active"
    conditions: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int = 1_000
    after: tuple[str | int | float, ...] = ()
    place: str = ""
