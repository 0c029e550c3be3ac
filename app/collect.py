"""Runs the collectors: when each is asked, what becomes of its word, and what is told when it stays silent.

Prometheus is polled by tasks (`look`); watches and received spans live in one process and are carried to the
store by `Watching`. A source that fails keeps its last snapshot in the store; its row there says since when and
why. Exactly one log line tells that it went down and one that it came back.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from app import clock
from app.backfill import BackFill, back_fill
from app.config import Config, Kubernetes, Prometheus
from app.errors import SourceError, SourceNonsense, SourceRefused, SourceStarting, StoreError
from app.model.example import Example
from app.model.fleet import Freshness, Snapshot, SourceStatus
from app.model.series import Window
from app.store import leases, snapshots, sources, traces
from app.store.away import Away
from app.store.engine import Store
from collectors import load
from collectors.base import Collector
from collectors.trace_sink import SpanSink

if TYPE_CHECKING:
    from collectors.otlp import OtlpCollector

__all__ = ["Watching", "back_fill", "build", "look", "next_tick", "otlp_collectors", "pulling", "run_once"]

log = logging.getLogger("quarterdeck.collect")

WINDOW = timedelta(seconds=60)
POLLED = "prometheus"
INTERVALS = {"kubernetes": timedelta(seconds=5), "otlp": timedelta(seconds=10)}
BACK_FILL_EVERY = timedelta(seconds=60)
BACK_FILL_FIRST = timedelta(seconds=5)  # until the source has been heard for the first time
LONGEST_PAUSE = timedelta(seconds=60)
_SHORT_SILENCE, _LONG_SILENCE = timedelta(minutes=1), timedelta(minutes=5)
REWRITE = timedelta(seconds=30)  # an unchanged snapshot is written again, so that its age stays low
LEASE = timedelta(seconds=30)
_LEASES = {
    "otlp": "spans",
    "jaeger": "spans",
    "tempo": "spans",
}  # what is not held by who watches the cluster
_LATE_AFTER = timedelta(seconds=90)  # bookmarks come every minute
_LATE_EVENTS_AFTER = timedelta(seconds=420)  # Events get none: only the end of their stream tells
_WELL = (SourceStatus.OK, SourceStatus.LATE)


class Joining(Collector, SpanSink, Protocol):
    """The collector of a cluster's spans, wherever they come from."""


def build(config: Config, joiners: Sequence[Joining] = ()) -> list[Collector]:
    """Every collector that the configuration names; those of traces where this process joins their spans."""
    made: list[Collector] = []
    for cluster in config.clusters:
        if cluster.prometheus is not None:
            made.append(_make(POLLED, cluster.name, cluster.prometheus, mesh=cluster.mesh.kind))
        if cluster.kubernetes is not None:
            made.append(_make("kubernetes", cluster.name, cluster.kubernetes))
    return [*made, *joiners, *pulling(config, joiners)]


def pulling(config: Config, joiners: Sequence[Joining]) -> list[Collector]:
    """The collectors of trace backends, each with the joiner of its cluster."""
    sinks = {one.cluster: one for one in joiners}
    made: list[Collector] = []
    for cluster in config.clusters:
        for settings in cluster.traces if cluster.name in sinks else ():
            factory: Any = load(settings.kind)
            sampling = config.otlp.sampling_attribute
            made.append(
                factory(cluster.name, settings, sink=sinks[cluster.name], sampling_attribute=sampling)
            )
    return made


def _make(kind: str, cluster: str, settings: Prometheus | Kubernetes, **more: str) -> Collector:
    factory: Callable[..., Collector] = load(kind)
    return factory(cluster, settings, **more)


def otlp_collectors(config: Config) -> list[OtlpCollector]:
    """What joins spans: first that of the first cluster, which takes pushed ones, then those of pulled traces."""
    from collectors.otlp import OtlpCollector
    from collectors.span_pulled import Pulled

    return [
        OtlpCollector(
            cluster.name,
            max_body_bytes=config.otlp.max_body_bytes,
            max_spans=config.otlp.max_spans,
            sampling_attribute=config.otlp.sampling_attribute,
            hosts=config.identity.externals,
            pulled=Pulled(max(one.look_back for one in cluster.traces)) if cluster.traces else None,
        )
        for place, cluster in enumerate(config.clusters)
        if place == 0 or cluster.traces
    ]


