"""Where cells are drawn: in layers, so that values flow downwards and few arrows cross (Sugiyama, Tagawa, Toda 1981).

In: arrows between cells and the widths of cells. Out: a place for each cell and a way for each arrow. Called by
`svg.py`. Arrows over several layers are led through places kept free in those between. What has nothing to do with each
other stands beside each other while there is room, else below; so do cells that read the same and that nothing reads.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 24
GAP = 34.0
BEND_WIDTH = 14.0
BEND_GAP = 12.0
# Wider than this nothing grows that can stand below, px.
WIDE = 1400.0

Spot = tuple[float, int]


class Layout(NamedTuple):
    """Centres of cells by layer, the ways of arrows through layers, and the width and number of layers."""

    places: dict[int, Spot]
    ways: dict[tuple[int, int], list[Spot]]
    width: float
    layers: int


class _Bend(NamedTuple):
    """A place kept free for the arrows from a cell that pass a layer: they go together until they part."""

    source: int
    layer: int


_Item = int | _Bend


def lay_out(cells: Sequence[int], arrows: Sequence[tuple[int, int]], widths: Mapping[int, float]) -> Layout:
    """Places for cells and ways for arrows.

    Args:
        cells: in the order of the notebook.
        arrows: (source, target), each once; together without a circle, as they go down the notebook.
        widths: of each cell, px.
    """
    places: dict[int, Spot] = {}
    ways: dict[tuple[int, int], list[Spot]] = {}
    width, left, top, deep = 0.0, 0.0, 0, 0
    for part in _apart(cells, arrows):
        inside = set(part)
        made = _laid_out(part, [arrow for arrow in arrows if arrow[0] in inside], widths)
        if left and left + made.width > WIDE:
            left, top, deep = 0.0, top + deep, 0
        places |= {cell: (x + left, layer + top) for cell, (x, layer) in made.places.items()}
        ways |= {ends: [(x + left, layer + top) for x, layer in way] for ends, way in made.ways.items()}
        width, deep = max(width, left + made.width), max(deep, made.layers)
        left += made.width + 2 * GAP
    return Layout(places, ways, width, top + deep)


def _apart(cells: Sequence[int], arrows: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Cells that are joined, directly or through others, together; each group in the order of the notebook."""
    group = {cell: {cell} for cell in cells}
    for source, target in arrows:
        if group[source] is not group[target]:
            joined = group[source] | group[target]
            group.update(dict.fromkeys(joined, joined))
    found = {id(members): members for members in (group[cell] for cell in cells)}
    return [[cell for cell in cells if cell in members] for members in found.values()]


