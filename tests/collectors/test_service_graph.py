"""Service graphs: recorded from Tempo, and with the flaws that its metrics have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.config import Prometheus
from app.model.fleet import EdgeKind, Freshness, NodeKind, Snapshot, SourceStatus, Topology, Witness
from app.model.series import Window
from app.understand.identity import Resolver
from app.understand.topology import assemble
from collectors.prometheus import PrometheusCollector
from tests.support.fake_prometheus import FakePrometheus, Series
from tests.support.recorded import ROOT, load

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(minutes=1), END)
BASE = "traces_service_graph_request"
TOTAL, FAILED = f"{BASE}_total", f"{BASE}_failed_total"
_TEMPO = "tempo_metrics_generator_processor_service_graphs"
PARTS = {
    TOTAL: "n",
    FAILED: "f",
    f"{BASE}_client_seconds_bucket": "b",
    f"{BASE}_server_seconds_bucket": "s",
    f"{BASE}_server_seconds_sum": "z",
    f"{_TEMPO}_expired_edges": "e",
    f"{_TEMPO}_edges": "p",
}
LABELS = ["client", "server", "connection_type", "virtual_node"]
RECORDED = {
    ("user", "gateway"): (316, 64),
    ("user", "checkout"): (82, 20),
    ("gateway", "catalog"): (364, 0),
    ("gateway", "checkout"): (362, 72),
    ("checkout", "payments"): (463, 93),
    ("payments", "redis"): (463, 0),
}


def _pulled(metrics: dict[str, list[Series]]) -> Snapshot:
    """Rows by metric, read at END."""
    with FakePrometheus(dict.fromkeys(metrics, LABELS)) as fake:
        for name, series in metrics.items():
            fake.on(f"({name}[", [({"qd": f"0{PARTS[name]}", **labels}, value) for labels, value in series])
        return PrometheusCollector("demo", Prometheus(url=fake.url)).pull(WINDOW)


def _topology(snapshot: Snapshot) -> Topology:
    fresh = [Freshness(f"demo/{snapshot.source}", END, SourceStatus.OK)]
    return assemble("demo", [snapshot], fresh, Resolver("demo", (), None), None, {}, END)[0]


def _edge(client: str, server: str, rate: float, connection: str = "") -> Series:
    return {"client": client, "server": server, "connection_type": connection}, rate


def test_tempos_recorded_graph_replays_to_exactly_the_calls_and_failures_it_counted() -> None:
    metrics = {}
    for name, file in ((TOTAL, "edges"), (FAILED, "failed")):
        rows = load(ROOT / "traces/tempo" / f"prom_service_graph_{file}.json")["body"]["data"]["result"]
        metrics[name] = [(row["metric"], float(row["value"][1]) / 60) for row in rows]
    topology = _topology(_pulled(metrics))
    names = {node.id: node.name for node in topology.nodes}
    found = {
        (names[edge.source], names[edge.target]): (
            pytest.approx(edge.requests),
            pytest.approx((edge.error_ratio or 0) * (edge.requests or 0)),
        )
        for edge in topology.edges
    }
    assert len(topology.edges) == len(RECORDED)
    assert {pair: tuple(told) for pair, told in found.items()} == RECORDED
    kinds = {node.name: node.kind for node in topology.nodes}
    assert (kinds["user"], kinds["redis"], kinds["payments"]) == (
        NodeKind.CLIENT,
        NodeKind.DATABASE,
        NodeKind.SERVICE,
    )


def _buckets(metric: str, edge: Series, rate: float, *, up_to: str) -> list[Series]:
    bounds = ("0.1", "0.2", "0.4", "+Inf")
    return [
        ({**edge[0], "le": bound}, rate if bounds.index(bound) >= bounds.index(up_to) else 0.0)
        for bound in bounds
    ]


def test_what_lies_in_the_lowest_bucket_is_told_by_its_bound_not_by_a_number() -> None:
    edge = _edge("a", "b", 5.0)
    series = _buckets("client", edge, 5.0, up_to="0.1")
    snapshot = _pulled({TOTAL: [edge], f"{BASE}_client_seconds_bucket": series})
    (told,) = _topology(snapshot).edges
    assert (told.latency.p50, told.latency.p95, told.latency.p99) == (None, None, None)
    assert told.latency.below == 0.1


def test_what_lies_above_the_lowest_bucket_is_measured() -> None:
    edge = _edge("a", "b", 5.0)
    series = _buckets("client", edge, 5.0, up_to="0.4")
    (told,) = _topology(_pulled({TOTAL: [edge], f"{BASE}_client_seconds_bucket": series})).edges
    assert told.latency.below is None
    assert 0.2 < (told.latency.p95 or 0) <= 0.44


def _latencies(connection: str, client: str = "a", server_sum: float = 1.0) -> Witness:
    edge = _edge(client, "b", 5.0, connection)
    both = {
        f"{BASE}_{side}_seconds_bucket": _buckets(side, edge, 5.0, up_to="0.2")
        for side in ("client", "server")
    }
    total = {TOTAL: [edge], **both, f"{BASE}_server_seconds_sum": [(edge[0], server_sum)]}
    (found,) = _pulled(total).witnesses
    return found


@pytest.mark.parametrize(
    ("connection", "client", "server_sum", "sides"),
    [
        ("", "a", 1.0, (True, True)),
        ("database", "a", 1.0, (True, False)),
        ("virtual_node", "a", 0.0, (True, False)),
        ("virtual_node", "user", 1.0, (False, True)),
        ("messaging_system", "a", 1.0, (True, True)),
    ],
)
def test_only_sides_that_measured_tell_a_latency(
    connection: str, client: str, server_sum: float, sides: tuple[bool, bool]
) -> None:
    edges = _latencies(connection, client, server_sum).edges
    assert (bool(edges.client_latency.any()), bool(edges.server_latency.any())) == sides
    assert (edges.kind[0] is EdgeKind.ASYNC) == (connection == "messaging_system")


def test_an_error_ratio_of_a_graph_says_that_it_counts_client_errors() -> None:
    (told,) = _topology(_pulled({TOTAL: [_edge("a", "b", 5.0)]})).edges
    assert told.evidence[0].notes == ("errors incl. client-side 4xx",)


def test_halves_that_were_lost_are_told_as_trace_confidence() -> None:
    metrics = {
        TOTAL: [_edge("a", "b", 5.0)],
        f"{_TEMPO}_expired_edges": [({}, 1.0)],
        f"{_TEMPO}_edges": [({}, 3.0)],
    }
    notices = _pulled(metrics).notices
    assert any(notice.startswith("trace confidence: 60 halves") and "25%" in notice for notice in notices)


def test_no_lost_halves_no_word() -> None:
    assert not any("trace confidence" in n for n in _pulled({TOTAL: [_edge("a", "b", 5.0)]}).notices)


def test_no_number_at_all_is_unknown() -> None:
    witnesses = _pulled({TOTAL: [_edge("a", "b", np.nan)]}).witnesses
    assert not len(witnesses[0].edges)
