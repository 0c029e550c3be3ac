"""One evaluation: what the sources said last becomes the live topology, and once a minute a frame of history."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

from app.layouts import arrange, view_name
from app.model.fleet import Freshness, Snapshot
from app.model.series import Window
from app.store import frames, live, snapshots, sources, traces
from app.store.engine import Store
from app.understand.baseline import HORIZON, Baseline, Past
from app.understand.freshness import Patience, judged
from app.understand.identity import Resolver, Rule
from app.understand.past import frame_of
from app.understand.topology import Assembly, build
from app.understand.view import select

log = logging.getLogger("quarterdeck.evaluate")

_MINUTE = timedelta(minutes=1)
_CLUSTERS = 256  # clusters whose last hour one process keeps at hand


@dataclass(slots=True)
class _Usual:
    """The last hour of a cluster as this process has read it; reread from the frames after a restart.

    `gaps` are the minutes that no frame covered when they were read: once one is back-filled, all is reread.
    `placed` are the nodes that were given places, `since` is the moment of the first tick.
    """

    past: Past = field(default_factory=Past)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    gaps: set[datetime] = field(default_factory=set)
    placed: frozenset[str] = frozenset()
    since: datetime | None = None


@lru_cache(maxsize=_CLUSTERS)
def _usual(store: Store, cluster: str) -> _Usual:
    """What this process keeps of a cluster; the arguments are the key."""
    return _Usual()


def tick(
    store: Store,
    cluster: str,
    now: datetime,
    rules: Sequence[Rule] = (),
    *,
    patience: Patience = MappingProxyType({}),
) -> None:
    """Evaluate one cluster at `now` and write what came of it; `patience` is how old the word of a source may be.

    Two ticks of one cluster must not overlap; the caller sees to that. Raises StoreError only.
    """
    found, states, memory, newest = _read(store, cluster)
    if not found:
        return
    states = judged(states, now, patience)
    _catch_up(store, cluster, now)
    resolver, usual = _resolver(cluster, rules, found), _usual(store, cluster)
    usual.since = usual.since or now
    built = build(cluster, found, states, resolver, memory, usual.baselines, now, watching_since=usual.since)
    with store.begin() as session:
        live.put(session, built.topology, built.memory)
        traces.place(session, cluster, lambda party: resolver.node(party).id)
    _write_minute(store, built, now, newest)
    _place(store, built)


def _place(store: Store, built: Assembly) -> None:
    """Give new nodes of the cluster's own drawing a place, so that no page has to wait for one."""
    usual, ids = _usual(store, built.topology.cluster), frozenset(built.node_ids)
    if usual.placed != ids:
        drawn = select(built.topology)
        arrange(store, view_name(built.topology.cluster), drawn.ids, drawn.pairs)
        usual.placed = ids


def _read(
    store: Store, cluster: str
) -> tuple[list[Snapshot], list[Freshness], bytes | None, datetime | None]:
    with store.reading() as session:
        return (
            snapshots.latest(session, cluster),
            sources.all_sources(session, cluster),
            live.memory(session, cluster),
            frames.latest_start(session, cluster),
        )


def _resolver(cluster: str, rules: Sequence[Rule], found: Sequence[Snapshot]) -> Resolver:
    inventory = next((snapshot.inventory for snapshot in found if snapshot.inventory is not None), None)
    return Resolver(cluster, rules, inventory)


def _catch_up(store: Store, cluster: str, now: datetime) -> None:
    """Bring the usual of every node and edge up to the last full minute, whenever there is a new one."""
    usual = _usual(store, cluster)
    newest = now.replace(second=0, microsecond=0) - _MINUTE  # written last, perhaps only by this tick
    if not usual.past.missing(newest):
        return
    horizon = Window(newest - HORIZON * _MINUTE, newest)
    with store.reading() as session:
        gaps = {start for gap in frames.missing(session, cluster, horizon) for start in _minutes(gap)}
        if {gap for gap in usual.gaps if gap >= horizon.start} - gaps:
            usual.past = Past()
        for start in usual.past.missing(newest):
            frame = None if start in gaps else frames.at(session, cluster, start)
            usual.past.add(start, frame if frame is not None and frame.start == start else None)
    usual.gaps = gaps
    usual.baselines = usual.past.baselines()


def _minutes(window: Window) -> list[datetime]:
    return [window.start + i * _MINUTE for i in range(round(window.length / _MINUTE))]


def _write_minute(store: Store, built: Assembly, now: datetime, newest: datetime | None) -> None:
    """Keep the minute that has just ended, unless it is kept already or nobody could look at all."""
    start = now.replace(second=0, microsecond=0) - _MINUTE
    if newest is not None and newest >= start:
        return
    with store.begin() as session:
        frames.write(session, frame_of(built, start))
