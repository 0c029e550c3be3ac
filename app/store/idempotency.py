"""Answers to POSTs by Idempotency-Key, so that a repeated request gets the first answer and does nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.clock import now
from app.errors import BadInput
from app.store.tables import idempotency as table
from app.store.write import insert_new, run

KEPT = timedelta(hours=24)
ANSWER_DUE = timedelta(minutes=2)
"""After so long without an answer, the process that worked on the first request has died."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; `status` None = the first request is still being worked on."""

    status: int | None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def claim(session: Session, who: str, key: str, request: str) -> Answer | None:
    """None = the key is ours now, go on; otherwise the answer the first request got.

    `request` is a digest of method, path and body. Raises BadInput when the key came with another request.
    """
    row = {"who": who, "key": key, "request": request, "created_at": now()}
    if insert_new(session, table, row):
        return None
    mine = (table.c.who == who) & (table.c.key == key)
    found = session.execute(select(table).where(mine)).one_or_none()
    if found is None:
        return Answer(None)  # given up by the first request this very moment: it may be sent again
    if found.request != request:
        raise BadInput("this Idempotency-Key was used for another request", field="Idempotency-Key")
    left = mine & table.c.status.is_(None) & (table.c.created_at < now() - ANSWER_DUE)
    if run(session, update(table).where(left).values(created_at=now())) == 1:
        return None
    return Answer(found.status, found.body or b"", json.loads(found.headers or "{}"))


def remember(session: Session, who: str, key: str, answer: Answer) -> None:
    """Keep the answer for those who ask again."""
    mine = (table.c.who == who) & (table.c.key == key)
    values = {"status": answer.status, "body": answer.body, "headers": json.dumps(answer.headers)}
    session.execute(update(table).where(mine).values(**values))


def abandon(session: Session, who: str, key: str) -> None:
    """The request failed before it did anything: the key may be used again."""
    session.execute(table.delete().where((table.c.who == who) & (table.c.key == key)))


def forget(session: Session, moment: datetime) -> int:
    """Remove keys older than a day; how many."""
    return run(session, table.delete().where(table.c.created_at < moment - KEPT))
