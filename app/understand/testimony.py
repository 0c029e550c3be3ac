"""Which witness is believed first, and which has gone stale (reference: topology 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.model.fleet import EvidenceKind, Freshness, Snapshot, SourceStatus, Witness

STALE_WINDOWS = 2  # a witness older than this many of its windows is stale whatever its source says
NOT_OK_GRACE = timedelta(seconds=10)  # one missed pull of a fast source is no outage; late is more than one
DROPPED_AFTER = timedelta(hours=24)

_TRUST = {kind: rank for rank, kind in enumerate(EvidenceKind)}


@dataclass(frozen=True, slots=True)
class Testimony:
    """A witness with the source it came through, its rank of trust (0 = first) and whether it is fresh."""

    witness: Witness
    source: str
    rank: int
    fresh: bool

    @property
    def kind(self) -> EvidenceKind:
        """The kind of evidence."""
        return self.witness.evidence

    @property
    def seconds(self) -> float:
        """Length of the window its counts cover."""
        return max(self.witness.window.total_seconds(), 1e-9)


def testimonies(
    cluster: str, snapshots: Iterable[Snapshot], freshness: Sequence[Freshness], now: datetime
) -> list[Testimony]:
    """All witnesses worth hearing, fresh ones first, then by trust; those of more than a day ago are gone."""
    found = [
        Testimony(
            witness,
            snapshot.source,
            _TRUST[witness.evidence],
            is_fresh(witness.as_of, witness.window, freshness_of(cluster, snapshot.source, freshness), now),
        )
        for snapshot in snapshots
        for witness in snapshot.witnesses
        if now - witness.as_of < DROPPED_AFTER
    ]
    return sorted(found, key=lambda t: (not t.fresh, t.rank, t.source))


def freshness_of(cluster: str, source: str, freshness: Iterable[Freshness]) -> Freshness | None:
    """What is known of the state of `cluster/source`."""
    wanted = f"{cluster}/{source}"
    return next((entry for entry in freshness if entry.source == wanted), None)


def is_fresh(as_of: datetime, window: timedelta, state: Freshness | None, now: datetime) -> bool:
    """Whether something said at `as_of` about a window of this length still holds at `now`."""
    age = now - as_of
    if age > STALE_WINDOWS * window:
        return False
    if state is None or state.status is SourceStatus.OK:
        return True
    return state.status is not SourceStatus.LATE and age <= NOT_OK_GRACE
