"""How old the word of a source may be: one that stopped answering without saying so is late.

Pages, API, metrics and the evaluation all judge by this, so that no number is healthy in one place and late in
another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from app.config import Cluster
from app.model.fleet import Freshness, SourceStatus

WATCHED = timedelta(seconds=90)
"""Kubernetes and traces speak when something happens, or once a minute."""

LEAST = timedelta(seconds=30)
"""Of a polled source however often it is asked: one slow answer (query_timeout) is no silence."""

Patience = Mapping[str, timedelta]
"""Source (`cluster/name`) -> how old its word may be; WATCHED for all others."""


def patience(clusters: Iterable[Cluster]) -> Patience:
    """Twice the interval at which each Prometheus is asked."""
    polled = {f"{one.name}/prometheus": one.prometheus for one in clusters}
    return {name: max(2 * given.interval, LEAST) for name, given in polled.items() if given is not None}


def judged(states: Iterable[Freshness], now: datetime, allowed: Patience) -> list[Freshness]:
    """The sources as they stand at `now`: who says ok but has been silent for too long is late since then."""
    return [_judged(one, now, allowed.get(one.source, WATCHED)) for one in states]


def _judged(one: Freshness, now: datetime, allowed: timedelta) -> Freshness:
    if one.status is not SourceStatus.OK or one.as_of is None or now - one.as_of <= allowed:
        return one
    return replace(one, status=SourceStatus.LATE, since=one.as_of + allowed)
