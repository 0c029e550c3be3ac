"""Browser sessions: an opaque 256-bit id of which only the SHA-256 is stored; idle 8 h, absolute 24 h."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, or_, select, update
from sqlalchemy.orm import Session

from app.clock import now
from app.store.tables import sessions
from app.store.write import run

IDLE = timedelta(hours=8)
ABSOLUTE = timedelta(hours=24)
_TOUCH_EVERY = timedelta(minutes=1)
_FIND = select(sessions).where(sessions.c.digest == bindparam("digest"))  # built once: requests ask it


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser. `proved_at` is the last moment a password was given (for step-up)."""

    digest: str
    user: str
    csrf: str
    created_at: datetime
    seen_at: datetime
    proved_at: datetime
    address: str
    agent: str

    @property
    def ends_at(self) -> datetime:
        """When it ends if nobody uses it."""
        return min(self.seen_at + IDLE, self.created_at + ABSOLUTE)


def start(session: Session, user: str, *, address: str = "", agent: str = "") -> tuple[str, SessionRow]:
    """A new session: (opaque id for the cookie, the row). The id is told here and never again."""
    opaque, moment = secrets.token_urlsafe(32), now()
    row = SessionRow(
        digest=_digest(opaque),
        user=user,
        csrf=secrets.token_urlsafe(32),
        created_at=moment,
        seen_at=moment,
        proved_at=moment,
        address=address[:100],
        agent=agent[:300],
    )
    session.execute(
        sessions.insert().values(
            digest=row.digest,
            user=row.user,
            csrf=row.csrf,
            created_at=moment,
            seen_at=moment,
            proved_at=moment,
            address=row.address,
            agent=row.agent,
        )
    )
    return opaque, row


def find(session: Session, opaque: str) -> SessionRow | None:
    """The living session behind a cookie; only reads, so that a page costs no write."""
    row = session.connection().execute(_FIND, {"digest": _digest(opaque)}).one_or_none()
    if row is None:
        return None
    found = _row(row)
    return found if now() < found.ends_at else None


def stale(row: SessionRow) -> bool:
    """Whether `touch` is due (at most once a minute)."""
    return now() - row.seen_at > _TOUCH_EVERY


def touch(session: Session, digest: str) -> None:
    """The session was used now."""
    session.execute(update(sessions).where(sessions.c.digest == digest).values(seen_at=now()))


def rotate(session: Session, opaque: str) -> tuple[str, SessionRow] | None:
    """End a session and start its successor (sign-in, step-up); None when it has ended already."""
    row = find(session, opaque)
    if row is None:
        return None
    end(session, row.digest)
    return start(session, row.user, address=row.address, agent=row.agent)


def end(session: Session, digest: str) -> bool:
    """Sign out one browser."""
    return run(session, sessions.delete().where(sessions.c.digest == digest)) == 1


def end_all(session: Session, user: str, *, but: str = "") -> int:
    """Sign out every browser of a user (but the one of this digest); how many."""
    mine = (sessions.c.user == user) & (sessions.c.digest != but)
    return run(session, sessions.delete().where(mine))


def of_user(session: Session, user: str) -> list[SessionRow]:
    """A user's living sessions, newest first."""
    query = select(sessions).where(sessions.c.user == user).order_by(sessions.c.created_at.desc())
    return [row for row in map(_row, session.execute(query)) if now() < row.ends_at]


def forget_ended(session: Session) -> int:
    """Remove sessions past their end; how many."""
    moment = now()
    over = or_(sessions.c.seen_at <= moment - IDLE, sessions.c.created_at <= moment - ABSOLUTE)
    return run(session, sessions.delete().where(over))


def _digest(opaque: str) -> str:
    return hashlib.sha256(opaque.encode()).hexdigest()


def _row(row: Row[Any]) -> SessionRow:
    return SessionRow(
        row.digest, row.user, row.csrf, row.created_at, row.seen_at, row.proved_at, row.address, row.agent
    )
