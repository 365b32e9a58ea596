"""Drift: how far served rows are from the rows a model was made with.

In: at training a table (and the model's scores on it), giving a `Profile`, kept as a JSON blob beside the model; later
a window of served rows. Out: one `Drift` per column. Called by registration (profile), rollout evidence and monitors.

A verdict needs both: significance after Benjamini-Hochberg over all columns, and an effect worth a person's time. With
100,000 rows everything is significant; with 50 every effect is large by chance. Served rows are also not independent
(an hour's flights share its weather), which makes p-values too small; the effect threshold is what holds then.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from roadworthy.gates import table_columns
from roadworthy.gates.table_columns import Type
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.monitor import Drift, Verdict

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 10
# Points of the quantile sketch: a KS distance against it is within 0.5/1024 + 1/n of that against all rows.
SKETCH_MAX = 1024
CATEGORIES_MAX = 200
NEW_VALUES_MAX = 20
OTHER = "(other)"
UNREADABLE = "(not a number)"

SIGNIFICANCE = 0.01
# PSI: below 0.1 no change, over 0.2 to 0.25 a real one (Siddiqi 2006, Credit Risk Scorecards, ch. 9).
PSI_SMALL, PSI_LARGE = 0.1, 0.2
# KS distance and Cramer's V: a shift of a normal variable by Cohen's d = 0.25 and 0.5 (between small and medium, and
# medium: Cohen 1988, ch. 2) has KS distances 2*Phi(d/2) - 1 of 0.1 and 0.2, and about the same balanced V.
EFFECT_SMALL, EFFECT_LARGE = 0.1, 0.2
# A change of the share of nulls, in points of the share.
MISSING_SMALL, MISSING_LARGE = 0.02, 0.1
# Cells of a chi-squared table with a smaller expected count are pooled (Cochran 1954, Biometrics 10(4)).
EXPECTED_MIN = 5.0


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one column.

    Args:
        name: the column.
        kind: how it is compared.
        type: what its values were; datetimes are kept as seconds since the epoch, durations as seconds.
        count: values that are neither null nor infinite.
        missing: share of the others, 0 to 1.
        mean, std: of numbers (population standard deviation).
        edges: inner edges of the quantile bins, each bin open below and closed above; numbers only.
        counts: per bin.
        sketch: order statistics at evenly spaced ranks (all values if there are no more than 1,024); numbers only.
        categories: value to count, the 200 most frequent; categories only.
        other: count of the values beyond those.
    """

    name: str
    kind: Literal["number", "category"]
    type: Type
    count: int
    missing: float = 0.0
    mean: float = 0.0
    std: float = 0.0
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    sketch: tuple[float, ...] = ()
    categories: dict[str, int] = msgspec.field(default_factory=dict)
    other: int = 0


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A reference: what the columns, and the score, looked like when the model was made."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    score: ColumnProfile | None = None
    schema: int = 1


def profile(table: Any, columns: tuple[str, ...], score: "np.ndarray[Any, Any] | None" = None) -> Profile:
    """Remember what a table looks like, in bounded space (about 20 KB a number column).

    Args:
        table: pandas DataFrame, Arrow table, or mapping of column to values; the reference rows.
        columns: those to remember. Leave out sensitive ones: a profile holds values.
        score: the model's answers on these rows, if drift of the score is to be measured.

    Raises:
        Fault: invalid when a column is not in the table.
    """
    present = set(table_columns.names(table))
    absent = [name for name in columns if name not in present]
    if absent:
        raise invalid(
            "the table has no such column", where=", ".join(absent), fix=f"it has {', '.join(sorted(present))}"
        )
    profiles = tuple(_profile_column(name, table_columns.series_of(table, name)) for name in columns)
    return Profile(
        rows=table_columns.row_count(table),
        columns=profiles,
        score=None if score is None else _profile_column("score", table_columns.as_series(score)),
    )


