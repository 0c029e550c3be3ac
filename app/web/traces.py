"""Traces for pages and API: the kept ones from the store, any other from the backends of the clusters."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.config import Config
from app.errors import SourceError, TooMany
from app.model.span import Trace
from app.store import traces
from app.store.traces import KeptCall, KeptTrace
from app.understand.redact import presentable

if TYPE_CHECKING:
    from app.store.engine import Store

log = logging.getLogger("quarterdeck.traces")

PATIENCE_SECONDS = 4.0
_AT_ONCE = 4  # traces asked of backends at the same time, for all viewers
_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A trace to show. `kept_for` = the calls it was kept for (none: a backend had it); `link` = its page there."""

    trace: Trace
    kept_for: tuple[KeptCall, ...]
    link: str | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A trace that nobody has; `silent` says which clusters' backends did not answer, `asked` how many have any."""

    asked: int
    silent: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Why there is no such trace, as far as that is known."""
        if self.silent:
            clusters = ", ".join(self.silent)
            return f"This trace is not kept, and the trace backend of {clusters} did not answer in time."
        if self.asked:
            return "This trace is not kept, and no trace backend has it."
        return "This trace is not kept, and no trace backend is configured to be asked for it (clusters[].traces)."


def trace_id_of(text: str) -> str | None:
    """The id in what somebody typed or pasted: 32 hex digits, 16 of old tracers, dashes and case aside."""
    plain = text.strip().lower().replace("-", "")
    return plain.rjust(32, "0") if _ID.fullmatch(plain) and set(plain) != {"0"} else None


class Traces:
    """Reads traces for one application; thread-safe."""

    def __init__(self, store: Store, *, patience: float = PATIENCE_SECONDS) -> None:
        self._store = store
        self._patience = patience
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def of_service(self, node: str, **wanted: Any) -> list[KeptTrace]:
        """Traces kept for calls of a node, the newest first (`wanted` as for `store.traces.for_edge`)."""
        with self._store.reading() as session:
            return traces.for_service(session, node, **wanted)

    def of_edge(self, caller: str, callee: str, **wanted: Any) -> list[KeptTrace]:
        """Traces kept for calls of an edge."""
        with self._store.reading() as session:
            return traces.for_edge(session, caller, callee, **wanted)

    def find(self, config: Config, trace_id: str, cluster: str | None = None) -> Shown | Unknown:
        """The trace from the store, else from a backend of the cluster or of any. Raises TooMany."""
        with self._store.reading() as session:
            kept = traces.get(session, trace_id, cluster)
            calls = traces.calls_of(session, kept.cluster, trace_id) if kept is not None else []
        if kept is not None:
            return Shown(kept, tuple(calls), _pull().link(config, kept.cluster, trace_id))
        names = [one.name for one in config.clusters if one.traces and cluster in (None, one.name)]
        return self._ask(config, names, trace_id)

    def _ask(self, config: Config, clusters: Sequence[str], trace_id: str) -> Shown | Unknown:
        if not clusters:
            return Unknown(0, ())
        if not self._slots.acquire(blocking=False):
            raise TooMany("Other traces are being fetched right now.", retry_after_seconds=self._patience)
        found: dict[str, Trace | None] = {}
        asking = threading.Thread(
            target=self._fetch, args=(config, clusters, trace_id, found), name="fetch-trace", daemon=True
        )
        asking.start()
        asking.join(self._patience)
        answers = dict(found)  # the thread may still be at it: a backend that hangs must not hold the page
        trace = next((one for one in answers.values() if one is not None and one.spans), None)
        if trace is not None:
            return Shown(presentable(trace), (), _pull().link(config, trace.cluster, trace_id))
        return Unknown(len(clusters), tuple(name for name in clusters if name not in answers))

    def _fetch(
        self, config: Config, clusters: Sequence[str], trace_id: str, found: dict[str, Trace | None]
    ) -> None:
        try:
            for cluster in clusters:
                try:
                    found[cluster] = _pull().fetch_trace(config, cluster, trace_id)
                except SourceError as error:
                    log.info("the traces of %s could not be asked: %s", cluster, error)
                if found.get(cluster) is not None:
                    return
        finally:
            self._slots.release()


def _pull() -> Any:
    """The readers of trace backends, imported when somebody looks at a trace: the start need not pay for them."""
    from collectors import trace_pull

    return trace_pull
