"""Tiers of fleet history and how tiles of several tiers cover a stretch of time. Pure; seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from app.model.series import Window

MINUTE, TEN_MINUTES, HOUR = 60, 600, 3_600
TIERS = (MINUTE, TEN_MINUTES, HOUR)
"""Lengths of frames in seconds, finest first."""

SPANS = {MINUTE: 3_600, TEN_MINUTES: 86_400, HOUR: 864_000}
"""Seconds that one chunk of a tier covers."""

Tile = tuple[int, int]
"""(tier, start)."""


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return int(moment.timestamp())


def moment(at: int) -> datetime:
    """The inverse of `seconds`."""
    return datetime.fromtimestamp(at, UTC)


def floor(at: int, step: int) -> int:
    """The last multiple of `step` that is not after `at`."""
    return at - at % step


def aligned(window: Window) -> tuple[int, int]:
    """The window on full minutes, moved towards the past rather than cut, at least one minute long."""
    start, end = floor(seconds(window.start), MINUTE), floor(seconds(window.end), MINUTE)
    return start, max(end, start + MINUTE)


def cover(
    available: Mapping[int, Iterable[int]], start: int, end: int, order: Sequence[int], *, overlap: bool
) -> list[Tile]:
    """Tiles that cover [start, end) as far as there are any, none twice, oldest first.

    Tiers are tried in the given order, tiles wholly inside first. With `overlap` a coarse tile that sticks
    out is taken for minutes that nothing else covers.
    """
    taken = bytearray((end - start) // MINUTE)
    tiles: list[Tile] = []
    for inside in (True, False) if overlap else (True,):
        for tier in order:
            for at in available.get(tier, ()):
                if (start <= at and at + tier <= end) == inside and _free(taken, at, tier, start, end):
                    tiles.append((tier, at))
    return sorted(tiles, key=lambda tile: tile[1])


def gaps(available: Mapping[int, Iterable[int]], start: int, end: int) -> list[Window]:
    """Stretches of [start, end) that no tile of any tier covers."""
    taken = bytearray((end - start) // MINUTE)
    for tier, starts in available.items():
        for at in starts:
            low, high = _minutes(at, tier, start, end)
            taken[low:high] = b"\x01" * (high - low)
    found, low = [], taken.find(0)
    while low >= 0:
        high = taken.find(1, low)
        high = len(taken) if high < 0 else high
        found.append(Window(moment(start + low * MINUTE), moment(start + high * MINUTE)))
        low = taken.find(0, high)
    return found


def length(seconds_long: int) -> timedelta:
    """A tier as a duration."""
    return timedelta(seconds=seconds_long)


def _free(taken: bytearray, at: int, tier: int, start: int, end: int) -> bool:
    low, high = _minutes(at, tier, start, end)
    if low >= high or 1 in taken[low:high]:
        return False
    taken[low:high] = b"\x01" * (high - low)
    return True


def _minutes(at: int, tier: int, start: int, end: int) -> tuple[int, int]:
    return max(0, (at - start) // MINUTE), max(0, min(end, at + tier) - start) // MINUTE
