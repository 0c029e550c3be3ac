"""Jaeger's query API, as Jaeger and VictoriaTraces serve it: services, traces of one in a span of time, one trace.

`/api/dependencies` is not asked: VictoriaTraces has none, and what Jaeger's says is a day old and knows no errors.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from app.config import TraceBackend
from app.model.series import Window
from app.model.span import Trace
from collectors.jaeger_wire import JaegerTrace, names_of, trace_id_of, traces_of, whole_spans
from collectors.trace_http import TraceHttp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """A moment as this API wants it, since the epoch. Milliseconds or seconds would get an empty 200."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class JaegerApi:
    """One Jaeger API. Methods raise SourceUnavailable, SourceRefused or SourceNonsense."""

    def __init__(self, settings: TraceBackend) -> None:
        self.http = TraceHttp(settings, "Jaeger API")

    def services(self) -> list[str]:
        """Names of all services it has spans of."""
        return names_of(self.http.get("/api/services") or b"{}", self.http.who)

    def traces(self, service: str, window: Window, *, limit: int) -> list[JaegerTrace]:
        """At most `limit` traces, whole as far as they came, with a span of `service` that began in `window`."""
        query = {
            "service": service,
            "start": str(microseconds(window.start)),
            "end": str(microseconds(window.end)),
            "limit": str(limit),
        }
        return traces_of(self.http.get("/api/traces", query) or b"{}", self.http.who)

    def trace(self, trace_id: str) -> JaegerTrace | None:
        """One trace, None if it is not there (yet)."""
        body = self.http.get(f"/api/traces/{quote(trace_id, safe='')}")
        found = traces_of(body, self.http.who) if body else []
        return next((one for one in found if trace_id_of(one.trace_id or trace_id) == trace_id), None)

    def whole(self, cluster: str, trace_id: str, most: int) -> Trace | None:
        """One trace for reading, with at most `most` spans."""
        found = self.trace(trace_id)
        if found is None:
            return None
        spans = whole_spans(found, most)
        return Trace(cluster, trace_id, tuple(spans), len(found.spans or []) - len(spans))