def look(store: Store, collectors: Sequence[Collector], cluster: str, now: datetime) -> int:
    """Ask the polled sources of a cluster that are due; how many answered. Raises StoreError only."""
    with store.reading() as session:
        known = {entry.source: entry for entry in sources.all_sources(session, cluster)}
    mine = [one for one in collectors if one.cluster == cluster and one.kind == POLLED]
    due = [one for one in mine if is_due(known.get(f"{cluster}/{one.name}"), now, _interval(one))]
    return sum(run_once(store, one, now) is not None for one in due)


def is_due(state: Freshness | None, now: datetime, interval: timedelta) -> bool:
    """Whether a source is worth asking: always while it is well, ever more rarely while it is not.

    After a minute of silence at every second tick, after five at every fourth, if that is within LONGEST_PAUSE.
    Each source has its own phase, so that many do not return at once. Needs no memory: any process decides alike.
    """
    if state is None or state.since is None or state.status in _WELL:
        return True
    silent = now - state.since
    ticks = 1 if silent < _SHORT_SILENCE else 2 if silent < _LONG_SILENCE else 4
    pause = max(interval, min(ticks * interval, LONGEST_PAUSE))
    phase = timedelta(seconds=zlib.crc32(state.source.encode()) % 1000 / 1000 * pause.total_seconds())
    return (silent + phase) % pause < interval


def run_once(
    store: Store, collector: Collector, now: datetime, *, previous: Snapshot | None = None
) -> Snapshot | None:
    """One look of one collector, written to the store: its snapshot and how it stands; None when it failed.

    An answer equal to `previous` is not written again before REWRITE has passed. Raises StoreError only.
    """
    try:
        snapshot = collector.pull(Window(now - WINDOW, now))
    except SourceError as error:
        _failed(store, collector, error, now)
        return None
    except Exception as error:
        log.exception("%s/%s: the collector has a fault", collector.cluster, collector.name)
        _failed(store, collector, SourceNonsense(f"the collector has a fault: {error}"), now)
        return None
    written = _succeeded(store, collector, snapshot, now, previous, _examples(collector))
    return snapshot if written or previous is None else previous


def _examples(collector: Collector) -> list[Example]:
    """Traces to keep, of collectors that choose some; a fault in choosing costs the traces, not the snapshot."""
    choose: Callable[[], list[Example]] | None = getattr(collector, "examples", None)
    try:
        return choose() if choose is not None else []
    except Exception:
        log.exception("%s/%s: no example traces this time", collector.cluster, collector.name)
        return []


def _succeeded(
    store: Store,
    collector: Collector,
    snapshot: Snapshot,
    now: datetime,
    previous: Snapshot | None,
    examples: Sequence[Example],
) -> bool:
    late = _late(snapshot, now)
    write = previous is None or now - previous.as_of >= REWRITE or not _same(snapshot, previous)
    with store.begin() as session:
        before = _state(sources.all_sources(session, collector.cluster), collector)
        if write:
            snapshots.put(session, snapshot)
        traces.put(session, examples)
        if late:
            sources.failed(
                session, collector.cluster, collector.name, SourceStatus.LATE, late, now, collector.cost
            )
        else:
            sources.succeeded(session, collector.cluster, collector.name, snapshot.as_of, collector.cost)
    if before is not None and before.status not in _WELL and before.as_of is not None:
        silent = now - before.since if before.since else timedelta(0)
        log.info("%s/%s answers again after %s", collector.cluster, collector.name, _said(silent))
    return write


def _failed(store: Store, collector: Collector, error: SourceError, now: datetime) -> None:
    """The row of a source that could not look; its last word and its age stay as they are."""
    status = _status(error)
    sentence = str(error)[:1000]
    with store.begin() as session:
        before = _state(sources.all_sources(session, collector.cluster), collector)
        sources.failed(session, collector.cluster, collector.name, status, sentence, now, collector.cost)
    already = before is not None and before.status not in _WELL
    if already or (before is None and status is SourceStatus.STARTING):
        log.debug("%s/%s: %s", collector.cluster, collector.name, sentence)
        return
    age = f"; its last word is {_said(now - before.as_of)} old" if before and before.as_of else ""
    log.warning("%s/%s is %s: %s%s", collector.cluster, collector.name, status, sentence, age)


def _status(error: SourceError) -> SourceStatus:
    if isinstance(error, SourceStarting):
        return SourceStatus.STARTING
    if isinstance(error, SourceRefused):
        return SourceStatus.REFUSED
    return SourceStatus.NONSENSE if isinstance(error, SourceNonsense) else SourceStatus.DOWN


def _state(states: Sequence[Freshness], collector: Collector) -> Freshness | None:
    wanted = f"{collector.cluster}/{collector.name}"
    return next((one for one in states if one.source == wanted), None)