def _laid_out(cells: Sequence[int], arrows: Sequence[tuple[int, int]], widths: Mapping[int, float]) -> Layout:
    layer = _folded(_layers(cells, arrows), {source for source, _ in arrows}, widths)
    rows: list[list[_Item]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for cell in cells:
        rows[layer[cell]].append(cell)
    above: dict[_Item, list[_Item]] = {}
    below: dict[_Item, list[_Item]] = {}
    chains: dict[tuple[int, int], list[_Item]] = {}
    for source, target in arrows:
        chain: list[_Item] = [source]
        for between in range(layer[source] + 1, layer[target]):
            bend = _Bend(source, between)
            if bend not in above:
                # In the middle, so that what hangs below does not wander to a side.
                rows[between].insert((len(rows[between]) + between % 2) // 2, bend)
            chain.append(bend)
            _join(chain[-2], bend, above, below)
        _join(chain[-1], target, above, below)
        chains[source, target] = [*chain, target]
    _order(rows, above, below)
    centres = _centres(rows, above, below, widths)
    left = min((centres[i] - _width(i, widths) / 2 for row in rows for i in row), default=0.0)
    right = max((centres[i] + _width(i, widths) / 2 for row in rows for i in row), default=0.0)
    places = {cell: (centres[cell] - left, layer[cell]) for cell in cells}
    ways = {
        ends: [(centres[item] - left, item.layer if isinstance(item, _Bend) else layer[item]) for item in chain]
        for ends, chain in chains.items()
    }
    return Layout(places, ways, right - left, len(rows))


def _layers(cells: Sequence[int], arrows: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The longest way from above decides; then cells without anything above come close to what reads them."""
    sources: dict[int, list[int]] = {}
    targets: dict[int, list[int]] = {}
    for source, target in arrows:
        sources.setdefault(target, []).append(source)
        targets.setdefault(source, []).append(target)
    layer: dict[int, int] = {}
    for cell in cells:
        layer[cell] = max((layer[s] + 1 for s in sources.get(cell, ()) if s in layer), default=0)
    for cell in reversed(cells):
        if cell not in sources and cell in targets:
            layer[cell] = max(layer[cell], min(layer[t] for t in targets[cell]) - 1)
    return layer


def _join(upper: _Item, lower: _Item, above: dict[_Item, list[_Item]], below: dict[_Item, list[_Item]]) -> None:
    if lower not in below.setdefault(upper, []):
        below[upper].append(lower)
        above.setdefault(lower, []).append(upper)


def _folded(layer: dict[int, int], read: set[int], widths: Mapping[int, float]) -> dict[int, int]:
    """Layers without what makes them too wide: cells that nothing reads go a layer down, the last ones first."""
    folded = dict(layer)
    here = 0
    while here <= max(folded.values(), default=-1):
        row = sorted(cell for cell in folded if folded[cell] == here)
        wide = sum(widths[cell] + GAP for cell in row) + BEND_WIDTH + GAP
        ends = [cell for cell in row if cell not in read]
        while wide > WIDE and len(row) > 1 and ends:
            moved = ends.pop()
            row.remove(moved)
            folded[moved] = here + 1
            wide -= widths[moved] + GAP
        here += 1
    return folded


def _order(rows: list[list[_Item]], above: dict[_Item, list[_Item]], below: dict[_Item, list[_Item]]) -> None:
    """Sort each layer by the mean place of what it is joined to, down and up; the order with fewest crossings stays."""
    best = [list(row) for row in rows]
    fewest = _crossings(rows, below)
    for sweep in range(SWEEPS):
        joined = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            others = {item: place for r in rows for place, item in enumerate(r)}
            now = {item: place for place, item in enumerate(row)}
            means = {
                item: sum(others[j] for j in joined[item]) / len(joined[item]) if joined.get(item) else float(now[item])
                for item in row
            }
            row.sort(key=lambda item: (means[item], now[item]))
        crossings = _crossings(rows, below)
        if crossings < fewest:
            fewest, best = crossings, [list(row) for row in rows]
        if not fewest:
            break
    for row, order in zip(rows, best, strict=True):
        row[:] = order


def _crossings(rows: list[list[_Item]], below: dict[_Item, list[_Item]]) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        place = {item: n for n, item in enumerate(lower)}
        ends = [sorted(place[t] for t in below.get(item, ()) if t in place) for item in upper]
        seen: list[int] = []
        for targets in ends:
            for target in targets:
                count += sum(other > target for other in seen)
            seen += targets
    return count


def _centres(
    rows: list[list[_Item]],
    above: dict[_Item, list[_Item]],
    below: dict[_Item, list[_Item]],
    widths: Mapping[int, float],
) -> dict[_Item, float]:
    """Pull each item to the mean of what it is joined to, without changing the order or overlapping."""
    centres: dict[_Item, float] = {}
    for row in rows:
        at = 0.0
        for place, item in enumerate(row):
            at += _distance(row[place - 1], item, widths) if place else 0.0
            centres[item] = at
    for sweep in range(SWEEPS):
        joined = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = [
                sum(centres[j] for j in joined[item]) / len(joined[item]) if joined.get(item) else centres[item]
                for item in row
            ]
            _spread(row, wanted, centres, widths)
    return centres


def _spread(row: list[_Item], wanted: list[float], centres: dict[_Item, float], widths: Mapping[int, float]) -> None:
    """The places nearest to those wanted that keep order and distance: blocks that touch share their mean (PAVA)."""
    offsets: list[float] = []
    at = 0.0
    for place, item in enumerate(row):
        if place:
            at += _distance(row[place - 1], item, widths)
        offsets.append(at)
    blocks: list[tuple[float, float, int]] = []  # (sum of wishes, weight, count)
    for item, wish, offset in zip(row, wanted, offsets, strict=True):
        weight = 0.5 if isinstance(item, _Bend) else 1.0
        block = ((wish - offset) * weight, weight, 1)
        while blocks and blocks[-1][0] / blocks[-1][1] > block[0] / block[1]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
        blocks.append(block)
    place = 0
    for total, weight, count in blocks:
        for _ in range(count):
            centres[row[place]] = total / weight + offsets[place]
            place += 1


def _distance(one: _Item, other: _Item, widths: Mapping[int, float]) -> float:
    """How far apart the middles of two neighbours are."""
    gap = BEND_GAP if isinstance(one, _Bend) and isinstance(other, _Bend) else GAP
    return (_width(one, widths) + _width(other, widths)) / 2 + gap


def _width(item: _Item, widths: Mapping[int, float]) -> float:
    return BEND_WIDTH if isinstance(item, _Bend) else widths[item]
