"""API tokens `qd_<scope>_<id8>_<43 characters>`: SHA-256 stored, shown once, always with an expiry."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from app.clock import now
from app.errors import BadInput
from app.store.tables import tokens
from app.store.write import run

LONGEST_LIFE = timedelta(days=365)
_FORM = re.compile(r"qd_([a-z0-9-]{1,20})_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


def create(
    session: Session, *, name: str, owner: str, scopes: Sequence[str], expires_at: datetime
) -> tuple[str, Token]:
    """(the token as text, told only here; its row). Raises BadInput when the expiry is past or too far."""
    moment = now()
    if not moment < expires_at <= moment + LONGEST_LIFE + timedelta(minutes=1):
        raise BadInput("a token lives at most 365 days and must not have expired already", field="expires")
    if not scopes:
        raise BadInput("a token needs at least one scope", field="scope")
    word = re.sub(r"[^a-z0-9]+", "-", scopes[0].lower()).strip("-")[:20] or "token"
    token_id = secrets.token_hex(4)
    text = f"qd_{word}_{token_id}_{secrets.token_urlsafe(32)}"
    row = {
        "id": token_id,
        "digest": _digest(text),
        "name": name,
        "owner": owner,
        "scopes": " ".join(scopes),
        "created_at": moment,
        "expires_at": expires_at,
    }
    session.execute(tokens.insert().values(row))
    return text, Token(token_id, name, owner, tuple(scopes), moment, expires_at)


def find(session: Session, text: str) -> Token | None:
    """The valid token behind what was presented; None for anything malformed, unknown, expired or revoked."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    row = session.execute(select(tokens).where(tokens.c.id == match[2])).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, _digest(text)):
        return None
    return _token(row) if row.revoked_at is None and now() < row.expires_at else None


def stale(token: Token) -> bool:
    """Whether `touch` is due (at most once a minute)."""
    return token.used_at is None or now() - token.used_at > _TOUCH_EVERY


def touch(session: Session, token_id: str) -> None:
    """The token was used now."""
    session.execute(update(tokens).where(tokens.c.id == token_id).values(used_at=now()))


def revoke(session: Session, token_id: str) -> bool:
    """End a token; False when there is none or it was revoked before."""
    living = (tokens.c.id == token_id) & tokens.c.revoked_at.is_(None)
    return run(session, update(tokens).where(living).values(revoked_at=now())) == 1


def all_tokens(session: Session, owner: str | None = None) -> list[Token]:
    """Tokens of one owner or of all, newest first, ended ones included."""
    query = select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id)
    if owner is not None:
        query = query.where(tokens.c.owner == owner)
    return [_token(row) for row in session.execute(query)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _token(row: Row[Any]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        owner=row.owner,
        scopes=tuple(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