def _late(snapshot: Snapshot, now: datetime) -> str:
    """A sentence when a watched kind was not heard of for too long, though others are."""
    for kind, heard, synced in snapshot.inventory.kinds if snapshot.inventory else ():
        limit = _LATE_EVENTS_AFTER if kind == "Event" else _LATE_AFTER
        if synced and heard is not None and now - heard > limit:
            return f"{kind} was last heard of at {heard:%H:%M:%S} UTC; the rest is up to date"
    return ""


def _same(snapshot: Snapshot, previous: Snapshot) -> bool:
    """Whether an inventory holds the very same parts; anything with traffic counts as changed."""
    new, old = snapshot.inventory, previous.inventory
    if new is None or old is None or snapshot.witnesses or snapshot.notices != previous.notices:
        return False
    parts = [name for name in new.__dataclass_fields__ if name != "kinds"]
    return all(getattr(new, name) is getattr(old, name) for name in parts)


def _said(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _interval(collector: Collector) -> timedelta:
    settings = getattr(collector, "settings", None)
    given: timedelta | None = getattr(settings, "interval", None)
    return given or INTERVALS.get(collector.kind, timedelta(seconds=15))


def next_tick(now: datetime, interval: timedelta) -> datetime:
    """The next moment on the wall clock that is a whole number of intervals since the epoch."""
    length = interval.total_seconds()
    return datetime.fromtimestamp((now.timestamp() // length + 1) * length, UTC)


class Watching:
    """The threads of one process: watches, received spans, and back-fill of history after gaps.

    With `lease`, several processes may run it: the watches of a cluster are then held by one at a time.
    """

    def __init__(
        self, config: Config, store: Store, collectors: Sequence[Collector], *, lease: bool = False
    ) -> None:
        self._store = store
        self._holder = f"{socket.gethostname()}-{os.getpid()}-{random.randrange(10**6)}" if lease else ""  # noqa: S311
        self._held: set[str] = set()
        self._stopping = threading.Event()
        self._away = Away(log, "sources are not carried to it")
        rules = config.identity.all
        self._loops: list[tuple[str, Callable[[], None]]] = []
        for one in collectors:
            if one.kind != POLLED:
                self._loops.append((f"collect-{one.cluster}-{one.name}", lambda one=one: self._carry(one)))  # type: ignore[misc]
            elif hasattr(one, "history"):
                filling = BackFill(store, one, rules)
                self._loops.append((f"back-fill-{one.cluster}", lambda filling=filling: self._fill(filling)))  # type: ignore[misc]
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; returns at once."""
        for name, loop in self._loops:
            thread = threading.Thread(target=loop, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all threads; each is waited for a few seconds."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(5.0)
        self._give_back()

    def _carry(self, collector: Collector) -> None:
        """Run a watching collector while this process may, and bring what it knows to the store."""
        running = False
        previous: Snapshot | None = None
        try:
            while not self._stopping.is_set():
                try:
                    if self._mine(_LEASES.get(collector.kind, "watch"), collector.cluster):
                        if not running:
                            collector.start()
                            running = True
                        previous = run_once(self._store, collector, clock.now(), previous=previous)
                    elif running:
                        collector.close()
                        running, previous = False, None
                    self._away.over()
                except StoreError as error:
                    self._away.begin(error)
                except Exception:
                    log.exception(
                        "%s/%s could not be carried to the store", collector.cluster, collector.name
                    )
                self._rest(_interval(collector))
        finally:
            collector.close()

    def _fill(self, filling: BackFill) -> None:
        while not self._stopping.is_set():
            try:
                if self._mine("watch", filling.cluster):
                    filling.run(clock.now(), stop=self._stopping.is_set)
            except StoreError as error:
                self._away.begin(error)
            except Exception:
                log.exception("history of %s could not be filled", filling.cluster)
            self._rest(BACK_FILL_EVERY if filling.begun else BACK_FILL_FIRST)

    def _rest(self, interval: timedelta) -> None:
        """Until the next tick of the wall clock."""
        now = clock.now()
        self._stopping.wait((next_tick(now, interval) - now).total_seconds())

    def _mine(self, what: str, cluster: str) -> bool:
        """Whether this process is the one that does this for the cluster."""
        if not self._holder:
            return True
        name = f"{what}:{cluster}"
        with self._store.begin() as session:
            mine = leases.acquire(session, name, self._holder, LEASE)
        (self._held.add if mine else self._held.discard)(name)
        return mine

    def _give_back(self) -> None:
        """Let another process take over at once; without a store it does so when the leases run out."""
        with suppress(StoreError), self._store.begin() as session:
            for name in self._held:
                leases.release(session, name, self._holder)
