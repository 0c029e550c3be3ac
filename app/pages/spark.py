"""Sparklines as SVG path data: one path of at most 60 points in a 120 x 24 box; a gap starts a new stroke."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, POINTS = 120, 24, 60
_PAD = 2.0

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Spark:
    """A drawn series: path data, the last known point, and the words that stand for it."""

    d: str
    last: tuple[float, float] | None
    label: str


def path(values: Values, *, top: float | None = None) -> tuple[str, tuple[float, float] | None]:
    """Path data and the position of the last value, if that one is known.

    The axis starts at 0; it ends at `top` or the highest value. All-unknown series give an empty path.
    """
    points = _thinned(values)
    numbers = [value for value in points if value is not None]
    if not numbers:
        return "", None
    high = max(top or 0.0, *numbers) or 1.0
    step = WIDTH / max(len(points) - 1, 1)
    strokes, pen_down, last = [], False, None
    for place, value in enumerate(points):
        if value is None:
            pen_down, last = False, None
            continue
        last = (round(place * step, 1), round(HEIGHT - _PAD - value / high * (HEIGHT - 2 * _PAD), 1))
        strokes.append(f"{'L' if pen_down else 'M'}{last[0]:g} {last[1]:g}")
        pen_down = True
    return "".join(strokes), last


def draw(values: Values, name: str, words: Callable[[float | None], str], *, span: str, at: str) -> Spark:
    """The sparkline of a series with its label: `errors, last hour: lowest 0 %, highest 12 %, now 12 %, at …`."""
    d, last = path(values)
    numbers = [value for value in _thinned(values) if value is not None]
    if not numbers:
        return Spark("", None, f"{name}, {span}: no data")
    now = words(values[-1]) if len(values) else words(None)
    label = f"{name}, {span}: lowest {words(min(numbers))}, highest {words(max(numbers))}, now {now}, at {at}"
    return Spark(d, last, label)


def _thinned(values: Values) -> list[float | None]:
    """At most POINTS values; each keeps the highest of its stretch, so that a peak is never lost."""
    clean = [value if value is not None and math.isfinite(value) else None for value in values]
    if len(clean) <= POINTS:
        return clean
    size = len(clean) / POINTS
    parts = (clean[int(place * size) : int((place + 1) * size)] for place in range(POINTS))
    return [max((value for value in part if value is not None), default=None) for part in parts]
