"""The store as pages, API and live see it: cached by revision, so that a tick is read once for all viewers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from app import clock
from app.errors import NotFound
from app.model.fleet import Freshness, Topology
from app.model.inventory import Inventory
from app.model.series import Window
from app.store import frames, live, positions, snapshots, sources, topics
from app.understand.freshness import Patience, judged
from app.understand.past import from_frame
from app.web.cache import Cache
from app.web.lines import Points, points
from app.web.merge import merged

if TYPE_CHECKING:
    from app.store.engine import Store
    from app.store.frames import Series

Value = TypeVar("Value")

# Ages move on although nothing else does: what shows them is read anew after this long.
_LIVE_SECONDS = 10
_FRESHNESS_SECONDS = 1
LIVE_WINDOW = timedelta(seconds=60)
MINUTE = timedelta(minutes=1)
_MOST_ROWS = 40_000  # nodes, edges, pods and points kept over all cached values, about 1 kB each
_SPARK_LENGTH = timedelta(hours=1)
_SETTLED = timedelta(minutes=5)  # younger minutes may still gain late spans or back-fill


@dataclass(frozen=True, slots=True)
class _Looked:
    """The revision of every topic as it was at a moment (monotonic seconds); None = look again."""

    at: float | None
    revisions: Mapping[str, int]

    @property
    def newest(self) -> int:
        return max(self.revisions.values(), default=0)


class Reader:
    """Cached views of the store. Every value handed out is shared: treat it as read only.

    `patience` is how old the word of a source may be. `revision_ttl` (seconds) is how long a revision once read
    is believed; the poller of the sockets calls `forget` before it tells browsers that something went stale, so
    none can fetch an old answer after that.
    """

    def __init__(
        self,
        store: Store,
        *,
        patience: Patience = MappingProxyType({}),
        monotonic: Callable[[], float] = clock.monotonic,
        revision_ttl: float = 0.2,
    ) -> None:
        self._store = store
        self._patience = patience
        self._monotonic = monotonic
        self._ttl = revision_ttl
        self._looked = _Looked(None, {})
        self._lock = Lock()
        self._cache: Cache[Any] = Cache(_MOST_ROWS, size=_weight)

    def revision(self, *names: str) -> int:
        """The newest revision of these topics, at most `revision_ttl` old; 0 = none ever changed.

        Whatever is asked about comes from one state of the store: nothing read under a revision is older than
        it says, as long as the revision is asked for before the reading.
        """
        book = self._book()
        return max((book.get(name, 0) for name in names), default=0)

    def _book(self) -> Mapping[str, int]:
        looked, now = self._looked, self._monotonic()
        if looked.at is not None and now - looked.at < self._ttl:
            return looked.revisions
        with self._store.reading() as session:
            news = topics.news(session, looked.newest)
        found = _Looked(now, {**looked.revisions, **news} if news else looked.revisions)
        with self._lock:
            if self._looked is looked:  # else another thread looked, or `forget` was called meanwhile
                self._looked = found
        return found.revisions

    def forget(self) -> None:
        """Believe no remembered revision any longer without looking for newer ones."""
        with self._lock:
            self._looked = _Looked(None, self._looked.revisions)

    def clusters(self) -> list[str]:
        """Names of the clusters that have been evaluated at least once."""
        return self._once(("clusters",), ("fleet", "topology"), self._read_clusters)

    def topology(
        self, cluster: str | None = None, at: datetime | None = None, window: timedelta | None = None
    ) -> Topology:
        """The fleet now (no `at`, no other window) or as it was; of one cluster or of all together.

        An empty store gives an empty topology. Raises NotFound for a cluster that nobody knows.
        """
        names = self.clusters()
        if cluster is not None and cluster not in names:
            raise NotFound("No data of a cluster with this name.")
        wanted = [cluster] if cluster is not None else names
        parts = [self._one(name, at, window or LIVE_WINDOW) for name in wanted]
        return merged(parts, window or LIVE_WINDOW, self.freshness(cluster))

    def freshness(self, cluster: str | None = None) -> tuple[Freshness, ...]:
        """How old the word of each source is, judged now."""
        return self._once(
            ("freshness", cluster),
            ("sources",),
            lambda: self._read_sources(cluster),
            seconds=_FRESHNESS_SECONDS,
        )

    def inventory(self, cluster: str) -> tuple[Inventory, datetime] | None:
        """What Kubernetes said last about a cluster and when; None = it never spoke."""
        return self._once(("inventory", cluster), ("fleet", "sources"), lambda: self._read_inventory(cluster))

    def positions(self, view: str) -> dict[str, tuple[float, float, bool]]:
        """Where the nodes of a view stand: id -> (x, y, pinned)."""
        return self._once(("positions", view), ("topology", "positions"), lambda: self._read_positions(view))

    def series(self, cluster: str, ids: Sequence[str], window: Window, step: timedelta) -> Series:
        """Traffic of rows over time (columns as `store.frames.series` gives them)."""
        key = ("series", cluster, tuple(ids), window, step)
        return self._once(key, ("fleet",), lambda: self._read_series(cluster, ids, window, step))

    def spark(self, ids: Iterable[str], metric: str = "rps") -> dict[str, Points]:
        """The last hour in minutes per node or edge id: `rps`, `error_ratio`, or seconds at `p95`."""
        by_cluster: dict[str, list[str]] = {}
        for one in ids:
            by_cluster.setdefault(one.partition(":")[0], []).append(one)
        found: dict[str, Points] = {}
        for cluster, wanted in by_cluster.items():
            found |= self._sparks(cluster, tuple(sorted(wanted)), metric)
        return found

    # -- reading -------------------------------------------------------------------------------------------

    def _once(
        self, key: tuple[object, ...], names: tuple[str, ...], read: Callable[[], Value], *, seconds: int = 0
    ) -> Value:
        """`read()` once per revision of these topics, and anew after `seconds` whether they moved or not."""
        version = (self.revision(*names), self._monotonic() // seconds if seconds else 0)
        value: Value = self._cache.get(key, read, version=version)
        return value

    def _one(self, cluster: str, at: datetime | None, window: timedelta) -> Topology:
        if at is None and window == LIVE_WINDOW:
            return self._once(
                ("live", cluster),
                ("fleet", "topology"),
                lambda: self._read_live(cluster),
                seconds=_LIVE_SECONDS,
            )
        end = at or clock.now()
        end = end.replace(second=0, microsecond=0)
        if at is not None and clock.now() - end > _SETTLED:
            key = ("past", cluster, end, window)
            settled: Topology = self._cache.get(key, lambda: self._read_past(cluster, end, window))
            return settled
        return self._once(
            ("recent", cluster, end, window), ("fleet",), lambda: self._read_past(cluster, end, window)
        )

    def _read_clusters(self) -> list[str]:
        with self._store.reading() as session:
            return sorted(live.clusters(session))

    def _read_live(self, cluster: str) -> Topology:
        with self._store.reading() as session:
            found = live.current(session, cluster)
        return found or Topology(cluster, clock.now(), LIVE_WINDOW)

    def _read_past(self, cluster: str, end: datetime, window: timedelta) -> Topology:
        with self._store.reading() as session:
            frame = frames.merged(session, cluster, Window(end - window, end))
        return from_frame(frame) if frame is not None else Topology(cluster, end, window)

    def _read_sources(self, cluster: str | None) -> tuple[Freshness, ...]:
        with self._store.reading() as session:
            found = sources.all_sources(session, cluster)
        return tuple(judged(found, clock.now(), self._patience))

    def _read_inventory(self, cluster: str) -> tuple[Inventory, datetime] | None:
        with self._store.reading() as session:
            found = snapshots.get(session, cluster, "kubernetes")
        return (found.inventory, found.as_of) if found is not None and found.inventory is not None else None

    def _read_positions(self, view: str) -> dict[str, tuple[float, float, bool]]:
        with self._store.reading() as session:
            return positions.positions(session, view)

    def _read_series(self, cluster: str, ids: Sequence[str], window: Window, step: timedelta) -> Series:
        with self._store.reading() as session:
            return frames.series(session, cluster, list(ids), window, step)

    def _sparks(self, cluster: str, ids: tuple[str, ...], metric: str) -> dict[str, Points]:
        end = clock.now().replace(second=0, microsecond=0)
        found = self.series(cluster, ids, Window(end - _SPARK_LENGTH, end), MINUTE)
        drawn = {one: points(found.lines[one], found.step, metric) for one in ids if one in found.lines}
        # the minute that ended a moment ago is not written yet: that is no gap
        return {one: line[:-1] if line and line[-1] is None else line for one, line in drawn.items()}


def _weight(value: object) -> int:
    """Roughly how many objects a cached value is made of."""
    if isinstance(value, Topology):
        return 1 + len(value.nodes) + len(value.edges)
    if isinstance(value, tuple) and value and isinstance(value[0], Inventory):
        inventory = value[0]
        return 1 + len(inventory.pods) + len(inventory.revisions) + len(inventory.workloads)
    lines = getattr(value, "lines", None)
    if lines is not None:  # a line of an hour in minutes holds 60 x 128 counts, about 60 kB
        return 1 + sum(len(line.requests) for line in lines.values())
    return 1 + (len(value) // 10 if isinstance(value, (dict, tuple, list)) else 0)
