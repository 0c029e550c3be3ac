"""Rows of fleet history: which tiles there are, reading and writing them. Used by `frames` and its siblings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, or_, select, update
from sqlalchemy.orm import Session

from app.errors import StoreError
from app.store.frame_blob import Names, Stored, decode_names, decode_stored, encode_names, encode_stored
from app.store.frame_cover import SPANS, TIERS, Tile, floor, moment, seconds
from app.store.frame_merge import Sum
from app.store.tables import frame_chunks, frame_names, frames
from app.store.write import insert_new, upsert

_BATCH = 200
_KNOWN_NAMES = 64


def starts(
    session: Session, cluster: str, start: int, end: int, tiers: Collection[int] = TIERS
) -> dict[int, list[int]]:
    """Per tier, the starts (seconds) of frames that overlap [start, end), oldest first; reads no blob."""
    found: dict[int, list[int]] = {tier: [] for tier in tiers}
    overlapping = or_(
        *(
            and_(frames.c.tier == tier, frames.c.start > moment(start - tier), frames.c.start < moment(end))
            for tier in tiers
        )
    )
    query = select(frames.c.tier, frames.c.start).where((frames.c.cluster == cluster) & overlapping)
    for row in session.execute(query.order_by(frames.c.start)):
        found[row.tier].append(seconds(row.start))
    return found


def load(session: Session, cluster: str, tiles: Sequence[Tile]) -> list[tuple[Stored, Names]]:
    """Decoded frames of these tiles with their names, oldest first."""
    bodies: list[Stored] = []
    for at_ in range(0, len(tiles), _BATCH):
        rows = session.execute(select_tiles(cluster, tiles[at_ : at_ + _BATCH]))
        bodies += [decode_stored(row.body) for row in rows]
    bodies.sort(key=lambda stored: stored.start)
    names = names_of(session, {stored.names for stored in bodies})
    return [(stored, names[stored.names]) for stored in bodies]


def put(
    session: Session, cluster: str, tile: Tile, digest: str, names: bytes, body: bytes, *, minutes: int
) -> None:
    """Write one encoded frame; a chunk over it is void until it is made again."""
    tier, start = tile
    insert_new(session, frame_names, {"digest": digest, "body": names})
    row = {
        "cluster": cluster,
        "tier": tier,
        "start": moment(start),
        "minutes": minutes,
        "names": digest,
        "body": body,
    }
    upsert(session, frames, [row], key=("cluster", "tier", "start"))
    over = (frame_chunks.c.tier == tier) & (frame_chunks.c.start == moment(floor(start, SPANS[tier])))
    session.execute(update(frame_chunks).where((frame_chunks.c.cluster == cluster) & over).values(minutes=0))


def put_sum(session: Session, cluster: str, tile: Tile, total: Sum, *, minutes: int) -> None:
    """Write a rollup."""
    digest, names = encode_names(total.names)
    stored = replace(total.stored, start=moment(tile[1]), length=timedelta(seconds=tile[0]), names=digest)
    put(session, cluster, tile, digest, names, encode_stored(stored), minutes=minutes)


def select_tiles(cluster: str, tiles: Iterable[Tile]) -> Any:
    """SELECT of tier, start and body of these tiles."""
    by_tier: dict[int, list[datetime]] = {}
    for tier, start in tiles:
        by_tier.setdefault(tier, []).append(moment(start))
    wanted = or_(*(and_(frames.c.tier == tier, frames.c.start.in_(found)) for tier, found in by_tier.items()))
    return select(frames.c.tier, frames.c.start, frames.c.body).where((frames.c.cluster == cluster) & wanted)


def _cache(session: Session) -> OrderedDict[str, Names]:
    known: OrderedDict[str, Names] = session.info.setdefault("frame names", OrderedDict())
    return known


def names_of(session: Session, digests: Collection[str]) -> dict[str, Names]:
    """Names by digest; content-addressed, so those read before are kept with the store."""
    known = _cache(session)
    absent = [digest for digest in digests if digest not in known]
    found: dict[str, Names] = {digest: known[digest] for digest in digests if digest in known}
    if absent:
        rows: Iterable[Row[Any]] = session.execute(
            select(frame_names.c.digest, frame_names.c.body).where(frame_names.c.digest.in_(absent))
        )
        found |= {row.digest: decode_names(row.body) for row in rows}
        known.update(found)
        while len(known) > _KNOWN_NAMES:
            known.popitem(last=False)
    lost = set(digests) - found.keys()
    if lost:
        raise StoreError(f"the names of {len(lost)} stored frames are missing")
    return found
