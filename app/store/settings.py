"""Small facts the product keeps about itself, among them the one-time code that makes the first admin."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clock import now
from app.store.tables import settings
from app.store.write import run, upsert

_CODE = "setup_code"


def get(session: Session, name: str) -> str | None:
    """A setting's text."""
    return session.scalar(select(settings.c.value).where(settings.c.name == name))


def put(session: Session, name: str, value: str) -> None:
    """Set it."""
    upsert(session, settings, [{"name": name, "value": value, "changed_at": now()}], key=("name",))


def remove(session: Session, name: str) -> bool:
    """Forget it; whether it was there."""
    return run(session, settings.delete().where(settings.c.name == name)) == 1


def new_setup_code(session: Session) -> str:
    """A fresh one-time code (the one before is void); only its SHA-256 is kept."""
    code = secrets.token_urlsafe(12)
    put(session, _CODE, _digest(code))
    return code


def use_setup_code(session: Session, code: str) -> bool:
    """Use the code up; True exactly once, even for two who come at the same time."""
    fits = (settings.c.name == _CODE) & (settings.c.value == _digest(code))
    return run(session, settings.delete().where(fits)) == 1


def _digest(code: str) -> str:
    return hashlib.sha256(code.strip().encode()).hexdigest()
