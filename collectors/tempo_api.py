"""Grafana Tempo's API: search by TraceQL, and one trace as protobuf.

Protobuf is asked for because it is what OTLP sends; the JSON of this API has base64 ids and kinds as words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from app.config import TraceBackend
from app.errors import SourceNonsense
from app.model.series import Window
from app.model.span import Trace
from collectors.jaeger_wire import legible, trace_id_of
from collectors.otlp_body import Malformed
from collectors.span_whole import whole_from_otlp
from collectors.trace_http import TraceHttp

LONGEST = timedelta(hours=168)  # a longer search is refused


@dataclass(frozen=True, slots=True)
class Hit:
    """A trace that a search found; `start` in ns since the epoch."""

    trace_id: str
    start: int


class _Hit(msgspec.Struct, rename={"trace_id": "traceID", "start": "startTimeUnixNano"}):
    trace_id: str
    start: int = 0


class _Answer(msgspec.Struct):
    traces: list[_Hit] | None = None


_answer = msgspec.json.Decoder(_Answer, strict=False)


class TempoApi:
    """One Tempo. Methods raise SourceUnavailable, SourceRefused or SourceNonsense."""

    def __init__(self, settings: TraceBackend) -> None:
        self.http = TraceHttp(settings, "Tempo")

    def search(self, window: Window, *, query: str = "{}", limit: int) -> list[Hit]:
        """At most `limit` traces with a span in `window`; its ends are rounded outward to whole seconds."""
        found: dict[str, Hit] = {}
        for piece in _weeks(window):
            for hit in self._search(piece, query, limit):
                found.setdefault(hit.trace_id, hit)
        return list(found.values())[:limit]

    def _search(self, window: Window, query: str, limit: int) -> list[Hit]:
        form = {
            "q": query,
            "start": str(math.floor(window.start.timestamp())),
            "end": str(math.ceil(window.end.timestamp())),
            "limit": str(limit),
        }
        body = self.http.get("/api/search", form)
        try:
            hits = _answer.decode(body).traces or [] if body else []
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            words = f"{self.http.who} answered something that is no search result: {str(error)[:200]}"
            raise SourceNonsense(words) from error
        found = [Hit(trace_id_of(hit.trace_id), hit.start) for hit in hits]
        return [hit for hit in found if legible(hit.trace_id)]

    def trace(self, trace_id: str) -> bytes | None:
        """One trace as an OTLP trace request in protobuf, None if it is not there (yet)."""
        return self.http.get(f"/api/traces/{trace_id}", accept="application/protobuf") or None

    def whole(self, cluster: str, trace_id: str, most: int) -> Trace | None:
        """One trace for reading, with at most `most` spans."""
        body = self.trace(trace_id)
        if body is None:
            return None
        try:
            spans = [span for found, span in whole_from_otlp(body) if found == trace_id]
        except Malformed as error:
            raise SourceNonsense(
                f"{self.http.who} answered something that is no trace in protobuf"
            ) from error
        return Trace(cluster, trace_id, tuple(spans[:most]), max(len(spans) - most, 0)) if spans else None


def _weeks(window: Window) -> Iterator[Window]:
    """The window in pieces that a search accepts, the newest first."""
    end = window.end
    while end > window.start:
        start = max(window.start, end - LONGEST)
        yield Window(start, end)
        end = start
