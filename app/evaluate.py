"""One evaluation: what the sources said last becomes the live topology, and once a minute a frame of history."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

from app.config import HealthRule
from app.layouts import arrange, changes, name_of
from app.model.fleet import Freshness, Snapshot
from app.model.series import Window
from app.store import frames, live, snapshots, sources, traces
from app.store.engine import Store
from app.understand.baseline import HORIZON, Past
from app.understand.freshness import Patience, judged
from app.understand.identity import AnyRule, Resolver
from app.understand.limits import RuleBook
from app.understand.part import TROUBLE
from app.understand.past import frame_of
from app.understand.season import Season, hour_of
from app.understand.topology import Assembly, build
from app.understand.usual import Baselines
from app.understand.view import ViewOptions, select

log = logging.getLogger("quarterdeck.evaluate")

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
_OPENED = ViewOptions(mode="auto")  # what the topology page shows when nothing else is asked for
_CLUSTERS = 256  # clusters whose last hour one process keeps at hand


@dataclass(slots=True)
class _Usual:
    """The past of a cluster as this process has read it; reread from the frames after a restart.

    `past` is the last hour, `season` the former hours that are like this one, `coming` those of the next while
    they are read. `gaps` are the minutes that no frame covered when they were read: once one is back-filled, all
    is reread. `book` holds the configured limits, `placed` are the nodes that were given places and what was bad
    then, `since` is the moment of the first tick.
    """

    past: Past = field(default_factory=Past)
    season: Season | None = None
    coming: Season | None = None
    baselines: Baselines = field(default_factory=dict)
    book: RuleBook = field(default_factory=RuleBook)
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
    rules: Sequence[AnyRule] = (),
    *,
    patience: Patience = MappingProxyType({}),
    limits: Sequence[HealthRule] = (),
) -> None:
    """Evaluate one cluster at `now` and write what came of it; `patience` is how old the word of a source may be.

    `rules` are those of identity, `limits` those of health.
    Two ticks of one cluster must not overlap; the caller sees to that. Raises StoreError only.
    """
    found, states, memory, newest = _read(store, cluster)
    if not found:
        return
    states = judged(states, now, patience)
    if _read_season(store, cluster, now) | _catch_up(store, cluster, now):
        _settle_usual(store, cluster)
    resolver, usual = _resolver(cluster, rules, found), _usual(store, cluster)
    usual.since = usual.since or now
    if usual.book.rules is not limits:
        usual.book = RuleBook(limits)
    built = build(
        cluster,
        found,
        states,
        resolver,
        memory,
        usual.baselines,
        now,
        book=usual.book,
        watching_since=usual.since,
    )
    with store.begin() as session:
        live.put(session, built.topology, built.memory)
        traces.place(session, cluster, lambda party: resolver.node(party).id)
    _write_minute(store, built, now, newest)
    _place(store, built)


def _place(store: Store, built: Assembly) -> None:
    """Give new nodes of the drawing that the page opens with a place, so that no page has to wait for one."""
    topology = built.topology
    usual = _usual(store, topology.cluster)
    bad = (
        f"! {one.id}"
        for part in (topology.nodes, topology.edges)
        for one in part
        if one.health.status in TROUBLE
    )
    seen = frozenset(built.node_ids).union(bad)
    if usual.placed != seen:
        drawn = select(topology, _OPENED)
        name = name_of(topology.cluster, _OPENED, drawn)
        arrange(store, name, drawn.ids, drawn.pairs, changing=changes(_OPENED, drawn), ranks=drawn.ranks)
        usual.placed = seen


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


def _resolver(cluster: str, rules: Sequence[AnyRule], found: Sequence[Snapshot]) -> Resolver:
    inventory = next((snapshot.inventory for snapshot in found if snapshot.inventory is not None), None)
    return Resolver(cluster, rules, inventory)


def _settle_usual(store: Store, cluster: str) -> None:
    """The usual of every node and edge, from the last hour and the former hours that are like this one."""
    usual = _usual(store, cluster)
    recent = usual.past.baselines()
    usual.baselines = usual.season.over(recent) if usual.season else recent


def _read_season(store: Store, cluster: str, now: datetime) -> bool:
    """Read one more of the former hours that are like this one; whether this made them complete.

    One per tick, so that the turn of the hour makes no tick slow.
    """
    usual, hour = _usual(store, cluster), hour_of(now)
    if usual.season is not None and usual.season.hour == hour:
        return False
    if usual.coming is None or usual.coming.hour != hour:
        usual.coming = Season(hour)
    start = usual.coming.wanted[-1]
    with store.reading() as session:
        usual.coming.add(start, frames.merged(session, cluster, Window(start, start + _HOUR)))
    if usual.coming.wanted:
        return False
    usual.season, usual.coming = usual.coming, None
    return True


def _catch_up(store: Store, cluster: str, now: datetime) -> bool:
    """Bring the last hour up to the last full minute; whether there was a new one."""
    usual = _usual(store, cluster)
    newest = now.replace(second=0, microsecond=0) - _MINUTE  # written last, perhaps only by this tick
    if not usual.past.missing(newest):
        return False
    horizon = Window(newest - HORIZON * _MINUTE, newest)
    with store.reading() as session:
        gaps = {start for gap in frames.missing(session, cluster, horizon) for start in _minutes(gap)}
        if {gap for gap in usual.gaps if gap >= horizon.start} - gaps:
            usual.past = Past()
        for start in usual.past.missing(newest):
            frame = None if start in gaps else frames.at(session, cluster, start)
            usual.past.add(start, frame if frame is not None and frame.start == start else None)
    usual.gaps = gaps
    return True


def _minutes(window: Window) -> list[datetime]:
    return [window.start + i * _MINUTE for i in range(round(window.length / _MINUTE))]


def _write_minute(store: Store, built: Assembly, now: datetime, newest: datetime | None) -> None:
    """Keep the minute that has just ended, unless it is kept already or nobody could look at all."""
    start = now.replace(second=0, microsecond=0) - _MINUTE
    if newest is not None and newest >= start:
        return
    with store.begin() as session:
        frames.write(session, frame_of(built, start))