def drift(
    reference: Profile,
    table: Any,
    *,
    score: "np.ndarray[Any, Any] | None" = None,
    columns: tuple[str, ...] = (),
) -> tuple[Drift, ...]:
    """Compare a window with a profile, column by column, and the score last (as column `score`).

    Numbers: two-sample Kolmogorov-Smirnov (asymptotic p-value, Hodges 1958) and the first Wasserstein distance, over
    the profile's sketch. Categories: Pearson's chi-squared of the 2 x k table, and Cramer's V of the same table with
    both samples given equal weight, so that the effect does not shrink when the reference is the larger. Both: PSI
    (each bin's count plus one half, so that an empty bin stays finite) and the Jensen-Shannon distance over the bins.

    Args:
        reference: made by `profile`.
        table: the window's rows; a profiled column that it lacks counts as missing in every row.
        score: the answers given in the window.
        columns: compare only these; all when empty.

    Returns:
        One `Drift` per profiled column. Empty windows and columns without values give zero effect and p-value 1.
    """
    rows = table_columns.row_count(table)
    present = set(table_columns.names(table))
    found = []
    for column in reference.columns:
        if columns and column.name not in columns:
            continue
        found.append(
            _compare(column, table_columns.series_of(table, column.name) if column.name in present else None, rows)
        )
    if reference.score is not None and score is not None:
        found.append(_compare(reference.score, table_columns.as_series(score), len(score)))
    return _judged(found, reference, rows)


def encode(reference: Profile) -> bytes:
    """A profile as the JSON that is kept."""
    return msgspec.json.encode(reference)


def decode(content: bytes) -> Profile:
    """A kept profile.

    Raises:
        Fault: invalid when the bytes are not a profile.
    """
    try:
        return msgspec.json.decode(content, type=Profile)
    except msgspec.MsgspecError as problem:
        raise invalid(f"not a reference profile: {problem}", fix="register the model again") from None


def bin_counts(column: ColumnProfile, values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """How many of `values` (finite numbers) fall into each of a profile's bins."""
    import numpy as np

    return np.bincount(np.searchsorted(np.asarray(column.edges), values, side="left"), minlength=len(column.edges) + 1)


def psi(reference: Sequence[float], current: Sequence[float]) -> float:
    """Population stability index of two histograms: the sum of (q - p) ln(q / p), with half a count added per bin."""
    import numpy as np

    p = (np.asarray(reference, float) + 0.5) / (np.sum(reference) + 0.5 * len(reference))
    q = (np.asarray(current, float) + 0.5) / (np.sum(current) + 0.5 * len(current))
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(reference: Sequence[float], current: Sequence[float]) -> float:
    """Jensen-Shannon distance of two histograms, base 2: 0 for equal, 1 for disjoint ones (Lin 1991)."""
    import numpy as np

    p = np.asarray(reference, float) / max(np.sum(reference), 1e-300)
    q = np.asarray(current, float) / max(np.sum(current), 1e-300)
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / m), 0.0)
        right = np.where(q > 0, q * np.log2(q / m), 0.0)
    return float(math.sqrt(max(float(left.sum() + right.sum()) / 2, 0.0)))


def false_discovery(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's (1995) adjusted p-values, in the order given."""
    adjusted = [1.0] * len(p_values)
    lowest = 1.0
    by_size = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank in range(len(by_size), 0, -1):
        i = by_size[rank - 1]
        lowest = min(lowest, p_values[i] * len(p_values) / rank)
        adjusted[i] = lowest
    return adjusted


# --- one column ---


def _profile_column(name: str, series: "pd.Series") -> ColumnProfile:
    kind = table_columns.type_of(series)
    rows = len(series)
    if kind in ("boolean", "string"):
        counted = table_columns.category_counts(series)
        kept = dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:CATEGORIES_MAX])
        count = sum(counted.values())
        return ColumnProfile(
            name=name,
            kind="category",
            type=kind,
            count=count,
            missing=_share(rows - count, rows),
            categories=kept,
            other=count - sum(kept.values()),
        )
    return _profile_numbers(name, kind, table_columns.numbers(series, kind), rows)


