"""How two versions of a notebook differ, cell by cell; outputs, counts and passing metadata aside.

In: two `Notebook`s. Out: a `Difference`: cells added, removed, moved and changed, with the lines. Called by
`rw notebook diff` and `rw notebook sync`. Cells are paired by their text, then by their id, then by likeness.
"""

import difflib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from roadworthy.notebooks.notebook import Cell, Notebook
from roadworthy.notebooks.versions.clean import lasting

LIKENESS_MIN = 0.5
CONTEXT_LINES = 3
# Pairs that are compared for likeness; beyond, cells count as removed and added.
PAIRS_MAX = 40_000

ChangeKind = Literal["added", "removed", "changed", "moved"]


class CellChange(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one cell.

    Args:
        kind: what; a cell that moved and changed is `moved`, with lines.
        before, after: its places from 1, where it has one.
        cell: code, markdown or raw.
        lines: of a unified difference: each begins with a blank, `+`, `-` or `@@`.
        notes: what else differs, such as tags.
    """

    kind: ChangeKind
    before: int | None
    after: int | None
    cell: str
    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How b differs from a: cells in the order of b, and notes on the notebook itself."""

    cells: tuple[CellChange, ...]
    notes: tuple[str, ...]
    same: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.cells and not self.notes


def compare(a: Notebook, b: Notebook) -> Difference:
    """How b differs from a."""
    pairs = _paired(a.cells, b.cells)
    kept_order = _in_order([pairs[i] for i in sorted(pairs)])
    after_of = {j: i for i, j in pairs.items()}
    changes: list[tuple[float, CellChange]] = []
    same = 0
    for j, cell in enumerate(b.cells):
        if j not in after_of:
            added = _change("added", None, cell)
            changes.append((j, added))
            continue
        before = a.cells[after_of[j]]
        moved = j not in kept_order
        lines, notes = _lines(before.source, cell.source), _notes(before, cell)
        if not lines and not notes and not moved:
            same += 1
            continue
        kind: ChangeKind = "moved" if moved else "changed"
        changes.append((j, _change(kind, before, cell, lines=lines, notes=notes)))
    for i, cell in enumerate(a.cells):
        if i not in pairs:
            # After the cell that stood before it.
            place = max((pairs[k] for k in pairs if k < i), default=-1) + 0.5
            changes.append((place, _change("removed", cell, None)))
    changes.sort(key=lambda pair: pair[0])
    notes = tuple(_metadata_notes(a, b))
    return Difference(cells=tuple(change for _, change in changes), notes=notes, same=same)


def _change(
    kind: ChangeKind,
    before: Cell | None,
    after: Cell | None,
    *,
    lines: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> CellChange:
    shown = after or before
    assert shown is not None
    if kind in {"added", "removed"}:
        sign = "+" if kind == "added" else "-"
        lines = tuple(f"{sign}{line}" for line in shown.source.splitlines())
    return CellChange(
        kind=kind,
        before=None if before is None else before.index + 1,
        after=None if after is None else after.index + 1,
        cell=shown.kind,
        lines=lines,
        notes=notes,
    )


def _paired(a: tuple[Cell, ...], b: tuple[Cell, ...]) -> dict[int, int]:
    """Places in a to places in b."""
    pairs: dict[int, int] = {}
    texts_a, texts_b = [(c.kind, c.source) for c in a], [(c.kind, c.source) for c in b]
    for block in difflib.SequenceMatcher(None, texts_a, texts_b, autojunk=False).get_matching_blocks():
        pairs.update({block.a + k: block.b + k for k in range(block.size)})
    _pair_where(a, b, pairs, lambda x, y: x.id == y.id and not _is_made_up(x) and x.kind == y.kind)
    _pair_where(a, b, pairs, lambda x, y: x.source == y.source and x.kind == y.kind and bool(x.source.strip()))
    left_a = [i for i in range(len(a)) if i not in pairs]
    taken = set(pairs.values())
    left_b = [j for j in range(len(b)) if j not in taken]
    if len(left_a) * len(left_b) <= PAIRS_MAX:
        likes = [(like, -i, -j) for i in left_a for j in left_b if (like := _likeness(a[i], b[j])) >= LIKENESS_MIN]
        for _, i, j in sorted(likes, reverse=True):
            if -i not in pairs and -j not in taken:
                pairs[-i] = -j
                taken.add(-j)
    return pairs


def _pair_where(a: tuple[Cell, ...], b: tuple[Cell, ...], pairs: dict[int, int], fits: Any) -> None:
    taken = set(pairs.values())
    for i, cell in enumerate(a):
        if i in pairs:
            continue
        found = next((j for j, other in enumerate(b) if j not in taken and fits(cell, other)), None)
        if found is not None:
            pairs[i] = found
            taken.add(found)


def _is_made_up(cell: Cell) -> bool:
    return not cell.id or cell.id == f"cell-{cell.index}"


def _likeness(a: Cell, b: Cell) -> float:
    if a.kind != b.kind:
        return 0.0
    matcher = difflib.SequenceMatcher(None, a.source.splitlines(), b.source.splitlines(), autojunk=False)
    if matcher.ratio() >= LIKENESS_MIN:
        return matcher.ratio()
    by_letter = difflib.SequenceMatcher(None, a.source[:2000], b.source[:2000], autojunk=False)
    if by_letter.real_quick_ratio() < LIKENESS_MIN or by_letter.quick_ratio() < LIKENESS_MIN:
        return 0.0
    return by_letter.ratio() * 0.99


def _in_order(places: list[int]) -> set[int]:
    """The most of them that are in rising order: the others have moved."""
    if not places:
        return set()
    best: list[tuple[int, int | None]] = []
    for k, place in enumerate(places):
        fitting = [(best[m][0], m) for m in range(k) if places[m] < place]
        length, via = max(fitting, default=(0, None), key=lambda pair: pair[0])
        best.append((length + 1, via))
    at: int | None = max(range(len(places)), key=lambda k: best[k][0])
    found = set()
    while at is not None:
        found.add(places[at])
        at = best[at][1]
    return found


def _lines(before: str, after: str) -> tuple[str, ...]:
    if before == after:
        return ()
    diff = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=CONTEXT_LINES)
    lines = list(diff)[2:]
    # Of a short cell the whole is there; where it begins need not be said.
    if sum(line.startswith("@@") for line in lines) == 1:
        lines = [line for line in lines if not line.startswith("@@")]
    return tuple(lines) or ("-(line ends)", "+(line ends)")


def _notes(before: Cell, after: Cell) -> tuple[str, ...]:
    notes = []
    if set(before.tags) != set(after.tags):
        notes.append(f"tags: {', '.join(before.tags) or 'none'} -> {', '.join(after.tags) or 'none'}")
    notes += _differing(lasting(before.metadata), lasting(after.metadata), skipped={"tags"})
    return tuple(notes)


def _metadata_notes(a: Notebook, b: Notebook) -> Iterator[str]:
    if a.form != b.form:
        return
    yield from _differing(lasting(a.metadata, of_notebook=True), lasting(b.metadata, of_notebook=True), skipped=set())
    if a.nbformat != b.nbformat:
        yield f"nbformat: {a.nbformat[0]}.{a.nbformat[1]} -> {b.nbformat[0]}.{b.nbformat[1]}"


def _differing(a: dict[str, Any], b: dict[str, Any], *, skipped: set[str]) -> list[str]:
    names = [name for name in dict.fromkeys([*a, *b]) if name not in skipped and a.get(name) != b.get(name)]
    return [f"{name}: {_short(a.get(name))} -> {_short(b.get(name))}" for name in names]


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
