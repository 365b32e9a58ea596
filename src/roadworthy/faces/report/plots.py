"""The plots of the report that run along time: versions, quality, volume, latency, and drift by feature and window.

In: a `Road`. Out: SVG text. Called by page.py.
"""

import math
import re
from collections.abc import Callable
from functools import partial

from roadworthy.faces.report.gather import Road, Version, Watched
from roadworthy.faces.report.svg import Drawing, Scale, day, percent, plain, utc, width_of
from roadworthy.nouns.monitor import Alert, Drift, Window
from roadworthy.operate import monitors

LEFT, RIGHT = 64.0, 944.0
# Hues of the style sheet for versions, used in turn.
HUES = 8
LANE = 26.0
HEAT_LEFT, HEAT_ROW = 150.0, 24.0
# PSI from which a cell is fully coloured: four times what counts as a large change.
PSI_FULL = 0.8
PSI_LARGE = 0.2
ROWS_MIN = 200

Points = list[tuple[Window, float]]


def journey(road: Road) -> str:
    """Versions in production over time, with quality, label rate, volume and latency below them."""
    finest = _finest(road)
    if finest is None:
        return ""
    shown = [w for w in main_windows(finest) if w.rows >= ROWS_MIN]
    if not shown:
        return ""
    metric = next((found[0] for w in shown if (found := monitors.primary(_performance(w)))), "")
    panels: list[tuple[str, float, Callable[[Drawing, Scale, float], None]]] = []
    if metric:
        panels.append((_title_of(metric), 170, lambda d, x, y: _quality(road, (d, x, y), shown, metric)))
    if any("label_rate" in _performance(w) for w in shown):
        panels.append(("Share of positive labels", 120, lambda d, x, y: _label_rate((d, x, y), shown)))
    panels.append(("Rows answered per window", 100, lambda d, x, y: _volume((d, x, y), finest)))
    if any(w.facts.get("latency") for w in shown):
        panels.append(("Latency of a request", 120, lambda d, x, y: _latency((d, x, y), shown)))
    begin, end = min(w.start for w in shown), max(w.end for w in shown)
    lanes_end = 30 + LANE + 34
    height = lanes_end + sum(panel[1] + 62 for panel in panels)
    drawing = Drawing(
        f"The road of {road.project} from {day(begin)} to {day(end)}",
        height,
        about="Which version answered when, where monitors raised alerts, and what was measured per window.",
    )
    x = Scale(begin, end, LEFT, RIGHT)
    _lanes(road, drawing, x)
    top = lanes_end
    for title, tall, draw in panels:
        drawing.text((LEFT, top + 14), title, "heading")
        _changes(road, drawing, x, (top + 24, top + 24 + tall))
        draw(drawing, x, top + 24)
        drawing.axis_x(x, top + 24 + tall, x.moments(), top=top + 24 + tall)
        top += tall + 62
    return drawing.done()


def heat(watched: Watched) -> str:
    """Population stability index by feature and window; the darker, the further from what was trained on."""
    shown = [w for w in main_windows(watched) if w.drift and w.rows >= ROWS_MIN]
    if not shown:
        return ""
    names = _by_weight(shown)
    wide = (RIGHT - HEAT_LEFT) / len(shown)
    top = 58.0
    drawing = Drawing(
        f"Drift by feature and window, monitor {watched.name}",
        top + HEAT_ROW * len(names) + 12,
        about="Population stability index against each version's hold-out; 0.2 and over is large.",
    )
    every = max(1, math.ceil(width_of("30 Sep  ") / wide))
    before = ""
    for k, window in enumerate(shown):
        x = HEAT_LEFT + k * wide
        if k % every == 0:
            drawing.text((x + wide / 2, top - 8), f"{utc(window.start).day} {utc(window.start):%b}", anchor="middle")
        if window.model != before:
            drawing.text((x + 2, top - 32), _short(window.model), "label strong")
            drawing.line((x, top - 42), (x, top + HEAT_ROW * len(names)), "change")
            before = window.model
        found = {drift.column: drift for drift in window.drift}
        for row, name in enumerate(names):
            if name in found:
                _cell(drawing, (x, top + row * HEAT_ROW), wide, window, found[name])
    for row, name in enumerate(names):
        style = "label strong" if name == "score" else "label"
        drawing.text((HEAT_LEFT - 10, top + row * HEAT_ROW + 16), name, style, anchor="end")
    return drawing.done()


