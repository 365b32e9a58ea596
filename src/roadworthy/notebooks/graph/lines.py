"""Draw the graph of a notebook as text: one line a cell, and beside it a lane for each value that is still to be read.

In: a `Graph`. Out: lines. Called by the command.
"""

from collections.abc import Iterator

from roadworthy.notebooks.graph.cells import Graph, Node

LANES_MAX = 16
NAMES_SHOWN = 6


def draw(graph: Graph) -> Iterator[str]:
    """The graph as lines of text.

    A lane begins (`o`) at the cell that makes something, passes (`│`), is read (`├`) and ends (`╰`) at its last reader.
    """
    last: dict[int, int] = {}
    readers: dict[int, set[int]] = {}
    for arrow in graph.arrows:
        last[arrow.source] = max(last.get(arrow.source, -1), arrow.target)
        readers.setdefault(arrow.target, set()).add(arrow.source)
    lanes: list[int | None] = []
    rows: list[tuple[str, Node]] = []
    for node in graph.nodes:
        begins = node.cell in last
        marks = [_mark(lane, node.cell, readers.get(node.cell, set()), last) for lane in lanes]
        lanes = [None if lane is not None and last[lane] <= node.cell else lane for lane in lanes]
        if begins:
            free = next((n for n, lane in enumerate(lanes) if lane is None and marks[n] == " "), len(lanes))
            if free == len(lanes):
                lanes.append(None)
                marks.append(" ")
            lanes[free] = node.cell
            marks[free] = "o"
        rows.append(("".join(marks).rstrip(), node))
    wide = min(max((len(marks) for marks, _ in rows), default=0), LANES_MAX)
    number = len(str(max((node.cell + 1 for _, node in rows), default=0)))
    for drawn, node in rows:
        shown = drawn[:wide] if len(drawn) <= LANES_MAX else drawn[: LANES_MAX - 1] + "…"
        yield f"{node.cell + 1:>{number}} {shown:<{wide}}  {_told(node, graph)}".rstrip()


def _mark(lane: int | None, cell: int, reads: set[int], last: dict[int, int]) -> str:
    if lane is None:
        return " "
    if lane in reads:
        return "╰" if last[lane] == cell else "├"
    return "│"


def _told(node: Node, graph: Graph) -> str:
    taken = dict.fromkeys(
        f"{name} ({arrow.source + 1})" for arrow in graph.arrows if arrow.target == node.cell for name in arrow.names
    )
    parts = [node.title]
    if taken:
        parts.append("takes " + _some(tuple(taken)))
    if node.changes:
        parts.append("changes " + _some(node.changes))
    if node.makes:
        parts.append(("makes " if node.used else "makes, unused: ") + _some(node.makes))
    if node.wrong:
        parts.append("reads names from nowhere")
    return "  ·  ".join(parts)


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
