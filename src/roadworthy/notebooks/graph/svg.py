"""Draw the graph of a notebook as SVG: one card a cell, arrows named by what goes along them.

In: a `Graph`. Out: the text of an SVG that needs nothing else, and follows the reader's light or dark setting. Called
by the command.
"""

from html import escape

from roadworthy.notebooks.graph.cells import Arrow, Graph, Node
from roadworthy.notebooks.graph.layout import Layout, Spot, lay_out

_HEIGHT = 58.0
_BETWEEN = 62.0
_MARGIN = 32.0
_HEAD = 64.0
_CHAR = 7.7
_WIDER = 2.2
_NAMES_SHOWN = 3
_LOOSE_A_ROW_PX = 980.0
# Accents of sections, readable on white and on black.
_ACCENTS = ("#2f6fde", "#0f9d76", "#c7791a", "#a24fc9", "#d1495b", "#2a9bb5", "#7a8b22", "#8a6d5b")
_STYLE = """
svg{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif;background:#fbfbfa}
.card{fill:#fff;stroke:#d9dce1;stroke-width:1}.loose{fill:none;stroke:#cfd3d9;stroke-dasharray:4 4}
.wrong{stroke:#d1495b;stroke-width:1.6}.t{fill:#1c2024;font-size:13px;font-weight:600}.n{fill:#8b929c;font-size:11px}
.m{fill:#5b6470;font-size:11px;font-family:ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}
.a{fill:none;stroke:#a9b1bc;stroke-width:1.5}.c{stroke:#c7791a;stroke-dasharray:5 4}.h{fill:#a9b1bc}.hc{fill:#c7791a}
.l{fill:#5b6470;font-size:10.5px;font-family:ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}
.lb{fill:#fbfbfa;opacity:.9}.h1{fill:#1c2024;font-size:17px;font-weight:650}.k{fill:#8b929c;font-size:12px}
@media(prefers-color-scheme:dark){svg{background:#14171a}.card{fill:#1d2125;stroke:#343a41}.loose{fill:none;stroke:#40474f}
.t,.h1{fill:#eceff2}.m,.l{fill:#a9b1bc}.a{stroke:#5d6671}.h{fill:#5d6671}.lb{fill:#14171a}.c{stroke:#e0a04c}.hc{fill:#e0a04c}
.wrong{stroke:#ee6a7c}}
""".strip().replace("\n", "")


def draw(graph: Graph) -> str:
    """The graph as SVG."""
    joined = {end for arrow in graph.arrows for end in (arrow.source, arrow.target)}
    placed = [node for node in graph.nodes if node.cell in joined]
    loose = [node for node in graph.nodes if node.cell not in joined]
    widths = {node.cell: _width(node) for node in graph.nodes}
    ends = list(dict.fromkeys((arrow.source, arrow.target) for arrow in graph.arrows))
    layout = lay_out([node.cell for node in placed], ends, widths)
    accents = _accents(graph)
    below = _HEAD + layout.layers * (_HEIGHT + _BETWEEN) - (_BETWEEN if layout.layers else 0)
    loose_parts, loose_width, bottom = _loose(loose, widths, accents, below)
    width = max(layout.width, loose_width, 420.0) + 2 * _MARGIN
    shift = _MARGIN + (width - 2 * _MARGIN - layout.width) / 2
    size = f'width="{width:.0f}" height="{bottom + _MARGIN:.0f}" viewBox="0 0 {width:.0f} {bottom + _MARGIN:.0f}"'
    label = escape(f"Dataflow of {graph.name}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">',
        f"<style>{_STYLE}</style>",
        f'<text class="h1" x="{_MARGIN}" y="32">{escape(graph.name)}</text>',
        f'<text class="k" x="{_MARGIN}" y="50">{escape(_caption(graph))}</text>',
    ]
    parts += _arrows(graph, layout, shift)
    parts += [_card(node, layout.places[node.cell], widths, accents, shift) for node in placed]
    parts += loose_parts
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _width(node: Node) -> float:
    wide = sum(letter.isupper() or letter in "mw_=" for letter in node.title)
    longest = max(len(node.title) * _CHAR + wide * _WIDER, (len(_made(node)) + 2) * 6.7, 90.0)
    return round(min(longest, 330.0) + 62.0)


def _made(node: Node) -> str:
    shown = list(node.makes[:_NAMES_SHOWN])
    text = ", ".join(shown) + (f" +{len(node.makes) - len(shown)}" if len(node.makes) > len(shown) else "")
    if node.changes:
        changed = ", ".join(f"{name}*" for name in node.changes[:2])
        text = f"{text}, {changed}" if text else changed
    return text if len(text) <= 44 else text[:43] + "…"


def _accents(graph: Graph) -> dict[str, str]:
    sections = dict.fromkeys(node.section for node in graph.nodes)
    return {section: _ACCENTS[place % len(_ACCENTS)] for place, section in enumerate(sections)}


def _y(layer: int) -> float:
    return _HEAD + layer * (_HEIGHT + _BETWEEN)


def _card(node: Node, spot: Spot, widths: dict[int, float], accents: dict[str, str], shift: float) -> str:
    return _box(node, (spot[0] + shift - widths[node.cell] / 2, _y(spot[1])), widths[node.cell], accents)


