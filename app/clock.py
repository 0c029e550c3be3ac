"""Every "now" of the product comes through here, so that tests can drive time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_frozen: ContextVar[datetime | None] = ContextVar("frozen", default=None)


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _frozen.get() or datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


@contextmanager
def frozen_at(moment: datetime) -> Iterator[None]:
    """Stop the clock of this context at `moment` (tests and replays)."""
    token = _frozen.set(moment)
    try:
        yield
    finally:
        _frozen.reset(token)