def _profile_numbers(name: str, kind: Type, values: "np.ndarray[Any, Any]", rows: int) -> ColumnProfile:
    import numpy as np

    missing = _share(rows - len(values), rows)
    if not len(values):
        return ColumnProfile(name=name, kind="number", type=kind, count=0, missing=missing, counts=(0,))
    values = np.sort(values)
    quantiles = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf")
    edges, times = np.unique(quantiles, return_counts=True)
    # A value that is several quantiles at once (all of them, of a constant) has a bin of its own, or a shift of what is
    # left beside it would not show.
    edges = np.unique(np.concatenate([edges, np.nextafter(edges[times > 1], -np.inf)]))
    found = ColumnProfile(
        name=name,
        kind="number",
        type=kind,
        count=len(values),
        missing=missing,
        mean=float(values.mean()),
        std=float(values.std()),
        edges=tuple(edges.tolist()),
        sketch=tuple(_sketch(values).tolist()),
    )
    return msgspec.structs.replace(found, counts=tuple(bin_counts(found, values).tolist()))


def _compare(column: ColumnProfile, series: "pd.Series | None", rows: int) -> Drift:
    if series is None or not rows:
        return Drift(
            column=column.name,
            kind=column.kind,
            missing=1.0 if rows else 0.0,
            missing_reference=column.missing,
        )
    if column.kind == "number":
        return _compare_numbers(column, series, rows)
    return _compare_categories(column, series, rows)


def _compare_numbers(column: ColumnProfile, series: "pd.Series", rows: int) -> Drift:
    import numpy as np

    values = np.sort(table_columns.numbers(series, column.type))
    unreadable = int(series.notna().sum()) - table_columns.readable(series, column.type)
    found = Drift(
        column=column.name,
        kind="number",
        statistic="kolmogorov-smirnov",
        missing=_share(rows - len(values), rows),
        missing_reference=column.missing,
        new_values={UNREADABLE: unreadable / rows} if unreadable else {},
    )
    if not len(values) or not column.count:
        return found
    sketch = np.asarray(column.sketch)
    counts: list[int] = bin_counts(column, values).tolist()
    distance = _ks_distance(sketch, values)
    return msgspec.structs.replace(
        found,
        psi=psi(column.counts, counts),
        jensen_shannon=jensen_shannon(column.counts, counts),
        value=distance,
        effect=distance,
        p_value=_ks_p_value(distance, column.count, len(values)),
        wasserstein=_wasserstein(sketch, values) / column.std if column.std else None,
    )


def _compare_categories(column: ColumnProfile, series: "pd.Series", rows: int) -> Drift:
    counted = table_columns.category_counts(series)
    count = sum(counted.values())
    # With values beyond the kept ones an unknown value may be one of those: then it is not called new.
    unknown = {value: n for value, n in counted.items() if value not in column.categories}
    newest = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:NEW_VALUES_MAX] if not column.other else []
    found = Drift(
        column=column.name,
        kind="category",
        statistic="chi-squared",
        missing=_share(rows - count, rows),
        missing_reference=column.missing,
        new_values={value: n / rows for value, n in newest},
    )
    if not count or not column.count:
        return found
    reference = [*column.categories.values(), column.other]
    current = [*(counted.get(value, 0) for value in column.categories), sum(unknown.values())]
    value, p_value, effect = _chi_squared(reference, current)
    return msgspec.structs.replace(
        found,
        psi=psi(reference, current) if len(reference) > 1 else 0.0,
        jensen_shannon=jensen_shannon(reference, current),
        value=value,
        p_value=p_value,
        effect=effect,
    )


