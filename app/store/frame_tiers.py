"""Making and forgetting of tiers: 10-minute and 1-hour rollups by addition, edge-major chunks, retention.

Every step can be repeated: it looks at how many minutes a rollup or chunk was made of and makes again what
has more by now (late back-fill). Run roll_up and compact before forget.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.model.series import BUCKETS
from app.store.frame_blob import Block, Chunk, Names, Stored, encode_chunk
from app.store.frame_cover import HOUR, MINUTE, SPANS, TEN_MINUTES, TIERS, floor, moment, seconds
from app.store.frame_merge import merge
from app.store.frame_rows import load, put_sum
from app.store.frame_series import part_of
from app.store.tables import frame_chunks, frame_names, frames
from app.store.write import run

_IDS_PER_CHUNK = 64


class Kept(Protocol):
    """How long each tier is kept (the configuration's `retention`)."""

    @property
    def minute(self) -> timedelta:
        """Age of the oldest minute."""
        ...

    @property
    def ten_minutes(self) -> timedelta:
        """Age of the oldest 10-minute rollup."""
        ...

    @property
    def hour(self) -> timedelta:
        """Age of the oldest 1-hour rollup."""
        ...


def roll_up(session: Session, cluster: str, now: datetime) -> int:
    """Make the 10-minute and 1-hour rollups of every full stretch that lacks one; how many were made."""
    made = 0
    for finer, tier in ((MINUTE, TEN_MINUTES), (TEN_MINUTES, HOUR)):
        parts = _by_span(session, cluster, finer, tier)
        have = _minutes_of(session, cluster, tier)
        for span, tiles in parts.items():
            minutes = sum(count for _, count in tiles)
            if span + tier <= seconds(now) and minutes > have.get(span, 0):
                total = merge(load(session, cluster, [(finer, start) for start, _ in tiles]))
                put_sum(session, cluster, (tier, span), total, minutes=minutes)
                made += 1
    return made


def compact(session: Session, cluster: str, now: datetime) -> int:
    """Turn every full span (an hour of minutes, a day of 10 minutes, ten days of hours) into edge-major chunks.

    The frames stay beside them until they are forgotten. How many spans were compacted.
    """
    made = 0
    for tier in TIERS:
        have = _chunked(session, cluster, tier)
        for span, tiles in _by_span(session, cluster, tier, SPANS[tier]).items():
            minutes = sum(count for _, count in tiles)
            if span + SPANS[tier] <= seconds(now) and minutes > have.get(span, 0):
                _compact_span(session, cluster, tier, span, minutes, [start for start, _ in tiles])
                made += 1
    return made


def forget(session: Session, now: datetime, retention: Kept) -> int:
    """Remove frames and chunks older than their tier is kept, and names nobody uses; how many frames."""
    kept = {MINUTE: retention.minute, TEN_MINUTES: retention.ten_minutes, HOUR: retention.hour}
    removed = 0
    for tier, age in kept.items():
        # whole hours (days for chunks), so that no rollup is ever made again from half of its frames
        limit = floor(seconds(now - age), SPANS[tier])
        removed += run(
            session, frames.delete().where((frames.c.tier == tier) & (frames.c.start < moment(limit)))
        )
        old = (frame_chunks.c.tier == tier) & (frame_chunks.c.start < moment(limit))
        run(session, frame_chunks.delete().where(old))
    if removed:
        used = select(frames.c.names)
        run(session, frame_names.delete().where(frame_names.c.digest.not_in(used)))
    return removed


def _by_span(session: Session, cluster: str, tier: int, span: int) -> dict[int, list[tuple[int, int]]]:
    """Span start -> [(frame start, minutes it is made of)], oldest first."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    mine = (frames.c.cluster == cluster) & (frames.c.tier == tier)
    query = select(frames.c.start, frames.c.minutes).where(mine).order_by(frames.c.start)
    for row in session.execute(query):
        found[floor(seconds(row.start), span)].append((seconds(row.start), row.minutes))
    return found


def _minutes_of(session: Session, cluster: str, tier: int) -> dict[int, int]:
    mine = (frames.c.cluster == cluster) & (frames.c.tier == tier)
    query = select(frames.c.start, frames.c.minutes).where(mine)
    return {seconds(row.start): row.minutes for row in session.execute(query)}


def _chunked(session: Session, cluster: str, tier: int) -> dict[int, int]:
    mine = (frame_chunks.c.cluster == cluster) & (frame_chunks.c.tier == tier)
    query = select(frame_chunks.c.start, func.min(frame_chunks.c.minutes)).where(mine)
    return {
        seconds(start): minutes for start, minutes in session.execute(query.group_by(frame_chunks.c.start))
    }


def _compact_span(
    session: Session, cluster: str, tier: int, span: int, minutes: int, starts: Sequence[int]
) -> None:
    found = load(session, cluster, [(tier, start) for start in starts])
    ids = sorted({name for _, names in found for name in (*names.node_ids, *names.edge_ids)})
    parts = 1
    while parts * _IDS_PER_CHUNK < len(ids):
        parts *= 2
    ids.sort(key=lambda name: part_of(name, parts))
    whole = _edge_major(found, {name: row for row, name in enumerate(ids)}, tier, span)
    bounds = np.searchsorted([part_of(name, parts) for name in ids], np.arange(parts + 1))
    rows = [
        {
            "cluster": cluster,
            "tier": tier,
            "start": moment(span),
            "part": part,
            "parts": parts,
            "minutes": minutes,
            "body": encode_chunk(
                _cut(whole, ids, int(bounds[part]), int(bounds[part + 1]), SPANS[tier] // tier)
            ),
        }
        for part in range(parts)
    ]
    mine = (frame_chunks.c.cluster == cluster) & (frame_chunks.c.tier == tier)
    run(session, frame_chunks.delete().where(mine & (frame_chunks.c.start == moment(span))))
    run(session, frame_chunks.insert(), rows)


def _edge_major(
    found: Sequence[tuple[Stored, Names]], place: Mapping[str, int], tier: int, span: int
) -> Block:
    """All frames of a span as one block whose row is id * slots + slot."""
    slots = SPANS[tier] // tier
    requests, failed = np.full(len(place) * slots, np.nan), np.full(len(place) * slots, np.nan)
    cells: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    counts = [np.zeros(0)]
    for stored, names in found:
        slot = (seconds(stored.start) - span) // tier
        for block, ids in ((stored.nodes, names.node_ids), (stored.edges, names.edge_ids)):
            rows = np.array([place[name] for name in ids], np.int64) * slots + slot
            requests[rows], failed[rows] = block.requests, block.failed
            cells.append(rows[block.cells // BUCKETS] * BUCKETS + block.cells % BUCKETS)
            counts.append(block.counts)
    flat = np.concatenate(cells)
    order = np.argsort(flat)
    return Block(requests, failed, flat[order], np.concatenate(counts)[order])


def _cut(whole: Block, ids: Sequence[str], first: int, last: int, slots: int) -> Chunk:
    """The chunk of ids[first:last]."""
    low, high = np.searchsorted(whole.cells, (first * slots * BUCKETS, last * slots * BUCKETS))
    block = Block(
        whole.requests[first * slots : last * slots],
        whole.failed[first * slots : last * slots],
        whole.cells[low:high] - first * slots * BUCKETS,
        whole.counts[low:high],
    )
    return Chunk(tuple(ids[first:last]), slots, block)
