"""The filters and orders of searches over experiments, as MLflow writes them.

In: text. Out: the conditions and order of registry/group_search.py, or INVALID_PARAMETER_VALUE in MLflow's words.
Called by experiments.py.
"""

from collections.abc import Sequence
from typing import Any

from roadworthy.faces.server.mlflow import filters, run_rules, wire
from roadworthy.faces.server.mlflow.filters import Clause
from roadworthy.registry.group_search import Condition

ORDERS_MAX = 20
_ATTRIBUTES = {
    "name": "name", "experiment_id": "id", "creation_time": "created_ms", "last_update_time": "updated_ms",
}  # fmt: skip
_NUMERIC = ("created_ms", "updated_ms")
_NUMBER_COMPARATORS = ("=", "!=", "<", "<=", ">", ">=")
_TEXT_COMPARATORS = ("=", "!=", "LIKE", "ILIKE")
_ID_COMPARATORS = ("=", "!=", "IN", "NOT IN")


def conditions(text: str) -> tuple[Condition, ...]:
    """The conditions of a filter."""
    return tuple(_condition(clause) for clause in filters.clauses(text))


def order(texts: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """An order's columns and whether upwards; the newest first unless said otherwise."""
    if len(texts) > ORDERS_MAX:
        raise wire.invalid(f"`order_by` has at most {ORDERS_MAX} terms")
    found: list[tuple[str, bool]] = []
    for text in texts or ("creation_time DESC", "experiment_id ASC"):
        entity, key, upwards = filters.order(text)
        tag, key = _identified(entity, key)
        if tag:
            raise wire.invalid("Invalid order_by entity: tag")
        if all(key != other for other, _ in found):
            found.append((key, upwards))
    return tuple(found)


def _identified(entity: str, key: str) -> tuple[bool, str]:
    if entity not in ("", "attribute", "tag", "tags"):
        raise wire.invalid(
            f"Invalid entity type '{entity[: wire.SHOWN]}'. Valid entity types are ('attribute', 'tag', 'tags')"
        )
    if entity in ("tag", "tags"):
        return True, key
    if key not in _ATTRIBUTES:
        raise wire.invalid(
            f"Invalid attribute key '{key[: wire.SHOWN]}' specified. Valid keys are '{sorted(_ATTRIBUTES)}'"
        )
    return False, _ATTRIBUTES[key]


def _condition(clause: Clause) -> Condition:
    tag, key = _identified(clause.entity, clause.key)
    comparator, value = clause.comparator, clause.value
    if comparator in ("IS NULL", "IS NOT NULL"):
        if not tag:
            raise wire.invalid(f"IS NULL / IS NOT NULL is only supported for tags, not for attribute '{clause.key}'")
        return Condition("", key, comparator)  # type: ignore[arg-type]
    if tag:
        text = filters.text_of(value, "Expected a quoted string value for tag (e.g. 'my-value').")
        if comparator not in _TEXT_COMPARATORS:
            raise wire.invalid(f"Invalid comparator for tag: {comparator}")
        return Condition("", key, comparator, text)  # type: ignore[arg-type]
    return Condition(key, "", comparator, _value(key, clause.key, comparator, value))  # type: ignore[arg-type]


def _value(key: str, said: str, comparator: str, value: Any) -> Any:
    if key in _NUMERIC:
        number = filters.number_of(value, f"Expected numeric value type for numeric attribute: {said}.")
        if comparator not in _NUMBER_COMPARATORS:
            raise wire.invalid(f"Invalid comparator for numeric attribute: {comparator}")
        if isinstance(number, float):
            raise wire.invalid(f"Invalid value for numeric attribute '{said}': '{number}'")
        return number
    listed = not isinstance(value, filters.Token)
    if key == "id":
        if comparator not in _ID_COMPARATORS or listed == (comparator in ("=", "!=")):
            raise wire.invalid(f"Invalid comparator for experiment_id: {comparator}")
        if listed:
            return tuple(run_rules.experiment_id(each) for each in value)
        return run_rules.experiment_id(filters.text_of(value, "Expected a quoted string value for attributes."))
    if listed:
        raise wire.invalid("Only ['experiment_id'] attributes support comparison with a list of quoted string values.")
    text = filters.text_of(value, "Expected a quoted string value for attributes.")
    filters.one_of(comparator, ("!=", "=", "LIKE", "ILIKE", "IN", "NOT IN"), "'")
    if comparator not in _TEXT_COMPARATORS:
        raise wire.invalid(f"Invalid comparator for string attribute: {comparator}")
    return text
