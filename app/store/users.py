"""People: name, role, argon2id hash of the password, whether they may sign in. Hashing is the web's job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, false, func, select, update
from sqlalchemy.orm import Session

from app.clock import now
from app.store import sessions
from app.store.tables import users
from app.store.write import insert_new, run

_GET = select(users).where(users.c.name == bindparam("name"))  # built once: requests ask it

ROLES = ("viewer", "responder", "approver", "admin")
"""From least to most."""


@dataclass(frozen=True, slots=True)
class User:
    """A local user."""

    name: str
    role: str
    password_hash: str
    disabled: bool
    created_at: datetime
    changed_at: datetime


def add(session: Session, name: str, role: str, password_hash: str) -> bool:
    """Add a user; False when the name is taken."""
    moment = now()
    row = {
        "name": name,
        "role": role,
        "password_hash": password_hash,
        "disabled": False,
        "created_at": moment,
        "changed_at": moment,
    }
    return insert_new(session, users, row)


def get(session: Session, name: str) -> User | None:
    """A user by name, disabled or not."""
    row = session.connection().execute(_GET, {"name": name}).one_or_none()
    return None if row is None else _user(row)


def all_users(session: Session) -> list[User]:
    """Everybody, by name."""
    return [_user(row) for row in session.execute(select(users).order_by(users.c.name))]


def count(session: Session) -> int:
    """How many users there are, disabled ones included; 0 = first start."""
    return int(session.scalar(select(func.count()).select_from(users)) or 0)


def set_role(session: Session, name: str, role: str) -> bool:
    """Change a role and end the user's sessions; False when there is no such user."""
    return _change(session, name, role=role)


def set_password(session: Session, name: str, password_hash: str) -> bool:
    """Change a password and end the user's sessions; False when there is no such user."""
    return _change(session, name, password_hash=password_hash)


def rehash(session: Session, name: str, password_hash: str) -> bool:
    """The same password under stronger parameters; sessions stay."""
    return run(session, update(users).where(users.c.name == name).values(password_hash=password_hash)) == 1


def disable(session: Session, name: str) -> bool:
    """Refuse sign-in and end the user's sessions; False when there is no such user."""
    return _change(session, name, disabled=True)


def enable(session: Session, name: str) -> bool:
    """Allow sign-in again; False when there is no such user."""
    return _change(session, name, disabled=False)


def admins(session: Session) -> int:
    """How many admins may sign in."""
    query = select(func.count()).where((users.c.role == "admin") & (users.c.disabled == false()))
    return int(session.scalar(query) or 0)


def _change(session: Session, name: str, **columns: Any) -> bool:
    changed = run(session, update(users).where(users.c.name == name).values(**columns, changed_at=now())) == 1
    sessions.end_all(session, name)
    return changed


def _user(row: Row[Any]) -> User:
    return User(row.name, row.role, row.password_hash, row.disabled, row.created_at, row.changed_at)
