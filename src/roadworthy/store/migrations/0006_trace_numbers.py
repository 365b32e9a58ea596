"""What of 0006_trace_numbers.sql no SQL can do: tokens and costs read out of the JSON of traces that are there.

In: a transaction in which 0006_trace_numbers.sql was done. Out: the new columns and the new table filled. Called by the
migrator (store/sql.py), once. What is read of the JSON is written out here, as it was when this was made.
"""

import json
import math
from typing import Any

from roadworthy.store.sql import Transaction

_TOLD = """
SELECT trace, value FROM trace_metadata WHERE key = 'mlflow.trace.tokenUsage' AND trace > :after
ORDER BY trace LIMIT 500
"""
_NUMBER = "INSERT INTO trace_numbers (trace, name, number) VALUES (:trace, :name, :number)"
_SPANS = """
SELECT trace, id, data FROM spans WHERE trace > :trace OR (trace = :trace AND id > :id) ORDER BY trace, id LIMIT 500
"""
_SET = """
UPDATE spans SET model = :model, provider = :provider, input_cost = :input_cost, output_cost = :output_cost,
    total_cost = :total_cost, tokens = :tokens
WHERE trace = :trace AND id = :id
"""
_COSTS = ("input_cost", "output_cost", "total_cost")
_TOKENS = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def migrate(tx: Transaction) -> None:
    """Fill what is new."""
    after = -1
    while rows := tx.rows(_TOLD, after=after):
        for trace, text in rows:
            tokens = _numbers(_decoded(text), _TOKENS)
            tx.execute_many(_NUMBER, [{"trace": trace, "name": name, "number": n} for name, n in tokens.items()])
        after = int(rows[-1][0])
    at: tuple[int, str] = (-1, "")
    while rows := tx.rows(_SPANS, trace=at[0], id=at[1]):
        for trace, identifier, data in rows:
            found = _of_span(_decoded(data))
            if found:
                empty = dict.fromkeys(("model", "provider", *_COSTS, "tokens"))
                tx.execute(_SET, trace=trace, id=identifier, **{**empty, **found})
        at = (int(rows[-1][0]), str(rows[-1][1]))


def _of_span(span: Any) -> dict[str, Any]:
    named = {}
    for pair in span.get("attributes", []) if isinstance(span, dict) else []:
        named[pair.get("key")] = _decoded((pair.get("value") or {}).get("string_value"))
    found: dict[str, Any] = _numbers(named.get("mlflow.llm.cost"), _COSTS)
    tokens = _numbers(named.get("mlflow.chat.tokenUsage"), _TOKENS)
    if tokens:
        found["tokens"] = json.dumps({name: int(number) for name, number in tokens.items()})
    for column, key in (("model", "mlflow.llm.model"), ("provider", "mlflow.llm.provider")):
        if isinstance(named.get(key), str):
            found[column] = named[key][:500]
    return found


def _decoded(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _numbers(said: Any, names: tuple[str, ...]) -> dict[str, float]:
    if not isinstance(said, dict):
        return {}
    numbers = {name: said.get(name) for name in names}
    return {
        name: float(n)
        for name, n in numbers.items()
        if isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 2**63 and math.isfinite(n)
    }