def _judged(found: list[Drift], reference: Profile, rows: int) -> tuple[Drift, ...]:
    adjusted = false_discovery([d.p_value for d in found])
    # Nulls are a second question per column; Bonferroni keeps it apart from the first.
    p_missing = [min(1.0, len(found) * _missing_p_value(d, reference.rows, rows)) for d in found]
    return tuple(
        msgspec.structs.replace(d, p_adjusted=p, verdict=_verdict(d, p, m))
        for d, p, m in zip(found, adjusted, p_missing, strict=True)
    )


def _verdict(found: Drift, p_adjusted: float, p_missing: float) -> Verdict:
    moved = abs(found.missing - found.missing_reference) if p_missing < SIGNIFICANCE else 0.0
    significant = p_adjusted < SIGNIFICANCE
    if (significant and (found.psi >= PSI_LARGE or found.effect >= EFFECT_LARGE)) or moved >= MISSING_LARGE:
        return "large"
    if (significant and (found.psi >= PSI_SMALL or found.effect >= EFFECT_SMALL)) or moved >= MISSING_SMALL:
        return "small"
    return "none"


# --- statistics ---


def _ks_distance(left: "np.ndarray[Any, Any]", right: "np.ndarray[Any, Any]") -> float:
    """The largest difference between two empirical distribution functions; both sorted."""
    import numpy as np

    at = np.concatenate([left, right])
    below_left = np.searchsorted(left, at, side="right") / len(left)
    below_right = np.searchsorted(right, at, side="right") / len(right)
    return float(np.max(np.abs(below_left - below_right)))


def _ks_p_value(distance: float, n: int, m: int) -> float:
    from scipy.stats import kstwo

    return float(min(1.0, max(0.0, kstwo.sf(distance, max(round(n * m / (n + m)), 1)))))


def _wasserstein(left: "np.ndarray[Any, Any]", right: "np.ndarray[Any, Any]") -> float:
    """The area between two empirical distribution functions; both sorted."""
    import numpy as np

    at = np.sort(np.concatenate([left, right]))
    below_left = np.searchsorted(left, at[:-1], side="right") / len(left)
    below_right = np.searchsorted(right, at[:-1], side="right") / len(right)
    return float(np.sum(np.abs(below_left - below_right) * np.diff(at)))


def _chi_squared(reference: list[int], current: list[int]) -> tuple[float, float, float]:
    """Pearson's statistic of the 2 x k table (rare cells pooled), its p-value, and Cramer's V at equal weights."""
    import numpy as np
    from scipy.special import chdtrc

    table = _pooled(np.array([reference, current], dtype=float))
    if table.shape[1] < 2:
        return 0.0, 1.0, 0.0
    sizes = table.sum(axis=1, keepdims=True)
    expected = sizes * table.sum(axis=0, keepdims=True) / table.sum()
    value = float(np.sum((table - expected) ** 2 / expected))
    p, q = table / sizes
    effect = math.sqrt(float(np.sum((p - q) ** 2 / (p + q))) / 2)
    return value, float(chdtrc(table.shape[1] - 1, value)), min(effect, 1.0)


def _pooled(table: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Columns with too small an expected count made one, so that the chi-squared distribution is near enough."""
    import numpy as np

    table = table[:, table.sum(axis=0) > 0]
    rare = table.sum(axis=0) * (table.sum(axis=1).min() / table.sum()) < EXPECTED_MIN
    if rare.sum() < 2:
        return table
    return np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])


def _missing_p_value(found: Drift, n: int, m: int) -> float:
    """Two-sided test of equal shares of nulls (pooled z)."""
    if not n or not m:
        return 1.0
    pooled = (found.missing * m + found.missing_reference * n) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if not spread:
        return 1.0
    return math.erfc(abs(found.missing - found.missing_reference) / spread / math.sqrt(2))


def _sketch(ordered: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    import numpy as np

    if len(ordered) <= SKETCH_MAX:
        return ordered
    ranks: Any = ordered[((np.arange(SKETCH_MAX) + 0.5) * len(ordered) / SKETCH_MAX).astype(np.int64)]
    return ranks  # type: ignore[no-any-return]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
