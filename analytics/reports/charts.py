"""Small pictures for reports as SVG: columns by day, known and expected, a bar of parts, the way between two amounts.

Pure: figures in, markup out. Text is escaped and isolated, so that no name changes the picture or what is beside it.
Positions are floats; figures that are read are written by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from typing import Final, NamedTuple

from analytics.reports.colours import ACCENT, EXPECTED, INK, LESS, MORE, MUTED, RULE
from analytics.words import printable

WIDTH: Final = 680
FONT: Final = "Inter, 'Segoe UI', 'DejaVu Sans', sans-serif"
MOST_LETTERS: Final = 26


class Series(NamedTuple):
    """One layer of columns: a value for each of them."""

    name: str
    colour: str
    values: Sequence[float]


class Ahead(NamedTuple):
    """A column that is to come: what is expected, and the range it may lie in, None where nothing says."""

    expected: float
    low: float | None
    high: float | None


class Part(NamedTuple):
    """A part of a bar."""

    name: str
    colour: str
    value: float
    label: str


class Step(NamedTuple):
    """A bar of the way from one amount to another: a whole amount, or a change that stands on the one before."""

    name: str
    value: Decimal
    label: str
    change: bool = True


def columns(heads: Sequence[str], series: Sequence[Series], unit: str, height: int = 170) -> str:
    """Return stacked columns, one for each of `heads`; the greatest sum is at the left; many layers have a legend."""
    sums = [sum(layer.values[at] for layer in series) for at in range(len(heads))]
    most = max(sums, default=0.0)
    if most <= 0:
        return ""
    left, top, plot, wide = _plot(height, len(heads))
    drawn = [_axis(most, left, top, plot, unit)]
    for at in range(len(heads)):
        y = top + plot
        for layer in series:
            tall = layer.values[at] / most * plot
            if tall > 0:
                y -= tall
                drawn.append(_rect(left + at * wide + wide * 0.12, y, wide * 0.76, tall, layer.colour))
    drawn.extend(_heads(heads, left, wide, height))
    legend, below = ("", 0) if len(series) < 2 else _legend([(layer.name, layer.colour) for layer in series], height)
    return _svg(height + below, "".join(drawn) + legend, f"Columns of {unit} from {heads[0]} to {heads[-1]}")


def ahead(heads: Sequence[str], known: Sequence[float], coming: Sequence[Ahead], unit: str, height: int = 170) -> str:
    """Return columns of what is known, then lighter ones of what is expected, each with the range it may lie in.

    `heads` are those of `known` and of `coming`, one after the other.
    """
    most = max([*known, *(each.expected for each in coming), *(each.high or 0.0 for each in coming)], default=0.0)
    if most <= 0:
        return ""
    left, top, plot, wide = _plot(height, len(heads))
    drawn = [_axis(most, left, top, plot, unit)]
    for at, value in enumerate([*known, *(each.expected for each in coming)]):
        tall = value / most * plot
        colour = ACCENT if at < len(known) else EXPECTED
        if tall > 0:
            drawn.append(_rect(left + at * wide + wide * 0.12, top + plot - tall, wide * 0.76, tall, colour))
    for at, each in enumerate(coming, start=len(known)):
        if each.low is not None and each.high is not None:
            middle, upper, lower = (
                left + (at + 0.5) * wide,
                *(top + plot * (1 - y / most) for y in (each.high, each.low)),
            )
            drawn.append(f'<path d="M{middle:.1f} {upper:.1f}V{lower:.1f}" stroke="{INK}" stroke-width="1.5"/>')
    drawn.extend(_heads(heads, left, wide, height))
    legend, below = _legend([("Known", ACCENT), ("Expected", EXPECTED), ("Range of four in five", INK)], height)
    means = f"{unit} from {heads[0]} to {heads[-1]}: known, then expected"
    return _svg(height + below, "".join(drawn) + legend, means)


def bar(parts: Sequence[Part]) -> str:
    """Return one bar of parts of a whole, with a legend that says how much each is."""
    whole = sum(part.value for part in parts)
    if whole <= 0:
        return ""
    drawn, at = [], 0.0
    for part in parts:
        wide = part.value / whole * WIDTH
        drawn.append(_rect(at, 2, max(wide, 0.6), 26, part.colour))
        at += wide
    legend, below = _legend([(f"{part.name} {part.label}", part.colour) for part in parts], 34)
    return _svg(34 + below, "".join(drawn) + legend, "Parts of a whole: " + ", ".join(part.name for part in parts))


def steps(way: Sequence[Step], height: int = 170) -> str:
    """Return the way from one amount to another: what made it more, and what less."""
    tops: list[tuple[Decimal, Decimal]] = []
    level = Decimal(0)
    for step in way:
        start = level if step.change else Decimal(0)
        level = start + step.value
        tops.append((min(start, level), max(start, level)))
    low = min((each[0] for each in tops), default=Decimal(0))
    high = max((each[1] for each in tops), default=Decimal(0))
    low, high = min(low, Decimal(0)), max(high, Decimal(0))
    if low == high:
        return ""
    top, bottom = 22.0, 24.0
    scale = (height - top - bottom) / float(high - low)
    wide = WIDTH / len(way)
    drawn = [f'<path d="M0 {top + float(high) * scale:.1f}H{WIDTH}" stroke="{RULE}"/>']
    for at, (step, (least, most)) in enumerate(zip(way, tops, strict=True)):
        colour = ACCENT if not step.change else MORE if step.value > 0 else LESS
        y, tall = top + float(high - most) * scale, max(float(most - least) * scale, 1.5)
        middle = (at + 0.5) * wide
        drawn.append(_rect(at * wide + wide * 0.2, y, wide * 0.6, tall, colour))
        drawn.append(_text(middle, y - 6, step.label, anchor="middle", colour=INK))
        drawn.append(_text(middle, height - 8, shorten(step.name, 22), anchor="middle"))
    return _svg(height, "".join(drawn), "From " + " to ".join(f"{step.name} {step.label}" for step in way))


def shorten(name: str, most: int = MOST_LETTERS) -> str:
    """Return a name for a picture: at most so many letters, all of which are seen."""
    plain = printable(name)
    return plain if len(plain) <= most else f"{plain[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _plot(height: int, count: int) -> tuple[float, float, float, float]:
    """Return where columns begin at the left and at the top, how tall the greatest is, and how much room each has."""
    left, top, bottom = 78.0, 12.0, 24.0
    return left, top, height - top - bottom, (WIDTH - left) / count


def _heads(heads: Sequence[str], left: float, wide: float, height: int) -> list[str]:
    """Return what stands under columns: as many heads as there is room for."""
    shown = range(0, len(heads), max(1, -(-len(heads) // 16)))
    return [_text(left + (at + 0.5) * wide, height - 8, heads[at], anchor="middle") for at in shown]


def _axis(most: float, left: float, top: float, plot: float, unit: str) -> str:
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = top + plot * (1 - share)
        figure = f"{most * share:,.0f}" if most >= 10 or not share else f"{most * share:,.2f}"
        lines.append(f'<path d="M{left:.0f} {y:.1f}H{WIDTH}" stroke="{RULE}"/>')
        lines.append(_text(left - 6, y + 4, figure if share < 1 else f"{figure} {unit}".strip(), anchor="end"))
    return "".join(lines)


def _legend(named: Sequence[tuple[str, str]], top: float) -> tuple[str, int]:
    """Return a legend under a picture, and how much room it takes."""
    drawn, x, y = [], 0.0, top + 12.0
    for name, colour in named:
        text = shorten(name, 44)
        wide = 26 + 6.9 * len(text)
        if x and x + wide > WIDTH:
            x, y = 0.0, y + 18
        drawn.append(_rect(x, y - 9, 10, 10, colour))
        drawn.append(_text(x + 15, y, text, colour=INK))
        x += wide
    return "".join(drawn), int(y - top) + 8


def _rect(x: float, y: float, wide: float, tall: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = MUTED) -> str:
    isolated = f"\N{FIRST STRONG ISOLATE}{escape(shorten(text, 60))}\N{POP DIRECTIONAL ISOLATE}"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{isolated}</text>'


def _svg(height: int, body: str, means: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(shorten(means, 200))}" direction="ltr" font-family="{FONT}" font-size="11">'
        f"{body}</svg>"
    )