def _cell(drawing: Drawing, corner: tuple[float, float], wide: float, window: Window, drift: Drift) -> None:
    x, y = corner
    large = drift.verdict == "large"
    strength = min(drift.psi / PSI_FULL, 1.0) ** 0.6
    tip = (
        f"{drift.column}, {day(window.start)} to {day(window.end)}, {window.model}: PSI {drift.psi:.3f}, "
        f"{drift.statistic} effect {drift.effect:.3f}, {drift.verdict} change"
    )
    drawing.box((x + 1, y + 1), (wide - 2, HEAT_ROW - 2), "cell", tip="")
    style = "heat large" if large else "heat"
    drawing.box((x + 1, y + 1), (wide - 2, HEAT_ROW - 2), style, tip=tip, opacity=min(max(strength, 0.02), 0.99))
    if wide >= 34:
        words = f"{drift.psi:.1f}" if drift.psi >= 1 else f"{drift.psi:.2f}".removeprefix("0")
        tone = "cellword on" if large and strength > 0.55 else "cellword"
        drawing.text((x + wide / 2, y + 16), words, tone, anchor="middle")


def _by_weight(shown: list[Window]) -> list[str]:
    """Columns by how far they ever were, the score first."""
    worst: dict[str, float] = {}
    for window in shown:
        for drift in window.drift:
            worst[drift.column] = max(worst.get(drift.column, 0.0), drift.psi)
    return sorted(worst, key=lambda name: (name != "score", -worst[name], name))


# --- panels of the journey ---

Panel = tuple[Drawing, Scale, float]


def _lanes(road: Road, drawing: Drawing, x: Scale) -> None:
    """Versions as bars, alerts as warning signs above them."""
    top = 40.0
    for version in road.versions:
        if version.live_at is None:
            continue
        start, end = max(x(version.live_at), LEFT), min(x(version.ended_at or x.high), RIGHT)
        if end - start < 1:
            continue
        tip = f"{version.model.id} answered from {day(version.live_at)}"
        drawing.box((start, top), (end - start - 1, LANE), f"version v{hue(version.model.version)}", tip=tip)
        words = version.model.id if end - start > width_of(version.model.id) + 16 else f"v{version.model.version}"
        if end - start > width_of(words):
            drawing.text((start + 8, top + 17), words, "onbar")
    for alert in road.alerts:
        if x.low <= alert.opened_at <= x.high + 1:
            tip = f"{day(alert.opened_at)}: {alert.monitor} on {alert.model}: {alert.summary}"
            drawing.mark((min(x(alert.opened_at), RIGHT - 4), top - 4), _alert_style(alert), tip=tip)
    drawing.text((LEFT, 14), "Version in production, and alerts", "heading")


def _alert_style(alert: Alert) -> str:
    return "alert" if alert.closed_at is None else "alert closed"


def _changes(road: Road, drawing: Drawing, x: Scale, span: tuple[float, float]) -> None:
    for version in road.versions:
        if version.live_at is not None and x.low < version.live_at < x.high:
            drawing.line((x(version.live_at), span[0]), (x(version.live_at), span[1]), "change")


def _quality(road: Road, panel: Panel, shown: list[Window], metric: str) -> None:
    drawing, x, top = panel
    points = [(w, float(_performance(w)[metric])) for w in shown if _finite(_performance(w).get(metric))]
    judged = _judged(road, metric)
    values = [v for _, v in points] + [v for _, v, _, _ in judged] + [b for _, _, b, _ in judged if b is not None]
    y = _scale(values, top, 170.0)
    drawing.axis_y(y, (LEFT, RIGHT), plain, count=5)
    for window, value, bound, passed in judged:
        start, end = max(x(window.start), LEFT), min(x(window.end), RIGHT)
        if bound is not None:
            drawing.line((start, y(bound)), (end, y(bound)), "bound")
        style = "judged" if passed else "judged broken"
        when = f"{day(window.start)} to {day(window.end)}"
        tip = f"{when}, {window.model}: {metric} {value:.3f}, {window.labelled:,} labels"
        drawing.box((start + 1, y(value) - 2), (end - start - 2, 4), style, tip=tip)
    _joined(drawing, x, y, points, lambda w, v: f"{day(w.start)}, {w.model}: {metric} {v:.3f}")


def _label_rate(panel: Panel, shown: list[Window]) -> None:
    drawing, x, top = panel
    points = [(w, float(_performance(w)["label_rate"])) for w in shown if _finite(_performance(w).get("label_rate"))]
    y = Scale(0, max(v for _, v in points) * 1.15, top + 120, top)
    drawing.axis_y(y, (LEFT, RIGHT), percent, count=3)
    _joined(drawing, x, y, points, lambda w, v: f"{day(w.start)}: {100 * v:.1f} % of {w.labelled:,} labels")


