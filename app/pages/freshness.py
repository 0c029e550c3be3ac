"""How old the word of the sources is, judged now: a source that stopped answering without saying so is late."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from app import clock
from app.config import Cluster
from app.model.fleet import Freshness, SourceStatus, Topology
from app.web.services import services

# Values older than this are dimmed: twice the slowest usual scrape interval.
STALE_AFTER = timedelta(seconds=60)
_WATCHED = timedelta(seconds=90)  # Kubernetes and traces speak when something happens, or once a minute

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
    now, clusters = clock.now(), {one.name: one for one in services().config.clusters}
    found = [judged(one, now, patience(one.source, clusters)) for one in services().reader.freshness()]
    return sorted(found, key=lambda one: (_ORDER.index(one.status), one.source))


def late_sources() -> list[Freshness]:
    """Those whose values must be taken with their age."""
    return [one for one in sources() if one.status is not SourceStatus.OK]


def judged(one: Freshness, now: datetime, allowed: timedelta) -> Freshness:
    """A source that says ok but has been silent for longer than allowed is late since then."""
    if one.status is not SourceStatus.OK or one.as_of is None or now - one.as_of <= allowed:
        return one
    return replace(one, status=SourceStatus.LATE, since=one.as_of + allowed)


def patience(source: str, clusters: dict[str, Cluster]) -> timedelta:
    """Twice the scrape interval of a Prometheus; longer for what is watched or pushed."""
    name, _, kind = source.partition("/")
    prometheus = clusters[name].prometheus if name in clusters else None
    if kind == "prometheus" and prometheus is not None:
        return max(2 * prometheus.interval, timedelta(seconds=10))
    return _WATCHED


def is_old(topology: Topology) -> bool:
    """Whether the whole picture is too old to be taken as the present."""
    return bool(topology.nodes) and clock.now() - topology.as_of > STALE_AFTER


def key() -> str:
    """All of this in one text: part of every fragment's ETag, so that a silence is noticed."""
    standing = ",".join(f"{one.source}={one.status}" for one in sources())
    return f"{standing};{is_old(services().reader.topology())}"
