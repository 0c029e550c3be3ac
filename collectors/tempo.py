"""Traces pulled from Grafana Tempo: a search tells which there are, each is then fetched once.

A search costs little for each trace it finds, so all of them are known. When they are more than may be fetched, an
equal share chosen by lot is fetched and stands for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from app.config import TraceBackend
from app.errors import SourceError, SourceNonsense
from app.model.series import Window
from app.model.span import Span
from collectors.otlp_body import PROTOBUF, Malformed
from collectors.span_cut import spans_of
from collectors.span_read import read_protobuf
from collectors.tempo_api import Hit, TempoApi
from collectors.trace_look import TOGETHER, Look, TraceCollector, halves, ns
from collectors.trace_sink import SpanSink, Whole

PAGE = 5000  # traces of one search
_MOST_SEARCHES = 100
_SECOND = timedelta(seconds=1)  # as finely as Tempo's search cuts time


class TempoCollector(TraceCollector):
    """One Tempo of one cluster."""

    kind: ClassVar[str] = "tempo"

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
        self._api = TempoApi(settings)
        self._page = page

    def _read(self, window: Window, since: datetime, look: Look) -> datetime:
        earlier = max(window.start - self.settings.interval, since)  # traces may come to light late
        hits = self._search(Window(earlier, window.end), look)
        first, last = ns(since), ns(window.end)
        fresh = [one for one in hits if one.trace_id not in self.known and first <= one.start < last]
        self.chance.shuffle(fresh)
        came: dict[str, bytes | None] = {}
        try:
            for hit in fresh[: self.settings.max_traces]:
                if look.over and came:
                    break
                came[hit.trace_id] = self._api.trace(hit.trace_id)
        except SourceError:
            self._keep(came, look, 1.0)  # the others are found again by the next look
            raise
        factor = len(fresh) / len(came) if came else 1.0
        if len(came) < len(fresh):
            look.notices.append(
                f"{len(fresh)} traces began since the last look: {len(came)} of them, chosen by lot, were read "
                "and stand for all."
            )
        self._keep(came, look, factor)
        self.known.add((one.trace_id for one in fresh), look.now)
        return window.end

    def _search(self, window: Window, look: Look) -> list[Hit]:
        """All traces with a span in the window; one whose answer is full is cut in two."""
        found: dict[str, Hit] = {}
        open_ends, asked = [window], 0
        while open_ends and asked < _MOST_SEARCHES:
            piece, asked = open_ends.pop(), asked + 1
            hits = self._api.search(piece, limit=self._page)
            found.update((hit.trace_id, hit) for hit in hits)
            smaller = halves(piece, _SECOND) if len(hits) >= self._page else None
            if smaller is not None:
                open_ends += smaller
            elif len(hits) >= self._page:
                look.notices.append(
                    f"More than {self._page} traces began in the second {piece.start:%H:%M:%S} UTC; "
                    "only so many are told of, and rates are too low."
                )
        if open_ends:
            look.notices.append(
                f"Of traces before {open_ends[-1].end:%H:%M:%S} UTC not all were searched for."
            )
        return list(found.values())

    def _keep(self, came: Mapping[str, bytes | None], look: Look, factor: float) -> None:
        bodies = {trace_id: body for trace_id, body in came.items() if body}
        for trace_id in came.keys() - bodies.keys():
            self.known.add([trace_id], look.now)
            self.expect(trace_id, factor)
        if not bodies:
            return
        pieces = list(self._decoded(bodies, look))
        for piece in pieces:
            self.hand_over(piece, bodies.keys(), look, factor=factor)
        if not pieces:
            raise SourceNonsense(f"{self._api.http.who} answered something that is no trace in protobuf")

    def _decoded(self, bodies: Mapping[str, bytes], look: Look) -> Iterator[Whole]:
        """Many bodies as one (messages of protobuf may be strung together); the legible ones if some are not."""
        every, bad = list(bodies.values()), 0
        for first in range(0, len(every), TOGETHER):
            piece = every[first : first + TOGETHER]
            try:
                yield self._whole(b"".join(piece), look)
                continue
            except Malformed:
                pass
            for body in piece:
                try:
                    yield self._whole(body, look)
                except Malformed:
                    bad += 1
        if bad:
            look.notices.append(f"{bad} traces were no protobuf and are left out.")

    def _whole(self, body: bytes, look: Look) -> Whole:
        batch = read_protobuf(body, now_ns=look.now_ns, sampling_attribute=self.sampling_attribute)
        return Whole(batch, body, _cut)

    def _fetch(self, trace_id: str, look: Look) -> Whole | None:
        body = self._api.trace(trace_id)
        try:
            return self._whole(body, look) if body else None
        except Malformed:
            return None

    def _hang_up(self) -> None:
        self._api.http.close()


def _cut(body: bytes, traces: Mapping[int, int]) -> list[tuple[str, Span]]:
    return spans_of(body, PROTOBUF, traces)
