"""What the collectors of trace backends share: how far they have read, what they will not read twice, what is missing.

A trace is read once its first span is SETTLE old; senders and backends need that long. One whose spans name others
that have not come is fetched again a few times, and the joiner counts what is new. Everything up to `until` is in
the joiner before it is told so: rates are then of whole steps (docs/decisions/0010).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy as np

from app import clock
from app.clock import monotonic
from app.config import TraceBackend
from app.model.fleet import Snapshot
from app.model.series import Window
from app.model.trace import SpanKind
from collectors.jaeger_wire import low_half
from collectors.otlp_wire import Wanted
from collectors.span_columns import Batch
from collectors.span_fields import U64
from collectors.span_ledger import STEP_NS
from collectors.trace_sink import SpanSink, Whole

log = logging.getLogger("quarterdeck.traces")

SETTLE = timedelta(seconds=15)
TOGETHER = 250  # traces in one piece: as many have to be read again when one of them is kept as an example
MOST_AGAIN = 100  # traces fetched again in one look
_PICTURE = timedelta(minutes=1)
_TIMES_AGAIN = 3
_MOST_OPEN = 5000
_MOST_IDS = 200_000  # in each of two generations
_MOST_NAMES = 10_000
_CALLEE = Wanted("service.peer.name", "peer.service")


class Ids:
    """Trace ids of the last while, in two generations that each live as long as a trace may be read."""

    def __init__(self, lifetime: timedelta, *, most: int = _MOST_IDS) -> None:
        self._lifetime, self._most = lifetime, most
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._since = datetime.min.replace(tzinfo=UTC)

    def __contains__(self, trace_id: str) -> bool:
        return trace_id in self._young or trace_id in self._old

    def add(self, trace_ids: Iterable[str], now: datetime) -> None:
        """Remember ids."""
        if now - self._since > self._lifetime or len(self._young) >= self._most:
            self._old, self._young, self._since = self._young, set(), now
        self._young.update(trace_ids)


@dataclass(slots=True)
class Open:
    """A trace of which spans are missing: how often it was fetched again, and how many traces it stands for."""

    factor: float
    times: int = 0


@dataclass(slots=True)
class Look:
    """One look at a backend: its end on the monotonic clock, and what it brought."""

    now: datetime
    deadline: float
    settled: list[Batch] = field(default_factory=list)
    unsettled: list[Batch] = field(default_factory=list)
    whole: list[Whole] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether its time has passed."""
        return monotonic() > self.deadline

    @property
    def now_ns(self) -> int:
        """Its moment, in ns since the epoch."""
        return ns(self.now)


