"""Plots as SVG text: scales, axes, lines, bars and marks, and nothing else.

In: numbers and words. Out: one `<svg>` element with a title for those who cannot see it, coloured by the page's style
sheet (classes only, so that light, dark and print are the page's business). Called by plots.py.
"""

import datetime as dt
import math
from collections.abc import Callable, Sequence
from html import escape

DAY_S = 86_400.0
# Plots are drawn this wide, in units of about one pixel; the page scales them.
WIDTH = 960.0
_GLYPH = 6.2  # mean width of a character at the size of labels

Format = Callable[[float], str]


class Scale:
    """From values to places along an axis.

    Args:
        low, high: the values at both ends; equal ones are moved apart.
        start, end: the places of both ends.
    """

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        if not high > low:
            pad = abs(low) * 0.05 or 0.5
            low, high = low - pad, high + pad
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the axis, about `count` of them."""
        rough = (self.high - self.low) / max(count, 1)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]

    def moments(self, count: int = 12) -> list[tuple[float, str]]:
        """Moments worth a label, for an axis in seconds since the epoch: months, days or hours."""
        span = self.high - self.low
        if span > 45 * DAY_S:
            return self._months(count)
        for step, form in ((DAY_S, "%d %b"), (3600.0, "%H:%M"), (60.0, "%H:%M"), (1.0, "%H:%M:%S")):
            if span / step >= 2:
                stride = step * max(1, math.ceil(span / step / count))
                first = math.ceil(self.low / stride) * stride
                moments = [first + k * stride for k in range(int((self.high - first) // stride) + 1)]
                return [(at, utc(at).strftime(form)) for at in moments if self.low <= at <= self.high]
        return []

    def _months(self, count: int) -> list[tuple[float, str]]:
        begin, end = utc(self.low), utc(self.high)
        months = (end.year - begin.year) * 12 + end.month - begin.month + 1
        stride = max(1, math.ceil(months / count))
        found: list[tuple[float, str]] = []
        for k in range(0, months + 1, stride):
            year, month = divmod(begin.year * 12 + begin.month - 1 + k, 12)
            at = dt.datetime(year, month + 1, 1, tzinfo=dt.UTC)
            if self.low <= at.timestamp() <= self.high:
                found.append((at.timestamp(), at.strftime("%b %Y" if month == 0 or not found else "%b")))
        return found


class Drawing:
    """An SVG under construction; what is drawn later lies above."""

    def __init__(self, title: str, height: float, *, width: float = WIDTH, about: str = "") -> None:
        self.width, self.height = width, height
        self._title, self._about = title, about
        self._parts: list[str] = []

    def line(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        (x1, y1), (x2, y2) = start, end
        self._parts.append(f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{style}"/>')

    def path(self, points: Sequence[tuple[float, float]], style: str, tip: str = "") -> None:
        """A line through points, broken where one is not finite."""
        drawn, pen = [], "M"
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                pen = "M"
                continue
            drawn.append(f"{pen}{_n(x)} {_n(y)}")
            pen = "L"
        if drawn:
            self._shape(f'<path d="{"".join(drawn)}" class="{style}"', "path", tip)

    def area(self, points: Sequence[tuple[float, float]], base: float, style: str) -> None:
        """The surface between a line and a level."""
        if points:
            outline = "".join(f"L{_n(x)} {_n(y)}" for x, y in points)
            first, last = points[0][0], points[-1][0]
            self._parts.append(f'<path d="M{_n(first)} {_n(base)}{outline}L{_n(last)} {_n(base)}Z" class="{style}"/>')

    def box(
        self, corner: tuple[float, float], size: tuple[float, float], style: str, *, tip: str = "", opacity: float = 1.0
    ) -> None:
        (x, y), (width, height) = corner, size
        faint = f' fill-opacity="{_n(opacity)}"' if opacity < 1 else ""
        self._shape(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0))}" height="{_n(max(height, 0))}"'
            f' class="{style}"{faint}',
            "rect",
            tip,
        )

    def dot(self, place: tuple[float, float], style: str, *, radius: float = 3.5, tip: str = "") -> None:
        self._shape(f'<circle cx="{_n(place[0])}" cy="{_n(place[1])}" r="{_n(radius)}" class="{style}"', "circle", tip)

    def mark(self, place: tuple[float, float], style: str, *, size: float = 6.0, tip: str = "") -> None:
        """A triangle standing on its place, as warning signs do."""
        x, y = place
        corners = f"{_n(x - size)},{_n(y)} {_n(x + size)},{_n(y)} {_n(x)},{_n(y - 1.8 * size)}"
        self._shape(f'<polygon points="{corners}" class="{style}"', "polygon", tip)

    def text(self, place: tuple[float, float], words: str, style: str = "label", *, anchor: str = "start") -> None:
        x, y = place
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def upright(self, place: tuple[float, float], words: str, style: str = "label") -> None:
        """Text that runs upwards, for the name of a vertical axis."""
        x, y = place
        self._parts.append(
            f'<text transform="translate({_n(x)} {_n(y)}) rotate(-90)" class="{style}" text-anchor="middle">'
            f"{escape(words)}</text>"
        )

    def axis_x(self, scale: Scale, y: float, ticks: Sequence[tuple[float, str]], *, top: float, name: str = "") -> None:
        """A horizontal axis at height `y` with grid lines up to `top`."""
        for value, words in ticks:
            self.line((scale(value), top), (scale(value), y), "grid")
            self.text((scale(value), y + 16), words, anchor="middle")
        self.line((scale.start, y), (scale.end, y), "axis")
        if name:
            self.text(((scale.start + scale.end) / 2, y + 34), name, "name", anchor="middle")

    def axis_y(self, scale: Scale, span: tuple[float, float], form: Format, *, name: str = "", count: int = 4) -> None:
        """A vertical axis whose grid lines go from `span[0]` to `span[1]`."""
        left, right = span
        for value in scale.ticks(count):
            self.line((left, scale(value)), (right, scale(value)), "grid")
            self.text((left - 8, scale(value) + 4), form(value), anchor="end")
        if name:
            self.upright((14, (scale.start + scale.end) / 2), name, "name")

    def done(self) -> str:
        """The element as text."""
        about = f"<desc>{escape(self._about)}</desc>" if self._about else ""
        return (
            f'<svg viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" aria-label="{escape(self._title)}"'
            f' xmlns="http://www.w3.org/2000/svg"><title>{escape(self._title)}</title>{about}{"".join(self._parts)}</svg>'
        )

    def _shape(self, opening: str, tag: str, tip: str) -> None:
        self._parts.append(f"{opening}><title>{escape(tip)}</title></{tag}>" if tip else f"{opening}/>")


def utc(at: float) -> dt.datetime:
    """A moment in seconds since the epoch."""
    return dt.datetime.fromtimestamp(at, dt.UTC)


def day(at: float) -> str:
    """A moment's day, such as `1 Apr 2013`."""
    moment = utc(at)
    return f"{moment.day} {moment:%b %Y}"


def percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def plain(value: float) -> str:
    """A number as people read it: four digits that matter, thousands set apart."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 10_000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def width_of(words: str) -> float:
    """About how wide a label is."""
    return _GLYPH * len(words)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1 or value == 0 else f"{value:.3f}"
