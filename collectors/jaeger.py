"""Traces pulled from a Jaeger API, which can only be asked for the traces of one service in a span of time.

A trace is found through any of its services, so only those that traces begin with are asked each time; all others
are asked now and then whether traces begin with them. When traces are more than may be read, slices of time chosen
by lot are read for all services and stand for the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from app.config import TraceBackend
from app.errors import SourceError, SourceNonsense, SourceUnavailable
from app.model.series import Window
from collectors.http import AnswerTooLarge
from collectors.jaeger_api import JaegerApi, microseconds
from collectors.jaeger_columns import batch_of_jaeger
from collectors.jaeger_wire import JaegerTrace, legible, some_spans, trace_id_of, written
from collectors.trace_look import TOGETHER, Look, TraceCollector, halves, steps_of
from collectors.trace_sink import SpanSink, Whole

PAGE = 200  # traces of one answer
_FEW = 10  # traces that tell with what the traces of a service begin
_MOST_REQUESTS = 1000  # of one look
_MOST_NEW = 500  # services asked for the first time in one look
_SUSPICIOUS = 10  # traces; fewer are no limit of a server
_CHECK_EVERY = 10  # looks
_LEAST = timedelta(milliseconds=1)  # no slice of time is cut finer
_SLICES = 16
_MOST_SLICES = 4096
_LATE = timedelta(seconds=10)  # read twice, for traces that the backend showed later than others
_FORGOTTEN = timedelta(minutes=10)  # since a trace last began with a service

Take = Callable[[Sequence[JaegerTrace]], None]


class _Enough(Exception):
    """The time or the requests of a look are used up."""


class _TooMany(Exception):
    """More traces than one look may read."""


@dataclass(slots=True)
class _Entry:
    """A service that traces begin with: up to when its traces were read, and when one was last seen."""

    until: datetime
    seen: datetime


class JaegerCollector(TraceCollector):
    """One Jaeger API of one cluster."""

    kind: ClassVar[str] = "jaeger"

    def __init__(
        self,
        cluster: str,
        settings: TraceBackend,
        *,
        sink: SpanSink,
        sampling_attribute: str | None = None,
        page: int = PAGE,
    ) -> None:
        super().__init__(cluster, settings, sink=sink, sampling_attribute=sampling_attribute)
        self._api = JaegerApi(settings)
        self._page = page
        self._entries: dict[str, _Entry] = {}
        self._asked: dict[str, datetime] = {}  # service -> when it was asked whether traces begin with it
        self._thinned = datetime.min.replace(tzinfo=UTC)
        self._expected = 0.0  # traces a second
        self._requests, self._looks, self._checked = 0, 0, False

    def _read(self, window: Window, since: datetime, look: Look) -> datetime:
        self._requests, self._checked = 0, self._looks % _CHECK_EVERY != 0
        self._looks += 1
        services = self._api.services()
        self._forget(set(services), look)
        self._discover(services, Window(since, window.end), look)
        for entry in self._entries.values():
            entry.until = max(entry.until, since)
        if self._expected * window.length.total_seconds() <= self.settings.max_traces:
            try:
                return self._read_all(window, since, look)
            except _TooMany:
                pass
        return self._read_slices(window, look)

    # Which services traces begin with ---------------------------------------------------------------------

    def _forget(self, services: set[str], look: Look) -> None:
        for name, entry in list(self._entries.items()):
            if name not in services or look.now - entry.seen > _FORGOTTEN:
                del self._entries[name]
        self._asked = {name: at for name, at in self._asked.items() if name in services}

    def _discover(self, services: Sequence[str], window: Window, look: Look) -> None:
        """Ask services that were never asked, and those that were not for long, with what their traces begin."""
        new = [name for name in services if name not in self._asked and name not in self._entries]
        self.chance.shuffle(new)
        stale = sorted(
            (name for name, at in self._asked.items() if name not in self._entries and at <= window.start),
            key=lambda name: self._asked[name],
        )
        turns = max(round(len(services) * (self.settings.interval / self.settings.look_back)), 1)
        done = 0
        for name in [*new[:_MOST_NEW], *stale[: 2 * turns]]:
            try:
                traces = self._ask(name, window, look, limit=_FEW)
            except _Enough:
                break
            for trace in traces[:_FEW]:
                self._learn(trace, window.start, look)
            self._asked[name] = look.now
            done += 1
        if len(new) > done:
            look.notices.append(
                f"{len(new) - done} of {len(services)} services have not been asked yet for their traces."
            )

    def _learn(self, trace: JaegerTrace, unread: datetime, look: Look) -> None:
        """Note the services that the trace begins with; of new ones nothing since `unread` was read."""
        processes = trace.processes or {}
        spans = {span.span_id for span in trace.spans or ()}
        for span in trace.spans or ():
            process = processes.get(span.process)
            if process is not None and process.service_name and span.parent not in spans:
                entry = self._entries.setdefault(process.service_name, _Entry(unread, look.now))
                entry.seen = look.now

    # Reading ----------------------------------------------------------------------------------------------

    def _read_all(self, window: Window, oldest: datetime, look: Look) -> datetime:
        """All new traces, and those that came to light late; raises _TooMany before anything is handed over."""
        taken: dict[str, JaegerTrace] = {}
        read: list[_Entry] = []

        def take(traces: Sequence[JaegerTrace]) -> None:
            named = ((trace_id_of(one.trace_id), one) for one in traces)
            taken.update((key, one) for key, one in named if key not in self.known)
            if len(taken) > self.settings.max_traces:
                raise _TooMany

        try:
            for name, entry in sorted(self._entries.items(), key=lambda item: item[1].until):
                if entry.until < window.end:
                    late = max(entry.until - _LATE, window.start - _LATE, self._thinned, oldest)
                    self._slice(name, Window(min(late, entry.until), window.end), look, take)
                read.append(entry)
        except _Enough:
            self._expected = float("inf")  # slices next time, so that all services get an equal share
            look.notices.append(
                "There was no time to read the traces of all services; the next look goes on."
            )
        except SourceError:
            self._keep(taken, window, look)
            raise
        else:
            self._expected = len(taken) / window.length.total_seconds()
        for entry in read:
            entry.until = window.end
        self._keep(taken, window, look)
        return min((one.until for one in self._entries.values()), default=window.end)

    def _read_slices(self, window: Window, look: Look) -> datetime:
        """Slices of time chosen by lot, as many as may be read; fine enough that one of them may."""
        count = _SLICES
        while count <= _MOST_SLICES:
            try:
                return self._read_some(window, count, look)
            except _TooMany:
                count *= _SLICES
        raise SourceUnavailable(
            f"{self._api.http.who} has more traces in {window.length / _MOST_SLICES} than max_traces allows"
        )

    def _read_some(self, window: Window, count: int, look: Look) -> datetime:
        """Round by round one slice of each step, by lot: every step of the picture gets an equal share."""
        steps = list(steps_of(window))
        lots = [self.chance.sample(range(count), count) for _ in steps]
        kept, done = dict[str, JaegerTrace](), 0
        while done < count and (not done or len(kept) * (done + 1) / done <= self.settings.max_traces):
            slices = [_slice_of(step, lot[done], count) for step, lot in zip(steps, lots, strict=True)]
            try:
                kept |= self._whole_slices(slices, look)
            except _Enough as end:
                if not done:
                    raise self._too_slow(slices) from end
                break
            except _TooMany:
                if not done:
                    raise
                break
            done += 1
        if done < count:
            look.notices.append(
                f"Of {window.length.total_seconds():.3g} s only {done / count:.2%}, in slices chosen by lot, "
                f"were read ({len(kept)} traces); they stand for all."
            )
            self._thinned = window.end  # what was not drawn is not late
        self._expected = len(kept) * count / done / window.length.total_seconds()
        self._keep(kept, window, look, factor=count / done)
        for entry in self._entries.values():
            entry.until = window.end
        return window.end

    def _too_slow(self, slices: Sequence[Window]) -> SourceUnavailable:
        seconds = sum(one.length.total_seconds() for one in slices)
        return SourceUnavailable(
            f"{self._api.http.who} is too slow: not even {seconds:.3g} s of traces of {len(self._entries)} services "
            "could be read within an interval"
        )

    def _whole_slices(self, slices: Sequence[Window], look: Look) -> dict[str, JaegerTrace]:
        """The traces that began in these slices. Raises _TooMany when they are more than a look may read."""
        taken: dict[str, JaegerTrace] = {}
        for one in slices:
            taken |= self._whole_slice(one, look)
            if len(taken) > self.settings.max_traces:
                raise _TooMany
        return taken

    def _whole_slice(self, window: Window, look: Look) -> dict[str, JaegerTrace]:
        """The traces that began in `window`: any other one may have begun in a slice that is not read."""
        begin, end = microseconds(window.start), microseconds(window.end)
        taken: dict[str, JaegerTrace] = {}

        def take(traces: Sequence[JaegerTrace]) -> None:
            taken.update((trace_id_of(one.trace_id), one) for one in traces if begin <= one.start < end)
            if len(taken) > self.settings.max_traces:
                raise _TooMany

        for name in list(self._entries):
            self._slice(name, window, look, take)
        return taken

    def _slice(self, name: str, window: Window, look: Look, take: Take) -> None:
        """All traces of a service in `window`; a span of time whose answer is full is cut in two."""
        pieces = [window]
        while pieces:
            piece = pieces.pop()
            try:
                traces = self._ask(name, piece, look, limit=self._page)
                full = len(traces) >= self._page or self._is_short(name, piece, look, traces)
                take(traces)
            except AnswerTooLarge:
                full = True
            smaller = halves(piece, _LEAST) if full else None
            if smaller is not None:
                pieces += smaller
            elif full:
                look.notices.append(
                    f"Traces of {name[:80]} in one millisecond are too many to read; some are missing."
                )

    def _is_short(self, name: str, window: Window, look: Look, traces: Sequence[JaegerTrace]) -> bool:
        """Whether an answer holds fewer traces than there are: some servers have a limit of their own, and hide it.

        Now and then the time before the oldest of them is asked for again; what comes to light there is missing.
        """
        if self._checked or len(traces) < _SUSPICIOUS:
            return False
        self._checked = True
        oldest = window.start + timedelta(
            microseconds=min(one.start for one in traces) - microseconds(window.start)
        )
        early = Window(window.start, oldest)
        if early.length < window.length / 10:  # they come in no order, or all of them came
            early = Window(window.start, window.start + window.length / 2)
        there = {one.trace_id for one in traces}
        missed = [one for one in self._ask(name, early, look, limit=self._page) if one.trace_id not in there]
        if len(missed) < 2:
            return False
        self._page = len(traces)
        look.notices.append(f"No answer holds more than {self._page} traces, whatever was asked for.")
        return True

    def _ask(self, name: str, window: Window, look: Look, *, limit: int) -> list[JaegerTrace]:
        """One answer. Raises _Enough when the look is used up, SourceNonsense when it is of another time."""
        if self._requests and (look.over or self._requests >= _MOST_REQUESTS):
            raise _Enough
        self._requests += 1
        traces = self._api.traces(name, window, limit=limit)
        begin, end = microseconds(window.start), microseconds(window.end)
        strange = sum(one.start > end or one.last < begin for one in traces)
        if strange > max(len(traces) // 2, 1):
            raise SourceNonsense(
                f"{self._api.http.who} answers with traces outside the time that was asked for"
            )
        return [one for one in traces if legible(trace_id_of(one.trace_id))]

    def _keep(
        self, taken: Mapping[str, JaegerTrace], window: Window, look: Look, *, factor: float = 1.0
    ) -> None:
        end = microseconds(window.end)
        new = {key: one for key, one in taken.items() if key not in self.known and one.start < end}
        for one in taken.values():
            self._learn(one, window.start, look)
        ids = list(new)
        for piece in (ids[first : first + TOGETHER] for first in range(0, len(ids), TOGETHER)):
            self.hand_over(self._whole([new[key] for key in piece], look), piece, look, factor=factor)

    def _whole(self, traces: Sequence[JaegerTrace], look: Look) -> Whole:
        batch = batch_of_jaeger(traces, now_ns=look.now_ns, sampling_attribute=self.sampling_attribute)
        return Whole(batch, written(traces), some_spans)

    def _fetch(self, trace_id: str, look: Look) -> Whole | None:
        found = self._api.trace(trace_id)
        return self._whole([found], look) if found is not None else None

    def _hang_up(self) -> None:
        self._api.http.close()


def _slice_of(step: Window, number: int, count: int) -> Window:
    length = step.length / count
    return Window(step.start + number * length, step.start + (number + 1) * length)
