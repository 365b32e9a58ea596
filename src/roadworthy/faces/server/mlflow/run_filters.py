"""The filters and orders of searches over runs, as MLflow writes them.

In: text. Out: the conditions and order of registry/run_query.py, or INVALID_PARAMETER_VALUE in MLflow's words.
Called by run_search.py.
"""

from collections.abc import Collection, Sequence
from typing import Any

from roadworthy.faces.server.mlflow import filters, wire
from roadworthy.faces.server.mlflow.filters import Clause
from roadworthy.registry.run_query import Condition, Kind, Order

ORDERS_MAX = 20
_KINDS: dict[str, Kind] = {
    "metric": "metric", "metrics": "metric",
    "parameter": "param", "parameters": "param", "param": "param", "params": "param",
    "tag": "tag", "tags": "tag",
    "attribute": "attribute", "attr": "attribute", "attributes": "attribute", "run": "attribute", "": "attribute",
    "dataset": "dataset", "datasets": "dataset",
}  # fmt: skip
_NAMES = {"metric": "metric", "param": "parameter", "tag": "tag", "attribute": "attribute", "dataset": "dataset"}
# MLflow's names of attributes, with those its pages once wrote.
_ATTRIBUTES = {
    "run_id": "id", "run_name": "name", "run name": "name", "Run name": "name", "Run Name": "name", "user_id": "actor",
    "status": "status", "artifact_uri": "location", "start_time": "start_ms", "created": "start_ms",
    "Created": "start_ms", "end_time": "end_ms",
}  # fmt: skip
_ORDERED = [name for name in _ATTRIBUTES if not name.lower().startswith("run ")]
_NUMERIC = ("start_ms", "end_ms")
_DATASET_KEYS = ("name", "digest", "context")
_NUMBER_COMPARATORS = (">", ">=", "!=", "=", "<", "<=")
_LABEL_COMPARATORS = ("!=", "=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL")
_TEXT_COMPARATORS = ("!=", "=", "LIKE", "ILIKE", "IN", "NOT IN")


def conditions(text: str) -> tuple[Condition, ...]:
    """The conditions of a filter."""
    return tuple(_condition(clause) for clause in filters.clauses(text))


def order(texts: Sequence[str]) -> tuple[Order, ...]:
    """An order's terms."""
    if len(texts) > ORDERS_MAX:
        raise wire.invalid(f"`order_by` has at most {ORDERS_MAX} terms")
    found: list[Order] = []
    for text in texts:
        entity, key, upwards = filters.order(text)
        kind, key = _identified(entity, key, _ORDERED)
        if kind == "dataset":
            raise wire.invalid("Invalid identifier type 'dataset'")
        if any((kind, key) == (other.kind, other.key) for other in found):
            raise wire.invalid(f"`order_by` contains duplicate fields: {list(texts)}")
        found.append(Order(kind, key, upwards))
    return tuple(found)


def _condition(clause: Clause) -> Condition:
    kind, key = _identified(clause.entity, clause.key, _ATTRIBUTES)
    comparator, value = clause.comparator, clause.value
    if comparator in ("IS NULL", "IS NOT NULL"):
        if kind not in ("tag", "param"):
            raise wire.invalid(
                f"IS NULL / IS NOT NULL is only supported for tags and params, not for '{_NAMES[kind]}' '{clause.key}'"
            )
        return Condition(kind, key, comparator)  # type: ignore[arg-type]
    return Condition(kind, key, comparator, _value(kind, key, comparator, value, clause.key))  # type: ignore[arg-type]


def _identified(entity: str, key: str, attributes: Collection[str]) -> tuple[Kind, str]:
    kind = _KINDS.get(entity)
    if kind is None:
        raise wire.invalid(f"Invalid entity type '{entity[: wire.SHOWN]}'. Valid values are {list(_NAMES.values())}")
    if kind == "attribute":
        if key not in attributes:
            valid = filters.shown(attributes)
            raise wire.invalid(f"Invalid attribute key '{key[: wire.SHOWN]}' specified. Valid keys are '{valid}'")
        return kind, _ATTRIBUTES[key]
    if kind == "dataset" and key not in _DATASET_KEYS:
        raise wire.invalid(f"Invalid dataset key '{key[: wire.SHOWN]}' specified. Valid keys are '{_DATASET_KEYS}'")
    return kind, key


def _value(kind: Kind, key: str, comparator: str, value: Any, said: str) -> Any:
    if kind == "metric":
        number = filters.number_of(value, "Expected numeric value type for metric.")
        filters.one_of(comparator, _NUMBER_COMPARATORS, "")
        return float(number)
    if kind == "attribute" and key in _NUMERIC:
        number = filters.number_of(value, f"Expected numeric value type for numeric attribute: {said}.")
        if comparator not in _NUMBER_COMPARATORS:
            raise wire.invalid(f"Invalid comparator '{comparator}' not one of '{filters.shown(_TEXT_COMPARATORS)}")
        return number
    if kind in ("param", "tag"):
        text = filters.text_of(value, f"Expected a quoted string value for {_NAMES[kind]} (e.g. 'my-value').")
        filters.one_of(comparator, _LABEL_COMPARATORS, "'" if kind == "param" else "")
        return text
    listed = not isinstance(value, filters.Token)
    if listed and kind == "attribute" and key != "id":
        raise wire.invalid("Only ['run_id'] attributes support comparison with a list of quoted string values.")
    what = "attributes." if kind == "attribute" else "dataset attributes."
    text = "" if listed else filters.text_of(value, f"Expected a quoted string value for {what}")
    filters.one_of(comparator, _TEXT_COMPARATORS, "'" if kind == "attribute" else "")
    if listed != (comparator in ("IN", "NOT IN")):
        raise wire.invalid(f"Invalid comparator '{comparator}' for the value given")
    if listed:
        return value
    # Ours are in small letters.
    return text.swapcase() if key == "status" and kind == "attribute" else text
