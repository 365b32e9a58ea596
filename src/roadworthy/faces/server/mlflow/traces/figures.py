"""Figures of traces and spans: tokens, cost, model, as attributes tell them, and what a whole trace came to.

In: a span's attributes (MLflow's keys, or those of OpenTelemetry's conventions for generative AI), a trace's metadata.
Out: what charts.py sums up. What is no number is passed over, as in MLflow; a cost is what a client says: none is
guessed from a list of prices. Called by otlp.py, ingest.py and store.py.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

TOKENS_KEY, COST_KEY = "mlflow.trace.tokenUsage", "mlflow.trace.cost"
SPAN_TOKENS_KEY, SPAN_COST_KEY = "mlflow.chat.tokenUsage", "mlflow.llm.cost"
MODEL_KEYS = ("mlflow.llm.model", "gen_ai.response.model", "gen_ai.request.model")
PROVIDER_KEYS = ("mlflow.llm.provider", "gen_ai.provider.name")
TOKENS = ("input_tokens", "output_tokens", "total_tokens")
CACHED_TOKENS = ("cache_read_input_tokens", "cache_creation_input_tokens")
COSTS = ("input_cost", "output_cost", "total_cost")
NAME_MAX = 500
N = TypeVar("N", int, float)
_INT_MAX = 2**63 - 1
_SAID_TOKENS = {
    "input_tokens": ("gen_ai.usage.input_tokens",),
    "output_tokens": ("gen_ai.usage.output_tokens",),
    "cache_read_input_tokens": ("gen_ai.usage.cache_read.input_tokens",),
    "cache_creation_input_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
    ),
}
# The attributes that matter here.
KEYS = frozenset(
    (
        SPAN_TOKENS_KEY,
        SPAN_COST_KEY,
        *MODEL_KEYS,
        *PROVIDER_KEYS,
        *(key for keys in _SAID_TOKENS.values() for key in keys),
    )
)


class Figures(NamedTuple):
    """What one span used; None for what it does not say."""

    model: str | None = None
    provider: str | None = None
    tokens: Mapping[str, int] | None = None
    cost: Mapping[str, float] | None = None


class Node(NamedTuple):
    """A span in its tree, with what it used of one kind."""

    id: str
    parent: str
    used: Mapping[str, float] | None


def of_span(attributes: Mapping[str, Any]) -> Figures:
    """What a span's attributes, as Python's values, tell."""
    tokens = _numbers(_decoded(attributes.get(SPAN_TOKENS_KEY)), (*TOKENS, *CACHED_TOKENS), _count)
    return Figures(
        model=_name(attributes, MODEL_KEYS),
        provider=_name(attributes, PROVIDER_KEYS),
        tokens=tokens or _conventional(attributes) or None,
        cost=_numbers(_decoded(attributes.get(SPAN_COST_KEY)), COSTS, _finite) or None,
    )


def of_metadata(metadata: Mapping[str, str]) -> dict[str, int]:
    """The tokens that a trace's metadata tells of."""
    return _numbers(_decoded(metadata.get(TOKENS_KEY)), (*TOKENS, *CACHED_TOKENS), _count)


def total(nodes: Iterable[Node], always: Iterable[str], sometimes: Iterable[str] = ()) -> dict[str, float]:
    """What a trace used: what its spans did, but for those below one that has it already; empty when none says."""
    known = list(nodes)
    within = {node.id: node for node in known}
    below: dict[str, list[Node]] = {}
    for node in known:
        below.setdefault(node.parent if node.parent in within else "", []).append(node)
    summed: dict[str, float] = {}
    ahead = list(below.get("", ()))
    while ahead:
        node = ahead.pop()
        if node.used is None:
            ahead.extend(below.get(node.id, ()))
            continue
        for name in always:
            summed[name] = summed.get(name, 0) + node.used.get(name, 0)
        for name in sometimes:
            if name in node.used:
                summed[name] = summed.get(name, 0) + node.used[name]
    return summed


def _conventional(attributes: Mapping[str, Any]) -> dict[str, int]:
    found = {}
    for name, keys in _SAID_TOKENS.items():
        number = next((n for key in keys if (n := _count(_decoded(attributes.get(key)))) is not None), None)
        if number is not None:
            found[name] = number
    if "input_tokens" in found and "output_tokens" in found:
        found["total_tokens"] = found["input_tokens"] + found["output_tokens"]
    return found


def _name(attributes: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    for key in keys:
        said = _decoded(attributes.get(key))
        if isinstance(said, str) and said:
            return said[:NAME_MAX].replace("\0", "\ufffd")
    return None


def _numbers(said: Any, names: Iterable[str], read: Callable[[Any], N | None]) -> dict[str, N]:
    if not isinstance(said, dict):
        return {}
    return {name: number for name in names if (number := read(said.get(name))) is not None}


def _count(value: Any) -> int | None:
    number = _finite(value)
    return int(number) if number is not None and number.is_integer() and abs(number) <= _INT_MAX else None


def _finite(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _decoded(value: Any) -> Any:
    """A value; JSON in text as what it says."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
