"""History that nobody saw happen, read afterwards from a source that remembers: minutes of services, no edges.

Minutes without a frame are made; in minutes that have one, only services that nobody could see are filled in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import SourceError
from app.model.fleet import Frame, HealthStatus, Masks, Snapshot, SourceStatus, Witness
from app.model.series import Window
from app.store import frames, snapshots, sources
from app.store.engine import Store
from app.understand.identity import AnyRule, Resolver
from app.understand.past import frame_of
from app.understand.topology import build
from collectors.base import Collector

log = logging.getLogger("quarterdeck.collect")

Number = TypeVar("Number", bound=np.generic)

LOOK_BACK = timedelta(hours=6)
LONGEST_LOOK_BACK = timedelta(hours=24)
MINUTE = timedelta(minutes=1)
_SETTLED = 2 * MINUTE  # the newest minutes are still written by evaluation
_BATCH = 60


class _Past(Protocol):
    @property
    def window(self) -> Window: ...
    @property
    def witnesses(self) -> tuple[Witness, ...]: ...


def back_fill(
    store: Store,
    collector: Collector,
    cluster: str,
    now: datetime,
    *,
    look_back: timedelta = LOOK_BACK,
    rules: Sequence[AnyRule] = (),
) -> int:
    """Fill the minutes of the last `look_back` (at most 24 h) that have no frame; how many were written.

    Raises SourceError when the source cannot tell, and StoreError.
    """
    end = _minute(now) - _SETTLED
    window = Window(end - min(look_back, LONGEST_LOOK_BACK), end)
    with store.reading() as session:
        gaps = frames.missing(session, cluster, window)
    return sum(_fill(store, collector, cluster, gap, rules) for gap in gaps)


class BackFill:
    """Keeps one cluster's history whole: once at the start, then whenever there was a gap or an outage."""

    def __init__(self, store: Store, collector: Collector, rules: Sequence[AnyRule] = ()) -> None:
        self.cluster = collector.cluster
        self._store = store
        self._collector = collector
        self._rules = rules
        self._done: datetime | None = None
        self._blind_since: datetime | None = None

    @property
    def begun(self) -> bool:
        """Whether the history was filled once."""
        return self._done is not None

    def run(self, now: datetime, *, stop: Callable[[], bool] = lambda: False) -> int:
        """Fill what can be filled now; how many minutes were written. A source that is down is waited for."""
        state = self._state()
        if state is None or state[0] is not SourceStatus.OK:
            if state is not None and state[0] is not SourceStatus.STARTING and self._blind_since is None:
                self._blind_since = state[1]
            return 0
        end = _minute(now) - _SETTLED
        written = 0
        try:
            for gap in self._gaps(end):
                if stop():
                    return written
                written += _fill(self._store, self._collector, self.cluster, gap, self._rules)
        except SourceError as error:
            log.debug("history of %s: %s", self.cluster, error)
            return written
        self._done, self._blind_since = end, None
        if written:
            log.info(
                "%s: %d minutes of history were read from %s", self.cluster, written, self._collector.name
            )
        return written

    def _gaps(self, end: datetime) -> list[Window]:
        """Minutes without a frame since the last time, and those in which the source was not heard."""
        with self._store.reading() as session:
            newest = frames.latest_start(session, self.cluster)
            since = self._done or _first(newest, end)
            gaps = frames.missing(session, self.cluster, Window(since, end)) if since < end else []
        if self._blind_since is not None:
            start = max(_minute(self._blind_since) - MINUTE, end - LONGEST_LOOK_BACK)
            blind = Window(start, end)
            gaps = [*(gap for gap in gaps if gap.end <= start), *([blind] if start < end else [])]
        return gaps

    def _state(self) -> tuple[SourceStatus, datetime | None] | None:
        wanted = f"{self.cluster}/{self._collector.name}"
        with self._store.reading() as session:
            found = [one for one in sources.all_sources(session, self.cluster) if one.source == wanted]
        return (found[0].status, found[0].since) if found else None


