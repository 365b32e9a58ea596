"""The filters and orders of searches over traces.

In: text such as ``attributes.status = 'ERROR' AND span.type = 'LLM' AND feedback.good = 'true'``. Out: the conditions
of traces/search.py, or INVALID_PARAMETER_VALUE. Patterns (RLIKE) are refused: anyone's could keep the server busy.
"""

from collections.abc import Sequence

from roadworthy.faces.server.errors import WireError
from roadworthy.faces.server.mlflow import filters
from roadworthy.faces.server.mlflow.filters import Clause, Token
from roadworthy.faces.server.mlflow.traces.search import SPAN_COLUMNS, Condition, Order
from roadworthy.faces.server.mlflow.wire import SHOWN, invalid

SORTS_MAX = 20
_ENTITIES = {
    "": "attributes",
    "attribute": "attributes",
    "attributes": "attributes",
    "trace": "attributes",
    "tag": "tags",
    "tags": "tags",
    "metadata": "metadata",
    "request_metadata": "metadata",
    "span": "span",
    "feedback": "feedback",
    "expectation": "expectation",
    "issue": "issue",
}
_SAME = {"timestamp": "timestamp_ms", "execution_time": "execution_time_ms", "end_time": "end_time_ms"}
_NUMERIC = ("timestamp_ms", "execution_time_ms", "end_time_ms")
_ATTRIBUTES = (*_NUMERIC, "request_id", "status", "client_request_id", "name", "run_id", "prompt", "text")
_SORTED = (*_NUMERIC, "request_id", "status", "name", "experiment_id")
_LISTED = ("name", "status", "request_id", "run_id", "client_request_id")
_NUMBERS = (">", ">=", "!=", "=", "<", "<=")
_TEXTS = ("!=", "=", "IN", "NOT IN", "LIKE", "ILIKE")
_PAIRS = ("!=", "=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL")
_ASSESSED = (*_PAIRS, ">", ">=", "<", "<=")


def conditions(text: str) -> tuple[Condition, ...]:
    """The conditions of a filter.

    Raises:
        WireError: INVALID_PARAMETER_VALUE.
    """
    return tuple(_condition(clause) for clause in filters.clauses(text))


def order(texts: Sequence[str]) -> tuple[Order, ...]:
    """The order that terms such as `timestamp_ms DESC` ask for."""
    found: list[Order] = []
    for text in texts[:SORTS_MAX]:
        entity, key, ascending = filters.order(text)
        kind = _entity(entity)
        key = _SAME.get(key, key)
        if kind == "attributes" and key == "run_id":
            kind, key = "metadata", "mlflow.sourceRun"
        if kind == "attributes" and key not in _SORTED:
            raise _no_key(key, (*_SORTED, *_SAME, "run_id"))
        if kind not in ("attributes", "tags", "metadata"):
            raise invalid(f"Invalid order_by entity `{kind}` with key `{key[:SHOWN]}`")
        if any((each.entity, each.key) == (kind, key) for each in found):
            raise invalid(f"`order_by` contains duplicate fields: {[each[:SHOWN] for each in texts]}")
        found.append(Order(entity=kind, key=key, ascending=ascending))  # type: ignore[arg-type]
    return tuple(found)


def _condition(clause: Clause) -> Condition:
    kind, key, comparator = _entity(clause.entity), clause.key, clause.comparator
    if kind == "attributes":
        return _attribute(clause, _SAME.get(key, key))
    if kind == "span":
        return _span(clause)
    if kind == "issue":
        if key != "id":
            raise invalid(f"Invalid issue attribute '{key[:SHOWN]}'. Supported attributes: id")
        _compares(comparator, ("=",))
        return Condition(entity="issue", key=key, comparator=comparator, value=_text(clause))
    if kind in ("feedback", "expectation"):
        return _assessment(clause, kind)
    if key in ("mlflow.traceName", "mlflow.sourceRun"):
        kind, key = "attributes", {"mlflow.traceName": "name", "mlflow.sourceRun": "run_id"}[key]
        if comparator not in ("IS NULL", "IS NOT NULL") or key == "name":
            return _attribute(clause, key)
        kind, key = "metadata", "mlflow.sourceRun"
    _compares(comparator, _PAIRS)
    value = None if clause.value is None else _text(clause)
    return Condition(entity=kind, key=key, comparator=comparator, value=value)  # type: ignore[arg-type]