def _volume(panel: Panel, finest: Watched) -> None:
    drawing, x, top = panel
    totals: dict[float, int] = {}
    for window in finest.windows:
        totals[window.start] = totals.get(window.start, 0) + window.rows
    y = Scale(0, max(totals.values()) * 1.1, top + 100, top)
    drawing.axis_y(y, (LEFT, RIGHT), plain, count=3)
    for window in finest.windows:
        if window.start < x.low or window.end > x.high + 1:
            continue
        base = sum(w.rows for w in finest.windows if w.start == window.start and w.model < window.model)
        corner = (x(window.start) + 0.5, y(base + window.rows))
        size = (x(window.end) - x(window.start) - 1, y(base) - y(base + window.rows))
        tip = f"{day(window.start)} to {day(window.end)}: {window.rows:,} rows answered by {window.model}"
        drawing.box(corner, size, f"version v{hue(_number(window.model))}", tip=tip)


def _latency(panel: Panel, shown: list[Window]) -> None:
    drawing, x, top = panel
    seen = [(w, w.facts["latency"]) for w in shown if w.facts.get("latency")]
    y = Scale(0, max(float(found["p99_ms"]) for _, found in seen) * 1.1, top + 120, top)
    drawing.axis_y(y, (LEFT, RIGHT), lambda v: f"{plain(v)} ms", count=3)
    for key, style in (("p99_ms", "second"), ("p50_ms", "first")):
        points = [(w, float(found[key])) for w, found in seen]
        _joined(drawing, x, y, points, partial(_latency_tip, key[:3]), style=style)
        drawing.text((RIGHT - (34 if style == "first" else 0), top - 10), key[:3], f"key {style}", anchor="end")


def _latency_tip(quantile: str, window: Window, value: float) -> str:
    return f"{day(window.start)}: {quantile} {value:.2f} ms"


def _joined(
    drawing: Drawing, x: Scale, y: Scale, points: Points, tip: Callable[[Window, float], str], *, style: str = "first"
) -> None:
    """A line through the middles of windows, a dot on each."""
    drawing.path([(x(_middle(w)), y(v)) for w, v in points], f"line {style}")
    for window, value in points:
        drawing.dot((x(_middle(window)), y(value)), f"dot {style}", radius=2.4, tip=tip(window, value))


def _judged(road: Road, metric: str) -> list[tuple[Window, float, float | None, bool]]:
    """Windows of monitors with a rule about the metric: window, value, what the rule asks for, whether it held."""
    found: list[tuple[Window, float, float | None, bool]] = []
    for watched in road.watched:
        for window in watched.windows:
            value = _performance(window).get(metric, math.nan)
            if math.isfinite(value):
                found += [
                    (window, value, _bound(outcome.would_pass, metric), outcome.passed)
                    for outcome in window.outcomes
                    if f"performance.{metric}" in outcome.rule
                ]
    return found


def _bound(would_pass: str, metric: str) -> float | None:
    """The number in `performance.auc >= 0.66`."""
    number = re.search(rf"performance\.{re.escape(metric)}\s*[<>]=?\s*(-?\d+(?:\.\d+)?)", would_pass)
    return float(number.group(1)) if number else None


def _finest(road: Road) -> Watched | None:
    """The monitor with the shortest windows that has any."""
    return min((w for w in road.watched if w.windows), key=lambda w: w.width_s, default=None)


def main_windows(watched: Watched) -> list[Window]:
    """One window for each stretch of time: of the version that answered most."""
    best: dict[float, Window] = {}
    for window in watched.windows:
        if window.start not in best or window.rows > best[window.start].rows:
            best[window.start] = window
    return [best[start] for start in sorted(best)]


def _scale(values: list[float], top: float, tall: float) -> Scale:
    low, high = min(values), max(values)
    pad = 0.12 * (high - low) or 0.05
    return Scale(low - pad, high + pad, top + tall, top)


def _performance(window: Window) -> dict[str, float]:
    found = window.facts.get("performance")
    return found if isinstance(found, dict) else {}


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _middle(window: Window) -> float:
    return (window.start + window.end) / 2


def _short(model: str) -> str:
    return f"v{_number(model)}"


def _number(model: str) -> int:
    return int(model.rpartition("@")[2] or 0)


def _title_of(metric: str) -> str:
    names = {"auc": "AUC", "rmse": "Root mean squared error", "accuracy": "Accuracy"}
    return f"{names.get(metric, metric)} once labels arrived"


def hue(version: int) -> int:
    """Which colour a version has."""
    return version % HUES


def versions_live(road: Road) -> list[Version]:
    """Those that ever had all the traffic, in order."""
    return sorted((v for v in road.versions if v.live_at is not None), key=lambda v: v.live_at or 0.0)
