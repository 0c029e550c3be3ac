"""What went stale: every topic carries the revision of its last change, taken from one counter.

Topics bumped within a transaction are written just before its commit, so that the counter's lock is held
shortly and revisions become visible in their order.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from app.store.tables import counters, topics
from app.store.write import upsert

_PENDING = "bumped topics"
_COUNTER = "topics"

# Built once: every request asks it, and putting it together costs as much as running it.
_NEWS = select(topics.c.name, topics.c.revision).where(topics.c.revision > bindparam("rev"))


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


def news(session: Session, rev: int) -> dict[str, int]:
    """The topics changed after `rev`, each with its revision."""
    return {name: int(found) for name, found in session.connection().execute(_NEWS, {"rev": rev})}


def changed_since(session: Session, rev: int) -> tuple[int, list[str]]:
    """The newest revision (`rev` when nothing happened) and the topics changed after `rev`."""
    changed = news(session, rev)
    return max(changed.values(), default=rev), sorted(changed)


def _next(session: Session) -> int:
    step = update(counters).where(counters.c.name == _COUNTER).values(value=counters.c.value + 1)
    return int(session.execute(step.returning(counters.c.value)).scalar_one())
