"""Leases: who may do a thing that only one process may do, until when."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.clock import now
from app.store.tables import leases
from app.store.write import run, upsert


def acquire(session: Session, name: str, holder: str, ttl: timedelta) -> bool:
    """Take or renew a lease; False while somebody else holds it. Use a transaction of its own."""
    moment = now()
    free = or_(leases.c.holder == holder, leases.c.until <= moment)
    row = {"name": name, "holder": holder, "until": moment + ttl}
    upsert(session, leases, [row], key=("name",), where=free)
    return session.scalar(select(leases.c.holder).where(leases.c.name == name)) == holder


def release(session: Session, name: str, holder: str) -> bool:
    """Give it back; False when it was not ours."""
    mine = (leases.c.name == name) & (leases.c.holder == holder)
    return run(session, leases.delete().where(mine)) == 1


def holder(session: Session, name: str) -> tuple[str, datetime] | None:
    """(who, until when), None when free or run out."""
    row = session.execute(select(leases).where(leases.c.name == name)).one_or_none()
    return None if row is None or row.until <= now() else (row.holder, row.until)
