"""What proxies of meshes report, read from a Prometheus that says what the test wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.config import Prometheus
from app.model.fleet import EvidenceKind, Identity, NodeKind, Witness
from app.model.series import Window
from collectors.prometheus import PrometheusCollector
from tests.support.fake_prometheus import FakePrometheus

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(minutes=1), END)
REQUESTS, DURATION = "istio_requests_total", "istio_request_duration_milliseconds_bucket"
OPENED, SENT = "istio_tcp_connections_opened_total", "istio_tcp_sent_bytes_total"
LABELS = (
    "reporter",
    "source_cluster",
    "source_workload_namespace",
    "source_workload",
    "source_canonical_service",
    "destination_cluster",
    "destination_service",
    "destination_service_namespace",
    "destination_service_name",
    "destination_workload_namespace",
    "destination_workload",
    "destination_canonical_service",
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
    "app",
)
A_TO_B = {
    "source_workload": "a-v1",
    "source_canonical_service": "a",
    "source_workload_namespace": "shop",
    "destination_service": "b.shop.svc.cluster.local",
    "destination_service_name": "b",
    "destination_service_namespace": "shop",
    "destination_workload": "b-v1",
    "destination_canonical_service": "b",
    "destination_workload_namespace": "shop",
    "request_protocol": "http",
    "response_code": "200",
    "response_flags": "-",
}
UNREACHED = {"destination_workload": "unknown", "destination_canonical_service": "unknown"} | {
    "destination_workload_namespace": "unknown",
}


def _seen(
    *rows: tuple[str, float, dict[str, str]], kind: EvidenceKind = EvidenceKind.MESH, **more: str
) -> Witness:
    """The witness of rows (metric, rate, labels)."""
    metrics = {metric: (*LABELS, *(labels)) for metric, _, labels in rows}
    with FakePrometheus(metrics) as fake:
        for metric, rate, labels in rows:
            tag = {REQUESTS: "0n0", OPENED: "1n0", SENT: "1y1", DURATION: "0b1"}[metric]
            if REQUESTS not in metrics:
                tag = tag.replace("1", "0", 1)
            fake.on(f"({metric}", [({"qd": tag, **labels}, rate)])
        collector = PrometheusCollector("c1", Prometheus(url=fake.url), **more)
        return next(w for w in collector.pull(WINDOW).witnesses if w.evidence is kind)


def _edges(witness: Witness) -> dict[tuple[str, str], tuple[float, float]]:
    """Requests and failures per minute, by what the ends are called."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    rows = zip(
        witness.edges.source, witness.edges.target, witness.edges.requests, witness.edges.failed, strict=True
    )
    for source, target, requests, failed in rows:
        pair = tuple(
            p.name or p.address or p.alias for p in (witness.parties[source], witness.parties[target])
        )
        known = found.get(pair, (0.0, 0.0))
        found[pair] = (known[0] + requests, known[1] + failed)
    return found


def test_two_proxies_of_one_request_count_once_and_the_caller_is_believed() -> None:
    witness = _seen(
        (REQUESTS, 10.0, A_TO_B | {"reporter": "source"}),
        (REQUESTS, 9.0, A_TO_B | {"reporter": "destination"}),
    )
    assert _edges(witness) == {("a", "b"): (600.0, 0.0)}
    assert witness.nodes.requests.sum() == 540.0  # what b itself took


def test_a_failure_that_the_two_proxies_label_differently_counts_once() -> None:
    witness = _seen(
        (REQUESTS, 1.0, A_TO_B | {"reporter": "source", "response_code": "504", "response_flags": "UT"}),
        (REQUESTS, 1.0, A_TO_B | {"reporter": "destination", "response_code": "0", "response_flags": "DC"}),
    )
    assert _edges(witness) == {("a", "b"): (60.0, 60.0)}


def test_a_caller_that_knows_only_the_service_and_a_callee_that_knows_its_workload_are_one_call() -> None:
    witness = _seen(
        (REQUESTS, 5.0, A_TO_B | UNREACHED | {"reporter": "source"}),
        (REQUESTS, 5.0, A_TO_B | {"reporter": "destination"}),
    )
    assert _edges(witness) == {("a", "b"): (300.0, 0.0)}


@pytest.mark.parametrize("flag", ["UF", "UH", "UO", "URX", "NR"])
def test_requests_that_never_reached_a_workload_are_failures_and_their_flag_is_told(flag: str) -> None:
    lost = A_TO_B | UNREACHED | {"reporter": "source", "response_code": "503", "response_flags": flag}
    witness = _seen((REQUESTS, 6.0, A_TO_B | {"reporter": "source"}), (REQUESTS, 3.0, lost))
    assert _edges(witness) == {("a", "b"): (540.0, 180.0)}
    (note,) = filter(None, witness.edges.notes)
    assert note.startswith(f"{flag} ")
    assert note.endswith("3 requests/s")


