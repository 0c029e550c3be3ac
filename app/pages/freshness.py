"""The sources and the picture as pages show them: the worst first, and what is too old to be the present."""

from __future__ import annotations

from datetime import timedelta

from app import clock
from app.model.fleet import Freshness, SourceStatus, Topology
from app.web.services import services

# Values older than this are dimmed: twice the slowest usual scrape interval.
STALE_AFTER = timedelta(seconds=60)

# Worst first: the order of the sources page and of the banner.
_ORDER = (
    SourceStatus.DOWN,
    SourceStatus.REFUSED,
    SourceStatus.NONSENSE,
    SourceStatus.LATE,
    SourceStatus.STARTING,
    SourceStatus.OK,
)


def sources() -> list[Freshness]:
    """Every source as it stands now, the worst first."""
    return sorted(services().reader.freshness(), key=lambda one: (_ORDER.index(one.status), one.source))


def late_sources() -> list[Freshness]:
    """Those whose values must be taken with their age."""
    return [one for one in sources() if one.status is not SourceStatus.OK]


def is_old(topology: Topology) -> bool:
    """Whether the whole picture is too old to be taken as the present."""
    return bool(topology.nodes) and clock.now() - topology.as_of > STALE_AFTER


def key() -> str:
    """All of this in one text: part of every fragment's ETag, so that a silence is noticed."""
    standing = ",".join(f"{one.source}={one.status}" for one in sources())
    return f"{standing};{is_old(services().reader.topology())}"
