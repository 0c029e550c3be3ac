"""Lines over time of a few ids, from chunks where an hour is compacted and from frames where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.model.series import BUCKETS, Floats, Window
from app.store.frame_blob import Block, Chunk, decode_chunk
from app.store.frame_cover import (
    HOUR,
    MINUTE,
    SPANS,
    TIERS,
    Tile,
    aligned,
    cover,
    floor,
    length,
    moment,
    seconds,
)
from app.store.frame_rows import load, starts
from app.store.tables import frame_chunks

_BATCH = 200
_FEW = 32  # beyond so many ids whole frames are cheaper than their chunks

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Line:
    """One id over time: counts per step, NaN = nobody looked; `latency` (steps, BUCKETS) counts."""

    requests: Floats
    failed: Floats
    latency: Floats


@dataclass(frozen=True, slots=True)
class Series:
    """Lines that share their steps: point i is about [t0 + i * step, t0 + (i + 1) * step).

    `step` is what was asked for, or longer where only coarser tiers are kept.
    """

    t0: datetime
    step: timedelta
    lines: dict[str, Line] = field(default_factory=dict)

    @property
    def times(self) -> list[datetime]:
        """The start of every point."""
        points = len(next(iter(self.lines.values())).requests) if self.lines else 0
        return [self.t0 + i * self.step for i in range(points)]


class _Sheet:
    """Points of the wanted ids, flat (id i, point p at i * points + p), filled block by block."""

    def __init__(self, ids: Sequence[str], t0: int, step: int, points: int, *, latency: bool) -> None:
        self.ids, self.t0, self.step, self.points = tuple(ids), t0, step, points
        size = len(self.ids) * points
        self.requests, self.failed = np.zeros(size), np.zeros(size)
        self.seen = {"requests": np.zeros(size, bool), "failed": np.zeros(size, bool)}
        self.latency = np.zeros(size * BUCKETS) if latency else None

    def add(self, block: Block, target: Rows) -> None:
        """Add rows of a block to the points that `target` names; -1 = not wanted."""
        rows = np.flatnonzero(target >= 0)
        for sums, values, seen in (
            (self.requests, block.requests, self.seen["requests"]),
            (self.failed, block.failed, self.seen["failed"]),
        ):
            known = rows[~np.isnan(values[rows])]
            np.add.at(sums, target[known], values[known])
            seen[target[known]] = True
        if self.latency is not None:
            place = target[block.cells // BUCKETS]
            wanted = place >= 0
            np.add.at(
                self.latency, place[wanted] * BUCKETS + block.cells[wanted] % BUCKETS, block.counts[wanted]
            )

    def lines(self) -> dict[str, Line]:
        """The finished lines."""
        requests = np.where(self.seen["requests"], self.requests, np.nan)
        failed = np.where(self.seen["failed"], self.failed, np.nan)
        shape = (len(self.ids), self.points, BUCKETS)
        latency = np.broadcast_to(0.0, shape) if self.latency is None else self.latency.reshape(shape)
        rows = (len(self.ids), self.points)
        columns = zip(self.ids, requests.reshape(rows), failed.reshape(rows), latency, strict=True)
        return {name: Line(*line) for name, *line in columns}


def series(
    session: Session,
    cluster: str,
    ids: Iterable[str],
    window: Window,
    step: timedelta,
    *,
    latency: bool = True,
) -> Series:
    """Lines of node and edge ids over a window; every asked id gets a line, all NaN when never seen.

    The window is taken on multiples of the step; a frame falls into the point that holds its start.
    Without `latency` the histograms stay zero and cost nothing.
    """
    start, end = aligned(window)
    asked = -(-int(step.total_seconds()) // MINUTE) * MINUTE
    available = starts(session, cluster, floor(start, max(asked, HOUR)), end)
    wide = max(asked, _finest(available, start))
    t0 = floor(start, wide)
    points = -(-(end - t0) // wide)
    sheet = _Sheet(list(dict.fromkeys(ids)), t0, wide, points, latency=latency)
    fitting = [tier for tier in TIERS[::-1] if wide % tier == 0]
    _fill(session, cluster, sheet, cover(available, t0, t0 + points * wide, fitting, overlap=False))
    return Series(moment(t0), length(wide), sheet.lines())


def part_of(name: str, parts: int) -> int:
    """Which of `parts` chunks an id lies in."""
    return _number(name) % parts


def _number(name: str) -> int:
    return crc32(name.encode("utf-8", "replace")) & 0x7FFF_FFFF  # PostgreSQL's integer has a sign


def _finest(available: Mapping[int, Sequence[int]], start: int) -> int:
    """The finest tier that reaches back to the window's start; if none does, the one that reaches furthest."""
    first = {tier: max(found[0], start) for tier, found in available.items() if found}
    oldest = min(first.values(), default=start)
    return next((tier for tier in TIERS if first.get(tier, oldest + 2 * HOUR) <= oldest + HOUR), MINUTE)


def _fill(session: Session, cluster: str, sheet: _Sheet, tiles: Sequence[Tile]) -> None:
    left = list(tiles)
    if len(sheet.ids) <= _FEW:
        for tier in TIERS:
            wanted = {at for kind, at in left if kind == tier}
            if len(wanted) > 1:
                done = _from_chunks(session, cluster, sheet, tier, wanted)
                left = [tile for tile in left if tile[0] != tier or floor(tile[1], SPANS[tier]) not in done]
    targets: dict[int, tuple[Rows, Rows]] = {}
    for stored, names in load(session, cluster, left):
        point = (seconds(stored.start) - sheet.t0) // sheet.step
        if id(names) not in targets:
            targets[id(names)] = _targets(sheet, names.node_ids), _targets(sheet, names.edge_ids)
        for block, base in zip((stored.nodes, stored.edges), targets[id(names)], strict=True):
            sheet.add(block, np.where(base >= 0, base + point, -1))


def _targets(sheet: _Sheet, ids: Sequence[str]) -> Rows:
    place = {name: i * sheet.points for i, name in enumerate(sheet.ids)}
    return np.array([place.get(name, -1) for name in ids], np.int64)


def _from_chunks(session: Session, cluster: str, sheet: _Sheet, tier: int, wanted: set[int]) -> set[int]:
    """Add what chunks hold of the wanted starts; the spans (their starts) that are done with."""
    spans = sorted({floor(at, SPANS[tier]) for at in wanted})
    numbers = {_number(name) for name in sheet.ids}
    part = or_(*(frame_chunks.c.part == number % frame_chunks.c.parts for number in numbers))
    done: set[int] = set()
    for i in range(0, len(spans), _BATCH):
        query = select(frame_chunks.c.start, frame_chunks.c.body).where(
            and_(
                frame_chunks.c.cluster == cluster,
                frame_chunks.c.tier == tier,
                frame_chunks.c.start.in_([moment(span) for span in spans[i : i + _BATCH]]),
                frame_chunks.c.minutes > 0,
                part,
            )
        )
        for row in session.execute(query):
            span = seconds(row.start)
            done.add(span)
            _add_chunk(sheet, decode_chunk(row.body), tier, span, wanted)
    return done


def _add_chunk(sheet: _Sheet, chunk: Chunk, tier: int, span: int, wanted: set[int]) -> None:
    times = [span + slot * tier for slot in range(chunk.slots)]
    offsets = np.array([(at - sheet.t0) // sheet.step if at in wanted else -1 for at in times], np.int64)
    base = _targets(sheet, chunk.ids)[:, None]
    target = np.where((base >= 0) & (offsets >= 0), base + offsets, -1).reshape(-1)
    sheet.add(chunk.block, target)
