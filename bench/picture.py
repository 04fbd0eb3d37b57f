"""Pictures of what was measured, as SVG: bars beside the peer, and curves of what grows with a number.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import log2
from typing import NamedTuple

_WIDTH, _HEAD, _LINE = 1000, 44, 34
_LEFT, _RIGHT = 380, 960  # where bars may begin and end
_MOST_DOUBLINGS = 5  # a bar ends there, however long it would be
_INK, _FAINT, _BETTER, _WORSE = "#1f2328", "#8c959f", "#2da44e", "#cf222e"
_COLOURS = ("#0969da", "#bf3989", "#9a6700", "#1a7f37")


class Bar(NamedTuple):
    """A row of the picture. ratio > 1: ours is better. text: what stands below the bar."""

    name: str
    ratio: float
    text: str


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Return a picture with a bar for each row, to the right where ours is better; each doubling has one length."""
    middle = (_LEFT + _RIGHT) / 2
    doubling = (_RIGHT - _LEFT) / 2 / _MOST_DOUBLINGS
    height = _HEAD + _LINE * len(rows) + 30
    parts = [_text(12, 24, title, size=15)]
    for exponent in range(-_MOST_DOUBLINGS, _MOST_DOUBLINGS + 1):
        x = middle + exponent * doubling
        label = f"{2**exponent} ×" if exponent >= 0 else f"1/{2**-exponent}"
        parts.append(_line(x, _HEAD, x, height - 24, _INK if exponent == 0 else "#d0d7de"))
        parts.append(_text(x, height - 10, label, size=11, colour=_FAINT, anchor="middle"))
    for number, row in enumerate(rows):
        y = _HEAD + _LINE * number
        end = middle + doubling * max(-_MOST_DOUBLINGS, min(_MOST_DOUBLINGS, log2(row.ratio)))
        left, width = min(middle, end), max(1.0, abs(end - middle))
        colour = _BETTER if row.ratio >= 1 else _WORSE
        parts.append(f'<rect x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="12" fill="{colour}"/>')
        parts.append(_text(12, y + 14, row.name))
        parts.append(_text(12, y + 28, row.text, size=10, colour=_FAINT))
    return _svg(height, parts)


def curves(title: str, axis: str, unit: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return a picture with a curve for each series of (number, value), from a value of 0 up.

    axis: what the numbers count. unit: of the values.
    """
    points = [point for each in series.values() for point in each]
    widest, highest = max(x for x, _ in points), max(y for _, y in points)
    left, right, top, bottom = 70, _WIDTH - 220, _HEAD + 10, 380

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * x / (widest or 1), bottom - (bottom - top) * y / (highest or 1)

    parts = [
        _text(12, 24, title, size=15),
        _line(left, bottom, right, bottom, _INK),
        _line(left, top, left, bottom, _INK),
    ]
    parts.append(_text(right, bottom + 34, axis, colour=_FAINT, anchor="end"))
    parts.append(_text(left - 8, top + 4, f"{highest:.3g} {unit}", size=11, colour=_FAINT, anchor="end"))
    parts += [
        _text(place(x, 0)[0], bottom + 16, f"{x:,.0f}", size=11, colour=_FAINT, anchor="middle")
        for x in sorted({x for x, _ in points})
    ]
    for (name, values), colour in zip(series.items(), _COLOURS, strict=False):
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in values)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(right + 8, place(*values[-1])[1] + 4, name, colour=colour))
    return _svg(bottom + 50, parts)


def _text(x: float, y: float, text: str, *, size: int = 13, colour: str = _INK, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"/>'


def _svg(height: int, parts: Sequence[str]) -> str:
    return "\n".join(_lines(height, parts)) + "\n"


def _lines(height: int, parts: Sequence[str]) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    yield f'<rect width="{_WIDTH}" height="{height}" fill="white"/>'
    yield from parts
    yield "</svg>"