class TraceCollector:
    """One backend of one cluster; a kind says how it is read (`_read`, `_again`)."""

    kind: ClassVar[str]
    cost: ClassVar[str] = "Services and calls that only its traces tell of stay as they were last seen."

    def __init__(
        self, cluster: str, settings: TraceBackend, *, sink: SpanSink, sampling_attribute: str | None = None
    ) -> None:
        self.cluster, self.settings, self.name = cluster, settings, settings.called
        self.sampling_attribute = sampling_attribute
        self.known = Ids(settings.look_back)
        self.open: dict[str, Open] = {}
        self.services: set[str] = set()
        self.chance = random.Random()  # noqa: S311 - a sample, not a secret
        self._sink = sink
        self._until: datetime | None = None

    def start(self) -> None:
        """Nothing runs between looks."""

    def close(self) -> None:
        """Free the connections; the next look begins anew, for another process may have gone on."""
        self._until = None
        self._hang_up()

    def pull(self, window: Window) -> Snapshot:
        """Read the traces that settled since the last look and hand them to the joiner.

        Raises SourceUnavailable, SourceRefused, SourceNonsense; what was read until then is handed over.
        """
        now = max(window.end, clock.now())
        look = Look(now, monotonic() + self.settings.interval.total_seconds())
        since = now - self.settings.look_back
        until = _whole_step(now - min(SETTLE, self.settings.look_back / 4))
        if self._until is not None and self._until < since:
            gap = f"{self._until:%H:%M:%S} and {since:%H:%M:%S} UTC"
            look.notices.append(
                f"Traces that began between {gap} were not read: that is longer ago than look_back."
            )
        begin = max(self._until or until - _PICTURE, since)  # nobody asks for what is older than the picture
        try:
            if begin < until:
                self._until = self._read(Window(begin, until), since, look)
            self._fetch_again(look)
        finally:
            self._sink.take(
                look.settled, look.unsettled, source=self.name, until=self._until, whole=look.whole
            )
        return Snapshot(self.cluster, self.name, now, (), notices=tuple(look.notices))

    def hand_over(self, whole: Whole, ids: Collection[str], look: Look, *, factor: float = 1.0) -> None:
        """Keep new traces for the joiner, each standing for `factor` traces."""
        batch = whole.batch
        look.whole.append(whole)
        self.known.add(ids, look.now)
        if len(self.services) < _MOST_NAMES:
            self.services.update(
                origin.service.name for origin in batch.origins if origin.service is not None
            )
        batch = replace(batch, weight=batch.weight * factor) if factor != 1.0 else batch
        missing = np.isin(batch.trace, incomplete(batch, self.services))
        if not missing.any():
            look.settled.append(batch)
            return
        lacking = set(batch.trace[missing].tolist())
        for trace_id in ids:
            if low_half(trace_id) in lacking:
                self.expect(trace_id, factor)
        look.settled.append(batch.only(~missing))
        look.unsettled.append(batch.only(missing))

    def expect(self, trace_id: str, factor: float) -> None:
        """Fetch a trace again at the next looks."""
        self.open[trace_id] = Open(factor)
        if len(self.open) > _MOST_OPEN:
            del self.open[next(iter(self.open))]

    def _fetch_again(self, look: Look) -> None:
        for trace_id, state in list(self.open.items())[:MOST_AGAIN]:
            if look.over:
                return
            if state.times < 1:  # it came with this very look
                state.times = 1
                continue
            state.times += 1
            whole = self._fetch(trace_id, look)
            if whole is None:
                done = state.times > _TIMES_AGAIN
            else:
                look.whole.append(whole)
                batch = replace(whole.batch, weight=whole.batch.weight * state.factor)
                done = state.times > _TIMES_AGAIN or not len(incomplete(batch, self.services))
                (look.settled if done else look.unsettled).append(batch)
            if done:
                del self.open[trace_id]

    def _read(self, window: Window, since: datetime, look: Look) -> datetime:
        """Hand over the traces that began in `window`, and how far that got; none that began before `since`."""
        raise NotImplementedError

    def _fetch(self, trace_id: str, look: Look) -> Whole | None:
        """One trace, None if it is not there."""
        raise NotImplementedError

    def _hang_up(self) -> None:
        raise NotImplementedError


def incomplete(batch: Batch, services: Collection[str]) -> U64:
    """Traces (their low halves) that lack spans: a parent, or the answer of a service that we know sends spans."""
    orphans = ~batch.root & ~np.isin(batch.parent, batch.key)
    alone = np.flatnonzero((batch.kind == SpanKind.CLIENT) & ~np.isin(batch.key, batch.parent))
    told = batch.rows.pick(batch.row[alone].tolist(), _CALLEE)
    names: dict[object, bool] = {}
    for picked in set(told):
        names[picked] = any(name in services for name in batch.rows.attributes(picked).values())
    unanswered = alone[[names[picked] for picked in told]] if len(alone) else alone
    return np.unique(np.concatenate([batch.trace[orphans], batch.trace[unanswered]]))


def halves(window: Window, least: timedelta) -> tuple[Window, Window] | None:
    """A window cut in two on a whole multiple of `least`, the later half first; None when it is too short."""
    half = window.length / 2 // least * least
    if half < least:
        return None
    middle = window.start + half
    return Window(middle, window.end), Window(window.start, middle)


def steps_of(window: Window) -> Iterator[Window]:
    """The window cut at whole steps of the picture."""
    start = window.start
    while start < window.end:
        end = min(_whole_step(start) + timedelta(seconds=STEP_NS // 10**9), window.end)
        yield Window(start, end)
        start = end


def ns(moment: datetime) -> int:
    """A moment in ns since the epoch."""
    return int(moment.timestamp() * 1e6) * 1000


def _whole_step(moment: datetime) -> datetime:
    return datetime.fromtimestamp(ns(moment) // STEP_NS * (STEP_NS // 10**9), UTC)
