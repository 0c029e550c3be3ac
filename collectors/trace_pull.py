"""One trace for a person: read from the backends of a cluster, and its page in the backend's own UI."""

from __future__ import annotations

from app.config import Config, TraceBackend
from app.errors import SourceError
from app.model.span import Trace
from collectors.jaeger_api import JaegerApi
from collectors.jaeger_wire import legible
from collectors.tempo_api import TempoApi

MOST_SPANS = 10_000


def fetch_trace(config: Config, cluster: str, trace_id: str) -> Trace | None:
    """The trace as the first backend knows it that has any span of it; None when all answer that they have none.

    `trace_id`: 32 lower-case hex digits. At most MOST_SPANS spans; `cut` counts the others. Raises SourceError
    when no backend has it and one could not be asked.
    """
    if not legible(trace_id):
        return None
    unheard: SourceError | None = None
    for settings in _backends(config, cluster):
        api = JaegerApi(settings) if settings.kind == "jaeger" else TempoApi(settings)
        try:
            if found := api.whole(cluster, trace_id, MOST_SPANS):
                return found
        except SourceError as error:
            unheard = unheard or error
        finally:
            api.http.close()
    if unheard is not None:
        raise unheard
    return None


def link(config: Config, cluster: str, trace_id: str) -> str | None:
    """The page of a trace in the UI of the first backend that has one configured, else None."""
    found = next((one.link for one in _backends(config, cluster) if one.link), None)
    return found.replace("{trace_id}", trace_id) if found else None


def _backends(config: Config, cluster: str) -> tuple[TraceBackend, ...]:
    return next((one.traces for one in config.clusters if one.name == cluster), ())
