"""How good a model is for each value of a column: an average can hide that it fails one group.

In: scores with the columns to slice by. Out: for each column the worst and best value of each measure, where it was
found, and all values. What is measured is passed in (`performance.measure`), so that this file knows no metric.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from roadworthy.nouns.errors import invalid

if TYPE_CHECKING:
    import numpy as np

# a column with more values than this is an identifier rather than a group; the largest are kept
VALUES_MAX = 200
MISSING = "(missing)"

Measure = Callable[["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"], dict[str, float]]


def measure(
    label: Any, score: Any, columns: Mapping[str, Any], *, by: Measure, rows_min: int = 100
) -> dict[str, dict[str, Any]]:
    """Measure each value of each column by itself.

    Args:
        label, score: one per row.
        columns: name to values, one per row; missing values are one group of their own.
        by: what to measure, given labels and scores of the group.
        rows_min: groups of fewer rows say too little and are left out, 1 or more.

    Returns:
        For each column `min` and `max` (metric to value), `min_at` and `max_at` (metric to the group where), `values`
        (group to its metrics and `rows`), `left_out` (number of groups that were too small or too many) and
        `rows_left_out`.
    """
    import numpy as np

    labels, scores = np.asarray(label), np.asarray(score)
    measured: dict[str, dict[str, Any]] = {}
    for name, column in columns.items():
        if len(column) != len(labels):
            raise invalid(f"there are {len(labels)} labels and {len(column)} values", where=name)
        groups = _groups(column)
        kept = {key: rows for key, rows in groups.items() if len(rows) >= rows_min}
        largest = sorted(kept, key=lambda key: (-len(kept[key]), key))[:VALUES_MAX]
        values: dict[str, dict[str, float]] = {}
        for key in sorted(largest):
            rows = kept[key]
            values[key] = {**by(labels[rows], scores[rows]), "rows": len(rows)}
        measured[name] = {
            **_extremes(values),
            "values": values,
            "left_out": len(groups) - len(values),
            "rows_left_out": len(labels) - sum(int(found["rows"]) for found in values.values()),
        }
    return measured


def _groups(column: Any) -> dict[str, "np.ndarray[Any, Any]"]:
    """Row numbers by value, the value as text."""
    import pandas as pd

    codes, values = pd.factorize(pd.Series(column).reset_index(drop=True), use_na_sentinel=True)
    order = codes.argsort(kind="stable")
    starts = codes[order].searchsorted(range(-1, len(values) + 1))
    groups: dict[str, np.ndarray[Any, Any]] = {}
    for i, value in enumerate([None, *list(values)]):
        rows = order[starts[i] : starts[i + 1]]
        if len(rows):
            groups[_as_text(value)] = rows
    return groups


def _as_text(value: Any) -> str:
    """A value as rules name it: `AA`, `3`, `true`."""
    if value is None:
        return MISSING
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def _extremes(values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"min": {}, "max": {}, "min_at": {}, "max_at": {}}
    metrics = {metric for of_group in values.values() for metric in of_group if metric != "rows"}
    for metric in sorted(metrics):
        having = {key: of_group[metric] for key, of_group in values.items() if metric in of_group}
        low, high = min(having, key=having.__getitem__), max(having, key=having.__getitem__)
        found["min"][metric], found["min_at"][metric] = having[low], low
        found["max"][metric], found["max_at"][metric] = having[high], high
    return found
