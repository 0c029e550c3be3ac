"""One simulated fleet seen at once by a real Prometheus and by spans, and what each evidence alone makes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from app import clock
from app.config import Prometheus
from app.model.fleet import Edge, EvidenceKind, Freshness, Snapshot, SourceStatus, Topology
from app.model.series import Window
from app.understand.identity import Resolver
from app.understand.topology import assemble
from collectors.otlp import OtlpCollector
from collectors.prometheus import PrometheusCollector
from demo import history
from demo.control import Control
from demo.evidence import Evidence
from demo.metrics import Exporter
from demo.model import Fleet
from demo.scenario import Director
from demo.server import FleetServer
from demo.traces import Tracer
from tests.support.demo_pods import InstantPods
from tests.support.scraping_prometheus import scraping
from tests.support.until import until

Pair = tuple[str, str]
Rates = dict[Pair, float]
FAILING = {"users-db": 0.04, "acquirer": 0.08}  # shares of their answers, so that there are failures to count
_TICK = 0.5
_MOST_STEP = 3.0  # seconds of model time in one tick


@dataclass(frozen=True)
class Truth:
    """Calls and failures per edge that had happened at `at` (s since 1970)."""

    at: float
    calls: Rates
    failed: Rates


class Watched:
    """A fleet that runs at `speed` in a thread, its spans sent to `spans`, its moments of truth kept."""

    def __init__(self, fleet: Fleet, exporter: Exporter, tracer: Tracer, speed: float) -> None:
        self.fleet, self.speed = fleet, speed
        self.truths: list[Truth] = []
        self.spans = OtlpCollector("demo")
        self._exporter, self._tracer = exporter, tracer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        """Ticks as long as they really took; a machine that falls behind runs a slower fleet, not a longer queue."""
        last = clock.now().timestamp()
        while not self._stop.wait(_TICK):
            now = clock.now().timestamp()
            left = min((now - last) * self.speed, _MOST_STEP)
            speed = left / (now - last)
            while left > 1e-9:
                self.fleet.step(min(left, 1.0))
                left -= min(left, 1.0)
            for body in self._tracer.flush(now, now - last, speed).written():
                self.spans.ingest(body, "application/x-protobuf")
            rows = self._exporter.truth()["edges"]
            calls, failed = (
                {(row["source"], row["target"]): row[column] for row in rows}
                for column in ("calls", "failed")
            )
            self.truths.append(Truth(now, calls, failed))
            last = now

    def wait_past(self, at: float) -> None:
        """Until the truth of a later moment (s since 1970) is known."""
        until(lambda: bool(self.truths) and self.truths[-1].at > at, seconds=60)

    def true_rates(self, window: Window) -> tuple[Rates, Rates]:
        """Calls and failures per second within the window, by edge."""
        ends = (window.start.timestamp(), window.end.timestamp())
        at = [one.at for one in self.truths]

        def rates(known: Sequence[Rates]) -> Rates:
            first, last = (
                {pair: float(np.interp(end, at, [one.get(pair, 0.0) for one in known])) for pair in known[-1]}
                for end in ends
            )
            return {pair: (last[pair] - first[pair]) / window.seconds for pair in last}

        return rates([one.calls for one in self.truths]), rates([one.failed for one in self.truths])


@contextmanager
def watched(directory: Path, *, speed: float, sampled: float = 1.0) -> Iterator[tuple[Watched, str]]:
    """The fleet, and the address of a Prometheus that reads all its evidence every two seconds."""
    pods = InstantPods()
    fleet = Fleet(pods.catalog, pods, seed=7, start=time.time())
    for name, share in FAILING.items():
        fleet.faults.store_errors[[store.name for store in pods.catalog.stores].index(name)] = share
    exporter = Exporter(fleet, frozenset(Evidence))
    server = FleetServer(("127.0.0.1", 0), exporter, Control(Director(fleet, pods)))
    server.start()
    config = history.prometheus_config(f"http://127.0.0.1:{server.server_address[1]}/sd")
    config = config.replace("scrape_interval: 5s", "scrape_interval: 2s").replace("4s", "2s")
    tracer = Tracer(fleet, seed=7, ratio=sampled, most=10_000)
    try:
        with Watched(fleet, exporter, tracer, speed) as made, scraping(config, directory) as url:
            yield made, url
    finally:
        server.shutdown()
        server.server_close()


def looked(made: Watched, url: str, window: timedelta) -> tuple[Window, list[Snapshot]]:
    """One look of both collectors at the last `window`, at moments that the truth is known of on both sides."""
    made.wait_past(clock.now().timestamp())
    now = clock.now()
    spans = made.spans.pull(Window(now - window, now))
    end = clock.now()
    made.wait_past(end.timestamp() + 2)
    collector = PrometheusCollector("demo", Prometheus(url=url, rate_window=window))
    try:
        counters = collector.pull(Window(end - window, end))
    finally:
        collector.close()
    return Window(end - window, end), [counters, spans]


def seen_through(snapshots: Sequence[Snapshot], kinds: set[EvidenceKind], at: datetime) -> Topology:
    """The topology of what these kinds alone say, with the servers' own metrics, which stay."""
    wanted = kinds | {EvidenceKind.SERVER_METRICS}
    heard = [
        Snapshot(one.cluster, one.source, one.as_of, tuple(w for w in one.witnesses if w.evidence in wanted))
        for one in snapshots
    ]
    fresh = [Freshness(f"demo/{one.source}", one.as_of, SourceStatus.OK) for one in heard]
    topology, _ = assemble("demo", heard, fresh, Resolver("demo", (), None), None, {}, at)
    return topology


def plain(name: str) -> str:
    """`orders-db` of `postgresql@orders-db:5432`, `order-events` of `kafka/order-events`."""
    return name.rpartition("@")[2].rpartition("/")[2].partition(":")[0]


def edges_of(topology: Topology) -> dict[Pair, Edge]:
    """Edges by the plain names of their ends. Raises AssertionError when two edges are of one pair."""
    names = {node.id: plain(node.name) for node in topology.nodes}
    found: dict[Pair, Edge] = {}
    for edge in topology.edges:
        pair = (names[edge.source], names[edge.target])
        assert pair not in found, f"{pair} is drawn twice: {edge.id} and {found[pair].id}"
        found[pair] = edge
    return found