def _first(newest: datetime | None, end: datetime) -> datetime:
    """How far to look back at the start: six hours, or to the last frame, a day at most."""
    wanted = end - LOOK_BACK
    if newest is not None:
        wanted = min(wanted, newest)
    return max(wanted, end - LONGEST_LOOK_BACK)


def _fill(store: Store, collector: Collector, cluster: str, gap: Window, rules: Sequence[AnyRule]) -> int:
    """Read a gap and write it in batches; how many minutes were written."""
    history: Callable[[Window], Iterator[_Past]] | None = getattr(collector, "history", None)
    if history is None:
        return 0
    with store.reading() as session:
        known = snapshots.latest(session, cluster)
    inventory = next((one.inventory for one in known if one.inventory is not None), None)
    resolver = Resolver(cluster, rules, inventory)
    written = 0
    batch: list[Frame] = []
    for past in history(gap):
        if past.witnesses:
            batch.append(_frame(cluster, collector.name, past, resolver))
        if len(batch) == _BATCH:
            written += _write(store, batch)
            batch = []
    return written + _write(store, batch)


def _frame(cluster: str, source: str, past: _Past, resolver: Resolver) -> Frame:
    """The minute's frame, judged by itself: without memory and without knowing what was usual."""
    end = past.window.end
    told = Snapshot(cluster, source, end, past.witnesses)
    return frame_of(build(cluster, [told], (), resolver, None, {}, end), past.window.start)


def _write(store: Store, batch: Sequence[Frame]) -> int:
    """Write frames in one transaction; a minute that is there keeps all that was seen in it."""
    if not batch:
        return 0
    with store.begin() as session:
        for frame in batch:
            there = frames.at(session, frame.cluster, frame.start)
            same = there is not None and there.start == frame.start and there.length == frame.length
            frames.write(session, completed(there, frame) if there is not None and same else frame)
    return len(batch)


def completed(seen: Frame, filled: Frame) -> Frame:
    """`seen` with the nodes of `filled` wherever nobody could look; edges stay as they were seen."""
    row = {key: i for i, key in enumerate(filled.node_ids)}
    index = np.array([row.get(key, -1) for key in seen.node_ids], np.int64)
    blind = np.isnan(seen.node_requests) & (index >= 0)
    known = set(seen.node_ids)
    more = [i for i, key in enumerate(filled.node_ids) if key not in known]
    extra = np.array(more, np.int64)
    unknown = HealthStatus.UNKNOWN.value
    seen_health = seen.node_health or (unknown,) * len(seen.node_ids)
    filled_health = filled.node_health or (unknown,) * len(filled.node_ids)
    health = [filled_health[index[i]] if blind[i] else seen_health[i] for i in range(len(index))]
    return replace(
        seen,
        node_ids=(*seen.node_ids, *(filled.node_ids[i] for i in more)),
        node_requests=_joined(seen.node_requests, filled.node_requests, blind, index, extra),
        node_failed=_joined(seen.node_failed, filled.node_failed, blind, index, extra),
        node_latency=_joined(seen.node_latency, filled.node_latency, blind, index, extra),
        node_health=(*health, *(filled_health[i] for i in more)),
        attributes={**filled.attributes, **seen.attributes},
        node_seen=_joined(_masks(seen), _masks(filled), blind, index, extra),
        witnesses={**filled.witnesses, **seen.witnesses},
    )


def _masks(frame: Frame) -> Masks:
    """Who gave the numbers of each node; nobody where that was not kept."""
    kept = len(frame.node_seen) == len(frame.node_ids)
    return frame.node_seen if kept else np.zeros(len(frame.node_ids), np.uint16)


def _joined(
    seen: NDArray[Number],
    filled: NDArray[Number],
    blind: NDArray[np.bool_],
    index: NDArray[np.int64],
    extra: NDArray[np.int64],
) -> NDArray[Number]:
    column = seen.copy()
    column[blind] = filled[index[blind]]
    return np.concatenate([column, filled[extra]])


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