def _box(node: Node, at: tuple[float, float], width: float, accents: dict[str, str], kind: str = "card") -> str:
    x, y = at
    style = f"{kind} wrong" if node.wrong else kind
    accent = accents[node.section]
    tip = f"<title>cell {node.cell + 1}: makes {escape(', '.join(node.makes) or 'nothing')}</title>"
    return (
        f'<g>{tip}<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_HEIGHT}" rx="9"/>'
        f'<rect x="{x + 0.5:.1f}" y="{y + 14:.1f}" width="3.5" height="{_HEIGHT - 28}" rx="1.7" fill="{accent}"/>'
        f'<text class="t" x="{x + 16:.1f}" y="{y + 25:.1f}">{escape(node.title)}</text>'
        f'<text class="n" x="{x + width - 12:.1f}" y="{y + 25:.1f}" text-anchor="end">{node.cell + 1}</text>'
        f'<text class="m" x="{x + 16:.1f}" y="{y + 44:.1f}">{escape(_made(node))}</text></g>'
    )


def _loose(
    nodes: list[Node], widths: dict[int, float], accents: dict[str, str], top: float
) -> tuple[list[str], float, float]:
    """Cells that neither give nor take, in rows below: their drawing, its width, and where it ends."""
    if not nodes:
        return [], 0.0, top
    parts = [f'<text class="k" x="{_MARGIN}" y="{top + 44:.1f}">on their own</text>']
    x, y, widest = _MARGIN, top + 58, 0.0
    for node in nodes:
        if x > _MARGIN and x + widths[node.cell] > _LOOSE_A_ROW_PX:
            x, y = _MARGIN, y + _HEIGHT + 14
        parts.append(_box(node, (x, y), widths[node.cell], accents, "card loose"))
        x += widths[node.cell] + 14
        widest = max(widest, x - 14 - _MARGIN)
    return parts, widest, y + _HEIGHT


def _arrows(graph: Graph, layout: Layout, shift: float) -> list[str]:
    leaving: dict[int, list[Arrow]] = {}
    arriving: dict[int, list[Arrow]] = {}
    for arrow in graph.arrows:
        way = layout.ways[arrow.source, arrow.target]
        leaving.setdefault(arrow.source, []).append(arrow)
        arriving.setdefault(arrow.target, []).append(arrow)
        assert way
    for arrows in leaving.values():
        arrows.sort(key=lambda a: layout.ways[a.source, a.target][1][0])
    for arrows in arriving.values():
        arrows.sort(key=lambda a: layout.ways[a.source, a.target][-2][0])
    lines: list[str] = []
    labels: list[str] = []
    told: list[tuple[float, float, float]] = []
    for arrow in graph.arrows:
        way = layout.ways[arrow.source, arrow.target]
        start = way[0][0] + shift + _port(leaving[arrow.source], arrow)
        end = way[-1][0] + shift + _port(arriving[arrow.target], arrow)
        lines.append(_line(arrow, way, start, end, shift))
        labels += _label(arrow, way, (start, end), told)
    return lines + labels


def _port(arrows: list[Arrow], arrow: Arrow) -> float:
    """Where at a card's edge an arrow begins or ends, from its middle."""
    return (arrows.index(arrow) - (len(arrows) - 1) / 2) * min(18.0, 120.0 / max(len(arrows), 1))


def _line(arrow: Arrow, way: list[Spot], start: float, end: float, shift: float) -> str:
    y = _y(way[0][1]) + _HEIGHT
    last = _y(way[-1][1]) - 7
    path = [f"M{start:.1f} {y:.1f}"]
    x = start
    for bend in way[1:-1]:
        top, to = _y(bend[1]) - 8, bend[0] + shift
        middle = (y + top) / 2
        path.append(f"C{x:.1f} {middle:.1f} {to:.1f} {middle:.1f} {to:.1f} {top:.1f}V{_y(bend[1]) + _HEIGHT + 8:.1f}")
        x, y = to, _y(bend[1]) + _HEIGHT + 8
    middle = (y + last) / 2
    path.append(f"C{x:.1f} {middle:.1f} {end:.1f} {middle:.1f} {end:.1f} {last:.1f}")
    changed = " c" if arrow.changed else ""
    head = f"{end - 4:.1f},{last - 1:.1f} {end + 4:.1f},{last - 1:.1f} {end:.1f},{last + 6:.1f}"
    names = escape(", ".join(arrow.names))
    return (
        f'<g><title>{names}</title><path class="a{changed}" d="{"".join(path)}"/>'
        f'<polygon class="h{changed and "c"}" points="{head}"/></g>'
    )


def _label(
    arrow: Arrow, way: list[Spot], ends: tuple[float, float], told: list[tuple[float, float, float]]
) -> list[str]:
    """The names beside an arrow, near its end, unless that place is taken."""
    shown = ", ".join(arrow.names[:2]) + (f" +{len(arrow.names) - 2}" if len(arrow.names) > 2 else "")
    if len(shown) > 24:
        shown = shown[:23] + "…"
    width = len(shown) * 6.3
    last = way[-1][1]
    before = ends[0] if len(way) == 2 else ends[1]
    for part in (0.5, 0.34, 0.66):
        y = _y(last) - _BETWEEN + _BETWEEN * part + 4
        x = before + (ends[1] - before) * (part if len(way) == 2 else 1.0)
        if all(abs(y - oy) > 12 or abs(x - ox) > (width + ow) / 2 + 6 for ox, oy, ow in told):
            told.append((x, y, width))
            place = f'x="{x - width / 2 - 3:.1f}" y="{y - 10:.1f}" width="{width + 6:.1f}" height="14"'
            return [
                f'<rect class="lb" {place} rx="3"/>',
                f'<text class="l" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(shown)}</text>',
            ]
    return []


def _caption(graph: Graph) -> str:
    changed = any(arrow.changed for arrow in graph.arrows)
    told = f"{len(graph.nodes)} cells, {len(graph.arrows)} flows"
    return told + (" · dashed: changed on the way · * changes it in place" if changed else "")
