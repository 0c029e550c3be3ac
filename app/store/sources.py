"""How each source stands: when it was last heard, since when it is silent, why, and what that costs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.model.fleet import Freshness, SourceStatus
from app.store import topics
from app.store.tables import sources
from app.store.write import upsert


def succeeded(session: Session, cluster: str, source: str, as_of: datetime, cost: str) -> None:
    """The source answered; `as_of` is the moment its word is about."""
    _record(session, cluster, source, SourceStatus.OK, None, as_of, as_of=as_of, cost=cost)


def failed(
    session: Session,
    cluster: str,
    source: str,
    status: SourceStatus,
    error: str,
    at: datetime,
    cost: str,
) -> None:
    """The source could not be asked; its last word and its age stay."""
    _record(session, cluster, source, status, error, at, as_of=None, cost=cost)


def all_sources(session: Session, cluster: str | None = None) -> list[Freshness]:
    """Every source of a cluster (or of all), by name; `Freshness.source` is `cluster/name`."""
    query = select(sources).order_by(sources.c.cluster, sources.c.source)
    if cluster is not None:
        query = query.where(sources.c.cluster == cluster)
    return [_freshness(row) for row in session.execute(query)]


def forget(session: Session, cluster: str, source: str) -> None:
    """Drop a source that is no longer configured."""
    session.execute(sources.delete().where((sources.c.cluster == cluster) & (sources.c.source == source)))
    topics.bump(session, "sources")


def _record(
    session: Session,
    cluster: str,
    source: str,
    status: SourceStatus,
    error: str | None,
    at: datetime,
    *,
    as_of: datetime | None,
    cost: str,
) -> None:
    mine = (sources.c.cluster == cluster) & (sources.c.source == source)
    before = session.execute(select(sources).where(mine)).one_or_none()
    same = before is not None and before.status == status
    row = {
        "cluster": cluster,
        "source": source,
        "as_of": as_of or (before.as_of if before else None),
        "status": str(status),
        "since": before.since if before is not None and same else at,
        "error": error,
        "cost": cost,
        "tried_at": at,
    }
    upsert(session, sources, [row], key=("cluster", "source"))
    if not same or (before is not None and before.error != error):
        topics.bump(session, "sources")


def _freshness(row: Row[Any]) -> Freshness:
    return Freshness(
        source=f"{row.cluster}/{row.source}",
        as_of=row.as_of,
        status=SourceStatus(row.status),
        since=row.since,
        error=row.error,
        cost=row.cost,
    )
