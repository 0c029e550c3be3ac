"""Fleet history: minutes written once, read at a moment, over a window, or as lines of some ids over time.

Reading works over every tier that is kept (minutes, 10-minute and 1-hour rollups, hour chunks) without the
caller knowing. `series` lies in `frame_series`, the making and forgetting of tiers in `frame_tiers`; both are
offered here.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from app.errors import StoreError
from app.model.fleet import Frame
from app.model.series import Window
from app.store.frame_blob import decode_stored, encode_frame, frame_of
from app.store.frame_cover import (
    HOUR,
    MINUTE,
    TEN_MINUTES,
    TIERS,
    Tile,
    aligned,
    cover,
    floor,
    gaps,
    moment,
    seconds,
)
from app.store.frame_merge import merge
from app.store.frame_rows import load, names_of, put, starts
from app.store.frame_series import Line, Series, series
from app.store.frame_tiers import compact, forget, roll_up
from app.store.tables import frames

__all__ = [
    "Line",
    "Series",
    "at",
    "compact",
    "forget",
    "latest_start",
    "merged",
    "missing",
    "roll_up",
    "series",
    "write",
]

_ONE_MINUTE = timedelta(minutes=1)

# Built once: putting the statement together costs more than reading the row.
_AT = (
    select(frames.c.body)
    .where(frames.c.cluster == bindparam("cluster"))
    .where(
        or_(
            and_(frames.c.tier == MINUTE, frames.c.start == bindparam("minute")),
            and_(frames.c.tier == MINUTE, frames.c.start == bindparam("minute_before")),
            and_(frames.c.tier == TEN_MINUTES, frames.c.start == bindparam("ten_minutes")),
            and_(frames.c.tier == HOUR, frames.c.start == bindparam("hour")),
        )
    )
    .order_by(frames.c.tier, frames.c.start.desc())
    .limit(1)
)


def write(session: Session, frame: Frame) -> None:
    """Keep a frame (a minute; or a longer tier, from back-fill). A frame of the same stretch is replaced."""
    tier = int(frame.length.total_seconds())
    if tier not in TIERS or seconds(frame.start) % tier:
        raise StoreError(
            f"a frame is a full minute, 10 minutes or hour, not {frame.length} from {frame.start}"
        )
    _spoil(session, frame.cluster, (tier, seconds(frame.start)))
    digest, names, body = encode_frame(frame)
    put(session, frame.cluster, (tier, seconds(frame.start)), digest, names, body, minutes=tier // MINUTE)


def at(session: Session, cluster: str, when: datetime, length: timedelta = _ONE_MINUTE) -> Frame | None:
    """The fleet at a moment: the finest kept frame that holds it (or the last full minute before it).

    With a longer `length`, the merged frames of the window that ends at the moment. None = nobody looked.
    """
    if length > _ONE_MINUTE:
        return merged(session, cluster, Window(when - length, when))
    found = session.connection().execute(_AT, _holding(cluster, seconds(when))).one_or_none()
    if found is None:
        return None
    stored = decode_stored(found.body)
    return frame_of(cluster, stored, names_of(session, [stored.names])[stored.names])


def merged(session: Session, cluster: str, window: Window) -> Frame | None:
    """All frames of a window added; its `length` is the time they cover, so counts / length is a rate.

    The window is taken on full minutes, up to the last full one. None = nobody looked.
    """
    start, end = aligned(window)
    available = starts(session, cluster, start, end)
    tiles = cover(available, start, end, TIERS[::-1], overlap=True)
    found = load(session, cluster, tiles)
    if not found:
        return None
    total = merge(found)
    return frame_of(cluster, total.stored, total.names)


def latest_start(session: Session, cluster: str) -> datetime | None:
    """The start of the newest minute."""
    mine = (frames.c.cluster == cluster) & (frames.c.tier == MINUTE)
    found: datetime | None = session.scalar(select(func.max(frames.c.start)).where(mine))
    return found


def missing(session: Session, cluster: str, window: Window) -> list[Window]:
    """Stretches of the window that no frame of any tier covers, for back-fill."""
    start, end = aligned(window)
    return gaps(starts(session, cluster, start, end), start, end)


def _holding(cluster: str, now: int) -> dict[str, object]:
    """What `_AT` is asked with: every frame that can hold the moment, and the last full minute."""
    minute = floor(now, MINUTE)
    return {
        "cluster": cluster,
        "minute": moment(minute),
        "minute_before": moment(minute - MINUTE),
        "ten_minutes": moment(floor(now, TEN_MINUTES)),
        "hour": moment(floor(now, HOUR)),
    }


def _spoil(session: Session, cluster: str, tile: Tile) -> None:
    """If a frame is about to be replaced, have the rollups over it made again."""
    tier, start = tile
    mine = (frames.c.cluster == cluster) & (frames.c.tier == tier) & (frames.c.start == moment(start))
    if session.scalar(select(func.count()).where(mine)) == 0:
        return
    for coarser in (coarse for coarse in TIERS if coarse > tier):
        over = (frames.c.tier == coarser) & (frames.c.start == moment(floor(start, coarser)))
        session.execute(update(frames).where((frames.c.cluster == cluster) & over).values(minutes=0))
