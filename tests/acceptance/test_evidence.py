"""The same fleet seen through traces, a service graph, Istio or all of them: the same services, calls and rates.

What each source can see at all: Istio's proxies read HTTP and gRPC; a store is a TCP connection to them (present,
without a rate), and the broker's port is excluded from the mesh, as is usual. A service graph draws messages from
producer to consumer without the topic between. Client metrics do not know who calls from outside.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.model.fleet import EvidenceKind, NodeKind, Topology
from app.model.series import Window
from demo.catalog import SERVICES, STORES, TOPICS
from tests.support.evidence import Pair, Rates, Watched, edges_of, looked, plain, seen_through, watched

SPEED = 3.0
SPANS_HELD = 66.0  # the minute of spans, and what the join waits
CLOSE = 0.05
HOSTS = {store.host for store in STORES if store.engine != "http"}
QUEUES = {topic.name for topic in TOPICS}
HOPS = {("order", "notification"), ("order", "recommendation"), ("payment", "risk-control")}
OUTSIDE = ("user", "gateway")
MODES = {
    "traces": {EvidenceKind.TRACES},
    "service-graph": {EvidenceKind.SERVICE_GRAPH},
    "istio": {EvidenceKind.MESH},
    "client-metrics": {EvidenceKind.CLIENT_METRICS},
    "all": set(EvidenceKind),
}


class Seen:
    """What one look found: topologies by mode, and the truth over the window of each."""

    def __init__(self, made: Watched, url: str, window: timedelta) -> None:
        looked_at, self.snapshots = looked(made, url, window)
        spans = self.snapshots[1].witnesses[0]
        spans_window = Window(spans.as_of - spans.window, spans.as_of)
        self.modes = {name: seen_through(self.snapshots, k, looked_at.end) for name, k in MODES.items()}
        self.seconds = dict.fromkeys(MODES, looked_at.seconds) | {"traces": spans_window.seconds}
        truths = {window: made.true_rates(window) for window in (looked_at, spans_window)}
        self.truth = {name: truths[spans_window if name == "traces" else looked_at] for name in MODES}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """After the spans' minute is full; the long form looks at ten minutes of counters."""
    window = timedelta(minutes=10 if os.environ.get("QUARTERDECK_SOAK") else 0.75)
    with watched(tmp_path_factory.mktemp("evidence"), speed=SPEED) as (made, url):
        time.sleep(max(SPANS_HELD, window.total_seconds() + 5) + 4)
        yield Seen(made, url, window)


def _visible(mode: str, truth: Rates) -> set[Pair]:
    """The edges of the truth as this source draws them."""
    queued = {pair for pair in truth if set(pair) & QUEUES}
    if mode == "service-graph":
        return (set(truth) - queued) | HOPS
    if mode == "istio":
        return set(truth) - queued
    return set(truth) - ({OUTSIDE} if mode == "client-metrics" else set())


def _services(topology: Topology) -> set[str]:
    return {node.name for node in topology.nodes if node.kind is NodeKind.SERVICE}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", MODES)
def test_each_evidence_draws_the_same_services_and_calls(seen: Seen, mode: str) -> None:
    topology = seen.modes[mode]
    assert _services(topology) == {service.name for service in SERVICES}
    assert set(edges_of(topology)) == _visible(mode, seen.truth[mode][0])


@pytest.mark.parametrize("mode", MODES)
def test_each_store_is_one_node_whatever_it_is_called(seen: Seen, mode: str) -> None:
    names = [plain(node.name) for node in seen.modes[mode].nodes]
    assert len(names) == len(set(names)) + ("user" in names and names.count("user") - 1)
    assert set(names) >= HOSTS | {"api.acquirer.example"}


@pytest.mark.parametrize("mode", MODES)
def test_rates_are_within_five_percent_of_the_truth(seen: Seen, mode: str) -> None:
    """Of an edge with few calls chance alone explains more than 5 %: spans are drawn beside the counters, and
    scrapes of a busy machine do not fall on the ends of the window; in ten minutes it counts for nothing.
    """
    calls, _ = seen.truth[mode]
    far = {}
    for pair, edge in edges_of(seen.modes[mode]).items():
        true = calls.get(pair)
        if true is None or (mode == "istio" and pair[1] in HOSTS):
            continue
        chance = _chance(true * seen.seconds[mode], of_spans=mode == "traces")
        if edge.rps is None or abs(edge.rps - true) > max(CLOSE, chance) * true + 1.0 / seen.seconds[mode]:
            far[pair] = (edge.rps, true)
    assert not far


def test_hops_of_messages_have_the_rate_of_their_consumers(seen: Seen) -> None:
    graph, (calls, _) = edges_of(seen.modes["service-graph"]), seen.truth["service-graph"]
    topics = {("order", "order-events"), ("payment", "payment-events")}
    for source, consumer in HOPS:
        topic = next(topic for producer, topic in topics if producer == source)
        assert graph[(source, consumer)].rps == pytest.approx(calls[(topic, consumer)], rel=CLOSE)


def test_istio_tells_of_stores_that_they_are_called_but_not_how_often(seen: Seen) -> None:
    found = edges_of(seen.modes["istio"])
    for pair, edge in found.items():
        if pair[1] in HOSTS:
            assert edge.rps is None
            assert edge.protocol == "tcp"
            assert "connections/s opened" in edge.evidence[0].notes[0]


def test_all_together_count_nothing_twice_and_agree_edge_by_edge(seen: Seen) -> None:
    calls, _ = seen.truth["all"]
    drawn = edges_of(seen.modes["all"])
    shared = sum(edge.rps or 0.0 for pair, edge in drawn.items())
    assert shared == pytest.approx(sum(calls.values()), rel=CLOSE)
    for pair, edge in drawn.items():
        told = {word.source: word.rps for word in edge.evidence if word.rps is not None}
        assert set(told) >= {EvidenceKind.TRACES} | ({EvidenceKind.MESH} if _meshed(pair) else set())
        exact = [rate for kind, rate in told.items() if kind is not EvidenceKind.TRACES]
        close = max(CLOSE, _chance(min(exact) * seen.seconds["all"]))
        assert max(exact) <= min(exact) * (1 + close) + 2.0 / seen.seconds["all"], pair


def _chance(calls: float, *, of_spans: bool = False) -> float:
    """The share by which a count of so many calls may differ."""
    return (4.0 * math.sqrt(2.0) if of_spans else 2.0) / math.sqrt(max(calls, 1.0))


def _meshed(pair: Pair) -> bool:
    return not (pair[1] in HOSTS or set(pair) & QUEUES)


@pytest.mark.parametrize("mode", ["service-graph", "istio", "client-metrics", "all"])
def test_failures_are_those_of_the_truth(seen: Seen, mode: str) -> None:
    """Where there are enough of them; Prometheus never sees the first failures of a series that begins with them."""
    calls, failed = seen.truth[mode]
    judged = 0
    for pair, edge in edges_of(seen.modes[mode]).items():
        if edge.rps is not None and failed.get(pair, 0.0) * seen.seconds[mode] > 100:
            judged += 1
            assert edge.error_ratio == pytest.approx(failed[pair] / calls[pair], rel=0.1), pair
    assert judged
