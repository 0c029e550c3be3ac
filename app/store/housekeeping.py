"""What the store does for itself: rollups, chunks, and forgetting what its retention no longer covers."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from app.config import Config
from app.store import frame_tiers, idempotency, leases, sessions, traces
from app.store.engine import Store

log = logging.getLogger("quarterdeck.store")

_HOLDER_TIME = timedelta(minutes=10)


def run(store: Store, config: Config, now: datetime, *, holder: str) -> None:
    """One round. Several processes may call it; the one that holds the lease works. Raises StoreError."""
    with store.begin() as session:
        if not leases.acquire(session, "housekeeping", holder, _HOLDER_TIME):
            return
    for cluster in config.clusters:
        with store.begin() as session:
            rolled = frame_tiers.roll_up(session, cluster.name, now)
        with store.begin() as session:
            packed = frame_tiers.compact(session, cluster.name, now)
        if rolled or packed:
            log.debug("%s: %d rollups, %d chunks", cluster.name, rolled, packed)
    with store.begin() as session:
        frame_tiers.forget(session, now, config.store.retention)
        sessions.forget_ended(session)
        idempotency.forget(session, now)
    with store.begin() as session:
        traces.forget(session, now, config.store.retention.traces)