@pytest.mark.parametrize(("code", "failed"), [("0", 60.0), ("-", 60.0), ("404", 0.0), ("500", 60.0)])
def test_no_answer_and_server_errors_are_failures_and_a_404_is_the_callers(code: str, failed: float) -> None:
    witness = _seen((REQUESTS, 1.0, A_TO_B | {"reporter": "source", "response_code": code}))
    assert _edges(witness) == {("a", "b"): (60.0, failed)}


@pytest.mark.parametrize(("status", "failed"), [("0", 0.0), ("5", 0.0), ("14", 60.0)])
def test_grpc_is_judged_by_its_own_status(status: str, failed: float) -> None:
    call = A_TO_B | {"reporter": "source", "request_protocol": "grpc", "grpc_response_status": status}
    assert _edges(_seen((REQUESTS, 1.0, call))) == {("a", "b"): (60.0, failed)}


def test_a_waypoint_tells_of_requests_and_the_tunnels_below_it_are_not_counted_again() -> None:
    tunnel = A_TO_B | {"app": "ztunnel", "reporter": "source"}
    beyond = tunnel | {"source_workload": "waypoint", "source_canonical_service": "waypoint"}
    witness = _seen(
        (REQUESTS, 4.0, A_TO_B | {"reporter": "waypoint"}),
        (DURATION, 4.0, A_TO_B | {"reporter": "waypoint", "le": "10"}),
        (OPENED, 7.0, tunnel),
        (OPENED, 7.0, beyond),
    )
    assert _edges(witness) == {("a", "b"): (240.0, 0.0)}
    assert witness.edges.server_latency.sum() == pytest.approx(240.0)
    assert witness.edges.client_latency.sum() == 0


def test_without_a_waypoint_the_tunnel_shows_who_talks_to_whom_and_no_requests() -> None:
    tunnel = A_TO_B | {"app": "ztunnel"}
    witness = _seen(
        (OPENED, 7.0, tunnel | {"reporter": "source"}), (OPENED, 7.0, tunnel | {"reporter": "destination"})
    )
    assert len(witness.edges) == 1
    assert np.isnan(witness.edges.requests[0])
    assert not len(witness.nodes)
    assert witness.edges.notes[0].startswith("TCP: 7 connections/s opened")


def test_a_store_is_a_connection_with_bytes_both_ways() -> None:
    store = A_TO_B | UNREACHED | {"reporter": "source", "response_code": ""}
    store |= {
        "destination_service": "orders-db.shop.svc.cluster.local",
        "destination_service_name": "orders-db",
    }
    witness = _seen((OPENED, 0.5, store), (SENT, 1500.0, store))
    target = witness.parties[witness.edges.target[0]]
    assert (target.kind, target.address, target.alias) == (
        NodeKind.EXTERNAL,
        "orders-db.shop.svc.cluster.local",
        "orders-db",
    )
    assert witness.edges.notes == ("TCP: 0.5 connections/s opened, 1.5 kB/s both ways",)


def test_a_caller_outside_the_mesh_is_the_client_that_traces_know() -> None:
    outside = A_TO_B | {"source_workload": "unknown", "source_canonical_service": "unknown"}
    witness = _seen((REQUESTS, 2.0, outside | {"reporter": "destination"}))
    assert Identity(name="user", kind=NodeKind.CLIENT) in witness.parties


@pytest.mark.parametrize("name", ["PassthroughCluster", "BlackHoleCluster"])
def test_what_leaves_the_registry_is_egress(name: str) -> None:
    egress = (
        A_TO_B
        | UNREACHED
        | {"reporter": "source", "destination_service_name": name, "destination_service": "x"}
    )
    witness = _seen((REQUESTS, 2.0, egress))
    assert witness.parties[witness.edges.target[0]] == Identity(
        kind=NodeKind.EXTERNAL, alias=name, scope="egress"
    )


def test_a_request_to_a_pod_that_belongs_to_no_service_goes_to_its_workload() -> None:
    inbound = A_TO_B | {"reporter": "destination", "destination_service_name": "InboundPassthroughCluster"}
    assert set(_edges(_seen((REQUESTS, 2.0, inbound)))) == {("a", "b")}


