"""Proof: what was compared between a notebook and its pipeline, with what outcome; and as text.

Made by `proving.py`; shown by the command, and as a page by `page.py`. It claims what was compared and nothing more:
what was not is listed with the reason.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

Verdict = Literal["identical", "within tolerance", "different", "failed", "not proven"]
Cause = Literal["seed", "order", "time", "environment", "conversion", ""]

LINES_MAX = 200


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One value that was compared.

    Args:
        what: in the pipeline, such as `split["train"]`; `notebook`: what the notebook calls it and where.
        kind: value, metric or data.
        found: what differs, or how a model was compared.
        largest: the largest difference of two floating-point numbers.
    """

    what: str
    notebook: str
    kind: Literal["value", "metric", "data"]
    type: str = ""
    size: str = ""
    verdict: Literal["identical", "within tolerance", "different"] = "identical"
    where: str = ""
    found: str = ""
    largest: float = 0.0


class NotCompared(msgspec.Struct, frozen=True):
    """Something of the notebook or the pipeline that was not compared, and why."""

    what: str
    why: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of running a notebook and its pipeline side by side.

    Args:
        verdict: identical or within tolerance is a proof; everything else is none.
        reason: why there is none, in a sentence.
        first: the first value that differs, in the order of the pipeline.
        cause: what makes it differ, as far as runs could tell; `evidence`: which runs.
        tolerance: of floating-point numbers, relative to the greater of 1 and their size.
    """

    notebook: str
    verdict: Verdict
    compared: tuple[Compared, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    first: Compared | None = None
    reason: str = ""
    cause: Cause = ""
    evidence: tuple[str, ...] = ()
    tolerance: float = 0.0
    original_s: float = 0.0
    pipeline_s: float = 0.0
    python: str = ""
    packages: dict[str, str] = msgspec.field(default_factory=dict)
    at: str = ""

    @property
    def holds(self) -> bool:
        """Whether the pipeline was shown to make what the notebook makes, in all that was compared."""
        return self.verdict in {"identical", "within tolerance"}


def headline(proof: Proof) -> str:
    """The outcome in one sentence."""
    values = sum(c.kind == "value" for c in proof.compared)
    metrics = sum(c.kind == "metric" for c in proof.compared)
    data = sum(c.kind == "data" for c in proof.compared)
    parts = [_count(values, "value"), _count(metrics, "metric"), _count(data, "data set")]
    listed = ", ".join(part for part in parts if part)
    if proof.verdict == "identical":
        return f"equal: {listed} compared, all identical"
    if proof.verdict == "within tolerance":
        largest = max(c.largest for c in proof.compared)
        apart = f"the largest difference {largest:.2g} (allowed {proof.tolerance:g})"
        return f"equal within tolerance: {listed} compared, {apart}"
    if proof.verdict == "different":
        differing = sum(c.verdict == "different" for c in proof.compared)
        return f"NOT EQUAL: {differing} of {len(proof.compared)} compared differ"
    if proof.verdict == "failed":
        return f"NOT PROVEN: {proof.reason}"
    return f"NOT PROVEN: {proof.reason or 'the notebook and the pipeline were not run'}"


def text(proof: Proof) -> str:
    """The proof as people read it in a terminal."""
    lines = [f"proof: {headline(proof)}"]
    if proof.first is not None:
        first = proof.first
        lines.append(
            ": ".join(
                filter(None, [f"  first difference: {first.what} ({first.notebook})", first.where.strip(), first.found])
            )
        )
    if proof.cause:
        lines.append(f"  cause: {proof.cause}: {'; '.join(proof.evidence)}")
    rows = [(c.what, c.notebook, " ".join(filter(None, [c.type, c.size])), c.verdict, c.found) for c in proof.compared]
    lines += _table(rows[:LINES_MAX])
    if len(rows) > LINES_MAX:
        lines.append(f"  and {len(rows) - LINES_MAX} more")
    if proof.not_compared:
        lines.append("not compared:")
        lines += [f"  {n.what}: {n.why}" for n in proof.not_compared[:LINES_MAX]]
    if proof.original_s:
        lines.append(
            f"the notebook ran {proof.original_s:.1f} s in a kernel of its own, the pipeline {proof.pipeline_s:.1f} s"
        )
    return "\n".join(lines)


def _table(rows: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    return [
        (
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)) + f"  {row[4]}"
        ).rstrip()
        for row in rows
    ]


def _count(number: int, word: str) -> str:
    return "" if not number else f"{number} {word}{'' if number == 1 else 's'}"
