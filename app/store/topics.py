"""What went stale: every topic carries the revision of its last change, taken from one counter.

Topics bumped within a transaction are written just before its commit, so that the counter's lock is held
shortly and revisions become visible in their order.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from app.store.tables import counters, topics
from app.store.write import upsert

_PENDING = "bumped topics"
_COUNTER = "topics"

# Built once: every request asks it, and putting it together costs as much as running it.
_REVISION = select(func.max(topics.c.revision)).where(topics.c.name.in_(bindparam("names", expanding=True)))


def bump(session: Session, *names: str) -> None:
    """Mark topics as changed by this transaction; they show once it commits."""
    session.info.setdefault(_PENDING, set()).update(names)


def flush(session: Session) -> None:
    """Write what was bumped; called by the store right before the commit."""
    names: set[str] = session.info.pop(_PENDING, set())
    if not names:
        return
    revision = _next(session)
    upsert(session, topics, [{"name": name, "revision": revision} for name in sorted(names)], key=("name",))


def revision(session: Session, names: Iterable[str]) -> int:
    """The newest revision among these topics; 0 = none ever changed."""
    return int(session.connection().execute(_REVISION, {"names": list(names)}).scalar() or 0)


def changed_since(session: Session, rev: int) -> tuple[int, list[str]]:
    """The newest revision (`rev` when nothing happened) and the topics changed after `rev`."""
    rows = session.execute(select(topics.c.name, topics.c.revision).where(topics.c.revision > rev)).all()
    return max((row.revision for row in rows), default=rev), sorted(row.name for row in rows)


def _next(session: Session) -> int:
    step = update(counters).where(counters.c.name == _COUNTER).values(value=counters.c.value + 1)
    return int(session.execute(step.returning(counters.c.value)).scalar_one())
