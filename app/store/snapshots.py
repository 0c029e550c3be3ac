"""The latest snapshot of each source: one row per cluster and source, overwritten by newer ones only."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.model.fleet import Snapshot
from app.store.blob import Codec
from app.store.tables import snapshots
from app.store.write import upsert

_codec = Codec(Snapshot)


def put(session: Session, snapshot: Snapshot) -> None:
    """Keep a snapshot unless a newer one of the same source is there."""
    row = {
        "cluster": snapshot.cluster,
        "source": snapshot.source,
        "as_of": snapshot.as_of,
        "body": _codec.pack(snapshot),
    }
    newer = snapshots.c.as_of <= snapshot.as_of
    upsert(session, snapshots, [row], key=("cluster", "source"), where=newer)


def latest(session: Session, cluster: str) -> list[Snapshot]:
    """The latest snapshot of every source of a cluster, by source name."""
    query = select(snapshots.c.body).where(snapshots.c.cluster == cluster).order_by(snapshots.c.source)
    return [_codec.unpack(body) for body in session.scalars(query)]


def get(session: Session, cluster: str, source: str) -> Snapshot | None:
    """The latest snapshot of one source."""
    at = (snapshots.c.cluster == cluster) & (snapshots.c.source == source)
    body = session.scalar(select(snapshots.c.body).where(at))
    return None if body is None else _codec.unpack(body)


def forget(session: Session, cluster: str, source: str) -> None:
    """Drop the snapshot of a source that is no longer configured."""
    at = (snapshots.c.cluster == cluster) & (snapshots.c.source == source)
    session.execute(snapshots.delete().where(at))