def _attribute(clause: Clause, key: str) -> Condition:
    comparator = clause.comparator
    if key not in _ATTRIBUTES:
        raise _no_key(key, (*_ATTRIBUTES, *_SAME))
    if key in _NUMERIC:
        _compares(comparator, _NUMBERS)
        return Condition(entity="attributes", key=key, comparator=comparator, value=_number(clause))
    if key == "text":
        _compares(comparator, ("LIKE", "ILIKE"))
        return Condition(entity="span", key="content", comparator=comparator, value=_text(clause))
    if key == "prompt":
        value = str(_text(clause))
        if comparator != "=":
            raise invalid(
                f"Invalid comparator '{comparator}' for prompts filter. Only '=' is supported with format: "
                'prompt = "name/version"'
            )
        if value.count("/") != 1:
            raise invalid(f"Invalid prompts filter value '{value[:SHOWN]}'. Expected format: prompt = \"name/version\"")
        return Condition(entity="prompt", key=key, comparator="=", value=value)
    if clause.value is None and key == "name":
        return Condition(entity="attributes", key=key, comparator=comparator)
    _compares(comparator, _TEXTS)
    said = _text(clause, listed=key in _LISTED)
    if key == "run_id":
        if comparator == "=":
            return Condition(entity="run", key=key, comparator="=", value=said)
        return Condition(entity="metadata", key="mlflow.sourceRun", comparator=comparator, value=said)
    return Condition(entity="attributes", key=key, comparator=comparator, value=said)


def _span(clause: Clause) -> Condition:
    key, comparator = clause.key, clause.comparator
    if not key.startswith("attributes."):
        if key not in SPAN_COLUMNS:
            raise invalid(
                f"Invalid span attribute '{key[:SHOWN]}'. Supported attributes: name, status, type, "
                "attributes.<attribute_name>."
            )
        _compares(comparator, ("LIKE", "ILIKE") if key == "content" else _TEXTS)
        return Condition(entity="span", key=key, comparator=comparator, value=_text(clause, listed=True))
    name = filters.unquoted(key.removeprefix("attributes."))
    if not name:
        raise invalid("Span attribute name cannot be empty after 'attributes.'")
    _compares(comparator, _TEXTS)
    return Condition(entity="span", key=f"attributes.{name}", comparator=comparator, value=_text(clause, listed=True))


def _assessment(clause: Clause, kind: str) -> Condition:
    comparator = clause.comparator
    _compares(comparator, _ASSESSED)
    value: str | float | tuple[str, ...] | None = None
    if comparator in (">", ">=", "<", "<="):
        value = _number(clause)
    elif clause.value is not None:
        value = _text(clause)
    return Condition(entity=kind, key=clause.key, comparator=comparator, value=value)  # type: ignore[arg-type]


def _entity(said: str) -> str:
    if said not in _ENTITIES:
        raise invalid(f"Invalid entity type '{said[:SHOWN]}'. Valid values are {sorted(filter(None, _ENTITIES))}")
    return _ENTITIES[said]


def _compares(comparator: str, allowed: Sequence[str]) -> None:
    if comparator not in allowed:
        raise invalid(f"Invalid comparator '{comparator[:SHOWN]}' not one of '{list(allowed)}'")


def _text(clause: Clause, *, listed: bool = False) -> str | tuple[str, ...]:
    value = clause.value
    if isinstance(value, Token):
        if value.kind == "number" and clause.entity in ("", "attribute", "attributes", "trace"):
            raise invalid(
                f"Only the '{sorted((*_NUMERIC, *_SAME))}' attributes support comparison with numeric values."
            )
        if value.kind not in ("text", "name") or (value.kind == "name" and not value.text.startswith('"')):
            raise invalid(
                f"Expected a quoted string value for {clause.key[:SHOWN]} (e.g. 'my-value'). Got value "
                f"{value.text[:SHOWN]}"
            )
        if clause.comparator in ("IN", "NOT IN"):
            raise invalid(f"{clause.comparator} takes a list of quoted string values")
        return filters.unquoted(value.text)
    if value is None or not listed or clause.comparator not in ("IN", "NOT IN"):
        raise invalid(f"Only attributes in {list(_LISTED)} supports comparison with a list of quoted string values.")
    return value


def _number(clause: Clause) -> float:
    value = clause.value
    if not isinstance(value, Token) or value.kind != "number":
        said = value.text if isinstance(value, Token) else str(value)
        raise invalid(
            f"Expected a numeric value for {clause.key[:SHOWN]} when using comparator '{clause.comparator}'. Got "
            f"value {said[:SHOWN]}"
        )
    number = float(value.text)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _no_key(key: str, keys: Sequence[str]) -> WireError:
    return invalid(f"Invalid attribute key '{key[:SHOWN]}' specified. Valid keys are '{sorted(keys)}'")
