"""The audit chain: rows that are only ever appended, each sealed by its hash over itself and its predecessor.

`hash = SHA-256(canonical bytes)`, `hmac = HMAC-SHA-256(key, hash)` (reference: security, audit chain). The
database refuses UPDATE and DELETE; one writer at a time. A chain cannot see that its tail was cut off:
publish `head` elsewhere and hand it to `verify`.
"""

from __future__ import annotations

import hashlib
import hmac as hmac_of
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from app.clock import now
from app.store import topics
from app.store.tables import audit, counters
from app.store.write import storable

GENESIS = "0" * 64
_COUNTER = "audit"
_STEP = 1_000


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry: who did what to which target, how it came out, with details. No secrets, ever."""

    seq: int
    at: datetime
    who: str
    what: str
    target: str
    outcome: str
    detail: dict[str, Any] = field(default_factory=dict)
    prev_hash: str = GENESIS
    hash: str = ""
    hmac: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of the chain found: rows read, and the first broken row with the reason."""

    rows: int
    broken: int | None = None
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether the whole chain holds."""
        return self.broken is None


def append(
    session: Session,
    key: bytes,
    *,
    who: str,
    what: str,
    target: str = "",
    outcome: str = "",
    detail: Mapping[str, Any] | None = None,
) -> AuditRow:
    """Add a row at the head, in the caller's transaction; the head stays locked until it commits."""
    seq = _take_number(session)
    previous = session.scalar(select(audit.c.hash).where(audit.c.seq == seq - 1)) or GENESIS
    text = _json(detail or {})
    at = now()
    who, what, target, outcome = (storable(word) for word in (who, what, target, outcome))
    sealed = hash_of(canonical(seq, at, who, what, target, outcome, text, previous))
    row = AuditRow(
        seq, at, who, what, target, outcome, json.loads(text), previous, sealed, _seal(key, sealed)
    )
    session.execute(
        audit.insert().values(
            seq=seq,
            at=at,
            who=who,
            what=what,
            target=target,
            outcome=outcome,
            detail=text,
            prev_hash=previous,
            hash=row.hash,
            hmac=row.hmac,
        )
    )
    topics.bump(session, "audit")
    return row


def page(
    session: Session,
    *,
    limit: int = 100,
    before: int | None = None,
    target: str | None = None,
    who: str | None = None,
    what: str | None = None,
) -> list[AuditRow]:
    """Rows newest first; `before` is the sequence number to continue under; filters match exactly."""
    query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    for column, wanted in ((audit.c.target, target), (audit.c.who, who), (audit.c.what, what)):
        query = query if wanted is None else query.where(column == wanted)
    query = query if before is None else query.where(audit.c.seq < before)
    return [_row(row) for row in session.execute(query)]


def head(session: Session) -> tuple[int, str]:
    """(sequence number, hash) of the newest row; (0, GENESIS) of an empty chain."""
    row = session.execute(
        select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    ).one_or_none()
    return (0, GENESIS) if row is None else (row.seq, row.hash)


def verify(session: Session, key: bytes, anchor: tuple[int, str] | None = None) -> Verified:
    """Walk the chain from its first row; `anchor` is a head (seq, hash) published earlier elsewhere."""
    seq, previous = 0, GENESIS
    query = select(audit).order_by(audit.c.seq).execution_options(yield_per=_STEP)
    with session.execute(query) as rows:
        for row in rows:
            why = _fault(row, key, seq + 1, previous, anchor)
            if why:
                return Verified(seq, min(int(row.seq), seq + 1), why)
            seq, previous = row.seq, row.hash
    numbered = int(session.scalar(select(counters.c.value).where(counters.c.name == _COUNTER)) or 0)
    if max(numbered, anchor[0] if anchor else 0) > seq:
        return Verified(seq, seq + 1, "rows at the end of the chain are missing")
    return Verified(seq)


def canonical(
    seq: int, at: datetime, who: str, what: str, target: str, outcome: str, detail: str, prev_hash: str
) -> bytes:
    """The bytes that are hashed: compact ASCII JSON with sorted keys; pinned by a test, never to change."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = {
        "seq": seq,
        "at": moment,
        "who": who,
        "what": what,
        "target": target,
        "outcome": outcome,
        "detail": detail,
        "prev_hash": prev_hash,
    }
    return _json(fields).encode("ascii")


def hash_of(raw: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(raw).hexdigest()


def _fault(row: Row[Any], key: bytes, seq: int, previous: str, anchor: tuple[int, str] | None) -> str:
    raw = canonical(row.seq, row.at, row.who, row.what, row.target, row.outcome, row.detail, row.prev_hash)
    if row.seq != seq:
        return f"row {seq} is missing"
    if row.prev_hash != previous:
        return "it does not follow the row before it"
    if row.hash != hash_of(raw):
        return "its content was changed"
    if not hmac_of.compare_digest(row.hmac, _seal(key, row.hash)):
        return "its seal was made with another key"
    if anchor is not None and anchor[0] == seq and anchor[1] != row.hash:
        return "it differs from the head that was published"
    return ""


def _take_number(session: Session) -> int:
    step = update(counters).where(counters.c.name == _COUNTER).values(value=counters.c.value + 1)
    return int(session.execute(step.returning(counters.c.value)).scalar_one())


def _seal(key: bytes, sealed: str) -> str:
    return hmac_of.new(key, sealed.encode(), hashlib.sha256).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def _row(row: Row[Any]) -> AuditRow:
    return AuditRow(
        seq=row.seq,
        at=row.at,
        who=row.who,
        what=row.what,
        target=row.target,
        outcome=row.outcome,
        detail=json.loads(row.detail),
        prev_hash=row.prev_hash,
        hash=row.hash,
        hmac=row.hmac,
    )