def test_a_service_entry_is_external() -> None:
    entry = A_TO_B | UNREACHED | {"reporter": "source", "destination_service_name": "api.acquirer.example"}
    witness = _seen((REQUESTS, 2.0, entry))
    assert witness.parties[witness.edges.target[0]] == Identity(
        kind=NodeKind.EXTERNAL, address="api.acquirer.example"
    )


def test_a_callee_in_another_cluster_is_not_the_service_of_that_name_here() -> None:
    far = A_TO_B | {"reporter": "source", "source_cluster": "east", "destination_cluster": "west"}
    assert set(_edges(_seen((REQUESTS, 2.0, far)))) == {("a", "b.shop@west")}
    assert set(_edges(_seen((REQUESTS, 2.0, far | {"reporter": "destination"})))) == {("a.shop@east", "b")}


@pytest.mark.parametrize(
    ("mesh", "seen"), [("auto", True), ("istio", True), ("linkerd", False), ("none", False)]
)
def test_the_mesh_whose_metrics_are_read_can_be_configured(mesh: str, seen: bool) -> None:
    with FakePrometheus({REQUESTS: LABELS}) as fake:
        fake.on(f"({REQUESTS}", [({"qd": "0n0", **A_TO_B, "reporter": "source"}, 1.0)])
        found = PrometheusCollector("c1", Prometheus(url=fake.url), mesh=mesh).pull(WINDOW).witnesses
    assert [one.evidence for one in found] == ([EvidenceKind.MESH] if seen else [])


# Linkerd -----------------------------------------------------------------------------------------

RESPONSES, LATENCY, TCP = "response_total", "response_latency_ms_bucket", "tcp_open_total"
PROXY = (
    "direction",
    "classification",
    "namespace",
    "deployment",
    "dst_namespace",
    "dst_deployment",
    "dst_service",
    "status_code",
    "grpc_status_code",
    "authority",
    "peer",
    "target_addr",
)
OUT = {"direction": "outbound", "namespace": "shop", "deployment": "a", "classification": "success"} | {
    "dst_namespace": "shop",
    "dst_deployment": "b",
    "dst_service": "b",
}
IN = {"direction": "inbound", "namespace": "shop", "deployment": "b", "classification": "success"}


def _linkerd(*rows: tuple[str, float, dict[str, str]]) -> Witness:
    with FakePrometheus({RESPONSES: PROXY, LATENCY: (*PROXY, "le"), TCP: PROXY}) as fake:
        for metric, rate, labels in rows:
            tag = {RESPONSES: "0n0", LATENCY: "0b1", TCP: "1n0"}[metric]
            fake.on(f"({metric}", [({"qd": tag, **labels}, rate)])
        (found,) = PrometheusCollector("c1", Prometheus(url=fake.url)).pull(WINDOW).witnesses
    assert found.evidence is EvidenceKind.LINKERD
    return found


def test_linkerds_edges_come_from_the_caller_and_its_nodes_from_the_callee() -> None:
    witness = _linkerd(
        (RESPONSES, 8.0, OUT | {"status_code": "200"}),
        (RESPONSES, 2.0, OUT | {"status_code": "503", "classification": "failure"}),
        (RESPONSES, 9.0, IN | {"status_code": "200"}),
        (LATENCY, 10.0, OUT | {"le": "50"}),
        (LATENCY, 9.0, IN | {"le": "20"}),
        (TCP, 3.0, OUT),
    )
    assert _edges(witness) == {("a", "b"): (600.0, 120.0)}
    assert witness.edges.client_latency.sum() == pytest.approx(600.0)
    assert witness.nodes.requests.sum() == 540.0


def test_a_grpc_code_of_the_caller_is_no_failure_though_linkerd_classifies_it_as_one() -> None:
    witness = _linkerd((RESPONSES, 1.0, OUT | {"grpc_status_code": "5", "classification": "failure"}))
    assert _edges(witness) == {("a", "b"): (60.0, 0.0)}


def test_linkerds_opaque_connections_are_seen_without_requests() -> None:
    witness = _linkerd(
        (
            TCP,
            0.2,
            {"direction": "outbound", "namespace": "shop", "deployment": "a"}
            | {"target_addr": "10.0.0.9:6379", "peer": "dst"},
        )
    )
    assert witness.parties[witness.edges.target[0]].address == "10.0.0.9:6379"
    assert np.isnan(witness.edges.requests[0])


def test_somebody_elses_response_total_is_not_linkerds() -> None:
    with FakePrometheus({RESPONSES: ["service", "code"]}) as fake:
        snapshot = PrometheusCollector("c1", Prometheus(url=fake.url)).pull(WINDOW)
    assert snapshot.witnesses == ()
    assert not any(RESPONSES in notice for notice in snapshot.notices)
