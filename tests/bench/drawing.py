"""Draws curves and bars as SVG: a person would rather look than read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 640, 360, 56
COLOURS = ("#0b6e4f", "#1f4e9c", "#b3541e", "#7a3b8f")
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line through points."""

    name: str
    points: Sequence[tuple[float, float]]


def draw(
    path: str, *, title: str, across: str, up: str, curves: Sequence[Curve], names_at: float = 60
) -> None:
    """Write curves over shared axes that begin at zero. `names_at` is where their names begin, from above."""
    right = _round_up(max(x for curve in curves for x, _ in curve.points))
    top = _round_up(max(y for curve in curves for _, y in curve.points))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            MARGIN + x / right * (WIDTH - 2 * MARGIN),
            HEIGHT - MARGIN - y / top * (HEIGHT - 2 * MARGIN),
        )

    parts = [
        _text(WIDTH / 2, 24, title, size=15),
        _text(WIDTH / 2, HEIGHT - 12, across),
        _text(8, 40, up, "start"),
    ]
    for tick in range(_TICKS + 1):
        x, y = right * tick / _TICKS, top * tick / _TICKS
        (left, bottom), (_, level) = place(x, 0), place(0, y)
        parts.append(f'<path d="M{MARGIN} {level:.1f}H{WIDTH - MARGIN}" stroke="#8884" />')
        parts += [_text(left, bottom + 18, f"{x:g}"), _text(MARGIN - 6, level + 4, f"{y:g}", "end")]
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve.points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" />')
        parts.append(_text(MARGIN + 12, names_at + 18 * number, curve.name, "start", colour=colour))
    _write(path, title, HEIGHT, parts)


def draw_bars(
    path: str, *, title: str, series: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]]
) -> None:
    """Write a group of bars for each row, one for each of the series; the longest is as wide as there is room."""
    most = max((value for _, values in rows for value in values), default=0) or 1
    group = 14 * len(series) + 12
    height, left = MARGIN + 40 + group * len(rows), 220
    parts = [_text(WIDTH / 2, 24, title, size=15)]
    for number, name in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(_text(left + 110 * number, 46, name, "start", colour=colour))
    for place, (label, values) in enumerate(rows):
        top = 62 + place * group
        parts.append(_text(left - 10, top + 7 * len(series) + 4, label, "end"))
        for number, value in enumerate(values):
            y, width = top + 14 * number, value / most * (WIDTH - left - 80)
            colour = COLOURS[number % len(COLOURS)]
            parts.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="11" fill="{colour}" />')
            parts.append(_text(left + width + 6, y + 10, f"{value:,.0f}", "start", colour=colour))
    _write(path, title, height, parts)


def _write(path: str, title: str, height: float, parts: Sequence[str]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(title)}">'
        f'<rect width="100%" height="100%" fill="#fff" />{"".join(parts)}</svg>\n'
    )


def _text(
    x: float, y: float, text: str, anchor: str = "middle", *, size: int = 12, colour: str = "#333"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _round_up(value: float) -> float:
    """Round up to one of 1, 2, 2.5 or 5 times a power of ten, so that ticks are round."""
    power: float = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)
